"""An HTML report of an evaluation, in one file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from postproc.evaluation.charts import metric_chart, precision_recall_chart, score_chart
from postproc.evaluation.coco_curves import COCO_RECALLS
from postproc.evaluation.pages import drawn, render
from postproc.evaluation.pictures import OpenImage, Picture, picture_mistakes

if TYPE_CHECKING:
    from postproc.evaluation.base import Evaluation

MOST_CHARTED = 30  # labels
MOST_MISTAKES = 24  # of each kind
MOST_CONFUSED = 21  # labels of a matrix, nothing among them, or else pairs of labels


@dataclass(frozen=True, slots=True)
class _Charts:
    """A label and its charts, as SVG."""

    label: dict[str, Any]
    curve: Any
    scores: Any


def write_report(
    path: str | os.PathLike[str],
    evaluation: Evaluation,
    *,
    title: str,
    open_image: OpenImage | None = None,
) -> None:
    """Write numbers, charts and the worst mistakes of an evaluation as one HTML file.

    Charts are drawn for the `MOST_CHARTED` labels with the most objects; all stand in the table.

    Parameters
    ----------
    path : path
    evaluation : Evaluation
    title : str
    open_image : callable, optional
        Gives an image, by its row among those that count. Where it raises `ImageError`, the place of the
        picture says why. By default mistakes are told in words only.

    Raises
    ------
    ImportError
        If the extra ``eval`` is missing.
    OSError
        If the file cannot be written.
    """
    Path(path).write_text(render_report(evaluation, title=title, open_image=open_image), encoding="utf-8")


def render_report(evaluation: Evaluation, *, title: str, open_image: OpenImage | None = None) -> str:
    """Render what `write_report` writes."""
    document = evaluation.to_dict()
    labels = [{**label, "row": row} for row, label in enumerate(document["labels"])]
    labels.sort(key=lambda label: (-label["objects"], -label["right"] - label["wrong"], label["row"]))
    charted = [label for label in labels if label["objects"] or label["wrong"]][:MOST_CHARTED]
    charts = [_Charts(label, *map(drawn, _charts(evaluation, label))) for label in charted]
    false_positives, false_negatives = evaluation.mistakes(MOST_MISTAKES)
    mistakes = [*false_positives, *false_negatives]
    pictures: Sequence[Picture | None] = [None] * len(mistakes)
    if open_image is not None:
        pictures = picture_mistakes(mistakes, open_image)
    names = [evaluation.truth.names[row] for row in evaluation.collected.truth.images.tolist()]
    return render(
        "report.html.jinja",
        title=title,
        document=document,
        headlines=_headlines(document),
        labels=labels,
        charts=charts,
        metric_charts=_metric_charts(evaluation),
        confusion=_confusion(document),
        left_out=sum(1 for label in labels if label["objects"] or label["wrong"]) - len(charts),
        false_positives=list(zip(false_positives, pictures, strict=False)),
        false_negatives=list(zip(false_negatives, pictures[len(false_positives) :], strict=True)),
        names=names,
        has_pictures=open_image is not None,
        collected=evaluation.collected,
        has_version=evaluation.collected.has_version,
    )


def _headlines(document: dict[str, Any]) -> list[tuple[str, float | None]]:
    if document["task"] == "classification":
        return [(name, document[name]) for name in ("top1", "top5", "mAP")]
    return [(f"{document['heading']} {name}", document["coco"][name]) for name in document["headlines"]]


def _confusion(document: dict[str, Any]) -> dict[str, Any] | None:
    """Give the confusion matrix of few labels as rows of counts, or what is confused most of many.

    None means nothing, as of an object that no detection is at.
    """
    if not document.get("confusion"):
        return None
    names = {label["id"]: label["name"] for label in document["labels"]}
    counts = {(entry["object"], entry["detection"]): entry["count"] for entry in document["confusion"]}
    seen = {key for pair in counts for key in pair}
    ids = [key for key in [*names, None] if key in seen]
    most = max(counts.values())
    if len(ids) <= MOST_CONFUSED:
        rows = [
            (
                names.get(of),
                [(counts.get((of, at), 0), of == at, counts.get((of, at), 0) / most) for at in ids],
            )
            for of in ids
        ]
        return {"columns": [names.get(key) for key in ids], "rows": rows, "pairs": []}
    pairs = [(count, names.get(of), names.get(at)) for (of, at), count in counts.items() if of != at]
    pairs = sorted((pair for pair in pairs if None not in pair), key=lambda pair: -pair[0])
    return {"columns": [], "rows": [], "pairs": pairs[:MOST_CONFUSED]}


def _metric_charts(evaluation: Evaluation) -> list[tuple[str, Any]]:
    """Give what is measured, and the mean precision of all labels by recall."""
    found = []
    for measured, curves in evaluation.metric_curves().items():
        of = {
            name: curves.mean_precision(threshold)
            for name, threshold in (("mean", None), ("50", 0.5), ("75", 0.75))
        }
        if not np.isnan(of["mean"]).any():
            found.append((measured, drawn(metric_chart(COCO_RECALLS, of))))
    return found


def _charts(evaluation: Evaluation, label: dict[str, Any]) -> tuple[str, str]:
    row = label["row"]
    has_threshold = label["threshold"] is not None
    point = (label["precision"], label["recall"]) if has_threshold else (None, None)
    curve = precision_recall_chart(*evaluation.curve(row), point) if label["objects"] else ""
    return curve, score_chart(*evaluation.label_scores(row), label["threshold"])

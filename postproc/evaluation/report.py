"""An HTML report of an evaluation, in one file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postproc.evaluation.charts import precision_recall_chart, score_chart
from postproc.evaluation.pictures import MistakePicture, OpenImage, picture_mistakes
from postproc.installing import install

if TYPE_CHECKING:
    from postproc.evaluation.base import Evaluation

MOST_CHARTED = 30  # labels
MOST_MISTAKES = 24  # of each kind


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
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(f"a report needs an extra: {install('eval')} ({error})") from error

    document = evaluation.to_dict()
    labels = [{**label, "row": row} for row, label in enumerate(document["labels"])]
    labels.sort(key=lambda label: (-label["objects"], -label["right"] - label["wrong"], label["row"]))
    charted = [label for label in labels if label["objects"] or label["wrong"]][:MOST_CHARTED]
    charts = [
        # The charts hold numbers only; all else in the page is escaped.
        _Charts(label, *(Markup(chart) for chart in _charts(evaluation, label)))
        for label in charted
    ]
    false_positives, false_negatives = evaluation.mistakes(MOST_MISTAKES)
    mistakes = [*false_positives, *false_negatives]
    pictures: Sequence[MistakePicture | None] = [None] * len(mistakes)
    if open_image is not None:
        pictures = picture_mistakes(mistakes, open_image)
    names = [evaluation.truth.names[row] for row in evaluation.collected.truth.images.tolist()]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    template = (files("postproc.evaluation.templates") / "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=title,
        document=document,
        headlines=_headlines(document),
        labels=labels,
        charts=charts,
        left_out=sum(1 for label in labels if label["objects"] or label["wrong"]) - len(charts),
        false_positives=list(zip(false_positives, pictures, strict=False)),
        false_negatives=list(zip(false_negatives, pictures[len(false_positives) :], strict=True)),
        names=names,
        has_pictures=open_image is not None,
        collected=evaluation.collected,
    )


def _headlines(document: dict[str, Any]) -> list[tuple[str, float | None]]:
    if document["task"] == "classification":
        return [(name, document[name]) for name in ("top1", "top5", "mAP")]
    names = ("AP", "AP50", f"AR{document['coco_limit']['max_detections']}")
    return [(f"box {name}", document["coco"][name]) for name in names]


def _charts(evaluation: Evaluation, label: dict[str, Any]) -> tuple[str, str]:
    row = label["row"]
    point = (label["precision"], label["recall"])
    curve = precision_recall_chart(*evaluation.curve(row), point) if label["objects"] else ""
    return curve, score_chart(*evaluation.label_scores(row), label["threshold"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""What an evaluation or a calibration comes to, as tables for a terminal (extra ``cli``)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from postproc.evaluation.measures import MEASURES as MEASURES_OF_DETECTIONS
from postproc.evaluation.validation import MEASURES
from postproc.installing import install
from postproc.schema.problems import counted

try:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise ImportError(f"tables need an extra: {install('cli')} ({error})") from error

if TYPE_CHECKING:
    from postproc.evaluation.base import Evaluation
    from postproc.evaluation.calibration import Calibration, LabelCalibration
    from postproc.evaluation.coco_metrics import CocoMetrics
    from postproc.evaluation.confusion import ConfusionMatrix
    from postproc.evaluation.detection import DetectionEvaluation

MOST_SHOWN = 40  # labels in a table
MOST_CONFUSED = 10  # pairs of labels


def text_of(tables: Iterable[RenderableType], width: int) -> str:
    """Write tables as text, `width` characters wide."""
    written = io.StringIO()
    console = Console(file=written, width=width, color_system=None)
    for table in tables:
        console.print(table)
    return written.getvalue()


def page_of(tables: Iterable[RenderableType], width: int) -> str:
    """Write tables as an HTML page, `width` characters wide."""
    console = Console(file=io.StringIO(), width=width, record=True)
    for table in tables:
        console.print(table)
    return console.export_html(inline_styles=True)


def evaluation_tables(evaluation: Evaluation) -> Iterator[RenderableType]:
    """Give the numbers as tables."""
    document = evaluation.to_dict()
    is_detection = document["task"] == "detection"
    if is_detection:
        for name, metrics in cast("DetectionEvaluation", evaluation).metrics.items():
            yield _metrics_table(MEASURES_OF_DETECTIONS[name].heading, metrics)
        if "dota" in document:
            shares = ", ".join(f"{name} {_share(value)}" for name, value in document["dota"].items())
            yield Text(f"DOTA's AP of oriented boxes, by VOC's rule: {shares}")
        for remark in document["remarks"]:
            yield Text(f"{remark[0].upper()}{remark[1:]}.")
    else:
        shown = [(name, document[name]) for name in ("top1", "top5", "mAP") if document[name] is not None]
        yield "   ".join(f"{name} {_share(value)}" for name, value in shown)
    things = "objects" if is_detection else "images"
    yield _evaluated_labels(document, things, is_detection, _counted_at(evaluation))
    if is_detection:
        matrix = cast("DetectionEvaluation", evaluation).confusion_matrix
        if confused := matrix.confused():
            yield _confusions(matrix, confused, _counted_at(evaluation))


def _metrics_table(heading: str, metrics: CocoMetrics) -> Table:
    title = f"{metrics.scheme}'s {heading} AP and AR, {metrics.max_detections} {metrics.limited} at most"
    table = Table(title=title, show_header=False)
    for row in ([name for name in metrics.numbers if name.startswith(kind)] for kind in ("AP", "AR")):
        table.add_row(*(Text(name.replace("_", " "), "bold") for name in row))
        table.add_row(*(_share(metrics.numbers[name]) for name in row), end_section=True)
    return table


def _confusions(matrix: ConfusionMatrix, confused: list[tuple[int, int, int]], at: str) -> Table:
    left_out = len(confused) - MOST_CONFUSED
    caption = f"{left_out} more pairs: --json writes all" if left_out > 0 else None
    table = Table(title=f"Taken for another label, {at}", caption=caption)
    for name in ("label", "found as"):
        table.add_column(name, max_width=24, no_wrap=True, overflow="ellipsis")
    for name in ("times", "of its objects"):
        table.add_column(name, justify="right", no_wrap=True)
    names, objects = matrix.table.names, matrix.counts.sum(axis=1)
    for truth, found, count in confused[:MOST_CONFUSED]:
        share = _share(count / int(objects[truth]))
        table.add_row(Text(names[truth]), Text(names[found]), str(count), share)
    return table


def _counted_at(evaluation: Evaluation) -> str:
    """Say what counts, in the heading of a table."""
    return "at the version's thresholds" if evaluation.collected.has_version else "every detection counted"


def _evaluated_labels(document: dict[str, Any], things: str, is_detection: bool, counted_at: str) -> Table:
    total, labels = document["total"], document["labels"]
    seen = [label for label in labels if label["objects"] or label["wrong"]]
    seen.sort(key=lambda label: -label["objects"])
    images = counted(document["images"], "image")
    left_out = len(seen) - MOST_SHOWN
    captions = [f"{left_out} more labels: --json writes all"] if left_out > 0 else []
    captions += _not_seen(len(labels) - len(seen))
    at = f", {document['similarity']} {document['iou']:g}" if is_detection else ""
    average = f"{document['heading']} AP" if is_detection else "AP"
    table = Table(title=f"{images}, {counted_at}{at}", caption="; ".join(captions) or None)
    table.add_column("label", max_width=24, no_wrap=True, overflow="ellipsis")
    has_thresholds = any(label["threshold"] is not None for label in labels)
    of_thresholds = ["threshold"] if has_thresholds else []
    for name in (things, *of_thresholds, "precision", "recall", "F1", average):
        table.add_column(name, justify="right", no_wrap=True)
    mean = document["coco"]["AP"] if is_detection else document["mAP"]
    shares = [_share(total[name]) for name in ("precision", "recall", "f1")]
    empty = [""] * has_thresholds
    table.add_row("all", str(total["objects"]), *empty, *shares, _share(mean), style="bold", end_section=True)
    for label in seen[:MOST_SHOWN]:
        shares = [_share(label[name]) for name in ("precision", "recall", "f1", "AP")]
        threshold = [f"{label['threshold']:g}"] if has_thresholds else []
        table.add_row(Text(label["name"]), str(label["objects"]), *threshold, *shares)
    return table


def calibration_tables(calibration: Calibration) -> Iterator[RenderableType]:
    """Give what was chosen, and what it is worth."""
    yield _calibrated_labels(calibration)
    old, new = calibration.old_nms, calibration.new_nms
    validation = calibration.validation
    if validation is not None and len(validation.nms_thresholds) > 1:
        folds = validation.folds * validation.repeats
        votes = ", ".join(f"{value:g} in {count}" for value, count in validation.nms_thresholds.items())
        yield f"nms_threshold {old:g} -> {new:g}; chosen in the {folds} folds: {votes}"
    if validation is None:
        return
    title = (
        f"Cross-validated: {validation.folds} folds, {validation.repeats} times; "
        "thresholds never saw the images that they are measured on"
    )
    table = Table(title=title)
    table.add_column("")
    old_name = "old" if calibration.has_version else "all"
    for name in (old_name, "new", "gain", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, text in MEASURES.items():
        gain = validation.measures[name]
        table.add_row(
            text,
            f"{gain.before:.3f}",
            f"{gain.after:.3f}",
            str(gain),
            f"{gain.low:+.3f} to {gain.high:+.3f}",
        )
    yield table


def _calibrated_labels(calibration: Calibration) -> Table:
    labels = [label for label in calibration.labels if _is_seen(label)]
    labels.sort(key=lambda label: -label.before.objects)
    left_out = len(labels) - MOST_SHOWN
    captions = [
        "precision, recall and F1 in sample, on the images that thresholds were chosen from, which flatters "
        "them; validated: gain of F1 on images that they were not chosen from, with its spread"
    ]
    if any(label.kept is not None for label in labels):
        captions.append("= keeps its threshold" if calibration.has_version else "- gets no threshold")
    if left_out > 0:
        captions.append(f"{left_out} more labels: --json prints all")
    captions += _not_seen(len(calibration.labels) - len(labels))
    table = Table(
        title=f"{calibration.images} images: {calibration.settings.objective}",
        caption="; ".join(captions),
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("label", max_width=16, no_wrap=True, overflow="ellipsis")
    for name in ("objects", "threshold", "precision", "recall", "F1", "validated"):
        table.add_column(name, justify="right", no_wrap=True)
    for label in labels[:MOST_SHOWN]:
        before, after = label.before, label.after
        table.add_row(
            Text(label.name),
            str(before.objects),
            _thresholds(label, calibration.has_version),
            _change(before.precision, after.precision),
            _change(before.recall, after.recall),
            _change(before.f1, after.f1),
            "-" if label.validated is None else str(label.validated).replace(" ", ""),
        )
    return table


def _is_seen(label: LabelCalibration) -> bool:
    """Whether there are objects of a label, or detections."""
    before, after = label.before, label.after
    return any((before.objects, before.wrong, before.ignored, after.wrong, after.ignored))


def _not_seen(count: int) -> list[str]:
    """Say how many labels a table leaves out, since there is nothing to tell of them."""
    return [f"{counted(count, 'label')} neither there nor found"] if count else []


def _thresholds(label: LabelCalibration, has_version: bool) -> str:
    if not has_version:
        return f"{label.new:.3g}" if label.kept is None else "-"
    return f"{label.old:.3g} =" if label.kept is not None else f"{label.old:.3g}→{label.new:.3g}"


def _change(before: float | None, after: float | None) -> str:
    return f"{_share(before, 2)}→{_share(after, 2)}"


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

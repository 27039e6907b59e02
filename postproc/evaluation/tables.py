"""What an evaluation or a calibration comes to, as tables for a terminal (extra ``cli``)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

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

MOST_SHOWN = 40  # labels in a table


def text_of(tables: Iterable[RenderableType], width: int) -> str:
    """Write tables as text, `width` characters wide."""
    written = io.StringIO()
    console = Console(file=written, width=width, color_system=None)
    for table in tables:
        console.print(table)
    return written.getvalue()


def evaluation_tables(evaluation: Evaluation) -> Iterator[RenderableType]:
    """Give the numbers as tables."""
    document = evaluation.to_dict()
    is_detection = document["task"] == "detection"
    if is_detection:
        coco = document["coco"]
        limit = document["coco_limit"]["max_detections"]
        table = Table(title=f"COCO's box AP and AR, {limit} an image and label at most", show_header=False)
        names = list(coco)
        for row in (names[:6], names[6:]):
            table.add_row(*(Text(name.replace("_", " "), "bold") for name in row))
            table.add_row(*(_share(coco[name]) for name in row), end_section=True)
        yield table
        for remark in document["remarks"]:
            yield Text(f"{remark[0].upper()}{remark[1:]}.")
    else:
        shown = [(name, document[name]) for name in ("top1", "top5", "mAP") if document[name] is not None]
        yield "   ".join(f"{name} {_share(value)}" for name, value in shown)
    yield _evaluated_labels(document, "objects" if is_detection else "images", is_detection)


def _evaluated_labels(document: dict[str, Any], things: str, is_detection: bool) -> Table:
    total, labels = document["total"], document["labels"]
    seen = [label for label in labels if label["objects"] or label["wrong"]]
    seen.sort(key=lambda label: -label["objects"])
    images = counted(document["images"], "image")
    left_out = len(seen) - MOST_SHOWN
    captions = [f"{left_out} more labels: --json writes all"] if left_out > 0 else []
    if len(seen) < len(labels):
        captions.append(f"{counted(len(labels) - len(seen), 'label')} neither there nor found")
    at = f", Jaccard index {document['iou']:g}" if is_detection else ""
    table = Table(title=f"{images}, at the version's thresholds{at}", caption="; ".join(captions) or None)
    table.add_column("label", max_width=24, no_wrap=True, overflow="ellipsis")
    for name in (things, "threshold", "precision", "recall", "F1", "box AP" if is_detection else "AP"):
        table.add_column(name, justify="right", no_wrap=True)
    mean = document["coco"]["AP"] if is_detection else document["mAP"]
    shares = [_share(total[name]) for name in ("precision", "recall", "f1")]
    table.add_row("all", str(total["objects"]), "", *shares, _share(mean), style="bold", end_section=True)
    for label in seen[:MOST_SHOWN]:
        shares = [_share(label[name]) for name in ("precision", "recall", "f1", "AP")]
        table.add_row(Text(label["name"]), str(label["objects"]), f"{label['threshold']:g}", *shares)
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
    for name in ("old", "new", "gain", "95 % interval"):
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
    labels = sorted(calibration.labels, key=lambda label: -label.before.objects)
    left_out = len(labels) - MOST_SHOWN
    captions = [
        "precision, recall and F1 in sample, on the images that thresholds were chosen from, which flatters "
        "them; validated: gain of F1 on images that they were not chosen from, with its spread"
    ]
    if any(label.kept is not None for label in labels):
        captions.append("= keeps its threshold")
    if left_out > 0:
        captions.append(f"{left_out} more labels: --json prints all")
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
            _thresholds(label),
            _change(before.precision, after.precision),
            _change(before.recall, after.recall),
            _change(before.f1, after.f1),
            "-" if label.validated is None else str(label.validated).replace(" ", ""),
        )
    return table


def _thresholds(label: LabelCalibration) -> str:
    return f"{label.old:.3g} =" if label.kept is not None else f"{label.old:.3g}→{label.new:.3g}"


def _change(before: float | None, after: float | None) -> str:
    return f"{_share(before, 2)}→{_share(after, 2)}"


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

"""What ``postproc calibrate`` does: predict once, choose thresholds, show their gain, write the version."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from postproc.disk import whole_file
from postproc.errors import SchemaError
from postproc.evaluation.calibration import Calibration, LabelCalibration
from postproc.evaluation.gathering import Gathered
from postproc.evaluation.one_pass import OnePass
from postproc.evaluation.validation import Gain

MOST_SHOWN = 40  # labels in the table on the terminal
_NAMED = 3  # images in a note
_MEASURES = {
    "macro_f1": "F1, mean of labels",
    "micro_f1": "F1, all objects",
    "precision": "precision, all objects",
    "recall": "recall, all objects",
    "false_positives": "false positives an image",
}


def read_grid(text: str | None) -> tuple[float, ...]:
    """Read numbers that are separated by commas.

    Raises
    ------
    SchemaError
        If they are no numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        raise SchemaError(f'--nms-grid: expected numbers such as "0.3,0.45,0.6", got {text!r}') from None


def check_target(path: Path, version: Path, force: bool) -> None:
    """See that nothing is overwritten unasked.

    Raises
    ------
    SchemaError
        If the file is there, unless `force`; or if it is the version itself.
    """
    if path.exists():
        if path.samefile(version):
            raise SchemaError(f"{path}: is the version that is calibrated; give --output another name")
        if not force:
            raise SchemaError(f"{path}: is there already; give another name, or --force to replace it")


def write_version(path: Path, document: dict[str, Any]) -> None:
    """Write a version, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def notes(plan: OnePass, gathered: Gathered, calibrations: Sequence[Calibration]) -> Iterator[str]:
    """Say what a reader of the numbers has to know."""
    for number, calibration in enumerate(calibrations):
        where = f"output {calibration.output}: " if len(calibrations) > 1 else ""
        missing, unknown = gathered.missing[number], gathered.unknown[number]
        for text, images in (
            ("without a prediction, so that all on them counts as missed", missing),
            (f"left out, since {plan.outputs[number].truth.source} does not know them", unknown),
        ):
            if images:
                more = "" if len(images) <= _NAMED else " and others"
                yield f"{where}images {text}: {len(images)}, {', '.join(images[:_NAMED])}{more}"
        for label in calibration.labels:
            if label.kept is not None:
                yield f"{where}{label.name} keeps its threshold {label.old:g}: {label.kept}"
        validation = calibration.validation
        if validation is None:
            yield (
                f"{where}nothing is known of the gain on other images, since there was no cross-validation: "
                f"{calibration.not_validated}"
            )
        elif calibration.settings.objective.kind == "f1":
            for name in ("macro_f1", "micro_f1"):
                if (gain := validation.measures[name]).may_be_luck:
                    yield (
                        f"{where}{_MEASURES[name]}: the gain of {_spread(gain)} is within its spread, and "
                        "may be luck; more images would tell"
                    )


def show(calibration: Calibration, console: Console) -> None:
    """Print what was chosen, and what it is worth."""
    console.print(_label_table(calibration))
    old, new = calibration.old_nms, calibration.new_nms
    validation = calibration.validation
    if validation is not None and len(validation.nms_thresholds) > 1:
        folds = validation.folds * validation.repeats
        votes = ", ".join(f"{value:g} in {count}" for value, count in validation.nms_thresholds.items())
        console.print(f"nms_threshold {old:g} -> {new:g}; chosen in the {folds} folds: {votes}")
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
    for name, text in _MEASURES.items():
        gain = validation.measures[name]
        table.add_row(
            text,
            f"{gain.before:.3f}",
            f"{gain.after:.3f}",
            f"{gain.gain:+.3f} ± {gain.spread:.3f}",
            f"{gain.low:+.3f} to {gain.high:+.3f}",
        )
    console.print(table)


def _label_table(calibration: Calibration) -> Table:
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
            "-" if label.validated is None else _spread(label.validated).replace(" ", ""),
        )
    return table


def _thresholds(label: LabelCalibration) -> str:
    return f"{label.old:.3g} =" if label.kept is not None else f"{label.old:.3g}→{label.new:.3g}"


def _change(before: float | None, after: float | None) -> str:
    return f"{_share(before)}→{_share(after)}"


def _spread(gain: Gain) -> str:
    return f"{gain.gain:+.3f} ± {gain.spread:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

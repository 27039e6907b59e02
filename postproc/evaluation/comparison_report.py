"""A page on what got better and worse from one evaluation to another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from postproc.evaluation.charts import interval_chart
from postproc.evaluation.matches import NOTHING
from postproc.evaluation.outlines import outline_detections, outline_objects
from postproc.evaluation.pages import drawn, render
from postproc.evaluation.pictures import DETECTION, MISSED, OBJECT, OpenImage, Picture, Sketch, draw_pictures

if TYPE_CHECKING:
    from postproc.evaluation.comparison import Comparison, Difference

MOST_IMAGES = 12  # that got better, and that got worse
_SIDE = 480  # pixels of the longer side of a picture


@dataclass(frozen=True, slots=True)
class _Row:
    """A number of both, and where its difference lies."""

    name: str
    difference: Difference
    chart: Any


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a table, whose charts reach from less to more than 0 by `scale`."""

    rows: list[_Row]
    scale: float


@dataclass(frozen=True, slots=True)
class _Change:
    """An image with what changed on it."""

    name: str
    text: str
    pictures: tuple[Picture | None, Picture | None]


def render_comparison(comparison: Comparison, *, title: str, open_image: OpenImage | None = None) -> str:
    """Render a comparison as one HTML file; `open_image` as of `write_report` (extra ``eval``)."""
    changes, table = comparison.changes, comparison.a.detections.table
    counts = [("F1" if name == "f1" else name, value) for name, value in comparison.counts.items()]
    labels = [(table.names[row], label) for row, label in enumerate(comparison.labels)]
    labels = [(name, label) for name, label in labels if label.value is not None]
    labels.sort(key=lambda item: -(item[1].value or 0))
    better, worse = changes.better(MOST_IMAGES), changes.worse(MOST_IMAGES)
    shown = [*better, *worse]
    pictures: list[Picture | None] = [None] * (2 * len(shown))
    if open_image is not None:
        twice = [row for row in shown for _ in range(2)]
        pictures = list(
            draw_pictures(
                twice, lambda place, image: _draw(comparison, twice[place], place % 2, image), open_image
            )
        )
    told = [
        _Change(changes.names[row], changes.tell(row), (pictures[2 * place], pictures[2 * place + 1]))
        for place, row in enumerate(shown)
    ]
    return render(
        "comparison.html.jinja",
        title=title,
        has_version=comparison.a.collected.has_version,
        names=comparison.names,
        images=len(changes.names),
        changed=int(((changes.gained + changes.lost > 0) | (changes.wrong_a != changes.wrong_b)).sum()),
        remarks=comparison.remarks(),
        metrics=[
            (measured, _rows((name.replace("_", " "), value) for name, value in numbers.items()))
            for measured, numbers in comparison.metrics.items()
        ],
        counts=_rows(counts),
        labels=_rows(labels),
        iou=comparison.a.iou,
        better=told[: len(better)],
        worse=told[len(better) :],
        has_pictures=open_image is not None,
    )


def _rows(numbers: Iterable[tuple[str, Difference]]) -> _Rows:
    rows = list(numbers)
    ends = [end for _, of in rows for end in (of.value, of.low, of.high) if end is not None]
    scale = max(0.01, *map(abs, ends)) if ends else 1.0
    return _Rows(
        [_Row(name, of, drawn(interval_chart(of.value, of.low, of.high, scale))) for name, of in rows], scale
    )


def _draw(comparison: Comparison, row: int, side: int, image: Image.Image) -> Image.Image:
    """Draw what one of the two finds and the other does not, what it misses of that, and what is wrong."""
    pairing = comparison.changes.pairing
    evaluation, place = (pairing.a, pairing.b)[side], int(pairing.images[side][row])
    picture = image.convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    sketch = Sketch(picture, (0, 0, *image.size), image.size, has_rims=False)
    offsets, batch = pairing.a.collected.truth.offsets, evaluation.collected.truth
    objects = slice(offsets[row], offsets[row + 1])
    own, other = pairing.found[side][objects], pairing.found[1 - side][objects]
    first = batch.offsets[place]
    for outline in outline_objects(evaluation, np.flatnonzero(other & ~own) + first):
        sketch.draw(outline, MISSED, is_solid=False)
    found = evaluation.detections.offsets[place : place + 2]
    taken = evaluation.matches.truth[slice(*found)]
    only = batch.rows[np.flatnonzero(own & ~other) + first]
    for color, which in ((OBJECT, np.isin(taken, only)), (DETECTION, taken == NOTHING)):
        for outline in outline_detections(evaluation, np.flatnonzero(which) + found[0]):
            sketch.draw(outline, color)
    return picture

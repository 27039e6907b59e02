"""Boxes: corners or centres, in pixels of the input or in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import is_raw
from postproc.inspection.observed import Columns, Numbers, Observed
from postproc.schema.outputs import BoxFormat, Coordinates
from postproc.transforms import Size

_TOLERANCE = 1e-3  # of the largest number, since float16 and 8 bits round
_MOST_ODD = 0.005  # of the rows: networks give some odd boxes
_FEW = 10
NORMALIZED_UP_TO = 1.5  # unclipped boxes reach beyond the image
PIXELS_FROM = 4.0
_SPREAD = 0.2  # of the largest number, by which places differ; an untrained network's may all be one
_LAGS = (1, 2, 4, 8, 16, 32, 64, 128)  # rows, by which x changes much, and y little
_FASTER = 2.5
_COVERED = 4  # boxes that all lie in so small a part of the input are in pixels of something else, perhaps
_NEAR = 1.0  # strides from the cell that a box belongs to
_OF_SIZES = {"Exp", "Pow"}
_RECTIFYING = {"Relu", "Clip", "Exp"}
_CORNERS = {"xyxy": (0, 1, 2, 3), "yxyx": (1, 0, 3, 2)}


@dataclass(frozen=True)
class Boxes:
    """Four numbers a box.

    Parameters
    ----------
    columns : Columns
        Where they are.
    box_format : {"xyxy", "yxyx", "cxcywh", "xywh"}
        What they are.
    units : {"pixels", "normalized"}
        In what.
    strides, per_cell
        Where there is a number of boxes for each cell of grids: of which strides, and how many.
    is_told : bool
        Whether the exporter says what they are. Then sizes that are negative, or vast where they should be
        fractions, only show that it is not trained.
    in_order : bool
        Whether rows come in the order of places of the image; those that a network has chosen do not.
    """

    columns: Columns
    box_format: BoxFormat
    units: Coordinates
    strides: tuple[int, ...] = ()
    per_cell: int = 1
    is_told: bool = False
    in_order: bool = True

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators and the run say for and against it."""
        if observed.has_integers(self.columns):
            text = f"{self.columns.tensor}: integers, such as classes, are no boxes"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        if observed.is_torn(self.columns):
            text = f"{self.columns.tensor}: a Concat joins some of the four numbers with others"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        told = list(self._operators(observed))
        yield from told
        yield from self._suppression(observed)
        rows = observed.rows(self.columns)
        if rows is None or rows.shape[1] != 4:
            return
        finite = np.asarray(np.isfinite(rows).all(axis=1))  # exponentials of random weights overflow
        yield from self._places(rows, finite, observed)
        rows = rows[finite & rows.any(axis=1)]  # rows of zeros fill a list up
        if len(rows) and np.ptp(rows):
            is_told = self.is_told or any(not item.is_against for item in told)
            yield from self._order(rows, is_told)
            yield from self._range(rows, observed)
            if self.in_order:
                yield from self._scan(rows)

    def _operators(self, observed: Observed) -> Iterator[Evidence]:
        """Use what the four numbers went through: only sizes are exponentials, centres are means."""
        each = observed.histories(self.columns)
        if each is None or len(each) != 4:
            return
        name = self.columns.tensor
        if self.strides and all(is_raw(column - _RECTIFYING) for column in each):
            text = f"{name}: boxes come from the last layers as they are, without the place of their cell"
            yield speaks_against(Source.OPERATORS, text, Part.KIND, Part.BOX_FORMAT)
        centres, sizes = each[0] | each[1], each[2] | each[3]
        both_centres, both_sizes = each[0] & each[1], each[2] & each[3]
        formats: tuple[str, ...]
        if both_sizes & _OF_SIZES and not centres & _OF_SIZES:
            formats, between = ("cxcywh", "xywh"), ", ".join(sorted(both_sizes & _OF_SIZES))
            text = f"{name}: only the last two numbers of a box went through {between}, as sizes do"
            if self.box_format not in formats:
                yield speaks_against(Source.OPERATORS, text, Part.BOX_FORMAT)
        elif "Div" in both_centres - sizes and "Sub" in both_sizes:
            formats, text = ("cxcywh",), f"{name}: centres are the means of corners, sizes their differences"
        elif "Sub" in both_centres - sizes and (
            "Add" in both_sizes - centres or ("Add" in both_sizes and centres ^ sizes == {"Sub"})
        ):
            formats = tuple(_CORNERS)
            text = f"{name}: corners are what is left after subtracting distances, and adding them"
        else:
            return
        if self.box_format in formats:
            yield speaks_for(Source.OPERATORS, text, Part.BOX_FORMAT)

    def _suppression(self, observed: Observed) -> Iterator[Evidence]:
        """Use that NonMaxSuppression is told whether it is given corners or centres."""
        nodes = observed.graph.links.nodes
        node = next((node for node in nodes if node.operator == "NonMaxSuppression"), None)
        if self.in_order or node is None:
            return
        takes_centres = node.attributes.get("center_point_box", 0) == 1
        if takes_centres == (self.box_format not in _CORNERS):
            text = f"the graph gives NonMaxSuppression {'centres' if takes_centres else 'corners'}"
            yield speaks_for(Source.OPERATORS, text, Part.BOX_FORMAT)

    def _order(self, rows: Numbers, is_told: bool) -> Iterator[Evidence]:
        """Use that sizes are positive, and that the second corner is below the first, to its right.

        Of a network that is not trained they may be negative: where more tells what they are, that counts.
        """
        slack = _TOLERANCE * float(np.abs(rows).max())
        name = self.columns.tensor
        disordered = float(((rows[:, 2] < rows[:, 0] - slack) | (rows[:, 3] < rows[:, 1] - slack)).mean())
        negative = float((rows[:, 2:] < -slack).any(axis=1).mean())
        is_spread = bool((np.ptp(rows[:, :2], axis=0) > _SPREAD * np.abs(rows).max()).all())
        if self.box_format in _CORNERS:
            if disordered > _MOST_ODD:
                if is_told:
                    return
                yield speaks_against(
                    Source.RUN,
                    f"{name}: in {disordered:.0%} of the rows of a run the third number is below the first "
                    "or the fourth below the second, so they are no corners",
                    Part.BOX_FORMAT,
                )
            elif len(rows) >= _FEW and is_spread:
                yield speaks_for(
                    Source.RUN, f"{name}: all boxes of a run are ordered as corners are", Part.BOX_FORMAT
                )
            return
        if negative > _MOST_ODD:
            if is_told:
                return
            yield speaks_against(
                Source.RUN,
                f"{name}: {negative:.0%} of the rows of a run have a negative size",
                Part.BOX_FORMAT,
            )
        elif disordered > _MOST_ODD and self.in_order:  # chosen corners may be odd, if nothing was learned
            yield speaks_for(
                Source.RUN,
                f"{name}: sizes in a run are positive, and {disordered:.0%} of the rows would be no corners",
                Part.BOX_FORMAT,
            )
        elif disordered <= _MOST_ODD and is_spread and _are_wide(rows):
            yield speaks_against(
                Source.RUN,
                f"{name}: read as centres, all boxes of a run would reach beyond the image's left or top",
                Part.BOX_FORMAT,
            )

    def _range(self, rows: Numbers, observed: Observed) -> Iterator[Evidence]:
        # The median: untrained networks make some boxes of any size.
        highest = float(np.median(np.abs(rows).max(axis=1)))
        text = f"{self.columns.tensor}: half of the boxes reach {highest:.3g} in a run"
        if highest > PIXELS_FROM:
            if self.units == "pixels" and highest > min(observed.size or (0, 0)) / _COVERED:
                yield speaks_for(Source.RUN, text, Part.UNITS)
            elif self.units == "normalized" and not self.is_told:
                yield speaks_against(Source.RUN, f"{text}, beyond [0, 1]", Part.UNITS)
        elif highest <= NORMALIZED_UP_TO and min(observed.size or (0, 0)) > 8 * NORMALIZED_UP_TO:
            if self.units == "normalized":
                yield speaks_for(Source.RUN, text, Part.UNITS)
            elif len(rows) > 2:
                yield speaks_against(Source.RUN, f"{text}, which is less than 2 pixels", Part.UNITS)

    def _scan(self, rows: Numbers) -> Iterator[Evidence]:
        """Use that boxes of places come in the order of an image's pixels: x changes from row to row."""
        if len(rows) < 2 * _LAGS[-1]:
            return
        x, y = _roughness(_centres(rows)[self.box_format])
        text = f"{self.columns.tensor}: read as {self.box_format}, "
        if ((x > _FASTER * y) & (x > 0.5)).any() and not (y > _FASTER * x).any():
            text += "x changes fastest from box to box of a run, as it does along an image's rows"
            yield speaks_for(Source.RUN, text, Part.BOX_FORMAT)
        elif ((y > _FASTER * x) & (y > 0.5)).any() and not (x > _FASTER * y).any():
            text += "y would change faster than x from box to box of a run, and images are read along x"
            yield speaks_against(Source.RUN, text, Part.BOX_FORMAT)

    def _places(self, rows: Numbers, finite: npt.NDArray[np.bool_], observed: Observed) -> Iterator[Evidence]:
        """Use that a box of a grid lies about its cell: its centre does, and no corner of it."""
        size = observed.size
        if size is None or not self.strides or not finite.any():
            return
        scale = np.array([1.0, 1.0] if self.units == "pixels" else size[::-1])
        centres = {name: centre[finite] * scale for name, centre in _centres(rows).items()}
        distances: dict[str, float] = {}
        for cells in grid_orders(size, self.strides, self.per_cell):
            if len(cells) != len(rows):
                return
            cells = cells[finite]
            found = {
                name: float(np.median(np.abs(centre - cells[:, :2]) / cells[:, 2:]))
                for name, centre in centres.items()
            }
            if not distances or min(found.values()) < min(distances.values()):
                distances = found
        own = distances[self.box_format]
        others = min(distance for name, distance in distances.items() if name != self.box_format)
        text = f"{self.columns.tensor}: read as {self.box_format}, boxes lie {own:.2g} cells from their own"
        if own < _NEAR and own <= 0.5 * others:
            yield speaks_for(Source.RUN, text, Part.BOX_FORMAT, Part.UNITS)
        elif others < _NEAR and others <= 0.5 * own:
            yield speaks_against(Source.RUN, f"{text}, and otherwise {others:.2g}", Part.BOX_FORMAT)


def _centres(rows: Numbers) -> dict[str, Numbers]:
    """Give the centres of boxes by what their numbers may be."""
    middle = (rows[:, :2] + rows[:, 2:]) / 2
    return {
        "cxcywh": rows[:, :2],
        "xyxy": middle,
        "yxyx": middle[:, ::-1],
        "xywh": rows[:, :2] + rows[:, 2:] / 2,
    }


def _roughness(centres: Numbers) -> Numbers:
    """Give how far x and y change within some rows, of what they change by between any two: (2, lags)."""
    others = np.random.default_rng(0).permutation(centres)
    anywhere = np.abs(centres - others).mean(axis=0)
    steps = [np.abs(centres[lag:] - centres[:-lag]).mean(axis=0) for lag in _LAGS]
    return np.stack(steps, axis=1) / np.where(anywhere > 0, anywhere, np.inf)[:, None]


def _are_wide(rows: Numbers) -> bool:
    """Tell whether boxes, read as centres and sizes, all begin left of or above the image, far ones too."""
    far = rows[(rows[:, :2] > np.quantile(rows[:, :2], 0.5, axis=0)).all(axis=1)]
    return len(far) >= _FEW and bool((far[:, 2:] >= far[:, :2]).all())


def grid_orders(size: Size, strides: tuple[int, ...], per_cell: int) -> Iterator[Numbers]:
    """Give the centre and the stride of the cell of each row, (rows, 3), in pixels of the input.

    The finest grid comes first or last, and within a grid the boxes of a cell or all cells of an anchor.
    """
    height, width = size
    grids = []
    for stride in strides:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        grids.append(np.stack([x.ravel() + 0.5, y.ravel() + 0.5, np.ones(x.size)], axis=1) * stride)
    for ordered in (grids, grids[::-1]):
        yield np.concatenate([np.tile(grid, (per_cell, 1)) for grid in ordered])
        if per_cell > 1:
            yield np.concatenate([np.repeat(grid, per_cell, axis=0) for grid in ordered])

"""How the tensors of a head with a grid per stride lie: which number is of which box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Sizes, pixel_sizes
from postproc.errors import TensorError
from postproc.kernels.heads.levels import LevelTable, Parts
from postproc.schema.limits import MOST_LEVELS
from postproc.schema.outputs import Layout
from postproc.tensors import are_of_one_form, as_scanned, find, in_float32, kernel_forms, wrong_shape

Array = NDArray[np.float32]
Shape = tuple[int, ...]
Grid = tuple[int, int]
Six = tuple[Any, Any, Any, Any, Any, Any]
"""Tensors of up to six levels, (B, numbers of an image) each, as kernels take them."""

_LONGEST_SIDE = 2.0**31


class Group(NamedTuple):
    """The tensors of one field: one a level, or one of all levels.

    Parameters
    ----------
    field : str
    names : tuple of str
    channels : int
        How many numbers a box has in them.
    """

    field: str
    names: tuple[str, ...]
    channels: int


class Columns(NamedTuple):
    """Where numbers of a kind are: in which group, and from which of its channels on."""

    group: int
    first: int
    width: int


class Form(NamedTuple):
    """How a tensor lies.

    Parameters
    ----------
    batch : int
    grid : (int, int) or None
        Rows and columns of cells, where it has such axes.
    boxes : int
        Of an image.
    is_planar : bool
        Whether channels come before cells.
    """

    batch: int
    grid: Grid | None
    boxes: int
    is_planar: bool


Forms = tuple[tuple[Form, ...], ...]
"""Of the tensors of each group."""


def read_levels(tensors: Mapping[str, Any], names: Sequence[str]) -> list[Array]:
    """Return tensors as they are named, as `as_scanned` gives them.

    Those without an axis of images, of boxes and channels, get one.
    """
    arrays = []
    for name in names:
        array = as_scanned(name, find(tensors, name))
        arrays.append(array if array.ndim != 2 else array[None])
    return arrays


def six_levels(flat: list[Array], beside: Six | None = None) -> Six:
    """Return tensors of each level as kernels take them, and empty ones for levels that there are none of.

    They are of the form of those `beside`, or float32.
    """
    forms = kernel_forms(flat, MOST_LEVELS)
    if beside is not None and not are_of_one_form(forms[0], beside[0]):
        forms = kernel_forms([in_float32(array) for array in flat], MOST_LEVELS)
    first, second, third, fourth, fifth, sixth = forms
    return first, second, third, fourth, fifth, sixth


class HeadLevels:
    """The tensors of a document, and the grids they are of.

    Parameters
    ----------
    groups : tuple of Group
    strides : tuple of int
    anchors : int
        How many boxes a cell has.
    layout : {"auto", "channels_first", "channels_last"}
    """

    def __init__(
        self, groups: tuple[Group, ...], strides: tuple[int, ...], anchors: int, layout: Layout
    ) -> None:
        self.groups = groups
        self._strides = strides
        self._anchors = anchors
        self._layout = layout

    def forms(self, shapes: Sequence[Shape]) -> Forms:
        """Return how tensors of these shapes lie.

        Raises
        ------
        TensorError
            If they are not as the document says, may lie in two ways, or differ in their numbers of images.
        """
        remaining = iter(shapes)
        forms = tuple(
            [self._forms_of(group, [next(remaining) for _ in group.names]) for group in self.groups]
        )
        first = self.groups[0].names[0], forms[0][0].batch
        for group, of_group in zip(self.groups, forms, strict=True):
            for name, form in zip(group.names, of_group, strict=True):
                if form.batch != first[1]:
                    raise TensorError(
                        f"tensor {name!r} has {form.batch} images; expected {first[1]}, as {first[0]!r} has"
                    )
            if form.grid is not None and not self._is_apart(of_group):
                raise TensorError(
                    f"tensor {group.names[0]!r} is one grid of {form.grid[0]} x {form.grid[1]} cells, but "
                    f"there are {len(self._strides)} strides; give {group.field} one a stride, or one "
                    f"(B, N, {group.channels}) of all"
                )
        return forms

    def _is_apart(self, of_group: Sequence[object]) -> bool:
        """Whether each level has a tensor of its own."""
        return len(of_group) == len(self._strides)

    def _forms_of(self, group: Group, shapes: list[Shape]) -> tuple[Form, ...]:
        """Return the forms of a field, all in one layout: that which fits the shapes of all of them."""
        channels, total = group.channels, group.channels * self._anchors
        layout = self._layout
        layouts: tuple[Layout, ...] = ("channels_first", "channels_last") if layout == "auto" else (layout,)
        found = [
            [self._form(shape, channels, one == "channels_first") for shape in shapes] for one in layouts
        ]
        fitting = [tuple([form for form in forms if form is not None]) for forms in found]
        fitting = [forms for forms in fitting if len(forms) == len(shapes)]
        # Of one number an image there is one order.
        if len(fitting) == 1 or (fitting and all({*shape[1:]} == {1} for shape in shapes)):
            return fitting[0]
        if fitting:
            raise TensorError(
                f"tensor {group.names[0]!r} has shape {shapes[0]}, whose "
                f"{total if len(shapes[0]) == 4 else channels} channels may come first or last; declare "
                'layout: "channels_first" or "channels_last"'
            )
        for name, shape, *forms in zip(group.names, shapes, *found, strict=True):
            if not any(forms):
                expected = []
                if layout != "channels_last":
                    expected += [f"(B, {total}, H, W)", f"(B, {channels}, N)"]
                if layout != "channels_first":
                    expected += [f"(B, H, W, {total})", f"(B, N, {channels})"]
                raise wrong_shape(name, shape, f"{', '.join(expected[:-1])} or {expected[-1]}")
        listed = ", ".join(f"{name!r} {shape}" for name, shape in zip(group.names, shapes, strict=True))
        raise TensorError(f"channels of {group.field} come first in some and last in others: {listed}")

    def _form(self, shape: Shape, channels: int, is_first: bool) -> Form | None:
        if len(shape) == 4 and shape[1 if is_first else 3] == channels * self._anchors:
            rows, columns = shape[2:] if is_first else shape[1:3]
            return Form(shape[0], (rows, columns), rows * columns * self._anchors, is_first)
        if len(shape) == 3 and shape[1 if is_first else 2] == channels:
            return Form(shape[0], None, shape[2 if is_first else 1], is_first)
        return None

    def grids_of_images(self, forms: Forms, sizes: Sizes) -> list[list[Grid]]:
        """Return the grids of each image, or of one if those of all are the same.

        Raises
        ------
        TensorError
            If no size is given, an image has a side that no image has, or a tensor has other cells.
        """
        name = self.groups[0].names[0]
        sides = pixel_sizes(name, sizes)
        if sides.max(initial=0.0) > _LONGEST_SIDE:
            raise TensorError(f"tensor {name!r}: no input has a side of {sides.max():g} pixels")
        of_images = [self.grids(forms, height, width) for width, height in sides.astype(np.int64).tolist()]
        return of_images[:1] if all(grids == of_images[0] for grids in of_images) else of_images

    def grids(self, forms: Forms, height: int, width: int) -> list[Grid]:
        """Return rows and columns of each level of an input: rounded up, or down where only that fits.

        Raises
        ------
        TensorError
            If a tensor has other cells.
        """
        anchors, strides = self._anchors, self._strides
        options = []
        for level, stride in enumerate(strides):
            up, down = (-(-height // stride), -(-width // stride)), (height // stride, width // stride)
            fitting = list(dict.fromkeys((up, down)))
            own = [
                (group, group.names[level], of_group[level])
                for group, of_group in zip(self.groups, forms, strict=True)
                if self._is_apart(of_group)
            ]
            # A grid that a tensor has may mix both; all others must have it then.
            if any(form.grid is not None for _, _, form in own):
                rows, columns = (dict.fromkeys(sides) for sides in zip(up, down, strict=True))
                fitting = [(row, column) for row in rows for column in columns]
            for group, name, form in sorted(own, key=lambda one: one[2].grid is None):
                fitting = [
                    grid
                    for grid in fitting
                    if form.grid in (None, grid) and grid[0] * grid[1] * anchors == form.boxes
                ]
                if not fitting:
                    cells = [f"{grid[0]} x {grid[1]}" for grid in dict.fromkeys((up, down))]
                    raise TensorError(
                        f"tensor {name!r} has {_size_of(form)}; stride {stride} of an input of "
                        f"{height} x {width} pixels (height x width) has {' or '.join(cells)} cells"
                        f"{self._each}: check input_size, and that {group.field} and strides are in the same "
                        "order"
                    )
            options.append(fitting)
        for choice in (0, -1):
            grids = [fitting[choice] for fitting in options]
            total = anchors * sum(rows * columns for rows, columns in grids)
            if all(self._is_apart(of_group) or of_group[0].boxes == total for of_group in forms):
                return grids
        expected = anchors * sum(fitting[0][0] * fitting[0][1] for fitting in options)
        name, form = next(
            (group.names[0], of_group[0])
            for group, of_group in zip(self.groups, forms, strict=True)
            if not self._is_apart(of_group) and of_group[0].boxes != expected
        )
        raise TensorError(
            f"tensor {name!r} has {_size_of(form)}; an input of {height} x {width} pixels (height x width) "
            f"has {expected} with strides {list(strides)}{self._each}: check input_size and strides"
        )

    @property
    def _each(self) -> str:
        return f" of {self._anchors} boxes each" if self._anchors > 1 else ""

    def by_box(self, array: Array, form: Form, columns: Columns) -> Array:
        """Return columns (B, boxes, C) of a tensor."""
        own = slice(columns.first, columns.first + columns.width)
        channels = self.groups[columns.group].channels
        if not form.is_planar:
            return array.reshape(form.batch, form.boxes, channels)[:, :, own]
        if form.grid is None:
            return np.swapaxes(array[:, own], 1, 2)
        planes = array.reshape(form.batch, self._anchors, channels, form.boxes // self._anchors)[:, :, own]
        return planes.transpose(0, 3, 1, 2).reshape(form.batch, form.boxes, columns.width)

    def parts(self, forms: Forms, columns: Columns, first: int, labels: int, *, in_rows: bool) -> Parts:
        """Return runs of scores that lie together, as a head of `Distances` takes them.

        Those of `labels` begin `first` columns behind the others of their kind. `in_rows` if they have been
        brought into rows of their own.
        """
        channels, anchors = self.groups[columns.group].channels, self._anchors
        table, first_box = [], 0
        for tensor, form in enumerate(forms[columns.group]):
            boxes = form.boxes
            if in_rows:
                table.append((tensor, 0, 0, columns.width, boxes * columns.width, first, first_box, 1))
            elif not form.is_planar:
                table.append((tensor, 0, 0, channels, boxes * channels, columns.first + first, first_box, 1))
            else:
                # A grid has planes of one anchor after the other; where there is an axis of boxes, of all.
                turns = 1 if form.grid is None else anchors
                cells = boxes // turns
                for anchor in range(turns):
                    start = (anchor * channels + columns.first + first) * cells
                    table.append((tensor, 1, start, cells, labels * cells, 0, first_box + anchor, turns))
            first_box += boxes
        return Parts(np.array(table, np.int64))

    def table(self, forms: Forms, columns: Columns, of_images: list[list[Grid]]) -> LevelTable:
        """Return where numbers of each level are, as kernels take it: a table an image, or one for all."""
        channels, anchors = self.groups[columns.group].channels, self._anchors
        of_group = forms[columns.group]
        table = np.empty((len(of_images), len(self._strides), 8), np.int64)
        for image, grids in enumerate(of_images):
            for level, (first_box, grid) in enumerate(zip(self._first_boxes(grids), grids, strict=True)):
                tensor, first_in_tensor = (level, 0) if self._is_apart(of_group) else (0, first_box)
                form = of_group[tensor]
                steps = self._steps(form, channels)
                start = columns.first * steps[2] + first_in_tensor * (steps[0] // anchors)
                table[image, level] = first_box, max(grid[1], 1), self._strides[level], tensor, start, *steps
        return LevelTable(table)

    def _first_boxes(self, grids: list[Grid]) -> Iterator[int]:
        first = 0
        for rows, columns in grids:
            yield first
            first += rows * columns * self._anchors

    def _steps(self, form: Form, channels: int) -> tuple[int, int, int]:
        """Return steps from cell to cell, anchor to anchor and channel to channel."""
        if not form.is_planar:
            return self._anchors * channels, channels, 1
        if form.grid is None:
            return self._anchors, 1, form.boxes
        cells = form.boxes // self._anchors
        return 1, channels * cells, cells


def _size_of(form: Form) -> str:
    return f"{form.boxes} boxes an image" if form.grid is None else f"{form.grid[0]} x {form.grid[1]} cells"

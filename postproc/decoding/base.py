"""What all kinds of detection outputs share."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions, HeightWidth
from postproc.decoding.decision import Decision
from postproc.errors import TensorError
from postproc.kernels.core import activation, boxes
from postproc.kernels.core.candidates import MAX_ORDER
from postproc.kernels.heads.arguments import (
    Activation,
    BoxesALabel,
    BoxesARegion,
    BoxFormat,
    FirstImage,
    FirstScore,
    KeptRegions,
    Placement,
    Planar,
    Table,
)
from postproc.kernels.heads.driver import Head
from postproc.kernels.heads.listed import EndRows, FirstRows
from postproc.results import Detections
from postproc.results.rows import images_of_rows
from postproc.schema import DetectionOutput
from postproc.schema.outputs import Background, Layout
from postproc.tensors import as_float32, as_scanned, find, in_float32, wrong_shape

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")

NO_ACTIVATION = Activation(activation.NONE)
SIGMOID = Activation(activation.SIGMOID)
SOFTMAX = Activation(activation.SOFTMAX)
ACTIVATIONS = {"none": NO_ACTIVATION, "sigmoid": SIGMOID, "softmax": SOFTMAX}
BOX_FORMATS = {
    "xyxy": BoxFormat(boxes.XYXY),
    "xywh": BoxFormat(boxes.XYWH),
    "cxcywh": BoxFormat(boxes.CXCYWH),
    "yxyx": BoxFormat(boxes.YXYX),
}
ROWS = Planar(False)
UNIT = np.ones((1, 2), np.float64)
"""Width and height of the input for boxes that are relative to it, or have their unit already."""

ONE_COLUMN = BoxesARegion(1)

Sizes: TypeAlias = NDArray[np.float64] | HeightWidth | None
"""Heights and widths that boxes are in pixels of: (B, 2), or one for all images; None for none."""

Extras: TypeAlias = Callable[[Detections, Placement, Sizes, FirstImage], Detections]
"""Adds to detections what tensors hold beyond boxes: from them, the placement (B, 2, 4) of all images as
`postproc.kernels.core.placement` takes it, the sizes that boxes are in pixels of, and the first image's
number."""


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """Remember the last answers of a function, and its types, which mypy does not see through `lru_cache`."""
    remembering: Callable[P, R] = lru_cache(maxsize=256)(function)  # type: ignore[assignment]
    return remembering


class Candidates(NamedTuple):
    """The tensors of one call, and what describes them.

    Parameters
    ----------
    batch : int
        Number of images.
    head : NamedTuple
        What the kernel of its type takes: see `postproc.kernels.heads.driver`.
    per_label : int
        How many boxes a label has.
    columns : int
        How many of them belong to one region of the network.
    extras : Extras, optional
        Adds what comes with the boxes that are kept.
    scores : function, optional
        Gives the scores as the network wrote them, (B, N, L) of labels or in another shape, where they are to
        be probabilities.
    angles : function, optional
        Gives the angles of all boxes as the network wrote them.
    classes : function, optional
        Logs what the network names as classes and the spec does not have; returns what is read as the class
        of a box, though it is no whole number.
    """

    batch: int
    head: Head
    per_label: BoxesALabel
    columns: BoxesARegion = ONE_COLUMN
    extras: Extras | None = None
    scores: Callable[[], NDArray[np.float32]] | None = None
    angles: Callable[[], NDArray[np.float32]] | None = None
    classes: Callable[[], float | None] | None = None


class Read(Protocol):
    """The tensors of a call, checked."""

    @property
    def batch(self) -> int:
        """Number of images."""
        ...


ReadT = TypeVar("ReadT", bound=Read)


class Decoder(ABC, Generic[ReadT]):
    """What the pipeline asks of a kind of output: to `read` tensors, then to `bind` what it has read.

    Parameters
    ----------
    decision : Decision
    *tensor_names : str or None
        Those that it reads; None where the document names none.
    """

    sample: ClassVar[DetectionOutput]
    """An output of this kind: it says which, and is what a warm-up compiles."""

    clips_first: bool = False
    """Whether boxes are clipped to the image before they are compared, or only after."""

    example_size: tuple[int, int] | None = None
    """Input size that the `examples` are of, for kinds that need one."""

    def __init__(self, decision: Decision, *tensor_names: str | None) -> None:
        self._decision = decision
        self._labels = len(decision.ids)
        self.tensor_names = tuple(name for name in tensor_names if name is not None)

    @abstractmethod
    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> ReadT:
        """Check the tensors of a call."""

    @abstractmethod
    def bind(self, read: ReadT, sizes: Sizes) -> Candidates:
        """Make what the kernel takes; `sizes` are those of the network's input in pixels."""

    @abstractmethod
    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout and dtype that may come: to compile the kernels on."""

    def for_examples(self) -> Self:
        """Return a decoder that takes its `examples`."""
        return self

    def replaced(self, decision: Decision) -> Self:
        """Return a decoder with another decision on the same labels, which shares all else it has."""
        other = copy.copy(self)
        other._decision = decision
        return other


class SizelessDecoder(Decoder[Candidates]):
    """A kind of output that is read without the size of the network's input."""

    def bind(self, read: Candidates, sizes: Sizes) -> Candidates:
        return read


class ReadTable(NamedTuple):
    """A table of a call, and how many boxes an image has in it."""

    values: Table
    planar: Planar
    boxes: BoxesALabel

    @property
    def batch(self) -> int:
        """Number of images."""
        return len(self.values)


class SingleTable:
    """A tensor (B, N, channels), or (B, channels, N), that holds all of a network's output.

    Parameters
    ----------
    name : str
    channels : int
    layout : {"auto", "channels_first", "channels_last"}
    reason : str
        What makes up the channels, for the text of an error.
    """

    def __init__(self, name: str, channels: int, layout: Layout, reason: str) -> None:
        self._name = name
        self._channels = channels
        self._layout = layout
        self._reason = reason

    def read(self, tensors: Mapping[str, Any], labels: int) -> tuple[Table, Planar, BoxesALabel]:
        """Table of a call as `as_scanned` gives it, whether it is (B, channels, N), and N.

        Raises
        ------
        TensorError
            If it is missing, has the wrong shape, or more boxes than can be told apart.
        """
        name, channels = self._name, self._channels
        table = with_batch(as_scanned(name, find(tensors, name)), 3)
        shape = table.shape
        if len(shape) != 3 or channels not in shape[1:]:
            raise wrong_shape(name, shape, f"(B, {channels}, N) or (B, N, {channels}), from {self._reason}")
        count = shape[2] if shape[1] == channels else shape[1]
        planar = is_planar(name, shape[1:], boxes_count=count, columns=channels, layout=self._layout)
        check_order(name, boxes_count=count, labels=labels)
        return Table(table), planar, BoxesALabel(count)

    def examples(self, count: int = 1) -> list[dict[str, NDArray[Any]]]:
        """Small tables for every layout that may come, of boxes not as many as channels: either is clear."""
        shapes = {"channels_first": (1, self._channels, count), "channels_last": (1, count, self._channels)}
        return [
            {self._name: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]


@remembered
def whole_images(batch: int, count: int) -> tuple[FirstRows, EndRows]:
    """First row of each image in a list, and the row behind its last, where each has `count`."""
    firsts = np.arange(batch, dtype=np.int64) * count
    return FirstRows(firsts), EndRows(firsts + count)


def rows_of(found: Detections, firsts: NDArray[np.int64] | None, start: FirstImage) -> KeptRegions:
    """Rows that detections come from, as kernels that gather take them: counted from their image's first.

    With `firsts`, the first row of each image in a list of all, they are those of a table (R, 1, C) of that
    list: one in which each row is an image, so that they are counted from the image's number.
    """
    if firsts is None:
        return KeptRegions(found.regions)
    images = start + images_of_rows(found.offsets)
    return KeptRegions(found.regions + firsts[images] - images)


def pixel_sizes(name: str, sizes: Sizes) -> NDArray[np.float64]:
    """Widths and heights (1 or B, 2) that boxes are in pixels of.

    Raises
    ------
    TensorError
        If nothing says so.
    """
    if sizes is None:
        raise TensorError(
            f"tensor {name!r} cannot be decoded without the size of the network's input in pixels: declare "
            "the detection's input_size, or pass input_size or transforms"
        )
    return np.array(sizes, np.float64).reshape(-1, 2)[:, ::-1].copy()


def with_batch(array: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    """Add the batch axis, if it is missing."""
    return array[None] if array.ndim == rank - 1 else array


def scores_gate(score_activation: Activation) -> Callable[[str, Any], NDArray[Any]]:
    """Return the gate of a tensor of scores: a softmax is of float32."""
    return as_float32 if score_activation == activation.SOFTMAX else as_scanned


def probabilities(
    values: NDArray[np.float32], planar: Planar, first: FirstScore, labels: int, score_activation: Activation
) -> Callable[[], NDArray[np.float32]] | None:
    """Return what gives `scores` of `Candidates`; None where an activation makes probabilities of any.

    Those of the labels begin at column `first` of values (B, N, C), or (B, C, N) if `planar`.
    """
    if score_activation != activation.NONE:
        return None

    def of_labels() -> NDArray[np.float32]:
        numbers = in_float32(values)
        found: NDArray[np.float32] = (np.swapaxes(numbers, 1, 2) if planar else numbers)[
            :, :, first : first + labels
        ]
        return found

    return of_labels


def without_padding(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of a list but for -1, with which many lists are filled up."""
    given: NDArray[np.float32] = scores[scores != -1.0]
    return given


def as_rows(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (B, S, N) as (B, N, S)."""
    return np.ascontiguousarray(np.swapaxes(planes, 1, 2))


def is_planar(
    name: str,
    shape: tuple[int, ...],
    *,
    boxes_count: int,
    columns: int,
    layout: Layout,
    background: Background | None = None,
) -> Planar:
    """Whether scores of this shape (without the batch axis) are (columns, boxes) and not (boxes, columns).

    `background` is where the document says that its score is, of outputs that may have one.

    Raises
    ------
    TensorError
        If they are neither as declared, or could be both and nothing is declared.
    """
    rows = shape == (boxes_count, columns) and layout != "channels_first"
    planes = shape == (columns, boxes_count) and layout != "channels_last"
    if rows and planes and boxes_count != 1:
        raise TensorError(
            f"tensor {name!r} has shape (B, {shape[0]}, {shape[1]}), which fits scores by box and by label; "
            'declare layout: "channels_last" for (B, N, labels) or "channels_first" for (B, labels, N)'
        )
    if not rows and not planes:
        forms = []
        if layout != "channels_first":
            forms.append(f"(B, {boxes_count}, {columns})")
        if layout != "channels_last":
            forms.append(f"(B, {columns}, {boxes_count})")
        raise TensorError(
            f"tensor {name!r} has shape (B, {shape[0]}, {shape[1]}); expected {' or '.join(forms)}"
            f"{_of_background(shape, boxes_count, columns, background)}"
        )
    return Planar(planes and not rows)


def _of_background(
    shape: tuple[int, ...], boxes_count: int, columns: int, background: Background | None
) -> str:
    """Say what speaks for a background that is not declared, or against the one that is."""
    others = columns + 1 if background == "none" else columns - 1
    if background is None or shape not in ((boxes_count, others), (others, boxes_count)):
        return ""
    if background == "none":
        return (
            '; one score more than labels is usually a background\'s: declare background, "last" or "first"'
        )
    return f'; background is "{background}", and there are only as many scores as labels: declare "none"'


def check_order(name: str, *, boxes_count: int, labels: int) -> None:
    """Check that every box of every label of an image has a number of its own.

    Raises
    ------
    TensorError
        If there are too many.
    """
    if boxes_count * labels > MAX_ORDER:
        raise TensorError(
            f"tensor {name!r}: {boxes_count} boxes of {labels} labels are more than {MAX_ORDER} in one image"
        )

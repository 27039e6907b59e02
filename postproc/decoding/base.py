"""What all kinds of detection outputs share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions, HeightWidth
from postproc.errors import TensorError
from postproc.kernels.core import activation, boxes
from postproc.kernels.core.candidates import MAX_ORDER
from postproc.kernels.core.detections import Found
from postproc.results import Detections
from postproc.schema import DetectionOutput
from postproc.tensors import as_float32, find, wrong_shape

ACTIVATIONS = {"none": activation.NONE, "sigmoid": activation.SIGMOID, "softmax": activation.SOFTMAX}
UNIT = np.ones((1, 2), np.float64)
"""Width and height of the input for boxes that are relative to it, or have their unit already."""

BOX_FORMATS = {"xyxy": boxes.XYXY, "xywh": boxes.XYWH, "cxcywh": boxes.CXCYWH, "yxyx": boxes.YXYX}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decoder needs to know of its `detection` document.

    Parameters
    ----------
    ids : (L,) int64
        Label ids, in the order of the spec.
    thresholds : (L,) float32
    multi_label : bool
    """

    ids: NDArray[np.int64]
    thresholds: NDArray[np.float32]
    multi_label: bool

    @property
    def rule(self) -> tuple[NDArray[np.float32], bool]:
        """What every kernel takes of it."""
        return self.thresholds, self.multi_label


Sizes: TypeAlias = NDArray[np.float64] | HeightWidth | None
"""Heights and widths that boxes are in pixels of: (B, 2), or one for all images; None for none."""

SizesOf: TypeAlias = Callable[[Mapping[str, Any], int, CallOptions], Sizes]


Extras: TypeAlias = Callable[[Detections, NDArray[np.float64], Sizes, int], Detections]
"""Adds to detections what tensors hold beyond boxes: from them, the placement (B, 2, 4) of all images as
`postproc.kernels.core.placement` takes it, the sizes that boxes are in pixels of, and the first image's
number."""


class Candidates(NamedTuple):
    """The tensors of one call, and the kernel that reads them.

    Parameters
    ----------
    batch : int
        Number of images.
    kernel : function
        Takes `arguments`, then discard, iou_thresholds, class_agnostic, bounds, placement, top, most, start
        and stop; returns the detections of images start to stop. See `postproc.kernels.core.detections`.
    arguments : tuple
        The tensors, and what describes them.
    per_label : int
        How many boxes a label has.
    columns : int
        How many of them belong to one region of the network.
    extras : Extras, optional
        Adds what comes with the boxes that are kept.
    scores : function, optional
        Gives the scores as the network wrote them, (B, N, L) of labels or in another shape, where they are to
        be probabilities.
    """

    batch: int
    kernel: Callable[..., Found]
    arguments: tuple[Any, ...]
    per_label: int
    columns: int = 1
    extras: Extras | None = None
    scores: Callable[[], NDArray[np.float32]] | None = None


class Decoder(Protocol):
    """What the pipeline asks of a kind of output."""

    sample: ClassVar[DetectionOutput]
    """An output of this kind: it says which, and is what a warm-up compiles."""

    _decision: Decision
    tensor_names: tuple[str, ...]
    clips_first: bool
    """Whether boxes are clipped to the image before they are compared, or only after."""

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them.

        ``sizes(tensors, batch, options)`` tells the sizes of the network's input in pixels.
        """
        ...

    example_size: tuple[int, int] | None
    """Input size that the `examples` are of, for kinds that need one."""

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        ...


DecoderT = TypeVar("DecoderT", bound=Decoder)


def with_decision(decoder: DecoderT, decision: Decision) -> DecoderT:
    """Return a decoder with another decision on the same labels, which shares all else it has."""
    other = copy.copy(decoder)
    other._decision = decision
    return other


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

    def __init__(self, name: str, channels: int, layout: str, reason: str) -> None:
        self._name = name
        self._channels = channels
        self._layout = layout
        self._reason = reason

    def read(self, tensors: Mapping[str, Any], labels: int) -> tuple[NDArray[np.float32], bool, int]:
        """Table of a call, whether it is (B, channels, N), and N.

        Raises
        ------
        TensorError
            If it is missing, has the wrong shape, or more boxes than can be told apart.
        """
        name, channels = self._name, self._channels
        table = with_batch(as_float32(name, find(tensors, name)), 3)
        shape = table.shape
        if len(shape) != 3 or channels not in shape[1:]:
            raise wrong_shape(name, shape, f"(B, {channels}, N) or (B, N, {channels}), from {self._reason}")
        count = shape[2] if shape[1] == channels else shape[1]
        planar = is_planar(name, shape[1:], count, channels, self._layout)
        check_order(name, count, labels)
        return table, planar, count

    def examples(self, count: int | None = None) -> list[dict[str, NDArray[Any]]]:
        """Small tables of `count` boxes, for every layout that may come."""
        if count is None:
            count = 1  # another number than that of the channels: either layout is clear
        shapes = {"channels_first": (1, self._channels, count), "channels_last": (1, count, self._channels)}
        return [
            {self._name: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]


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


def probabilities(
    values: NDArray[np.float32], planar: bool, first: int, labels: int, score_activation: int
) -> Callable[[], NDArray[np.float32]] | None:
    """Return what gives `scores` of `Candidates`; None where an activation makes probabilities of any.

    Those of the labels begin at column `first` of values (B, N, C), or (B, C, N) if `planar`.
    """
    if score_activation != activation.NONE:
        return None
    return partial(_of_labels, values, planar, slice(first, first + labels))


def _of_labels(values: NDArray[np.float32], planar: bool, labels: slice) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (np.swapaxes(values, 1, 2) if planar else values)[:, :, labels]
    return found


def without_padding(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of a list but for -1, with which many lists are filled up."""
    given: NDArray[np.float32] = scores[scores != -1.0]
    return given


def as_rows(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (B, S, N) as (B, N, S)."""
    return np.ascontiguousarray(np.swapaxes(planes, 1, 2))


def is_planar(name: str, shape: tuple[int, ...], boxes_count: int, columns: int, layout: str) -> bool:
    """Whether scores of this shape (without the batch axis) are (columns, boxes) and not (boxes, columns).

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
        )
    return planes and not rows


def check_order(name: str, boxes_count: int, labels: int) -> None:
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

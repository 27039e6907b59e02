"""What all kinds of detection outputs share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.kernels import activation, boxes
from postproc.kernels.candidates import MAX_ORDER
from postproc.kernels.detections import Found
from postproc.options import Size
from postproc.results import Detections

ACTIVATIONS = {"none": activation.NONE, "sigmoid": activation.SIGMOID, "softmax": activation.SOFTMAX}
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


class Placement(NamedTuple):
    """Where the images of a call lie in the coordinates of its decoder.

    Parameters
    ----------
    numbers : (B, 2, 4) float64
        As `postproc.kernels.placement.placed` takes them.
    sizes : (B, 2) float64, or a pair for all, optional
        Height and width of the network's input in the decoder's coordinates; left out: these are normalized.
    """

    numbers: NDArray[np.float64]
    sizes: NDArray[np.float64] | Size | None


class Extras(Protocol):
    """What the tensors of a call hold beyond boxes."""

    def added_to(self, found: Detections, placement: Placement, start: int) -> Detections:
        """Return detections with what else is known of them; their first image is image `start`."""
        ...


class Candidates(NamedTuple):
    """The tensors of one call, and the kernel that reads them.

    Parameters
    ----------
    batch : int
        Number of images.
    kernel : function
        Takes `arguments`, then discard, iou_threshold, class_agnostic, bounds, placement, top, most, start
        and stop; returns the detections of images start to stop. See `postproc.kernels.detections`.
    arguments : tuple
        The tensors, and what describes them.
    extras : Extras, optional
        What comes with the boxes that are kept.
    """

    batch: int
    kernel: Callable[..., Found]
    arguments: tuple[Any, ...]
    extras: Extras | None = None


class Decoder(Protocol):
    """What the pipeline asks of a kind of output."""

    tensor_names: tuple[str, ...]
    clips_first: ClassVar[bool]
    """Whether boxes are clipped to the image before they are compared, or only after."""

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        ...

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        ...


def with_batch(array: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    """Add the batch axis, if it is missing."""
    return array[None] if array.ndim == rank - 1 else array


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

"""The kinds of detection outputs: one small class each, from tensors to the kernels that read them.

A decoder is made once for an output of a version. Its `bind` checks the tensors of a call and returns a
`Candidates`: two functions, the threshold scan and the decoding of boxes, bound to canonical arrays, which
the pipeline may call for any range of images, from any thread.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.kernels import activation, boxes
from postproc.kernels.anchored import decode_anchored
from postproc.kernels.boxes import decode_boxes
from postproc.kernels.candidates import MAX_ORDER
from postproc.kernels.direct import rows_of_ids, scan_direct
from postproc.kernels.scores import scan_scores
from postproc.kernels.yolo_grid import decode_grid, scan_grid
from postproc.schema import AnchoredOutput, DetectionOutput, DirectOutput, YoloOutput, Yolov8Output
from postproc.tensors import as_float32, as_ids, find, wrong_shape

logger = logging.getLogger(__name__)

Keys: TypeAlias = NDArray[np.uint64]
Offsets: TypeAlias = NDArray[np.int64]

ACTIVATIONS = {"none": activation.NONE, "sigmoid": activation.SIGMOID, "softmax": activation.SOFTMAX}
BOX_FORMATS = {"xyxy": boxes.XYXY, "xywh": boxes.XYWH, "cxcywh": boxes.CXCYWH, "yxyx": boxes.YXYX}

# Ids that no label has are named in the log, each once, but not more of them than a person would read.
_MOST_UNKNOWN_IDS = 100


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


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tensors of one call, bound to the kernels that read them.

    Parameters
    ----------
    batch : int
        Number of images.
    per_label : int
        Number of boxes that each label has in an image.
    columns : int
        How many of them belong to one region of the network.
    scan : function
        ``scan(discard, top, start, stop)`` returns keys, offsets and truncated of images `start` to `stop`.
    decode : function
        ``decode(keys, offsets, start)`` returns the corners of such keys, (K, 4) float32.
    """

    batch: int
    per_label: int
    columns: int
    scan: Callable[[np.float32, int, int, int], tuple[Keys, Offsets, NDArray[np.bool_]]]
    decode: Callable[[Keys, Offsets, int], NDArray[np.float32]]


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


class AnchoredDecoder:
    """`anchored_output`: offsets from anchors, and a score per label."""

    clips_first: ClassVar[bool] = True

    def __init__(self, output: AnchoredOutput, decision: Decision) -> None:
        self.tensor_names = (output.anchors_tensor, output.offsets_tensor, output.scores_tensor)
        self._decision = decision
        self._output = output
        self._activation = ACTIVATIONS[output.score_activation]
        self._format = BOX_FORMATS[output.anchors_format]
        self._scale = np.array(output.offsets_scale, np.float64)

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        anchors_name, offsets_name, scores_name = self.tensor_names
        anchors = with_batch(as_float32(anchors_name, find(tensors, anchors_name)), 3)
        offsets = with_batch(as_float32(offsets_name, find(tensors, offsets_name)), 3)
        scores = with_batch(as_float32(scores_name, find(tensors, scores_name)), 3)
        labels = len(self._decision.ids)
        background = self._output.background
        classes = labels if background == "none" else labels + 1

        if anchors.ndim != 3 or anchors.shape[2] not in (4, 5):
            raise wrong_shape(anchors_name, anchors.shape, "(B, N, 4) or (B, N, 5)")
        boxes_count = anchors.shape[1]
        if scores.ndim != 3:
            raise wrong_shape(scores_name, scores.shape, f"(B, {boxes_count}, {classes})")
        batch = scores.shape[0]
        planar = is_planar(scores_name, scores.shape[1:], boxes_count, classes, self._output.layout)
        widths = sorted({4, 4 * labels, 4 * classes})
        if offsets.ndim != 3 or offsets.shape[:2] != (batch, boxes_count) or offsets.shape[2] not in widths:
            expected = " or ".join(f"({batch}, {boxes_count}, {width})" for width in widths)
            raise wrong_shape(offsets_name, offsets.shape, expected)
        if len(anchors) not in (1, batch):
            raise wrong_shape(anchors_name, anchors.shape, f"({batch}, N, 4) or anchors of a batch of one")
        check_order(scores_name, boxes_count, labels)

        if planar and self._activation == activation.SOFTMAX:
            scores, planar = as_rows(scores), False
        first = 1 if background == "first" else 0
        # With one label and no background, four columns are both per label and shared: the same numbers.
        first_column = first if offsets.shape[2] == 4 * classes else 0
        if offsets.shape[2] == 4:
            first_column = -1
        return Candidates(
            batch,
            boxes_count,
            1,
            score_scan(scores, planar, first, self._decision, self._activation),
            lambda keys, parts, start: decode_anchored(
                keys, parts, start, anchors, self._format, offsets, first_column, self._scale
            ),
        )

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        anchors, offsets, scores = self.tensor_names
        classes = len(self._decision.ids) + (self._output.background != "none")
        count = classes + 1  # another number than that of the columns: either layout is clear
        shapes = {"channels_last": (1, count, classes), "channels_first": (1, classes, count)}
        boxes_only = {
            anchors: np.zeros((1, count, 4), np.float32),
            offsets: np.zeros((1, count, 4), np.float32),
        }
        return [
            {**boxes_only, scores: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._output.layout in ("auto", layout)
        ]


class DirectDecoder:
    """`direct_output`: decoded boxes, each with scores and the classes that they are of."""

    clips_first: ClassVar[bool] = False

    def __init__(self, output: DirectOutput, decision: Decision) -> None:
        self.tensor_names = (output.boxes_tensor, output.scores_tensor, output.classes_tensor)
        self._decision = decision
        self._output = output
        self._activation = ACTIVATIONS[output.score_activation]
        self._format = BOX_FORMATS[output.box_format]
        self._rows = np.argsort(decision.ids, kind="stable")
        self._sorted_ids = decision.ids[self._rows]
        self._unknown: set[int | str] = set()

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        boxes_name, scores_name, classes_name = self.tensor_names
        corners = as_float32(boxes_name, find(tensors, boxes_name))
        scores = as_float32(scores_name, find(tensors, scores_name))
        classes, broken = as_ids(classes_name, find(tensors, classes_name))
        if classes.shape != scores.shape:
            raise wrong_shape(
                classes_name, classes.shape, f"{scores.shape}, as of the scores {scores_name!r}"
            )
        if corners.ndim == 2:
            # No batch axis: one image.
            corners, scores, classes = corners[None], scores[None], classes[None]
            broken = None if broken is None else broken[None]
        expected = (
            "boxes (B, N, 4) with scores (B, N) or (B, N, L), or boxes (B, N, L, 4) with scores (B, N, L)"
        )
        if corners.ndim not in (3, 4) or corners.shape[-1] != 4:
            raise wrong_shape(boxes_name, corners.shape, expected)
        if scores.ndim not in (2, 3) or scores.shape[0] != corners.shape[0]:
            raise wrong_shape(scores_name, scores.shape, f"{expected}; the boxes are {corners.shape}")
        count = corners.shape[1]
        if scores.ndim == 3 and count in scores.shape[1:] and self._are_planes(scores, corners):
            scores, classes = as_rows(scores), np.swapaxes(classes, 1, 2)
            broken = None if broken is None else np.swapaxes(broken, 1, 2)
        if scores.shape[1] != count or (corners.ndim == 4 and corners.shape[1:3] != scores.shape[1:]):
            raise wrong_shape(scores_name, scores.shape, f"{expected}; the boxes are {corners.shape}")
        if scores.ndim == 2:
            if self._activation == activation.SOFTMAX:
                raise wrong_shape(
                    scores_name, scores.shape, "(B, N, L), along whose last axis a softmax goes"
                )
            scores, classes = scores[:, :, None], classes[:, :, None]
            broken = None if broken is None else broken[:, :, None]
        columns = scores.shape[2]
        check_order(scores_name, count * columns, len(self._decision.ids))

        rows = self._label_rows(classes, broken, scores)
        decision = self._decision
        corners_per_row = corners.reshape(len(corners), math.prod(corners.shape[1:-1]), 4)
        return Candidates(
            len(scores),
            count * columns,
            columns,
            lambda discard, top, start, stop: scan_direct(
                scores,
                rows,
                decision.thresholds,
                discard,
                self._activation,
                decision.multi_label,
                top,
                start,
                stop,
            ),
            lambda keys, parts, start: decode_boxes(
                keys,
                parts,
                start,
                corners_per_row,
                False,
                self._format,
                count * columns,
                1 if corners.ndim == 4 else columns,
            ),
        )

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        boxes_name, scores, classes = self.tensor_names
        shape = (1, 1, 1) if self._activation == activation.SOFTMAX else (1, 1)
        return [
            {
                boxes_name: np.zeros((1, 1, 4), np.float32),
                scores: np.zeros(shape, np.float32),
                classes: np.zeros(shape, np.int64),
            }
        ]

    def _are_planes(self, scores: NDArray[np.float32], corners: NDArray[np.float32]) -> bool:
        count = corners.shape[1]
        columns = corners.shape[2] if corners.ndim == 4 else sum(scores.shape[1:]) - count
        return is_planar(self.tensor_names[1], scores.shape[1:], count, columns, self._output.layout)

    def _label_rows(
        self,
        classes: NDArray[np.int64],
        broken: NDArray[np.bool_] | None,
        scores: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Label row of each class; -1 where the spec has none, which is logged once for each class."""
        if self._output.classes == "rows":
            rows = np.where((classes >= 0) & (classes < len(self._sorted_ids)), classes, -1)
            rows = np.ascontiguousarray(rows)
        else:
            rows = rows_of_ids(np.ascontiguousarray(classes), self._sorted_ids, self._rows)
        if broken is not None:
            rows[broken] = -1
        if rows.size and rows.min() < 0 and len(self._unknown) < _MOST_UNKNOWN_IDS:
            # What scores too little anyway is padding, more often than not; of logits that is not known here.
            unknown = rows < 0
            if self._activation == activation.NONE:
                unknown &= scores > self._decision.thresholds.min()
            integers = unknown if broken is None else unknown & ~broken
            found: list[int | str] = np.unique(classes[integers]).tolist()
            if integers.sum() < unknown.sum():
                found.append("(not an integer)")
            self._log_unknown(found)
        return rows

    def _log_unknown(self, found: list[int | str]) -> None:
        for value in found[:_MOST_UNKNOWN_IDS]:
            if value not in self._unknown:
                self._unknown.add(value)
                what = "row" if self._output.classes == "rows" else "id"
                logger.warning(
                    "tensor %r holds the label %s %s, which the spec does not have: its boxes are skipped",
                    self.tensor_names[2],
                    what,
                    value,
                )


class YoloDecoder:
    """`yolo_output`: the grid of YOLOv2."""

    clips_first: ClassVar[bool] = False

    def __init__(self, output: YoloOutput, decision: Decision) -> None:
        self.tensor_names = (output.output_tensor,)
        self._decision = decision
        self._layout = output.layout
        self._anchors = np.array(output.anchors, np.float64).reshape(-1, 2)

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        (name,) = self.tensor_names
        grid = as_float32(name, find(tensors, name))
        batch, height, width, steps = self._geometry(name, grid.shape)
        anchors, decision = self._anchors, self._decision
        cells = height * width
        check_order(name, cells * len(anchors), len(decision.ids))
        numbers = grid.reshape(batch, cells * len(anchors) * (5 + len(decision.ids)))
        return Candidates(
            batch,
            cells * len(anchors),
            1,
            lambda discard, top, start, stop: scan_grid(
                numbers,
                cells,
                len(anchors),
                steps,
                decision.thresholds,
                discard,
                decision.multi_label,
                top,
                start,
                stop,
            ),
            lambda keys, parts, start: decode_grid(
                keys, parts, start, numbers, height, width, anchors, steps
            ),
        )

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        channels = len(self._anchors) * (5 + len(self._decision.ids))
        shape = (1, channels, 1, 1) if self._layout == "channels_first" else (1, 1, 1, channels)
        return [{self.tensor_names[0]: np.zeros(shape, np.float32)}]

    def _geometry(self, name: str, shape: tuple[int, ...]) -> tuple[int, int, int, tuple[int, int, int]]:
        """Batch, height, width, and the steps from cell to cell, anchor to anchor, channel to channel."""
        count, channels = len(self._anchors), 5 + len(self._decision.ids)
        total = count * channels
        may_be_last = self._layout != "channels_first"
        may_be_first = self._layout != "channels_last"
        if len(shape) == 5 and shape[3:] == (count, channels) and may_be_last:
            shape = (*shape[:3], total)
        elif len(shape) == 4 and shape[2:] == (count, channels) and shape[1] != total != shape[3]:
            shape = (1, *shape[:2], total)
        elif len(shape) == 3:
            shape = (1, *shape)
        last = may_be_last and len(shape) == 4 and shape[3] == total
        first = may_be_first and len(shape) == 4 and shape[1] == total
        if last and first:
            raise TensorError(
                f"tensor {name!r} has shape {shape}, whose {total} channels may come first or last; "
                'declare layout: "channels_first" or "channels_last"'
            )
        if last:
            return shape[0], shape[1], shape[2], (total, channels, 1)
        if first:
            return shape[0], shape[2], shape[3], (1, channels * shape[2] * shape[3], shape[2] * shape[3])
        forms = []
        if may_be_last:
            forms += [f"(B, H, W, {total})", f"(B, H, W, {count}, {channels})"]
        if may_be_first:
            forms += [f"(B, {total}, H, W)"]
        raise wrong_shape(
            name, shape, f"{' or '.join(forms)}, from {count} anchors and 5 + {channels - 5} labels"
        )


class Yolov8Decoder:
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    clips_first: ClassVar[bool] = False

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        self.tensor_names = (output.output_tensor,)
        self._decision = decision
        self._layout = output.layout

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        (name,) = self.tensor_names
        table = with_batch(as_float32(name, find(tensors, name)), 3)
        channels = 4 + len(self._decision.ids)
        if table.ndim != 3 or channels not in table.shape[1:]:
            raise wrong_shape(name, table.shape, f"(B, {channels}, N) or (B, N, {channels}), from 4 + labels")
        count = table.shape[2] if table.shape[1] == channels else table.shape[1]
        planar = is_planar(name, table.shape[1:], count, channels, self._layout)
        check_order(name, count, len(self._decision.ids))
        return Candidates(
            len(table),
            count,
            1,
            score_scan(table, planar, 4, self._decision, activation.NONE),
            lambda keys, parts, start: decode_boxes(
                keys, parts, start, table, planar, boxes.CXCYWH, count, 1
            ),
        )

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        channels = 4 + len(self._decision.ids)
        shapes = {"channels_first": (1, channels, channels + 1), "channels_last": (1, channels + 1, channels)}
        return [
            {self.tensor_names[0]: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]


def decoder_for(output: DetectionOutput, decision: Decision) -> Decoder:
    """Make the decoder of an output."""
    decoder: Decoder = _DECODERS[type(output)](output, decision)
    return decoder


_DECODERS: dict[type[DetectionOutput], Callable[..., Any]] = {
    AnchoredOutput: AnchoredDecoder,
    DirectOutput: DirectDecoder,
    YoloOutput: YoloDecoder,
    Yolov8Output: Yolov8Decoder,
}


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


def score_scan(
    scores: NDArray[np.float32], planar: bool, first: int, decision: Decision, function: int
) -> Callable[[np.float32, int, int, int], tuple[Keys, Offsets, NDArray[np.bool_]]]:
    """Bind scores to the scan of their layout; those of the labels begin at column or plane `first`."""
    return lambda discard, top, start, stop: scan_scores(
        scores, planar, first, decision.thresholds, discard, function, decision.multi_label, top, start, stop
    )


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

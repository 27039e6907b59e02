"""The outputs of the YOLO families after YOLOv2. All are extensions of v0.7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from postproc.schema.fields import Index, Name, NonEmpty, PositiveInteger, PositiveNumber
from postproc.schema.limits import MOST_ANCHORS, MOST_GRIDS, MOST_STRIDES
from postproc.schema.outputs import (
    BOX_FORMAT_TEXT,
    CONFIDENCE_DESCRIPTION,
    LAYOUT_DESCRIPTION,
    Anchors,
    BoxFormat,
    Confidence,
    Coordinates,
    DetectionOutput,
    Layout,
    odd_anchors,
)
from postproc.schema.problems import Location, counted, describe, expecting, repeated
from postproc.schema.sizes import AtMost

AnchorMask = Annotated[NonEmpty[Index], AtMost(MOST_ANCHORS, "anchors")]
ScaleXY = Annotated[
    PositiveNumber | Annotated[NonEmpty[PositiveNumber], AtMost(MOST_GRIDS, "numbers")],
    expecting("a finite number above 0, or a list of one per tensor"),
]


class TableOutput(DetectionOutput):
    """One tensor whose rows begin with a box that is decoded: in pixels, or normalized by the exporter."""

    output_tensor: Name
    coordinates: Coordinates = Field(
        default="pixels",
        description="What boxes, and keypoints, are in: pixels of the input, or normalized to [0, 1] by its "
        "size, as TFLite and onnx2tf export them. Normalized ones are never divided. An extension of v0.7.",
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

    @property
    def boxes_are_normalized(self) -> bool:
        """Whether decoding yields boxes in [0, 1] whatever the network's input size."""
        return self.coordinates == "normalized"

    @property
    def boxes_are_in_pixels(self) -> bool:
        """Whether decoding yields boxes in pixels of the input, even where no `input_size` says so."""
        return self.coordinates == "pixels"

    @property
    def declared_coordinates(self) -> Coordinates:
        """What its document says that boxes are in."""
        return self.coordinates


class UprightTableOutput(TableOutput):
    """A table whose boxes are upright, so that they may be of any format."""

    box_format: BoxFormat = Field(
        default="cxcywh",
        description=f"What the four numbers of a box are. {BOX_FORMAT_TEXT} An extension of v0.7.",
    )


class Yolov3Output(DetectionOutput):
    """The grids of YOLOv3, v4 and their tiny variants: per cell and anchor an offset and logits.

    In pixels of the input, with s the tensor's ``scale_x_y``: cx = (sigmoid(tx)*s - (s-1)/2 + col) *
    input_width/W, cy likewise, w = anchor_w*exp(tw), h = anchor_h*exp(th); the score of a label is
    sigmoid(to) * sigmoid(its logit), the product in float64, rounded once, or sigmoid(to) alone. Regions run
    over the tensors in their order, within each over (row*W + col)*A + anchor. An extension of v0.7.
    """

    boxes_are_in_pixels: ClassVar[bool] = True
    needs_input_size: ClassVar[bool] = True
    makes_probabilities: ClassVar[bool] = True

    output_tensors: Annotated[NonEmpty[Name], AtMost(MOST_GRIDS, "grids")] = Field(
        description="The grids, one per scale: each (B, H, W, A*(5+L)), (B, H, W, A, 5+L) or "
        "(B, A*(5+L), H, W): tx, ty, tw, th, to, then a logit per label."
    )
    anchors: Anchors = Field(
        description="Width and height of each anchor in pixels of the input: [w0, h0, w1, h1, ...]."
    )
    anchor_masks: Annotated[NonEmpty[AnchorMask], AtMost(MOST_GRIDS, "lists")] | None = Field(
        default=None,
        description="One list per tensor, in their order: which anchors it has, as numbers from 0. Left out: "
        "the anchors are divided evenly, the first of them for the grid with the most cells, and so on; "
        "grids of as many cells need it.",
    )
    scale_x_y: ScaleXY = Field(
        default=1.0, description="YOLOv4's stretch of the offset in a cell: a number, or one per tensor."
    )
    confidence: Confidence = Field(default="product", description=CONFIDENCE_DESCRIPTION)
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

    @property
    def scales(self) -> tuple[float, ...]:
        """The ``scale_x_y`` of each tensor."""
        scale = self.scale_x_y
        return scale if isinstance(scale, tuple) else (scale,) * len(self.output_tensors)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from odd_anchors(self.anchors)
        for row, first in repeated(self.output_tensors):
            name = describe(self.output_tensors[row])
            yield (
                ("output_tensors", row),
                f"expected unique names, got {name}, the name of output_tensors[{first}]",
            )
        grids, count = len(self.output_tensors), len(self.anchors) // 2
        if isinstance(self.scale_x_y, tuple) and len(self.scale_x_y) != grids:
            yield (
                ("scale_x_y",),
                f"expected {counted(grids, 'number')}, one per tensor, got {len(self.scale_x_y)}",
            )
        if self.anchor_masks is None:
            if count % grids:
                yield (
                    ("anchors",),
                    f"expected a count of anchors that {counted(grids, 'tensor')} share evenly, got {count}; "
                    "give anchor_masks",
                )
            return
        if len(self.anchor_masks) != grids:
            yield (
                ("anchor_masks",),
                f"expected {counted(grids, 'list')}, one per tensor, got {len(self.anchor_masks)}",
            )
        for row, mask in enumerate(self.anchor_masks):
            for position, index in enumerate(mask):
                if index >= count:
                    yield (
                        ("anchor_masks", row, position),
                        f"expected the number of an anchor, 0 to {count - 1}, got {index}",
                    )
            for position, first in repeated(mask):
                yield (
                    ("anchor_masks", row, position),
                    f"expected each anchor once, got {mask[position]} again, as at [{first}]",
                )


class Yolov5Output(UprightTableOutput):
    """The single tensor of YOLOv5, v6 and v7 exported with decoding.

    The score of a label is the float32 product of objectness and probability, or the objectness alone. An
    extension of v0.7.
    """

    output_tensor: Name = Field(
        description="(B, N, 5+L) or (B, 5+L, N): a box, its objectness, then one probability per label."
    )
    confidence: Confidence = Field(default="product", description=CONFIDENCE_DESCRIPTION)


class Yolov8Output(UprightTableOutput):
    """The single tensor of YOLOv8, v9, v11 and v12: boxes and a probability per label.

    An extension of v0.7.
    """

    output_tensor: Name = Field(
        description="(B, 4+L, N) or (B, N, 4+L): a box, then one probability per label."
    )


class YoloxOutput(DetectionOutput):
    """The single tensor of YOLOX: the cells of a grid per stride, one grid after the other.

    The grid of stride s has input_height//s rows of input_width//s cells, row by row. In pixels of the
    input: cx = (x + col)*s, cy = (y + row)*s, w = exp(tw)*s, h = exp(th)*s. The score of a label is the
    float32 product of objectness and probability, each rounded to float32 first, or the objectness alone. An
    extension of v0.7.
    """

    boxes_are_in_pixels: ClassVar[bool] = True
    needs_input_size: ClassVar[bool] = True

    output_tensor: Name = Field(
        description="(B, N, 5+L) or (B, 5+L, N), N the cells of all strides: x, y, tw, th, objectness, then "
        "one probability per label."
    )
    strides: Annotated[NonEmpty[PositiveInteger], AtMost(MOST_STRIDES, "strides")] = Field(
        default=(8, 16, 32), description="Pixels per cell of each grid, in the order of the grids."
    )
    score_activation: Literal["none", "sigmoid"] = Field(
        default="none",
        description="Function to apply to objectness and probabilities; official exports have it already.",
    )
    confidence: Confidence = Field(default="product", description=CONFIDENCE_DESCRIPTION)
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

"""The outputs of the YOLO families after YOLOv2. All are extensions of v0.7."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from postproc.schema.fields import Flag, Index, Name, NonEmpty, PositiveInteger, PositiveNumber
from postproc.schema.keypoints import (
    DIMENSIONS_DESCRIPTION,
    SKELETON_DESCRIPTION,
    KeypointCount,
    KeypointDimensions,
    Skeleton,
    needless,
    skeleton_problems,
)
from postproc.schema.limits import MOST_ANCHORS, MOST_GRIDS, MOST_LEVELS, MOST_STRIDES
from postproc.schema.outputs import (
    BOX_FORMAT_TEXT,
    CONFIDENCE_DESCRIPTION,
    KEEP_EMPTY_MASKS_DESCRIPTION,
    LAYOUT_DESCRIPTION,
    Anchors,
    BoxFormat,
    Confidence,
    Coordinates,
    DetectionOutput,
    FactorConfidence,
    Layout,
    odd_anchors,
    shared_names,
)
from postproc.schema.problems import Location, counted, expecting, repeated
from postproc.schema.sizes import AtMost

AnchorMask = Annotated[NonEmpty[Index], AtMost(MOST_ANCHORS, "anchors")]
GridLayout: TypeAlias = Literal["auto", "channels_first", "channels_last", "anchors_first"]
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


class MaskedTableOutput(UprightTableOutput):
    """A table whose last columns may be coefficients of masks, with the prototypes beside it."""

    prototypes_tensor: Name | None = Field(
        default=None,
        description="(B, M, h, w): the prototypes of masks, which cover the network's input. Left out: none.",
    )
    keep_empty_masks: Flag = Field(default=True, description=KEEP_EMPTY_MASKS_DESCRIPTION)

    @property
    def yields(self) -> str:
        """What its results say where things are by."""
        return super().yields if self.prototypes_tensor is None else "masks"

    @property
    def needs_input_size(self) -> bool:
        """Whether the tensors cannot be decoded without the size of the network's input: to crop masks."""
        has_masks = self.prototypes_tensor is not None
        return has_masks and (self.coordinates == "normalized" or not self.keep_empty_masks)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from shared_names(self)
        # By value: a dump with its defaults filled in is a valid document too.
        if self.prototypes_tensor is None and not self.keep_empty_masks:
            yield ("keep_empty_masks",), "only outputs that yield masks have empty ones; leave it out"


class Yolov3Output(DetectionOutput):
    """The grids of YOLOv3, v4 and their tiny variants, or of YOLOv5 and v7 exported without decoding.

    Per cell and anchor an offset and logits. In pixels of the input, with s the tensor's ``scale_x_y``: cx =
    (sigmoid(tx)*s - (s-1)/2 + col) * input_width/W, cy likewise, w = anchor_w*exp(tw), h = anchor_h*exp(th).
    With the ``box_coding`` of YOLOv5: cx = (2*sigmoid(tx) - 0.5 + col) * input_width/W, cy likewise, w =
    anchor_w*(2*sigmoid(tw))^2, h = anchor_h*(2*sigmoid(th))^2. The score of a label is sigmoid(to) *
    sigmoid(its logit), the product in float64, rounded once, or sigmoid(to) alone. Regions run over the
    tensors in their order, within each over (row*W + col)*A + anchor. An extension of v0.7.
    """

    boxes_are_in_pixels: ClassVar[bool] = True
    needs_input_size: ClassVar[bool] = True
    makes_probabilities: ClassVar[bool] = True
    channels_of_maps: ClassVar[bool] = True

    output_tensors: Annotated[NonEmpty[Name], AtMost(MOST_GRIDS, "grids")] = Field(
        description="The grids, one per scale: each (B, H, W, A*(5+L)), (B, H, W, A, 5+L), "
        "(B, A, H, W, 5+L) or (B, A*(5+L), H, W): tx, ty, tw, th, to, then a logit per label."
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
    box_coding: Literal["yolov3", "yolov5"] = Field(
        default="yolov3",
        description="How a box is coded. yolov3: sizes are exponentials; yolov5: squares of sigmoids, and "
        "offsets reach half a cell further, so that there is no scale_x_y.",
    )
    confidence: Confidence = Field(default="product", description=CONFIDENCE_DESCRIPTION)
    layout: GridLayout = Field(
        default="auto",
        description="Where a tensor's channels lie, or, anchors_first, that it is (B, A, H, W, 5+L); auto "
        "decides by its shape, and is an error where two fit.",
    )

    @property
    def scales(self) -> tuple[float, ...]:
        """The ``scale_x_y`` of each tensor."""
        scale = self.scale_x_y
        return scale if isinstance(scale, tuple) else (scale,) * len(self.output_tensors)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from odd_anchors(self.anchors)
        yield from shared_names(self)
        grids, count = len(self.output_tensors), len(self.anchors) // 2
        if isinstance(self.scale_x_y, tuple) and len(self.scale_x_y) != grids:
            yield (
                ("scale_x_y",),
                f"expected {counted(grids, 'number')}, one per tensor, got {len(self.scale_x_y)}",
            )
        # By value: a dump with its defaults filled in is a valid document too.
        if self.box_coding == "yolov5" and self.scale_x_y != 1.0:
            yield ("scale_x_y",), 'box_coding "yolov5" has a stretch of its own; leave scale_x_y out'
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


class Yolov5Output(MaskedTableOutput):
    """The table of YOLOv5, v6 and v7 exported with decoding, which may hold keypoints or masks too.

    The score of a label is the float32 product of objectness and probability, or the objectness alone. The
    keypoints or masks of the boxes that are kept come with them, as of `Yolov8PoseOutput` and of
    `Yolov8SegOutput`: masks are interpolated, then cropped to the box in the size that is asked for, as by
    YOLOv5's ``process_mask_native`` (``segment/predict.py --retina-masks``); without that option it crops
    before it interpolates. It interpolates probabilities, this their logits, so that outlines differ by less
    than a cell of the prototypes. An extension of v0.7.
    """

    output_tensor: Name = Field(
        description="(B, N, 5+L) or (B, 5+L, N): a box, its objectness, then one probability per label. With "
        "keypoints P*D more: the D numbers of each of P keypoints, last or as keypoints_first says. With "
        "prototypes_tensor M more, last: the coefficients of the M prototypes."
    )
    keypoints: KeypointCount | None = Field(
        default=None, description="How many keypoints a box has: P. Left out: none."
    )
    dimensions: KeypointDimensions = Field(default=3, description=DIMENSIONS_DESCRIPTION)
    keypoints_first: Flag = Field(
        default=False,
        description="Where the keypoints are. true: between objectness and probabilities, as of yolov5-face; "
        "false: behind them, as of YOLOv7's poses.",
    )
    skeleton: Skeleton | None = Field(default=None, description=SKELETON_DESCRIPTION)
    confidence: Confidence = Field(default="product", description=CONFIDENCE_DESCRIPTION)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from needless(
            self.keypoints,
            dimensions=self.dimensions != 3,
            keypoints_first=self.keypoints_first,
            skeleton=self.skeleton is not None,
        )
        yield from skeleton_problems(self.keypoints, self.skeleton)
        if self.keypoints is not None and self.prototypes_tensor is not None:
            yield (), "expected at most one of keypoints, prototypes_tensor, got both"


class Yolov8Output(UprightTableOutput):
    """The single tensor of YOLOv8, v9, v11 and v12: boxes and a probability per label.

    An extension of v0.7.
    """

    output_tensor: Name = Field(
        description="(B, 4+L, N) or (B, N, 4+L): a box, then one probability per label."
    )


LevelTensors = Annotated[NonEmpty[Name], AtMost(MOST_LEVELS, "levels")]
_LEVELS = ("scores_tensors", "objectness_tensors", "boxes_tensors")
_ARRAY: JsonDict = {"type": "array"}
_LEFT_OUT: JsonDict = {"type": "null"}


class YoloxOutput(DetectionOutput):
    """The cells of YOLOX, a grid per stride: in one tensor, or in tensors of their own, as of YuNet.

    In pixels of the input, in the grid of stride s: cx = (x + col)*s, cy = (y + row)*s, w = exp(tw)*s, h =
    exp(th)*s, and a landmark's x and y as those of the centre. The score of a label is the float32 product
    of objectness and probability, each rounded to float32 first, or the square root of that product, or the
    objectness alone. One tensor holds the grids one after the other, each with input_height//s rows of
    input_width//s cells, row by row. A tensor of a level has ceil(input_height/s) rows of ceil(input_width/s)
    cells, or the floor of both where only that fits; those of one field have one layout. Regions run
    over the levels in their order, within each over row*W + col. An extension of v0.7.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["output_tensor"],
                    "properties": {"output_tensor": {"type": "string"}, **dict.fromkeys(_LEVELS, _LEFT_OUT)},
                },
                {
                    "required": list[Any](_LEVELS),
                    "properties": {"output_tensor": _LEFT_OUT, **dict.fromkeys(_LEVELS, _ARRAY)},
                },
            ]
        }
    )

    boxes_are_in_pixels: ClassVar[bool] = True
    needs_input_size: ClassVar[bool] = True

    output_tensor: Name | None = Field(
        default=None,
        description="(B, N, 5+L) or (B, 5+L, N), N the cells of all strides: x, y, tw, th, objectness, then "
        "one probability per label.",
    )
    scores_tensors: LevelTensors | None = Field(
        default=None,
        description="In the place of output_tensor, one name per stride: the probabilities of each level, "
        "(B, N, L), (B, L, N), (B, L, H, W) or (B, H, W, L).",
    )
    objectness_tensors: LevelTensors | None = Field(
        default=None, description="The objectness of each level, likewise with 1 in the place of L."
    )
    boxes_tensors: LevelTensors | None = Field(
        default=None, description="The x, y, tw, th of each level, likewise with 4 in the place of L."
    )
    landmarks_tensors: LevelTensors | None = Field(
        default=None,
        description="Beside them, the x and y of each of P landmarks of each level, likewise with P*2 in the "
        "place of L; those of boxes that are kept come with them.",
    )
    keypoints: KeypointCount | None = Field(
        default=None, description="How many landmarks a box has: P. With landmarks_tensors only."
    )
    skeleton: Skeleton | None = Field(default=None, description=SKELETON_DESCRIPTION)
    strides: Annotated[NonEmpty[PositiveInteger], AtMost(MOST_STRIDES, "strides")] = Field(
        default=(8, 16, 32), description="Pixels per cell of each grid, in the order of the grids."
    )
    score_activation: Literal["none", "sigmoid"] = Field(
        default="none",
        description="Function to apply to objectness and probabilities; official exports have it already.",
    )
    confidence: FactorConfidence = Field(
        default="product",
        description=f"{CONFIDENCE_DESCRIPTION} sqrt_product: the square root of the product of both, each "
        "limited to [0, 1], as OpenCV scores YuNet's faces.",
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        given = [name for name in ("output_tensor", *_LEVELS) if data.get(name) is not None]
        if given not in (["output_tensor"], [*_LEVELS]):
            found = " and ".join(given) if given else "none"
            yield f"expected either output_tensor or {', '.join(_LEVELS[:-1])} and {_LEVELS[-1]}, got {found}"

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        if (self.landmarks_tensors is None) != (self.keypoints is None):
            missing = "keypoints" if self.keypoints is None else "landmarks_tensors"
            yield (missing,), "expected keypoints and landmarks_tensors together, got one of them"
        if self.output_tensor is not None and self.landmarks_tensors is not None:
            yield ("landmarks_tensors",), "output_tensor has no landmarks; leave landmarks_tensors out"
        yield from needless(self.keypoints, skeleton=self.skeleton is not None)
        yield from skeleton_problems(self.keypoints, self.skeleton)
        yield from shared_names(self)
        for field in (*_LEVELS, "landmarks_tensors"):
            names: tuple[str, ...] = getattr(self, field) or ()
            if names and len(names) != len(self.strides):
                yield (
                    (field,),
                    f"expected {counted(len(self.strides), 'name')}, one per stride, got {len(names)}",
                )

"""The kinds of network outputs that hold boxes: what they share, and the three kinds of v0.7.

A further kind is one more subclass of `DetectionOutput` and one more field of `Detection`, whose
`alternatives` are the registry of kinds; the extensions lie in `postproc.schema.yolo_outputs`,
`postproc.schema.yolov8_outputs` and `postproc.schema.head_outputs`.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from postproc.schema.fields import Name, NonEmpty, PositiveNumber, Quadruple
from postproc.schema.limits import MOST_ANCHORS
from postproc.schema.problems import Location, counted, describe, expecting, path_of, repeated
from postproc.schema.quantization import FromTensors
from postproc.schema.sizes import AtMost

BoxFormat: TypeAlias = Literal["xyxy", "xywh", "cxcywh", "yxyx"]
ScoreActivation: TypeAlias = Literal["none", "sigmoid", "softmax"]
Layout: TypeAlias = Literal["auto", "channels_first", "channels_last"]
Background: TypeAlias = Literal["first", "last", "none"]
Coordinates: TypeAlias = Literal["pixels", "normalized"]
Confidence: TypeAlias = Literal["product", "objectness"]
FactorConfidence: TypeAlias = Literal["product", "sqrt_product", "objectness"]

Anchors = Annotated[NonEmpty[PositiveNumber], AtMost(2 * MOST_ANCHORS, "numbers")]
OffsetsScale = Annotated[Quadruple[PositiveNumber], expecting("four finite numbers above 0")]

ACTIVATION_DESCRIPTION = "Function to apply to the scores before they are compared. An extension of v0.7."
LAYOUT_DESCRIPTION = (
    "Where the tensor's channels lie; auto decides by its shape, and is an error where both fit. "
    "An extension of v0.7."
)
CONFIDENCE_DESCRIPTION = (
    "What the score of a label is. product: objectness times the label's probability. objectness: that "
    "alone, whatever stands in the label's column, for networks of one label that never trained it; only "
    "where the spec has one label. An extension of v0.7."
)
KEEP_EMPTY_MASKS_DESCRIPTION = (
    "Whether boxes whose mask is empty are found too. false: those without a pixel of their mask in the "
    "network's input, whose size is needed, are left out of the result, after NMS and after the most "
    "predictions are chosen, as ultralytics' predict does. An extension of v0.7."
)
BOX_FORMAT_TEXT = (
    "xyxy: corners; xywh: top left corner and size; cxcywh: centre and size; yxyx: corners, y first."
)


_SCORES = ("scores_tensor", "scores_tensors", "output_tensor", "output_tensors")
_KEYPOINTS = ("keypoints_tensor", "landmarks_tensor", "landmarks_tensors")


class DetectionOutput(FromTensors):
    """What describes the tensors of one kind of detection network."""

    @property
    def boxes_are_normalized(self) -> bool:
        """Whether decoding yields boxes in [0, 1] whatever the network's input size."""
        return False

    @property
    def boxes_are_in_pixels(self) -> bool:
        """Whether decoding yields boxes in pixels of the input, even where no `input_size` says so."""
        return False

    @property
    def declared_coordinates(self) -> Coordinates | None:
        """What its document says that boxes are in; None for kinds that have no such field."""
        return None

    @property
    def is_of_one_label(self) -> bool:
        """Whether its scores cannot tell labels apart, as those of objectness alone."""
        return getattr(self, "confidence", None) == "objectness"

    makes_probabilities: ClassVar[bool] = False
    """Whether decoding makes probabilities of what are logits in every such network."""

    @property
    def yields(self) -> str:
        """What its results say where things are by; upright boxes come with whatever else it is."""
        return "boxes" if getattr(self, "keypoints", None) is None else "keypoints"

    @property
    def needs_input_size(self) -> bool:
        """Whether the tensors cannot be decoded without the size of the network's input."""
        return False

    @property
    def nms_methods(self) -> tuple[str, ...]:
        """The ways of `nms_method` that suit the boxes."""
        return ("hard", "soft", "weighted")

    default_nms_threshold: ClassVar[float] = 0.3
    """The `nms_threshold` of a detection that gives none."""

    @property
    def scores_name(self) -> str:
        """Name of the tensor that holds scores, by themselves or with boxes; the first, of several."""
        name = self._first_name(_SCORES)
        assert name is not None
        return name

    @property
    def keypoints_name(self) -> str | None:
        """Name of the tensor that holds nothing but keypoints, if there is one; the first, of several."""
        return self._first_name(_KEYPOINTS)

    def _first_name(self, fields: tuple[str, ...]) -> str | None:
        names = (getattr(self, field, None) for field in fields)
        name = next((name for name in names if name is not None), None)
        return name if name is None or isinstance(name, str) else str(name[0])


class AnchoredOutput(DetectionOutput):
    """Offsets to anchors (proposals), as of Faster R-CNN, and a score per label."""

    anchors_tensor: Name = Field(
        description="Anchors, (B, N, 4), or (B, N, 5) whose first column is ignored."
    )
    offsets_tensor: Name = Field(
        description="Offsets dx, dy, dw, dh: per label (B, N, (L+1)*4) or (B, N, L*4), or shared (B, N, 4)."
    )
    scores_tensor: Name = Field(description="Scores, (B, N, L+1), or (B, N, L) without a background.")
    anchors_format: BoxFormat = Field(
        default="xyxy",
        description=f"What the four numbers of an anchor are. {BOX_FORMAT_TEXT} An extension of v0.7.",
    )
    offsets_scale: OffsetsScale = Field(
        default=(1.0, 1.0, 1.0, 1.0),
        description="Factors on dx, dy, dw, dh, applied first (SSD's variances are 0.1, 0.1, 0.2, 0.2). "
        "An extension of v0.7.",
    )
    score_activation: ScoreActivation = Field(default="none", description=ACTIVATION_DESCRIPTION)
    background: Background = Field(
        default="first", description="Where the score of the background lies. An extension of v0.7."
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)


class DirectOutput(DetectionOutput):
    """Decoded boxes with a score and a class each, as of TensorFlow's detection API."""

    boxes_tensor: Name = Field(description="Boxes, (B, N, 4) or (B, N, L, 4).")
    scores_tensor: Name = Field(description="Scores, (B, N) or (B, N, L).")
    classes_tensor: Name = Field(description="Labels, of the same shape as the scores.")
    box_format: BoxFormat = Field(
        default="xyxy",
        description=f"What the four numbers of a box are. {BOX_FORMAT_TEXT} An extension of v0.7.",
    )
    score_activation: ScoreActivation = Field(default="none", description=ACTIVATION_DESCRIPTION)
    classes: Literal["ids", "rows"] = Field(
        default="ids",
        description="What the classes tensor holds: label ids, or rows of labels. An extension of v0.7.",
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)


class YoloOutput(DetectionOutput):
    """A YOLOv2 grid: per cell and anchor an offset, an objectness and class logits."""

    channels_of_maps: ClassVar[bool] = True
    boxes_are_normalized: ClassVar[bool] = True
    makes_probabilities: ClassVar[bool] = True

    output_tensor: Name = Field(
        description="The grid, (B, H, W, A*(5+L)), (B, H, W, A, 5+L) or (B, A*(5+L), H, W)."
    )
    anchors: Anchors = Field(
        description="Width and height of each anchor in grid cells: [w0, h0, w1, h1, ...]."
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong."""
        yield from super().rules()
        yield from odd_anchors(self.anchors)


def shared_names(output: DetectionOutput) -> Iterator[tuple[Location, str]]:
    """Yield the broken rule of each tensor of an output that an earlier field or row names already."""
    places = dict(output.tensor_fields())
    locations, names = [*places], tuple(places.values())
    for row, first in repeated(names):
        found, other = describe(names[row]), path_of(locations[first])
        if len(locations[row]) == 1:
            yield locations[row], f"expected another tensor than {other}, got {found} for both"
        else:
            yield locations[row], f"expected unique names, got {found}, the name of {other}"


def odd_anchors(anchors: tuple[float, ...]) -> Iterator[tuple[Location, str]]:
    """Yield the broken rule of a flat list of widths and heights that is of no even length."""
    if len(anchors) % 2:
        message = f"expected an even count, [w0, h0, w1, h1, ...], got {counted(len(anchors), 'number')}"
        yield ("anchors",), message

"""How the output tensors of a network become an answer: one post-processing per output of a spec."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import Field, WithJsonSchema

from postproc.schema.base import Alternative, Choice, OneOf
from postproc.schema.distance_outputs import DistanceOutput
from postproc.schema.fields import (
    Flag,
    Name,
    Pair,
    PerLabel,
    PositiveInteger,
    PositiveNumber,
    ShortText,
    Thresholds,
    UnitNumber,
)
from postproc.schema.head_outputs import EndToEndOutput, SsdOutput, StandardOutput
from postproc.schema.labels import Labels
from postproc.schema.outputs import (
    AnchoredOutput,
    DetectionOutput,
    DirectOutput,
    ScoreActivation,
    YoloOutput,
)
from postproc.schema.problems import Location, describe, expecting
from postproc.schema.quantization import FromTensors
from postproc.schema.yolo_outputs import Yolov3Output, Yolov5Output, Yolov8Output, YoloxOutput
from postproc.schema.yolov8_outputs import Yolov8ObbOutput, Yolov8PoseOutput, Yolov8SegOutput

DEFAULT_EXCLUSIVE_THRESHOLD = 0.025
DEFAULT_TAGGING_THRESHOLD = 0.5
DEFAULT_DETECTION_THRESHOLD = 0.8
DEFAULT_SOFT_SIGMA = 0.5

_THRESHOLDS = (
    "One per label: the label is present if its score is greater. A number stands for as many equal ones, an "
    "extension of v0.7."
)
_NOT_NULL = WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})  # it is None beside nms_thresholds
InputSize = Annotated[Pair[PositiveInteger], expecting("[height, width] in pixels, two positive integers")]


class Classification(FromTensors):
    """A score per label and image."""

    output_tensor: Name = Field(description="Scores, (B, L); further axes of size 1 are accepted.")
    thresholds: Thresholds | None = Field(
        default=None,
        description=f"{_THRESHOLDS} Left out: {DEFAULT_EXCLUSIVE_THRESHOLD} for exclusive labels, "
        f"{DEFAULT_TAGGING_THRESHOLD} otherwise.",
    )
    score_activation: ScoreActivation = Field(
        default="none",
        description="Function to apply to the scores before they are compared. An extension of v0.7.",
    )

    def channel_axes(self, field: str, ndim: int) -> tuple[int, ...]:
        """Return the axes along which channels of a field's tensor of so many axes may lie."""
        return (min(ndim - 1, 1),) if ndim else ()

    def thresholds_for(self, labels: Labels) -> tuple[float, ...]:
        """Return the threshold of each label, in their order: the document's, or the default."""
        default = DEFAULT_EXCLUSIVE_THRESHOLD if labels.exclusive else DEFAULT_TAGGING_THRESHOLD
        return _of_each(default if self.thresholds is None else self.thresholds, labels)


class Detection(Choice, Alternative):
    """Boxes with a score per label, of which overlapping ones of the same label are merged.

    The fields whose type is a `DetectionOutput` are the kinds of outputs: exactly one must be given.
    """

    anchored_output: OneOf[AnchoredOutput] = Field(default=None, description="Offsets to anchors.")
    direct_output: OneOf[DirectOutput] = Field(default=None, description="Decoded boxes.")
    yolo_output: OneOf[YoloOutput] = Field(default=None, description="A YOLOv2 grid.")
    yolov3_output: OneOf[Yolov3Output] = Field(
        default=None, description="The grids of YOLOv3 and v4, one per scale. An extension of v0.7."
    )
    yolov5_output: OneOf[Yolov5Output] = Field(
        default=None,
        description="Boxes, objectness and probabilities in one tensor, as of YOLOv5. An extension of v0.7.",
    )
    yolov8_output: OneOf[Yolov8Output] = Field(
        default=None, description="Boxes and probabilities in one tensor, as of YOLOv8. An extension of v0.7."
    )
    yolov8_pose_output: OneOf[Yolov8PoseOutput] = Field(
        default=None, description="As yolov8_output, with keypoints of each box. An extension of v0.7."
    )
    yolov8_obb_output: OneOf[Yolov8ObbOutput] = Field(
        default=None, description="As yolov8_output, with boxes that are turned. An extension of v0.7."
    )
    yolov8_seg_output: OneOf[Yolov8SegOutput] = Field(
        default=None, description="As yolov8_output, with a mask of each box. An extension of v0.7."
    )
    yolox_output: OneOf[YoloxOutput] = Field(
        default=None, description="The cells of all strides in one tensor, as of YOLOX. An extension of v0.7."
    )
    standard_output: OneOf[StandardOutput] = Field(
        default=None, description="Decoded boxes and a score per label. An extension of v0.7."
    )
    end_to_end_output: OneOf[EndToEndOutput] = Field(
        default=None, description="Finished detections: box, score and class. An extension of v0.7."
    )
    ssd_output: OneOf[SsdOutput] = Field(
        default=None, description="Offsets to priors, as of SSD and BlazeFace. An extension of v0.7."
    )
    distance_output: OneOf[DistanceOutput] = Field(
        default=None,
        description="Distances from the cells of grids, as of FCOS and GFL. An extension of v0.7.",
    )
    thresholds: Thresholds | None = Field(
        default=None,
        description=f"{_THRESHOLDS} Left out: {DEFAULT_DETECTION_THRESHOLD}.",
    )
    nms_threshold: Annotated[UnitNumber | None, _NOT_NULL] = Field(
        default=0.3,
        description="Jaccard index above which the lower-scored of two boxes of the same label goes; "
        "1 turns this off. Left out: 0.3, and 1 for end_to_end_output.",
    )
    nms_thresholds: PerLabel | None = Field(
        default=None,
        description="In the place of nms_threshold one per label; 1 turns a label's off. Not together with "
        "class_agnostic or soft NMS. An extension of v0.7.",
    )
    nms_method: Literal["hard", "soft", "weighted"] = Field(
        default="hard",
        description="What becomes of overlapping boxes. hard: the lower-scored goes. soft (Bodla et al., "
        "gaussian): its score decays by exp(-J^2/soft_sigma); as decayed it is reported, ordered by and "
        "compared with its threshold, and nms_threshold is not used. weighted (MediaPipe): boxes above their "
        "thresholds whose Jaccard index with the best one exceeds nms_threshold become their score-weighted "
        "mean, with the best one's score. An extension of v0.7.",
    )
    soft_sigma: PositiveNumber = Field(
        default=DEFAULT_SOFT_SIGMA,
        description="The sigma of soft NMS: the smaller, the more a score decays. An extension of v0.7.",
    )
    iou: Literal["exact", "probiou"] = Field(
        default="exact",
        description="The index of two oriented boxes that is compared with nms_threshold; only for outputs "
        "that yield such. exact: the Jaccard index of the rectangles, in float64. probiou (Murrugarra-"
        "Llerena et al. 2021): 1 less the Hellinger distance of the Gaussians in their place, in float32, as "
        "ultralytics computes it. An extension of v0.7.",
    )
    suppression: Literal["greedy", "fast"] = Field(
        default="greedy",
        description="Which oriented boxes suppress those that score lower; only for outputs that yield such. "
        "greedy: the kept ones. fast (Bolya et al. 2019, Fast NMS): all of them, suppressed ones too, as of "
        "ultralytics. An extension of v0.7.",
    )
    discard_threshold: UnitNumber = Field(
        default=0.025,
        description="Boxes that score more than this, but not more than their threshold, are the discarded "
        "ones.",
    )
    normalize_wrt_tensor: ShortText = Field(
        default="",
        description="Tensor that holds [height, width, ...] of the network's input, by which boxes are "
        "divided. Empty: boxes are already normalized, or input_size says the size.",
    )
    input_size: InputSize | None = Field(
        default=None,
        description="[height, width] of the network's input in pixels, by which boxes are divided, unless "
        'their coordinates are "normalized". Not together with normalize_wrt_tensor. An extension of v0.7.',
    )
    multi_label: Flag = Field(
        default=True,
        description="False: a box counts for the label of its highest score only. An extension of v0.7.",
    )
    class_agnostic: Flag = Field(
        default=False, description="True: boxes of different labels are merged too. An extension of v0.7."
    )

    def model_post_init(self, context: Any, /) -> None:
        """Give `nms_threshold` the default of the kind of output, or None where `nms_thresholds` are given.

        It stays a field that was left out.
        """
        given = [name for name in self.alternatives if getattr(self, name) is not None]
        if "nms_threshold" not in self.model_fields_set and len(given) == 1:
            default = self.output.default_nms_threshold if self.nms_thresholds is None else None
            object.__setattr__(self, "nms_threshold", default)

    @property
    def output(self) -> DetectionOutput:
        """The kind of output that is given."""
        output: DetectionOutput = getattr(self, self.kind)
        return output

    def thresholds_for(self, labels: Labels) -> tuple[float, ...]:
        """Return the threshold of each label, in their order: the document's, or the default."""
        return _of_each(DEFAULT_DETECTION_THRESHOLD if self.thresholds is None else self.thresholds, labels)

    def nms_thresholds_for(self, labels: Labels) -> tuple[float, ...]:
        """Return the NMS threshold of each label, in their order; with `class_agnostic` the one of all."""
        if self.nms_thresholds is not None:
            return self.nms_thresholds
        one = cast(float, self.nms_threshold)  # None beside nms_thresholds only
        return (one,) if self.class_agnostic else _of_each(one, labels)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        given = {
            "normalize_wrt_tensor": self.normalize_wrt_tensor != "",
            "input_size": self.input_size is not None,
        }
        if self.output.declared_coordinates == "normalized":
            if self.normalize_wrt_tensor:
                message = f'{self.kind} has coordinates "normalized", which are never divided'
                yield ("normalize_wrt_tensor",), f"{message}; leave normalize_wrt_tensor out"
        elif self.output.boxes_are_normalized:
            for name in (name for name, is_given in given.items() if is_given):
                yield (name,), f"{self.kind} yields normalized boxes by construction; leave {name} out"
        elif all(given.values()):
            yield ("input_size",), "expected either input_size or normalize_wrt_tensor, got both; keep one"
        if self.nms_method not in self.output.nms_methods:
            methods = " or ".join(f'"{method}"' for method in self.output.nms_methods)
            yield ("nms_method",), f'{self.kind} takes only {methods}, got "{self.nms_method}"'
        # By value: a dump with its defaults filled in is a valid document too.
        if self.output.yields != "oriented boxes":
            for name in ("iou", "suppression"):
                default, value = type(self).model_fields[name].default, getattr(self, name)
                if value != default:
                    message = f'{self.kind} yields no oriented boxes and takes only "{default}"'
                    yield (name,), f'{message}, got "{value}"; leave {name} out'
        if self.nms_method != "soft" and self.soft_sigma != DEFAULT_SOFT_SIGMA:
            yield ("soft_sigma",), f'only nms_method "soft" takes it, got "{self.nms_method}"; leave it out'
        if "nms_threshold" in self.model_fields_set and self.nms_threshold is None:
            yield ("nms_threshold",), "expected a number from 0 to 1, got null"
        yield from self.nms_rules(self.nms_threshold, self.nms_thresholds)

    def nms_rules(
        self, nms_threshold: float | None, nms_thresholds: tuple[float, ...] | None
    ) -> Iterator[tuple[Location, str]]:
        """Yield what is wrong with such NMS thresholds, beside the other fields."""
        below_1 = 'expected a number below 1, since nms_method "weighted" merges boxes that overlap more, got'
        if nms_thresholds is None:
            if self.nms_method == "weighted" and nms_threshold == 1:
                source = "" if "nms_threshold" in self.model_fields_set else f", the default of {self.kind}"
                yield ("nms_threshold",), f"{below_1} {describe(nms_threshold)}{source}"
            return
        if nms_threshold is not None:
            yield ("nms_thresholds",), "expected either nms_threshold or nms_thresholds, got both; keep one"
        if self.class_agnostic:
            message = "class_agnostic compares boxes of different labels, by one threshold"
            yield ("nms_thresholds",), f"{message}; give nms_threshold instead"
        if self.nms_method == "soft":
            yield ("nms_thresholds",), 'nms_method "soft" uses none; leave nms_thresholds out'
        if self.nms_method == "weighted":
            for row, value in enumerate(nms_thresholds):
                if value == 1:
                    yield ("nms_thresholds", row), f"{below_1} {describe(value)}"


def _of_each(given: float | tuple[float, ...], labels: Labels) -> tuple[float, ...]:
    return given if isinstance(given, tuple) else (given,) * len(labels.labels)


class PostProcessing(Choice):
    """What to do with the tensors of one output: a classification or a detection."""

    classification: OneOf[Classification] = Field(default=None, description="For labels with roi NONE.")
    detection: OneOf[Detection] = Field(default=None, description="For labels with roi BBOX.")

    @property
    def task(self) -> Classification | Detection:
        """The classification or the detection, whichever is given."""
        task: Classification | Detection = getattr(self, self.kind)
        return task

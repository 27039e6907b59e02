"""How the output tensors of a network become an answer: one post-processing per output of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from postproc.schema.base import Alternative, Choice
from postproc.schema.fields import Flag, Listed, Name, Pair, PositiveInteger, Text, UnitNumber
from postproc.schema.outputs import (
    AnchoredOutput,
    DetectionOutput,
    DirectOutput,
    ScoreActivation,
    YoloOutput,
    Yolov8Output,
)
from postproc.schema.problems import Location, expecting

if TYPE_CHECKING:
    from postproc.schema.resources import Labels

DEFAULT_EXCLUSIVE_THRESHOLD = 0.025
DEFAULT_TAGGING_THRESHOLD = 0.5
DEFAULT_DETECTION_THRESHOLD = 0.8

InputSize = Annotated[Pair[PositiveInteger], expecting("[height, width] in pixels, two positive integers")]


class Classification(Alternative):
    """A score per label and image."""

    output_tensor: Name = Field(description="Scores, (B, L); further axes of size 1 are accepted.")
    thresholds: Listed[UnitNumber] | None = Field(
        default=None,
        description="One per label: the label is present if its score is greater. Left out: "
        f"{DEFAULT_EXCLUSIVE_THRESHOLD} for exclusive labels, {DEFAULT_TAGGING_THRESHOLD} otherwise.",
    )
    score_activation: ScoreActivation = Field(
        default="none",
        description="Function to apply to the scores before they are compared. An extension of v0.7.",
    )

    def thresholds_for(self, labels: Labels) -> tuple[float, ...]:
        """Return the threshold of each label, in their order: the document's, or the default."""
        if self.thresholds is not None:
            return self.thresholds
        default = DEFAULT_EXCLUSIVE_THRESHOLD if labels.exclusive else DEFAULT_TAGGING_THRESHOLD
        return (default,) * len(labels.labels)


class Detection(Choice, Alternative):
    """Boxes with a score per label, of which overlapping ones of the same label are merged.

    The fields whose type is a `DetectionOutput` are the kinds of outputs: exactly one must be given.
    """

    anchored_output: AnchoredOutput | None = Field(default=None, description="Offsets to anchors.")
    direct_output: DirectOutput | None = Field(default=None, description="Decoded boxes.")
    yolo_output: YoloOutput | None = Field(default=None, description="A YOLOv2 grid.")
    yolov8_output: Yolov8Output | None = Field(
        default=None, description="Boxes and probabilities in one tensor, as of YOLOv8. An extension of v0.7."
    )
    thresholds: Listed[UnitNumber] | None = Field(
        default=None,
        description="One per label: the label is present if its score is greater. Left out: "
        f"{DEFAULT_DETECTION_THRESHOLD}.",
    )
    nms_threshold: UnitNumber = Field(
        default=0.3,
        description="Jaccard index above which the lower-scored of two boxes of the same label goes; "
        "1 turns this off.",
    )
    discard_threshold: UnitNumber = Field(
        default=0.025,
        description="Boxes that score more than this, but not more than their threshold, are the discarded "
        "ones.",
    )
    normalize_wrt_tensor: Text = Field(
        default="",
        description="Tensor that holds [height, width, ...] of the network's input, by which boxes are "
        "divided. Empty: boxes are already normalized, or input_size says the size.",
    )
    input_size: InputSize | None = Field(
        default=None,
        description="[height, width] of the network's input in pixels, by which boxes are divided. Not "
        "together with normalize_wrt_tensor. An extension of v0.7.",
    )
    multi_label: Flag = Field(
        default=True,
        description="False: a box counts for the label of its highest score only. An extension of v0.7.",
    )
    class_agnostic: Flag = Field(
        default=False, description="True: boxes of different labels are merged too. An extension of v0.7."
    )

    @property
    def output(self) -> DetectionOutput:
        """The kind of output that is given."""
        output: DetectionOutput = getattr(self, self.kind)
        return output

    def thresholds_for(self, labels: Labels) -> tuple[float, ...]:
        """Return the threshold of each label, in their order: the document's, or the default."""
        if self.thresholds is not None:
            return self.thresholds
        return (DEFAULT_DETECTION_THRESHOLD,) * len(labels.labels)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        given = {
            "normalize_wrt_tensor": self.normalize_wrt_tensor != "",
            "input_size": self.input_size is not None,
        }
        if self.output.boxes_are_normalized:
            for name in (name for name, is_given in given.items() if is_given):
                yield (name,), f"{self.kind} yields normalized boxes by construction; leave {name} out"
        elif all(given.values()):
            yield ("input_size",), "expected either input_size or normalize_wrt_tensor, got both; keep one"


class PostProcessing(Choice):
    """What to do with the tensors of one output: a classification or a detection."""

    classification: Classification | None = Field(default=None, description="For labels with roi NONE.")
    detection: Detection | None = Field(default=None, description="For labels with roi BBOX.")

    @property
    def task(self) -> Classification | Detection:
        """The classification or the detection, whichever is given."""
        task: Classification | Detection = getattr(self, self.kind)
        return task

"""The outputs of YOLOv8 and its successors that hold more than boxes. All are extensions of v0.7."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from postproc.schema.fields import Name, PositiveInteger
from postproc.schema.outputs import LAYOUT_DESCRIPTION, DetectionOutput, Layout


class Yolov8PoseOutput(DetectionOutput):
    """The single tensor of the pose networks of YOLOv8, v11 and v12: boxes, probabilities and keypoints.

    The boxes are those of `Yolov8Output`; the keypoints of those that are kept come with them. An extension
    of v0.7.
    """

    boxes_are_in_pixels: ClassVar[bool] = True

    output_tensor: Name = Field(
        description="(B, 4+L+P*D, N) or (B, N, 4+L+P*D): cx, cy, w, h in pixels of the input, one "
        "probability per label, then the D numbers of each of P keypoints."
    )
    keypoints: PositiveInteger = Field(description="How many keypoints a box has: P.")
    dimensions: Literal[2, 3] = Field(
        default=3,
        description="D, the numbers of a keypoint. 3: x, y in pixels of the input, and a probability that it "
        "is visible. 2: x and y only.",
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

"""The outputs of YOLOv8 and its successors that hold more than boxes. All are extensions of v0.7."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from postproc.schema.fields import Name
from postproc.schema.keypoints import (
    DIMENSIONS_DESCRIPTION,
    SKELETON_DESCRIPTION,
    KeypointCount,
    KeypointDimensions,
    Skeleton,
    skeleton_problems,
)
from postproc.schema.problems import Location
from postproc.schema.yolo_outputs import MaskedTableOutput, TableOutput, UprightTableOutput


class Yolov8PoseOutput(UprightTableOutput):
    """The single tensor of the pose networks of YOLOv8, v11 and v12: boxes, probabilities and keypoints.

    The boxes are those of `Yolov8Output`; the keypoints of those that are kept come with them. An extension
    of v0.7.
    """

    output_tensor: Name = Field(
        description="(B, 4+L+P*D, N) or (B, N, 4+L+P*D): a box, one probability per label, then the D "
        "numbers of each of P keypoints."
    )
    keypoints: KeypointCount = Field(description="How many keypoints a box has: P.")
    dimensions: KeypointDimensions = Field(default=3, description=DIMENSIONS_DESCRIPTION)
    skeleton: Skeleton | None = Field(default=None, description=SKELETON_DESCRIPTION)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from skeleton_problems(self.keypoints, self.skeleton)


class Yolov8ObbOutput(TableOutput):
    """The single tensor of the oriented networks of YOLOv8, v11 and v12: boxes that are turned.

    Boxes of a label are suppressed by the exact Jaccard index of the rectangles, in float64, unless `iou`
    and `suppression` of the detection say that it is done as ultralytics does it. The `bbox` of a result is
    the upright one around the rectangle, clipped to the image. The angle is one of pixels: normalized boxes
    are multiplied by the input's size, which they need therefore. An extension of v0.7.
    """

    boxes_are_normalized: ClassVar[bool] = False
    boxes_are_in_pixels: ClassVar[bool] = True
    yields: ClassVar[str] = "oriented boxes"
    nms_methods: ClassVar[tuple[str, ...]] = ("hard",)

    output_tensor: Name = Field(
        description="(B, 4+L+1, N) or (B, N, 4+L+1): cx, cy, w, h, one probability per label, and the angle "
        "in radians that turns x towards y (clockwise as seen)."
    )

    @property
    def needs_input_size(self) -> bool:
        """Whether the tensors cannot be decoded without the size of the network's input."""
        return self.coordinates == "normalized"


class Yolov8SegOutput(MaskedTableOutput):
    """The two tensors of the segmenting networks of YOLOv8, v11 and v12: boxes with instance masks.

    The boxes are those of `Yolov8Output`; the masks of those that are kept come with them, when they are
    asked for. A mask is where coefficients times prototypes is above 0, inside of the box: cropped in pixels,
    so that normalized boxes need the input's size beside them. An extension of v0.7.
    """

    output_tensor: Name = Field(
        description="(B, 4+L+M, N) or (B, N, 4+L+M): a box, one probability per label, then the coefficients "
        "of the M prototypes."
    )
    prototypes_tensor: Name = Field(
        description="(B, M, h, w): the prototypes, which cover the network's input."
    )

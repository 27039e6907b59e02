"""The outputs of YOLOv8 and its successors that hold more than boxes. All are extensions of v0.7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from postproc.schema.fields import Listed, Name, Pair, PositiveInteger
from postproc.schema.limits import MOST_KEYPOINTS, MOST_LIMBS
from postproc.schema.problems import Location, describe, expecting
from postproc.schema.sizes import AtMost
from postproc.schema.yolo_outputs import TableOutput, UprightTableOutput

KeypointCount = Annotated[
    int, Field(gt=0, le=MOST_KEYPOINTS), expecting(f"an integer from 1 to {MOST_KEYPOINTS}")
]

# No Literal, which takes 2.0 where integers are asked for.
KeypointDimensions = Annotated[int, Field(ge=2, le=3), expecting("2 or 3")]

Limb = Annotated[Pair[PositiveInteger], expecting("the numbers of two keypoints, counted from 1")]


class Yolov8PoseOutput(UprightTableOutput):
    """The single tensor of the pose networks of YOLOv8, v11 and v12: boxes, probabilities and keypoints.

    The boxes are those of `Yolov8Output`; the keypoints of those that are kept come with them. An extension
    of v0.7.
    """

    yields: ClassVar[str] = "keypoints"

    output_tensor: Name = Field(
        description="(B, 4+L+P*D, N) or (B, N, 4+L+P*D): a box, one probability per label, then the D "
        "numbers of each of P keypoints."
    )
    keypoints: KeypointCount = Field(description="How many keypoints a box has: P.")
    dimensions: KeypointDimensions = Field(
        default=3,
        description="D, the numbers of a keypoint. 3: x, y, in what the boxes are in, and a probability that "
        "it is visible. 2: x and y only.",
    )
    skeleton: Annotated[Listed[Limb], AtMost(MOST_LIMBS, "pairs")] | None = Field(
        default=None,
        description="Which keypoints a drawing joins: pairs of their numbers, counted from 1 as in COCO's "
        "categories. Left out: COCO's skeleton where there are 17 keypoints and the only label is named "
        "person, none otherwise, since 17 keypoints of other things lie elsewhere.",
    )

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        for row, limb in enumerate(self.skeleton or ()):
            for position, number in enumerate(limb):
                if number > self.keypoints:
                    yield (
                        ("skeleton", row, position),
                        f"expected the number of a keypoint, 1 to {self.keypoints}, got {number}",
                    )
            if limb[0] == limb[1]:
                yield ("skeleton", row), f"expected two keypoints, got {limb[0]} twice"


class Yolov8ObbOutput(TableOutput):
    """The single tensor of the oriented networks of YOLOv8, v11 and v12: boxes that are turned.

    Boxes of a label are suppressed by the exact Jaccard index of the rectangles, in float64; ultralytics
    compares probiou, an index of Gaussians in their place (Llerena et al. 2021). The `bbox` of a result is
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


class Yolov8SegOutput(UprightTableOutput):
    """The two tensors of the segmenting networks of YOLOv8, v11 and v12: boxes with instance masks.

    The boxes are those of `Yolov8Output`; the masks of those that are kept come with them, when they are
    asked for. A mask is where coefficients times prototypes is above 0, inside of the box: cropped in pixels,
    so that normalized boxes need the input's size beside them. An extension of v0.7.
    """

    yields: ClassVar[str] = "masks"

    output_tensor: Name = Field(
        description="(B, 4+L+M, N) or (B, N, 4+L+M): a box, one probability per label, then the coefficients "
        "of the M prototypes."
    )
    prototypes_tensor: Name = Field(
        description="(B, M, h, w): the prototypes, which cover the network's input."
    )

    @property
    def needs_input_size(self) -> bool:
        """Whether the tensors cannot be decoded without the size of the network's input."""
        return self.coordinates == "normalized"

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        if self.prototypes_tensor == self.output_tensor:
            name = describe(self.prototypes_tensor)
            yield ("prototypes_tensor",), f"expected another tensor than output_tensor, got {name} for both"

"""Fields of outputs whose boxes have keypoints: the same in every kind that has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from postproc.schema.fields import Listed, Pair, PositiveInteger
from postproc.schema.limits import MOST_KEYPOINTS, MOST_LIMBS
from postproc.schema.problems import Location, expecting
from postproc.schema.sizes import AtMost

KeypointCount = Annotated[
    int, Field(gt=0, le=MOST_KEYPOINTS), expecting(f"an integer from 1 to {MOST_KEYPOINTS}")
]

# No Literal, which takes 2.0 where integers are asked for.
KeypointDimensions = Annotated[int, Field(ge=2, le=3), expecting("2 or 3")]

Limb = Annotated[Pair[PositiveInteger], expecting("the numbers of two keypoints, counted from 1")]
Skeleton = Annotated[Listed[Limb], AtMost(MOST_LIMBS, "pairs")]

DIMENSIONS_DESCRIPTION = (
    "D, the numbers of a keypoint. 3: x, y, in what the boxes are in, and a probability that it is visible. "
    "2: x and y only."
)
SKELETON_DESCRIPTION = (
    "Which keypoints a drawing joins: pairs of their numbers, counted from 1 as in COCO's categories. Left "
    "out: COCO's skeleton where there are 17 keypoints and the only label is named person, none otherwise, "
    "since 17 keypoints of other things lie elsewhere."
)


def skeleton_problems(
    keypoints: int | None, skeleton: tuple[tuple[int, int], ...] | None
) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong with a skeleton of so many keypoints."""
    if keypoints is None or skeleton is None:
        return
    for row, limb in enumerate(skeleton):
        for position, number in enumerate(limb):
            if number > keypoints:
                yield (
                    ("skeleton", row, position),
                    f"expected the number of a keypoint, 1 to {keypoints}, got {number}",
                )
        if limb[0] == limb[1]:
            yield ("skeleton", row), f"expected two keypoints, got {limb[0]} twice"


def needless(keypoints: int | None, **is_given: bool) -> Iterator[tuple[Location, str]]:
    """Yield the fields that are given and say something only of keypoints, where there are none."""
    if keypoints is None:
        for name in (name for name, given in is_given.items() if given):
            yield (name,), f"only boxes with keypoints have it; give keypoints, or leave {name} out"

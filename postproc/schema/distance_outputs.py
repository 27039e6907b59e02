"""The outputs of heads that give distances from the cells of grids. All are extensions of v0.7."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from postproc.schema.fields import Name, NonEmpty, PositiveInteger, UnitNumber
from postproc.schema.keypoints import SKELETON_DESCRIPTION, KeypointCount, Skeleton, skeleton_problems
from postproc.schema.limits import MOST_ANCHORS, MOST_BINS, MOST_LEVELS
from postproc.schema.outputs import (
    ACTIVATION_DESCRIPTION,
    LAYOUT_DESCRIPTION,
    Background,
    DetectionOutput,
    Layout,
    ScoreActivation,
    shared_names,
)
from postproc.schema.problems import Location, counted, describe, expecting, repeated
from postproc.schema.sizes import AtMost

DistanceColumn = Literal["distances", "scores", "centerness", "landmarks"]

Levels = Annotated[NonEmpty[Name], AtMost(MOST_LEVELS, "tensors")]
Bins = Annotated[int, Field(gt=0, le=MOST_BINS), expecting(f"an integer from 1 to {MOST_BINS}")]
FirstBin = Annotated[
    int, Field(ge=-MOST_BINS, le=MOST_BINS), expecting(f"an integer from -{MOST_BINS} to {MOST_BINS}")
]
AnchorsPerCell = Annotated[
    int, Field(gt=0, le=MOST_ANCHORS), expecting(f"an integer from 1 to {MOST_ANCHORS}")
]

_NEEDED_COLUMNS: tuple[DistanceColumn, ...] = ("distances", "scores")
_MOST_COLUMNS = 4
_FORMS = {
    "output_tensors": ("output_tensors",),
    "scores_tensors and distances_tensors": ("scores_tensors", "distances_tensors"),
}
_ROLES = (
    "output_tensors",
    "scores_tensors",
    "distances_tensors",
    "centerness_tensors",
    "landmarks_tensors",
    "score_sum_tensors",
)
_LIST: JsonDict = {"type": "array"}
_LEFT_OUT: JsonDict = {"type": "null"}
_LEVELS_TEXT = "one per level in the order of strides, or one with all levels"


class DistanceOutput(DetectionOutput):
    """Distances from the cells of a grid per stride to the four sides of a box, and a score per label.

    FCOS (Tian et al. 2019), GFL (Li et al. 2020), NanoDet, PicoDet, PP-YOLOE, RTMDet, SCRFD, and YOLOv6, v8
    and their successors cut before decoding. In pixels of the input, with o the ``cell_offset``, s the stride
    and l, t, r, b the distances: cx = (col + o)*s, cy = (row + o)*s, and the corners are cx - l, cy - t,
    cx + r, cy + b. The grid of stride s has ceil(input_height/s) rows of ceil(input_width/s) cells, or the
    floor of both where only that fits. A tensor is (B, C, H, W) or (B, H, W, C), or (B, N, C) or (B, C, N),
    whose N runs over (row*W + col)*A + anchor, level after level where it holds all; its C channels on a grid
    are those of the first of the A anchors, then of the next. Regions are numbered as N is. An extension of
    v0.7.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": list[Any](given),
                    "properties": {
                        name: _LIST if name in given else _LEFT_OUT
                        for names in _FORMS.values()
                        for name in names
                    },
                }
                for given in _FORMS.values()
            ]
        }
    )

    boxes_are_in_pixels: ClassVar[bool] = True
    needs_input_size: ClassVar[bool] = True

    scores_tensors: Levels | None = Field(
        default=None,
        description=f"Scores, L channels, or L+1 where background says: {_LEVELS_TEXT}.",
    )
    distances_tensors: Levels | None = Field(
        default=None,
        description=f"Distances l, t, r, b, 4*bins channels, l's bins first, then t's: {_LEVELS_TEXT}.",
    )
    output_tensors: Levels | None = Field(
        default=None,
        description="In the place of scores_tensors and distances_tensors: packed tensors, whose channels "
        f"columns names, {_LEVELS_TEXT}.",
    )
    columns: Annotated[NonEmpty[DistanceColumn], AtMost(_MOST_COLUMNS, "columns")] = Field(
        default=_NEEDED_COLUMNS,
        description="What the channels of output_tensors are, in their order: distances take 4*bins, scores "
        "L or L+1, centerness 1, landmarks 2*keypoints.",
        json_schema_extra={
            "uniqueItems": True,
            "allOf": [{"contains": {"const": name}} for name in _NEEDED_COLUMNS],
        },
    )
    centerness_tensors: Levels | None = Field(
        default=None,
        description="A further factor of the scores, centerness or objectness, 1 channel: "
        f"{_LEVELS_TEXT}. A sigmoid makes it a probability unless score_activation is none.",
    )
    landmarks_tensors: Levels | None = Field(
        default=None,
        description="Points as signed distances from the centre of the cell, in the unit of the distances, "
        f"2*keypoints channels: x and y of each; {_LEVELS_TEXT}. They come with the boxes that are kept.",
    )
    score_sum_tensors: Levels | None = Field(
        default=None,
        description="The sum of a box's scores, 1 channel, as RKNN's exports have it: "
        f"{_LEVELS_TEXT}. Only used to pass over boxes whose sum is too low for any of their scores, by more "
        "than 1/128, since 8 bits round. They are trusted, but for a look in the first call where a "
        "score exceeds a threshold: where one exceeds its sum there, they are not used, which is logged.",
    )
    strides: Annotated[NonEmpty[PositiveInteger], AtMost(MOST_LEVELS, "strides")] = Field(
        description="Pixels per cell of each level, in the order of the levels."
    )
    anchors_per_cell: AnchorsPerCell = Field(
        default=1, description="How many boxes a cell has: A. SCRFD has 2."
    )
    cell_offset: UnitNumber = Field(
        default=0.5,
        description="Where in its cell distances begin, in strides: 0.5 in the middle, 0 in its corner, as "
        "torchvision, NanoDet-Plus and SCRFD have it.",
    )
    bins: Bins = Field(
        default=1,
        description="Logits per distance, which is the expectation of their softmax, rounded to float32: "
        "reg_max + 1 of GFL, reg_max of ultralytics. 1: the distances themselves.",
    )
    first_bin: FirstBin = Field(
        default=0, description="The distance of the first bin; the others follow in steps of 1."
    )
    distance_unit: Literal["strides", "pixels"] = Field(
        default="strides", description="What distances and landmarks are in."
    )
    distance_activation: Literal["none", "relu", "exp"] = Field(
        default="none", description="Function to apply to distances, not to landmarks; only where bins is 1."
    )
    score_activation: ScoreActivation = Field(
        default="none",
        description=f"{ACTIVATION_DESCRIPTION} The background takes part in a softmax.",
    )
    background: Background = Field(
        default="none", description="Where the score of the background lies, if there is one."
    )
    confidence: Literal["product", "sqrt_product"] = Field(
        default="product",
        description="What the score of a label is where there is a further factor: the product of both, or "
        "the square root of the product, as of torchvision's FCOS; in float64, rounded once. The factor is a "
        "probability: one above 1 counts as 1.",
    )
    keypoints: KeypointCount | None = Field(
        default=None, description="How many landmarks a box has; only and always with landmarks."
    )
    skeleton: Skeleton | None = Field(default=None, description=SKELETON_DESCRIPTION)
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

    @property
    def yields(self) -> str:
        """What its results say where things are by."""
        return "keypoints" if self.has_landmarks else "boxes"

    @property
    def has_landmarks(self) -> bool:
        """Whether its tensors hold landmarks."""
        return self.landmarks_tensors is not None or self._has_column("landmarks")

    @property
    def has_factor(self) -> bool:
        """Whether scores have a further factor."""
        return self.centerness_tensors is not None or self._has_column("centerness")

    def _has_column(self, name: DistanceColumn) -> bool:
        return self.output_tensors is not None and name in self.columns

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        given = [name for names in _FORMS.values() for name in names if data.get(name) is not None]
        if tuple(given) not in _FORMS.values():
            found = " and ".join(given) if given else "none"
            yield f"expected either {' or '.join(_FORMS)}, got {found}"

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from self._column_problems()
        yield from self._count_problems()
        yield from shared_names(self)
        # By value: a dump with its defaults filled in is a valid document too.
        if self.bins == 1 and self.first_bin != 0:
            yield ("first_bin",), f"only where bins is above 1, got {self.first_bin}; leave it out"
        if self.bins > 1 and self.distance_activation != "none":
            found = describe(self.distance_activation)
            yield ("distance_activation",), f"only where bins is 1, got {found}; leave it out"
        if self.confidence != "product" and not self.has_factor:
            message = "only where there is a further factor"
            yield ("confidence",), f"{message}, got {describe(self.confidence)}; give centerness_tensors"
        if self.score_sum_tensors is not None and self.score_activation == "softmax":
            yield ("score_sum_tensors",), 'a "softmax" has no use for them; leave score_sum_tensors out'
        if self.has_landmarks and self.keypoints is None:
            yield ("keypoints",), "expected how many landmarks a box has; add it"
        for name in ("keypoints", "skeleton"):
            if not self.has_landmarks and getattr(self, name) is not None:
                yield (name,), f"there are no landmarks; give landmarks_tensors or leave {name} out"
        if self.has_landmarks:
            yield from skeleton_problems(self.keypoints, self.skeleton)

    def _column_problems(self) -> Iterator[tuple[Location, str]]:
        for row, first in repeated(self.columns):
            name = describe(self.columns[row])
            yield ("columns", row), f"expected each column once, got {name} again, as at [{first}]"
        if not {*_NEEDED_COLUMNS} <= {*self.columns}:
            found = describe(self.columns)
            yield ("columns",), f'expected "distances" and "scores" among them, got {found}'
        if self.output_tensors is None:
            if self.columns != _NEEDED_COLUMNS:
                yield ("columns",), "only output_tensors have columns; leave columns out"
            return
        for column in ("centerness", "landmarks"):
            field = f"{column}_tensors"
            if column in self.columns and getattr(self, field) is not None:
                yield (field,), f'columns has "{column}"; leave {field} out'

    def _count_problems(self) -> Iterator[tuple[Location, str]]:
        levels = len(self.strides)
        for field in _ROLES:
            names = getattr(self, field)
            if names is None:
                continue
            if len(names) not in (1, levels):
                one = "expected 1 name" if levels == 1 else f"expected {levels} names, one per stride, or 1"
                yield (field,), f"{one}, got {counted(len(names), 'name')}"

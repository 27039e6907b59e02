"""The kinds of outputs that hold boxes, as the tests know them: every list of kinds in the tests reads this.

A kind has one entry in `KINDS`, and one in `tests.reference.decode`, which says what it is without this
package. What else tests ask of a kind they ask of its schema class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.schema import (
    AnchoredOutput,
    DetectionOutput,
    DirectOutput,
    DistanceOutput,
    EndToEndOutput,
    SsdOutput,
    StandardOutput,
    YoloOutput,
    Yolov3Output,
    Yolov5Output,
    Yolov8ObbOutput,
    Yolov8Output,
    Yolov8PoseOutput,
    Yolov8SegOutput,
    YoloxOutput,
)
from tests.random_cases.distances import DistanceOutputs
from tests.random_cases.heads import HeadOutputs
from tests.random_cases.numbers import Made
from tests.random_cases.v07 import V07Outputs
from tests.random_cases.yolo import YoloOutputs

Array = NDArray[Any]

LABELS = ["cat", "dog", "owl"]
IDS = [7, 3, 2**60]


@dataclass(frozen=True, eq=False)
class Scene:
    """What tensors are made of: boxes of some images, and a score for each label."""

    rng: np.random.Generator
    corners: Array
    scores: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of images and of boxes."""
        return self.scores.shape[:2]

    def columns(self, count: int) -> Array:
        """Make further numbers of each box, in [0, 1)."""
        return self.rng.random((*self.shape, count))

    def centred(self) -> Array:
        """Make centres and sizes of boxes."""
        low = self.corners[..., :2] + 0.1
        return np.concatenate([low, self.rng.uniform(0.05, 0.3, low.shape)], axis=2)


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of output.

    Parameters
    ----------
    output : DetectionOutput
        One for `LABELS`.
    tensors : function
        Makes its tensors of a `Scene`.
    random : function
        Makes a random output and its tensors with a `tests.random_cases.builder.CaseBuilder`.
    scores : (str, index), optional
        The tensor of what are to be probabilities, and where in it the first label's are.
    two_layouts : str
        The tensor that may have its last axis after the images too; empty for none.
    softmax : bool
        Whether its scores are always a softmax, whose last bits are free.
    size : (int, int), optional
        Height and width of an input that the tensors suit.
    further : tuple of DetectionOutput
        Others, of whose sort random ones are made as well.
    """

    output: DetectionOutput
    tensors: Callable[[Scene], dict[str, Array]]
    random: Callable[[Any, Array], Made]
    scores: tuple[str, Any] | None = None
    two_layouts: str = ""
    softmax: bool = False
    size: tuple[int, int] | None = None
    further: tuple[DetectionOutput, ...] = ()

    @property
    def takes_soft_nms(self) -> bool:
        """Whether soft NMS can be compared with the reference: decay magnifies the free bits of a softmax."""
        return "soft" in self.output.nms_methods and not self.softmax


def _with_objectness(scene: Scene) -> dict[str, Array]:
    objectness = scene.rng.uniform(0.5, 1, (*scene.shape, 1))
    return {"table": np.concatenate([scene.centred(), objectness, scene.scores], axis=2)}


def _by_channel(*columns: Array) -> Array:
    return np.concatenate(columns, axis=2).transpose(0, 2, 1)


def _anchored(scene: Scene) -> dict[str, Array]:
    return {
        "anchors": scene.corners,
        "offsets": scene.rng.normal(0, 0.1, (*scene.shape, 4)),
        "scores": np.concatenate([scene.scores, scene.scores[:, :, :1]], axis=2),
    }


def _direct(scene: Scene) -> dict[str, Array]:
    classes = scene.rng.choice([*IDS, -1], scene.shape)
    return {"boxes": scene.corners, "scores": scene.scores[:, :, 0], "classes": classes}


def _yolo(scene: Scene) -> dict[str, Array]:
    return {"grid": scene.rng.normal(0, 2, (scene.shape[0], 4, 5, 2 * (5 + len(LABELS))))}


def _yolov3(scene: Scene) -> dict[str, Array]:
    sides = {"fine": (5, 8), "coarse": (2, 4)}
    return {
        name: scene.rng.normal(1, 2, (scene.shape[0], *cells, 5 + len(LABELS)))
        for name, cells in sides.items()
    }


def _yolov8(scene: Scene) -> dict[str, Array]:
    return {"table": _by_channel(scene.centred(), scene.scores)}


def _yolov8_pose(scene: Scene) -> dict[str, Array]:
    boxes = scene.centred()
    points = np.concatenate([boxes[..., :2], scene.columns(1)] * 2, axis=2)
    return {"table": _by_channel(boxes, scene.scores, points)}


def _yolov8_obb(scene: Scene) -> dict[str, Array]:
    return {"table": _by_channel(scene.centred(), scene.scores, 4 * scene.columns(1) - 2)}


def _yolov8_seg(scene: Scene) -> dict[str, Array]:
    coefficients = scene.rng.normal(0, 1, (*scene.shape, 4))
    return {
        "table": _by_channel(scene.centred(), scene.scores, coefficients),
        "prototypes": scene.rng.normal(0, 1, (scene.shape[0], 4, 12, 10)),
    }


def _standard(scene: Scene) -> dict[str, Array]:
    return {"boxes": scene.corners, "scores": scene.scores}


def _end_to_end(scene: Scene) -> dict[str, Array]:
    classes = scene.rng.integers(-1, len(LABELS), (*scene.shape, 1))
    return {"rows": np.concatenate([scene.corners, scene.scores[:, :, :1], classes], axis=2)}


def _ssd(scene: Scene) -> dict[str, Array]:
    return {
        "priors": scene.corners,
        "offsets": scene.rng.normal(0, 1, (*scene.shape, 4)),
        "scores": np.concatenate([scene.scores[:, :, :1], scene.scores], axis=2),
    }


def _distance(scene: Scene) -> dict[str, Array]:
    return {"scores": scene.scores, "distances": 3 * scene.columns(4)}


FINISHED: tuple[Any, ...] = ("box", "score", "class")
V07 = ("anchored", "direct", "yolo")

KINDS: dict[str, Kind] = {
    "anchored": Kind(
        AnchoredOutput(
            anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="scores", background="last"
        ),
        _anchored,
        V07Outputs.anchored,
        scores=("scores", np.s_[:, :, 0]),
        two_layouts="scores",
    ),
    "direct": Kind(
        DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes"),
        _direct,
        V07Outputs.direct,
        scores=("scores", np.s_[:]),
    ),
    "yolo": Kind(
        YoloOutput(output_tensor="grid", anchors=(1.0, 2.0, 2.5, 1.5)),
        _yolo,
        V07Outputs.yolo,
        two_layouts="grid",
        softmax=True,
    ),
    "yolov3": Kind(
        Yolov3Output(output_tensors=("fine", "coarse"), anchors=(4.0, 8.0, 10.0, 6.0)),
        _yolov3,
        YoloOutputs.yolov3,
        size=(20, 32),
    ),
    "yolov5": Kind(
        Yolov5Output(output_tensor="table"),
        _with_objectness,
        YoloOutputs.yolov5,
        scores=("table", np.s_[:, :, 5]),
        two_layouts="table",
        further=(Yolov5Output(output_tensor="table", prototypes_tensor="prototypes"),),
    ),
    "yolov8": Kind(
        Yolov8Output(output_tensor="table"),
        _yolov8,
        YoloOutputs.yolov8,
        scores=("table", np.s_[:, 4]),
        two_layouts="table",
    ),
    "yolox": Kind(
        YoloxOutput(output_tensor="table", strides=(4,)),
        _with_objectness,
        YoloOutputs.yolox,
        scores=("table", np.s_[:, :, 5]),
        two_layouts="table",
        size=(20, 32),  # 5 x 8 cells
    ),
    "standard": Kind(
        StandardOutput(boxes_tensor="boxes", scores_tensor="scores"),
        _standard,
        HeadOutputs.standard,
        scores=("scores", np.s_[:, :, 0]),
        two_layouts="scores",
    ),
    "end_to_end": Kind(
        EndToEndOutput(output_tensor="rows"),
        _end_to_end,
        HeadOutputs.end_to_end,
        scores=("rows", np.s_[:, :, 4]),
        further=(
            EndToEndOutput(output_tensor="rows", columns=(*FINISHED, "keypoints"), keypoints=2),
            EndToEndOutput(output_tensor="rows", columns=(*FINISHED, "angle"), box_format="cxcywh"),
            EndToEndOutput(
                output_tensor="rows", columns=(*FINISHED, "coefficients"), prototypes_tensor="prototypes"
            ),
            EndToEndOutput(output_tensor="rows", masks_tensor="masks"),
        ),
    ),
    "ssd": Kind(
        SsdOutput(
            offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors", priors_format="xyxy"
        ),
        _ssd,
        HeadOutputs.ssd,
        scores=("scores", np.s_[:, :, 1]),
        two_layouts="scores",
    ),
    "distance": Kind(
        DistanceOutput(scores_tensors=("scores",), distances_tensors=("distances",), strides=(4,)),
        _distance,
        DistanceOutputs.distance,
        scores=("scores", np.s_[:, :, 0]),
        two_layouts="scores",
        size=(20, 32),  # 5 x 8 cells
    ),
    "yolov8_pose": Kind(
        Yolov8PoseOutput(output_tensor="table", keypoints=2),
        _yolov8_pose,
        YoloOutputs.yolov8_pose,
        scores=("table", np.s_[:, 4]),
        two_layouts="table",
    ),
    "yolov8_obb": Kind(
        Yolov8ObbOutput(output_tensor="table"),
        _yolov8_obb,
        YoloOutputs.yolov8_obb,
        scores=("table", np.s_[:, 4]),
        two_layouts="table",
    ),
    "yolov8_seg": Kind(
        Yolov8SegOutput(output_tensor="table", prototypes_tensor="prototypes"),
        _yolov8_seg,
        YoloOutputs.yolov8_seg,
        scores=("table", np.s_[:, 4]),
        two_layouts="table",
    ),
}
FURTHER = tuple(kind for kind in KINDS if kind not in V07)


def kinds_with(field: str) -> tuple[str, ...]:
    """Name the kinds whose documents have such a field."""
    return tuple(name for name, kind in KINDS.items() if field in type(kind.output).model_fields)

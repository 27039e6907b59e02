"""Boxes and scores as other families of detectors return them. All are extensions of v0.7."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from postproc.schema.base import one_of
from postproc.schema.fields import Flag, Float32, Name, NonEmpty, Quadruple
from postproc.schema.keypoints import (
    DIMENSIONS_DESCRIPTION,
    SKELETON_DESCRIPTION,
    KeypointCount,
    KeypointDimensions,
    Skeleton,
    needless,
    skeleton_problems,
)
from postproc.schema.limits import MOST_PRIORS
from postproc.schema.outputs import (
    ACTIVATION_DESCRIPTION,
    BOX_FORMAT_TEXT,
    KEEP_EMPTY_MASKS_DESCRIPTION,
    LAYOUT_DESCRIPTION,
    Background,
    BoxFormat,
    DetectionOutput,
    Layout,
    OffsetsScale,
    ScoreActivation,
    shared_names,
)
from postproc.schema.problems import Location, describe, expecting
from postproc.schema.sizes import AtMost

Column = Literal["image", "box", "score", "class", "angle", "keypoints", "coefficients"]
Prior = Annotated[Quadruple[Float32], expecting("four finite numbers that float32 holds")]

_USUAL_COLUMNS: tuple[Column, ...] = ("box", "score", "class")
_NEEDED_COLUMNS: tuple[Column, ...] = ("box", "score")
_MOST_COLUMNS = 5
_FORMS = {
    "output_tensor": ("output_tensor",),
    "output_tensor and classes_tensor": ("output_tensor", "classes_tensor"),
    "boxes_tensor, scores_tensor and classes_tensor": ("boxes_tensor", "scores_tensor", "classes_tensor"),
}
_TENSORS_OF_FORMS = ("output_tensor", "boxes_tensor", "scores_tensor", "classes_tensor")
# What there may be beside a box, in a column or in a tensor: what results are by then.
_YIELDS = {
    "angle": "oriented boxes",
    "keypoints": "keypoints",
    "coefficients": "masks",
    "keypoints_tensor": "keypoints",
    "masks_tensor": "masks",
}
_NAME: JsonDict = {"type": "string"}
_LEFT_OUT: JsonDict = {"type": "null"}


class StandardOutput(DetectionOutput):
    """Decoded boxes and a score per label, as most detectors of today return them.

    RetinaNet, EfficientDet, YOLO-NAS, RTMDet, DETR, RT-DETR, D-FINE, RF-DETR, and SSD exported with
    decoding. An extension of v0.7.
    """

    boxes_tensor: Name = Field(
        description="Boxes, (B, N, 4) or (B, N, 1, 4), or per label (B, N, L, 4); where the scores have a "
        "background, also (B, N, L+1, 4), whose background is skipped."
    )
    scores_tensor: Name = Field(
        description="Scores, (B, N, L) or (B, L, N), or one more column where background says."
    )
    box_format: BoxFormat = Field(
        default="xyxy", description=f"What the four numbers of a box are. {BOX_FORMAT_TEXT}"
    )
    score_activation: ScoreActivation = Field(
        default="none", description=f"{ACTIVATION_DESCRIPTION} The background takes part in a softmax."
    )
    background: Background = Field(
        default="none", description="Where the score of the background lies, if there is one."
    )
    clip: Literal["before", "after"] = Field(
        default="after", description="Whether boxes are clipped to the image before or after NMS."
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)


def _has_column(name: Column) -> JsonDict:
    return {"contains": {"const": name}}


def _form(given: tuple[str, ...], columns: JsonDict) -> JsonDict:
    return {
        "required": list[Any](given),
        "properties": {
            **{name: _NAME if name in given else _LEFT_OUT for name in _TENSORS_OF_FORMS},
            "columns": columns,
        },
    }


def _needs(column: Column, field: str) -> JsonDict:
    return {
        "if": {"required": ["columns"], "properties": {"columns": _has_column(column)}},
        "then": {"required": [field], "properties": {field: {"not": _LEFT_OUT}}},
    }


def _rows_schema(schema: JsonDict) -> None:
    """Add what the fields of finished rows ask of each other."""
    packed, with_classes_apart, separate = _FORMS.values()
    apart = _form(with_classes_apart, {"not": _has_column("class")})
    schema["oneOf"] = [
        _form(packed, _has_column("class")),
        {**apart, "required": [*with_classes_apart, "columns"]},
        _form(separate, {"const": list[Any](_USUAL_COLUMNS)}),
    ]
    schema["allOf"] = [_needs("keypoints", "keypoints"), _needs("coefficients", "prototypes_tensor")]


class EndToEndOutput(DetectionOutput):
    """Finished detections, one per row: box, score and class; NMS is off unless `nms_threshold` is given.

    Either one packed tensor, whose classes may be apart, or three. YOLOv10, YOLO26, ultralytics' exports with
    NMS, detectors of the DETR kind with selection in the graph, TensorRT's EfficientNMS, torchvision's and
    MMDeploy's exports, and the lists that ONNX, OpenVINO and Caffe make. A region is a row among those of its
    image. Rows may hold keypoints, mask coefficients or an angle too. An extension of v0.7.
    """

    model_config = ConfigDict(json_schema_extra=_rows_schema)

    default_nms_threshold: ClassVar[float] = 1.0

    output_tensor: Name | None = Field(
        default=None,
        description="One packed tensor. Without an image column (B, N, C), or (N, C): one image, or, with "
        "count_tensor, the rows of one image after the other. With it (M, C), (1, M, C) or (1, 1, M, C): "
        "each row names its image, and an image of -1 ends the list; the number of images comes from the "
        "call or its transforms, else it is the highest image + 1, and 1 at least.",
    )
    columns: Annotated[NonEmpty[Column], AtMost(_MOST_COLUMNS, "columns")] = Field(
        default=_USUAL_COLUMNS,
        description="What the columns of output_tensor are, in their order. box takes four of them, "
        "keypoints P*D, coefficients as many as there are prototypes. angle is in radians and turns x to y "
        "(clockwise as seen), of boxes in pixels, whose box_format is cxcywh. At most one of angle, "
        "keypoints and coefficients; no class with classes_tensor.",
        json_schema_extra={
            "uniqueItems": True,
            "allOf": [_has_column(name) for name in _NEEDED_COLUMNS],
        },
    )
    boxes_tensor: Name | None = Field(default=None, description="Boxes, (B, N, 4), or (N, 4): one image.")
    scores_tensor: Name | None = Field(default=None, description="Scores, (B, N), or (N,).")
    classes_tensor: Name | None = Field(
        default=None,
        description="Labels, (B, N), or (N,). Beside output_tensor: of its shape without the last axis.",
    )
    keypoints_tensor: Name | None = Field(
        default=None,
        description="Keypoints apart: of the shape of the rows, then (P, D): (B, N, P, D), or (N, P, D).",
    )
    keypoints: KeypointCount | None = Field(
        default=None, description="How many keypoints a box has: P. With them only."
    )
    dimensions: KeypointDimensions = Field(default=3, description=DIMENSIONS_DESCRIPTION)
    skeleton: Skeleton | None = Field(default=None, description=SKELETON_DESCRIPTION)
    prototypes_tensor: Name | None = Field(
        default=None,
        description="(B, M, h, w): the prototypes of the column coefficients, which cover the network's "
        "input.",
    )
    count_tensor: Name | None = Field(
        default=None,
        description="How many rows of each image are valid, the first ones: (B,) or (B, 1). Of a packed "
        "(M, C) tensor: how many rows each image has. Not together with an image column.",
    )
    box_format: BoxFormat = Field(
        default="xyxy", description=f"What the four numbers of a box are. {BOX_FORMAT_TEXT}"
    )
    classes: Literal["rows", "ids"] = Field(
        default="rows", description="What a class is: the row of a label, from 0, or its id."
    )
    masks_tensor: Name | None = Field(
        default=None,
        description="Instance masks of the boxes as probabilities, of which those above 0.5 are inside: "
        "(N, 1, m, m), or (N, L, m, m) with one for each label, or (N, m, m); N stands for the axes of the "
        "rows.",
    )
    masks_cover: Literal["box", "image"] = Field(
        default="box",
        description="What a mask of masks_tensor covers. box: its box, as Mask R-CNN's m x m, which are "
        "pasted as torchvision does it. image: the network's input, as in torchvision's exports, which "
        "have pasted them.",
    )
    keep_empty_masks: Flag = Field(default=True, description=KEEP_EMPTY_MASKS_DESCRIPTION)

    @property
    def needs_input_size(self) -> bool:
        """Whether the tensors cannot be decoded without the size of the network's input."""
        return not self.keep_empty_masks

    @property
    def yields(self) -> str:
        """What its results say where things are by."""
        return next((_YIELDS[name] for name in self._more), super().yields)

    @property
    def boxes_are_in_pixels(self) -> bool:
        """Whether decoding yields boxes in pixels of the input: turned ones, whose angle is one of pixels."""
        return "angle" in self.columns

    @property
    def nms_methods(self) -> tuple[str, ...]:
        """The ways of `nms_method` that suit the boxes."""
        return ("hard",) if "angle" in self.columns else super().nms_methods

    @property
    def _more(self) -> list[str]:
        """What comes with a box: columns, and names of fields."""
        apart = {"keypoints_tensor": self.keypoints_tensor, "masks_tensor": self.masks_tensor}
        return [name for name in _YIELDS if name in self.columns or apart.get(name) is not None]

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        given = [name for name in _TENSORS_OF_FORMS if data.get(name) is not None]
        if tuple(given) not in _FORMS.values():
            found = " and ".join(given) if given else "none"
            yield f"expected either {' or '.join(_FORMS)}, got {found}"

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from self._rules_of_columns()
        yield from shared_names(self)
        yield from self._rules_of_masks()
        if len(self._more) > 1:
            found = " and ".join(self._more)
            yield (), f"expected at most one of {', '.join(_YIELDS)}, got {found}"
        has_keypoints = "keypoints" in self.columns or self.keypoints_tensor is not None
        if has_keypoints and self.keypoints is None:
            yield ("keypoints",), "expected how many keypoints a box has; add it"
        if self.keypoints is not None and not has_keypoints:
            yield (
                ("keypoints",),
                "name where they are, in columns or keypoints_tensor, or leave keypoints out",
            )
        yield from skeleton_problems(self.keypoints, self.skeleton)
        # By value: a dump with its defaults filled in is a valid document too.
        given = {"dimensions": self.dimensions != 3, "skeleton": self.skeleton is not None}
        if not has_keypoints:
            yield from needless(self.keypoints, **given)
        if "coefficients" in self.columns:
            if self.prototypes_tensor is None:
                yield ("prototypes_tensor",), "required with the column coefficients; add it"
        elif self.prototypes_tensor is not None:
            yield ("prototypes_tensor",), "only the column coefficients has prototypes; leave it out"
        if "angle" in self.columns and self.box_format != "cxcywh":
            yield (
                ("box_format",),
                f'expected "cxcywh", as of boxes that have an angle, got {describe(self.box_format)}',
            )

    def _rules_of_columns(self) -> Iterator[tuple[Location, str]]:
        columns = self.columns
        if self.output_tensor is None:
            # By value: a dump with its defaults filled in is a valid document too.
            if columns != _USUAL_COLUMNS:
                yield ("columns",), "only output_tensor has columns; leave columns out"
            return
        needed = _USUAL_COLUMNS if self.classes_tensor is None else _NEEDED_COLUMNS
        if self.classes_tensor is not None and "class" in columns:
            yield ("columns",), 'classes_tensor holds the classes; leave "class" out of columns'
        elif any(columns.count(name) != 1 for name in needed) or len({*columns}) < len(columns):
            names = '"box" and "score"' if len(needed) == 2 else '"box", "score" and "class"'
            found = describe(columns)
            yield ("columns",), f"expected {names} once each and others at most once, got {found}"
        if "image" in columns and self.count_tensor is not None:
            yield ("count_tensor",), "each row names its image in columns; leave count_tensor out"

    def _rules_of_masks(self) -> Iterator[tuple[Location, str]]:
        if self.masks_tensor is None and self.masks_cover != "box":
            yield ("masks_cover",), "only masks_tensor has masks that cover something; leave masks_cover out"
        # By value: a dump with its defaults filled in is a valid document too.
        if self.yields != "masks" and not self.keep_empty_masks:
            yield ("keep_empty_masks",), "only outputs that yield masks have empty ones; leave it out"


class SsdOutput(DetectionOutput):
    """Offsets from priors, shared by all labels, as of SSD, RetinaFace and BlazeFace.

    A prior's centre moves by dx*w and dy*h; its size is w*exp(dw) and h*exp(dh), dw and dh clamped at
    log(1000/16) after scaling, or w*dw and h*dh if ``size_coding`` is linear. A keypoint is where the centre
    moves by its own offsets, with the factors on dx and dy. Boxes have the unit of the priors, and are
    clipped to the image before NMS. An extension of v0.7.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["priors_tensor"], "properties": {"priors_tensor": _NAME}},
                {"required": ["priors"], "properties": {"priors": {"type": "array"}}},
            ]
        }
    )

    offsets_tensor: Name = Field(
        description="Offsets, (B, N, C) with C of 4 or more, of which the first four columns are read, or "
        "(B, N, 1, 4), as of TensorFlow. With keypoints and no landmarks_tensor C is 4+P*2."
    )
    scores_tensor: Name = Field(
        description="Scores, (B, N, L+1) or (B, L+1, N), or one column less without a background."
    )
    landmarks_tensor: Name | None = Field(
        default=None, description="Offsets of keypoints, (B, N, P*2): dx and dy of each, as of RetinaFace."
    )
    keypoints: KeypointCount | None = Field(
        default=None,
        description="How many keypoints a box has: P, in landmarks_tensor or, where that is left out, behind "
        "the four numbers of each box in offsets_tensor, as of BlazeFace. Left out: none.",
    )
    skeleton: Skeleton | None = Field(default=None, description=SKELETON_DESCRIPTION)
    priors_tensor: Name | None = Field(
        default=None,
        description="Priors, (N, 4) or (B, N, 4), or Caffe's (1, 2, N*4), whose variances are ignored.",
    )
    priors: Annotated[NonEmpty[Prior], AtMost(MOST_PRIORS, "priors")] | None = Field(
        default=None,
        description="The N priors, four numbers each, read as float32. Not together with priors_tensor.",
    )
    priors_format: BoxFormat = Field(
        default="cxcywh", description=f"What the four numbers of a prior are. {BOX_FORMAT_TEXT}"
    )
    offsets_scale: OffsetsScale = Field(
        default=(0.1, 0.1, 0.2, 0.2),
        description="Factors on dx, dy, dw, dh, whatever their order in the tensor; the usual variances.",
    )
    offsets_order: Literal["xywh", "yxhw"] = Field(
        default="xywh",
        description="The order of an offset's numbers. xywh: dx, dy, dw, dh; yxhw: dy, dx, dh, dw, as of "
        "TensorFlow, and dy, dx of a keypoint.",
    )
    size_coding: Literal["exp", "linear"] = Field(
        default="exp", description="How a size is coded: exp(dw) times the prior's, or, linear, dw times."
    )
    score_activation: ScoreActivation = Field(
        default="none", description=f"{ACTIVATION_DESCRIPTION} The background takes part in a softmax."
    )
    background: Background = Field(
        default="first", description="Where the score of the background lies, if there is one."
    )
    layout: Layout = Field(default="auto", description=LAYOUT_DESCRIPTION)

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        yield from one_of(("priors_tensor", "priors"), data)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        yield from super().rules()
        yield from needless(
            self.keypoints,
            landmarks_tensor=self.landmarks_tensor is not None,
            skeleton=self.skeleton is not None,
        )
        yield from shared_names(self)
        yield from skeleton_problems(self.keypoints, self.skeleton)

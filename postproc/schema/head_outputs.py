"""Boxes and scores as other families of detectors return them. All are extensions of v0.7."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from postproc.schema.base import one_of
from postproc.schema.fields import Float32, Name, NonEmpty, Quadruple
from postproc.schema.limits import MOST_PRIORS
from postproc.schema.outputs import (
    ACTIVATION_DESCRIPTION,
    BOX_FORMAT_TEXT,
    LAYOUT_DESCRIPTION,
    Background,
    BoxFormat,
    DetectionOutput,
    Layout,
    OffsetsScale,
    ScoreActivation,
)
from postproc.schema.problems import Location, describe, expecting
from postproc.schema.sizes import AtMost

Column = Literal["image", "box", "score", "class"]
Prior = Annotated[Quadruple[Float32], expecting("four finite numbers that float32 holds")]

_NEEDED_COLUMNS: tuple[Column, ...] = ("box", "score", "class")
_MOST_COLUMNS = 4
_FORMS = {
    "output_tensor": ("output_tensor",),
    "boxes_tensor, scores_tensor and classes_tensor": ("boxes_tensor", "scores_tensor", "classes_tensor"),
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


class EndToEndOutput(DetectionOutput):
    """Finished detections, one per row: box, score and class; NMS is off unless `nms_threshold` is given.

    Either one packed tensor, or three. YOLOv10, YOLO26, detectors of the DETR kind with selection in the
    graph, TensorRT's EfficientNMS, torchvision's exports, and the lists that ONNX, OpenVINO and Caffe make.
    A region is a row among those of its image. An extension of v0.7.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": list[Any](given),
                    "properties": {
                        name: _NAME if name in given else _LEFT_OUT
                        for names in _FORMS.values()
                        for name in names
                    },
                }
                for given in _FORMS.values()
            ]
        }
    )

    default_nms_threshold: ClassVar[float] = 1.0

    output_tensor: Name | None = Field(
        default=None,
        description="One packed tensor. Without an image column (B, N, C), or (N, C): one image, or, with "
        "count_tensor, the rows of one image after the other. With it (M, C), (1, M, C) or (1, 1, M, C): "
        "each row names its image, and an image of -1 ends the list; the number of images comes from the "
        "call or its transforms, else it is the highest image + 1, and 1 at least.",
    )
    columns: Annotated[NonEmpty[Column], AtMost(_MOST_COLUMNS, "columns")] = Field(
        default=_NEEDED_COLUMNS,
        description="What the columns of output_tensor are, in their order; box takes four of them.",
        json_schema_extra={
            "uniqueItems": True,
            "allOf": [{"contains": {"const": name}} for name in _NEEDED_COLUMNS],
        },
    )
    boxes_tensor: Name | None = Field(default=None, description="Boxes, (B, N, 4), or (N, 4): one image.")
    scores_tensor: Name | None = Field(default=None, description="Scores, (B, N), or (N,).")
    classes_tensor: Name | None = Field(default=None, description="Labels, (B, N), or (N,).")
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

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        given = [name for names in _FORMS.values() for name in names if data.get(name) is not None]
        if tuple(given) not in _FORMS.values():
            found = " and ".join(given) if given else "none"
            yield f"expected either {' or '.join(_FORMS)}, got {found}"

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        columns = sorted(self.columns)
        if columns not in (sorted(_NEEDED_COLUMNS), sorted((*_NEEDED_COLUMNS, "image"))):
            yield (
                ("columns",),
                'expected "box", "score" and "class" once each and "image" at most once, '
                f"got {describe(self.columns)}",
            )
        # By value: a dump with its defaults filled in is a valid document too.
        if self.output_tensor is None and self.columns != _NEEDED_COLUMNS:
            yield ("columns",), "only output_tensor has columns; leave columns out"
        elif "image" in self.columns and self.count_tensor is not None:
            yield ("count_tensor",), "each row names its image in columns; leave count_tensor out"


class SsdOutput(DetectionOutput):
    """Offsets from priors, shared by all labels, as of SSD and BlazeFace.

    A prior's centre moves by dx*w and dy*h; its size is w*exp(dw) and h*exp(dh), dw and dh clamped at
    log(1000/16) after scaling, or w*dw and h*dh if ``size_coding`` is linear. Boxes have the unit of the
    priors, and are clipped to the image before NMS. An extension of v0.7.
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
        description="Offsets, (B, N, C) with C of 4 or more, of which the first four columns are read."
    )
    scores_tensor: Name = Field(
        description="Scores, (B, N, L+1) or (B, L+1, N), or one column less without a background."
    )
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
        "TensorFlow.",
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

"""The preprocessing of a network: how images become its input tensors."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import PureWindowsPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from postproc.schema.base import Alternative, Choice, Configuration, OneOf
from postproc.schema.fields import (
    Flag,
    Listed,
    Name,
    NonEmpty,
    Number,
    PixelValue,
    PositiveInteger,
    PositiveNumber,
    ShortText,
)
from postproc.schema.limits import LONGEST_NAME, MOST_AXES, MOST_ELEMENTS, MOST_INPUTS, MOST_PIXELS
from postproc.schema.problems import Location, closest, counted, describe, expecting, repeated, rule_error
from postproc.schema.sizes import AtMost, Longest

_MOST_CHANNELS = 3
IMAGE_AXES = 3  # of an image tensor without its batch axis
_AXIS_NAMES = tuple(map(str, range(IMAGE_AXES)))

_CONVERT_BINARYPROTO = (
    "convert it once where Caffe is installed: "
    "blob = caffe.proto.caffe_pb2.BlobProto.FromString(open('mean.binaryproto', 'rb').read()); "
    "numpy.save('mean.npy', caffe.io.blobproto_to_array(blob)[0])"
)


def _check_mean_file(name: str) -> str:
    if not name:
        return name
    path = PureWindowsPath(name)  # it knows the separators and roots of every system
    if path.anchor or ".." in path.parts or "\0" in name:
        raise rule_error(
            f"expected a path relative to the document's folder, without '..', got {describe(name)}"
        )
    if path.suffix == ".binaryproto":
        raise rule_error(f"expected an .npy file, got Caffe's {describe(name)}; {_CONVERT_BINARYPROTO}")
    if path.suffix != ".npy":
        raise rule_error(f"expected an .npy file, as numpy.save writes it, got {describe(name)}")
    return name


PixelValues = Annotated[
    PixelValue | Annotated[NonEmpty[PixelValue], AtMost(_MOST_CHANNELS)],
    expecting("a number from 0 to 255, or a list of one per channel"),
]
TargetSize = Annotated[
    str,
    Field(pattern=r"^[1-9][0-9]{0,5}(x[1-9][0-9]{0,5})?$"),
    expecting('"WIDTHxHEIGHT" or "SIDE" in pixels, such as "640x480" or "416"'),
]
MeanFile = Annotated[ShortText, AfterValidator(_check_mean_file)]
PerChannel = Annotated[NonEmpty[Number], AtMost(_MOST_CHANNELS, "numbers")]
ConstantItem = Annotated[
    Number | Name,
    expecting('a finite number or a reference such as "data.1"'),
    Longest(LONGEST_NAME),
]


class ImageInput(Alternative):
    """An input tensor that holds the image.

    The image is resized (Pillow's BILINEAR), its pixels are scaled from 0..255 to
    0..``pixel_scaling``, the mean is subtracted, and the result is divided by ``std``.
    """

    dimension_order: Literal["NCHW", "NCWH", "NHWC", "NWHC"] = Field(
        default="NCHW",
        description="Axes of the tensor: batch (N), channels (C), height (H), width (W). There is no N where "
        "batched_input is false.",
    )
    resize_type: Literal["SQUASH", "CROP", "FILL", "NETWORK"] = Field(
        default="SQUASH",
        description="SQUASH: both sides to the target, aspect lost. CROP: the smallest side fits, the centre "
        "is kept. FILL: the largest side fits, the rest is padded. NETWORK: the largest side fits, and the "
        "network's input takes the shape of the image.",
    )
    target_size: TargetSize = Field(
        description='Size in pixels: "WIDTHxHEIGHT", or "SIDE", which is the same as "SIDExSIDE".'
    )
    color_channels: Literal["RGB", "BGR", "L"] = Field(
        default="RGB", description="Order of the channels; L is grey."
    )
    pixel_scaling: PositiveNumber = Field(
        default=255.0, description="Value of a white pixel before the mean is subtracted; black is 0."
    )
    mean: PerChannel | None = Field(
        default=None,
        description="Number to subtract from each channel, after scaling. Not together with mean_file.",
    )
    mean_file: MeanFile = Field(
        default="",
        description="An .npy array to subtract, after scaling: a path relative to the document's folder, "
        "without '..'. Empty: none.",
    )
    std: Annotated[NonEmpty[PositiveNumber], AtMost(_MOST_CHANNELS, "numbers")] | None = Field(
        default=None, description="Number to divide each channel by, after the mean. An extension of v0.7."
    )
    pad_value: PixelValues = Field(
        default=255.0,
        description="Value, 0..255 before scaling, of the pixels around the image, under FILL or with a "
        "stride: a number, or one per channel in the order of color_channels. An extension of v0.7, whose "
        "padding is white.",
    )
    pad_align: Literal["center", "top_left"] = Field(
        default="center",
        description="Where the image lies under FILL or with a stride. An extension of v0.7.",
    )
    rounding: Literal["half_up", "half_even"] = Field(
        default="half_up",
        description="How the sides of the image are rounded to pixels under FILL; half_even does so in "
        "floating point, as ultralytics' letterbox (whose pad_value is 114). An extension of v0.7.",
    )
    stride: PositiveInteger | None = Field(
        default=None,
        description="Under FILL and NETWORK: the sides of the network's input are multiples of it. FILL: "
        "each is padded to the next multiple only, not to the target, whose sides have to be multiples; "
        "so are images for ultralytics' networks whose input has no fixed size, with 32. NETWORK: each "
        "side that results is padded to the next multiple. An extension of v0.7.",
    )
    data_type: Literal["FLOAT32", "FLOAT16", "UINT8"] = Field(
        default="FLOAT32", description="Type of the tensor's elements."
    )

    @property
    def target_shape(self) -> tuple[int, int]:
        """Height and width of ``target_size``, in pixels; both are N for the text ``"N"``."""
        width, _, height = self.target_size.partition("x")
        return int(height or width), int(width)

    @property
    def fixed_shape(self) -> tuple[int, int] | None:
        """Height and width of the network's input; None where they vary with the image."""
        varies = self.resize_type == "NETWORK" or (self.resize_type == "FILL" and self.stride is not None)
        return None if varies else self.target_shape

    @property
    def channels(self) -> int:
        """Number of channels: 1 for L, otherwise 3."""
        return 1 if self.color_channels == "L" else 3

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        expected = f"expected {counted(self.channels, 'number')}, one per channel of {self.color_channels}"
        for name in ("mean", "std", "pad_value"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.channels:
                yield (name,), f"{expected}, got {len(value)}"
        if self.mean is not None and self.mean_file:
            yield ("mean_file",), "expected either mean or mean_file, got both; keep one"
        pads = self.resize_type == "FILL" or (self.resize_type == "NETWORK" and self.stride is not None)
        fields = (
            ("pad_value", pads, '"FILL", or "NETWORK" with a stride, pads'),
            ("pad_align", pads, '"FILL", or "NETWORK" with a stride, pads'),
            ("rounding", self.resize_type == "FILL", '"FILL" has a choice'),
            ("stride", self.resize_type in ("FILL", "NETWORK"), '"FILL" or "NETWORK" pads to a stride'),
        )
        for name, is_used, what in fields:
            # By value: a dump with its defaults filled in is a valid document too.
            if not is_used and getattr(self, name) != type(self).model_fields[name].default:
                yield (name,), f'only resize_type {what}, got "{self.resize_type}"; leave {name} out'
        stride = self.stride if self.resize_type == "FILL" else None
        if stride is not None and any(side % stride for side in self.target_shape):
            message = f"expected multiples of the stride, {stride}, got {describe(self.target_size)}"
            yield ("target_size",), message

    @property
    def varies(self) -> bool:
        """Whether the tensor's height and width hang on the image."""
        return self.resize_type == "NETWORK" or self.stride is not None


class ConstantInput(Alternative):
    """An input tensor of fixed numbers, or of sizes of the image that is fed."""

    shape: Annotated[Listed[PositiveInteger], AtMost(MOST_AXES, "axes")] = Field(
        description="Shape of the tensor, without a batch axis."
    )
    data: Annotated[Listed[ConstantItem], AtMost(MOST_ELEMENTS, "elements")] = Field(
        description="The elements in C order: numbers, or texts TENSOR.AXIS that stand for the size of an "
        "axis (0, 1 or 2, without the batch axis) of an image input of this document."
    )

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        size = math.prod(self.shape)
        if len(self.data) != size:
            yield (
                ("data",),
                f"expected {counted(size, 'element')} for shape {list(self.shape)}, got {len(self.data)}",
            )

    def resolve(self, shapes: Mapping[str, Sequence[int]]) -> tuple[float, ...]:
        """Return the elements with each reference replaced by the size that it names.

        Parameters
        ----------
        shapes : mapping of str to (3,) int
            Shape of each image input, without its batch axis, by tensor name.
        """
        return tuple(
            item if isinstance(item, (int, float)) else _referred(item, shapes) for item in self.data
        )


def _referred(reference: str, shapes: Mapping[str, Sequence[int]]) -> int:
    tensor_name, _, axis = reference.rpartition(".")
    return shapes[tensor_name][int(axis)]


class PreprocessingInput(Choice):
    """One input tensor of the network: an image or a constant."""

    tensor_name: Name = Field(description="Name of the input tensor.")
    image: OneOf[ImageInput] = Field(default=None, description="How the image becomes this tensor.")
    constant: OneOf[ConstantInput] = Field(default=None, description="The numbers of this tensor.")


class Preprocessing(Configuration):
    """How images become the inputs of a network."""

    inputs: Annotated[NonEmpty[PreprocessingInput], AtMost(MOST_INPUTS, "inputs")] = Field(
        description="The input tensors, at least one of them an image."
    )
    batched_input: Flag = Field(
        default=True,
        description="False: the network's inputs have no batch axis, as torchvision's detectors, and images "
        "run one by one, whether the outputs have a batch axis (of one image) or not. An extension of v0.7.",
    )
    batched_output: Flag = Field(
        default=True,
        description="False: the network's outputs have no batch axis, and images run one by one.",
    )

    @property
    def unbatched_by(self) -> str | None:
        """The field by which images run one by one; None where they run in batches."""
        return next((name for name in ("batched_input", "batched_output") if not getattr(self, name)), None)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the inputs get wrong together."""
        names = [item.tensor_name for item in self.inputs]
        images = [item.tensor_name for item in self.inputs if item.image is not None]
        known = set(images)
        for row, first in repeated(names):
            message = f"expected unique names, got {describe(names[row])}, the name of inputs[{first}]"
            yield ("inputs", row, "tensor_name"), message
        if not images:
            yield ("inputs",), "expected at least one input with an image, got constants only"
        pixels = 0
        for row, item in enumerate(self.inputs):
            pixels += 0 if item.image is None else math.prod(item.image.target_shape)
            if pixels > MOST_PIXELS:
                message = f"expected at most {MOST_PIXELS:,} pixels in all images, got {pixels:,}"
                yield ("inputs", row, "image", "target_size"), message
                break
        for row, item in enumerate(self.inputs):
            references = item.constant.data if item.constant is not None else ()
            for position, reference in enumerate(references):
                if isinstance(reference, str) and (message := _reference_problem(reference, known)):
                    yield ("inputs", row, "constant", "data", position), message


def _reference_problem(reference: str, images: Set[str]) -> str:
    tensor_name, dot, axis = reference.rpartition(".")
    if not dot or axis not in _AXIS_NAMES:
        return f"expected a number or TENSOR.AXIS with axis 0, 1 or 2, got {describe(reference)}"
    if tensor_name not in images:
        return (
            f"expected the name of an image input before the last dot, got {describe(tensor_name)}; "
            f"{closest(tensor_name, sorted(images))}"
        )
    return ""

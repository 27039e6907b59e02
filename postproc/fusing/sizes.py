"""The size of a network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from postproc.call_options import CallOptions, HeightWidth
from postproc.errors import FusingError
from postproc.fusing.graph import Operand
from postproc.graph_shapes import image_axes
from postproc.schema import Detection

if TYPE_CHECKING:
    from postproc.pipeline import PostProcessor

_COLOURS = 3
_IMAGE_AXES = 3  # without one of images


@dataclass(frozen=True)
class Divisors:
    """By what coordinates are divided: width and height, constants or (B, 1) float32."""

    width: Operand
    height: Operand

    @property
    def sides(self) -> tuple[Operand, Operand, Operand, Operand]:
        """That of each coordinate of a box."""
        return self.width, self.height, self.width, self.height


def image_input(graph: Any) -> Any:
    """Give the input that takes images, as `postproc.onnx_runner` does: the first of the highest rank."""
    constants = {one.name for one in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    return max(inputs, key=lambda info: len(info.type.tensor_type.shape.dim), default=None)


def size_of_images(
    graph: Any, post: PostProcessor, given: Sequence[int] | None, *, in_pixels: bool
) -> tuple[int, int] | None:
    """Give height and width of the images that a network takes, and fix them where its file does not.

    Parameters
    ----------
    graph : onnx.GraphProto
        Sides of its images that are free become those known otherwise: given, or of the documents.
    post : PostProcessor
    given : (height, width), optional
    in_pixels : bool
        Whether boxes come in pixels, so that the size is needed in any case.

    Raises
    ------
    FusingError
        If nothing tells a size that is needed, or what is told is not the file's.
    """
    info = image_input(graph)
    sides = [] if info is None else _sides(info.type.tensor_type.shape.dim)
    fixed = [max(side.dim_value, 0) for side in sides]
    size = _checked(given)
    if size is None and sides and all(fixed):
        return fixed[0], fixed[1]
    declared = {
        stage.task.input_size
        for stage in post.stages
        if isinstance(stage.task, Detection)
        and (stage.uses_input_size or (in_pixels and not stage.task.normalize_wrt_tensor))
    }
    if size is None and None not in declared and len(declared) == 1:
        size = _checked(next(iter(declared)))
    if size is None and None in declared:
        found = "it has no input" if info is None else f"its input {_described(info)}"
        raise FusingError(
            "boxes are in pixels of the network's input, whose height and width its file does not tell "
            f"({found}): give input_size (--size), declare the detection's input_size, or export the "
            "network with a fixed size"
        )
    if size is not None and any(was and was != now for was, now in zip(fixed, size, strict=False)):
        raise FusingError(
            f"input_size: height and width are said to be {size}, but the network's input is "
            f"{_described(info)}: correct input_size (--size) or the preprocessing's target_size, or "
            "export the network with that size"
        )
    for side, length in zip(sides, size or (), strict=False):
        side.Clear()
        side.dim_value = length
    return size


def _sides(axes: Sequence[Any]) -> list[Any]:
    """Give the axes of height and width; none where they are not known."""
    shape: list[int | None] = [axis.dim_value if axis.dim_value > 0 else None for axis in axes]
    added = 0
    if len(shape) == _IMAGE_AXES and _COLOURS in (shape[0], shape[-1]):  # torchvision's: one image, in colour
        shape, added = [None, *shape], 1
    found = image_axes(shape)
    return [] if found is None else [axes[axis - added] for axis in found]


def _checked(size: Sequence[float] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = cast("HeightWidth", CallOptions.checked(False, 1, cast("Any", size), None).input_size)
    if height != int(height) or width != int(width):
        raise FusingError(f"input_size: expected whole numbers of pixels, got {size!r}")
    return int(height), int(width)


def _described(info: Any) -> str:
    axes = [str(axis.dim_value or axis.dim_param or "?") for axis in info.type.tensor_type.shape.dim]
    return f"{info.name!r} ({', '.join(axes)})"

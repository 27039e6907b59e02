"""What ``postproc fuse`` does: write a network and its post-processing into one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from postproc.errors import FusingError
from postproc.file_kinds import file_mistaken_for
from postproc.fusing import FuseOptions, append
from postproc.installing import install
from postproc.onnx_runner.weights import external_tensors
from postproc.pipeline import PostProcessor

_PREPROCESSING = "postproc.preprocessing"
_IMAGE_AXES = 4
_CHANNELS = (1, 3, 4)


def fuse_file(
    model: Path, post: PostProcessor, preprocessing: Path | None, output: Path, options: FuseOptions
) -> list[str]:
    """Write a fused file; give the lines that say what is in it.

    Raises
    ------
    FusingError
        If the network cannot be read, or something of it or of `post` cannot be written.
    RunnerError
        If the preprocessing does not fit the network.
    """
    if output.resolve() == model.resolve():
        raise FusingError(f"--output {output} is the network itself: give the fused file another name")
    fused = fused_network(_read(model), post, options)
    if preprocessing is not None:
        fused = _with_images(fused, preprocessing)
    _write(fused, output, has_weights_beside=any(external_tensors(_read(model, weights=False))))
    return list(_told(fused, output, options))


def fused_network(network: Any, post: PostProcessor, options: FuseOptions) -> Any:
    """Write a post-processing behind a network, an `onnx.ModelProto` that stays as it is."""
    size = _input_size(network.graph) if post.uses_input_size else None
    return append(network, post, options, input_size=size)


def _read(path: Path, weights: bool = True) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise FusingError(f"writing graphs needs onnx: {install('onnx')} ({error})") from None
    if kind := file_mistaken_for(path):
        raise FusingError(f"expected an ONNX network; {path} is {kind}")
    try:
        model = onnx.load(path, load_external_data=weights)
    except Exception as error:  # protobuf's own, and those of weights that are missing
        raise FusingError(f"{path} cannot be read as an ONNX network: {error}") from error
    if not model.graph.output:
        raise FusingError(f"{path} is not an ONNX network, or has no outputs")
    return model


def _input_size(graph: Any) -> tuple[int, int] | None:
    """Give height and width of the images that the network takes, where they are fixed."""
    constants = {one.name for one in graph.initializer}
    for info in graph.input:
        axes = [axis.dim_value for axis in info.type.tensor_type.shape.dim]
        if info.name not in constants and len(axes) == _IMAGE_AXES:
            height, width = axes[2:] if axes[1] in _CHANNELS else axes[1:3]
            return (height, width) if height and width else None
    return None


def _with_images(fused: Any, preprocessing: Path) -> Any:
    from postproc.images import Preprocessor
    from postproc.images.in_graph import with_image_inputs

    preprocessor = Preprocessor(preprocessing, preprocessing.parent)
    changed = with_image_inputs(fused, preprocessor)
    changed.metadata_props.add(key=_PREPROCESSING, value=json.dumps(preprocessor.preprocessing.dump()))
    return changed


def _write(fused: Any, output: Path, *, has_weights_beside: bool) -> None:
    """Write the file, with weights beside it where the network's were: a file takes 2 GiB."""
    import onnx

    output.parent.mkdir(parents=True, exist_ok=True)
    weights = output.parent / f"{output.name}.data"
    weights.unlink(missing_ok=True)  # onnx would write behind what is there
    onnx.save(fused, output, save_as_external_data=has_weights_beside, location=weights.name)


def _told(fused: Any, output: Path, options: FuseOptions) -> Iterator[str]:
    inputs = ", ".join(_described(info) for info in fused.graph.input)
    outputs = ", ".join(_described(info) for info in fused.graph.output)
    unit = "in pixels of the input" if options.pixels else "in [0, 1] of the input"
    yield f"{output}: {inputs} in; {outputs} out; boxes are xmin, ymin, xmax, ymax {unit}"
    limits = f"more than {options.candidates:,} candidates pass their thresholds"
    if options.nms == "rounds":
        limits += f", or {options.rounds} rounds do not settle which of them overlap"
    yield (
        f"complete is false of an image where {limits}, and fewer than {options.rows:,} rows are found: its "
        "rows are right, but there may be more"
    )


def _described(info: Any) -> str:
    axes = [str(axis.dim_value or axis.dim_param or "?") for axis in info.type.tensor_type.shape.dim]
    return f"{info.name} ({', '.join(axes)})"

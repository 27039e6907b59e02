"""What ``postproc fuse`` does: write a network and its post-processing into one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postproc.errors import FusingError
from postproc.file_kinds import file_mistaken_for
from postproc.fusing import FuseOptions, append
from postproc.fusing.sizes import image_input
from postproc.installing import install
from postproc.onnx_runner.weights import external_tensors
from postproc.pipeline import PostProcessor

if TYPE_CHECKING:
    from postproc.images import Preprocessor

_PREPROCESSING = "postproc.preprocessing"


def fuse_file(
    model: Path,
    post: PostProcessor,
    preprocessing: Path | None,
    output: Path,
    options: FuseOptions,
    input_size: tuple[int, int] | None = None,
) -> list[str]:
    """Write a fused file; give the lines that say what is in it.

    Where the network's file leaves the size of its images open, it is `input_size`, or else what the
    preprocessing makes.

    Raises
    ------
    FusingError
        If the network cannot be read, or something of it or of `post` cannot be written.
    RunnerError
        If the preprocessing does not fit the network.
    """
    if output.resolve() == model.resolve():
        raise FusingError(f"--output {output} is the network itself: give the fused file another name")
    network = _read(model)
    if preprocessing is None:
        fused = append(network, post, options, input_size=input_size)
    else:
        fused = _with_images(network, post, preprocessing, options, input_size)
    _write(fused, output, has_weights_beside=any(external_tensors(_read(model, weights=False))))
    return list(_told(fused, output, options))


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


def _with_images(
    network: Any, post: PostProcessor, path: Path, options: FuseOptions, input_size: tuple[int, int] | None
) -> Any:
    from postproc.images import Preprocessor
    from postproc.images.in_graph import with_image_inputs

    preprocessor = Preprocessor(path, path.parent)
    size = input_size or _prepared_size(network.graph, preprocessor)
    # First, since the images of 8 bits have their sides where all have them, whatever the network's order.
    fused = append(with_image_inputs(network, preprocessor), post, options, input_size=size)
    fused.metadata_props.add(key=_PREPROCESSING, value=json.dumps(preprocessor.preprocessing.dump()))
    return fused


def _prepared_size(graph: Any, preprocessor: Preprocessor) -> tuple[int, int] | None:
    """Give height and width of all images that come prepared, where they are the same."""
    info = image_input(graph)
    tensor = None if info is None else preprocessor.named_tensors.get(info.name)
    return None if tensor is None else tensor.image.fixed_shape


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

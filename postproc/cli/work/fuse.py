"""What ``postproc fuse`` does: write a network and its post-processing into one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postproc.cli.terminal import load
from postproc.cli.work.fused_file import check_output, write_whole
from postproc.errors import FusingError
from postproc.file_kinds import file_mistaken_for
from postproc.fusing import FuseOptions, append
from postproc.fusing.fuse import set_metadata
from postproc.fusing.sizes import image_input
from postproc.installing import install
from postproc.onnx_runner.weights import external_tensors, load_tensor, path_of
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
    documents: Mapping[Path, str],
    input_size: tuple[int, int] | None = None,
) -> list[str]:
    """Write a fused file; give the lines that say what is in it.

    `documents` are the files that `post` was made of, and what each is, over which it does not write. Where
    the network's file leaves the size of its images open, it is `input_size`, or else what the preprocessing
    makes.

    Raises
    ------
    FusingError
        If the network cannot be read, something of it or of `post` cannot be written, or the file would be
        written over another than a former fused file.
    RunnerError
        If the preprocessing does not fit the network.
    """
    network = _read(model)
    weights = {path_of(tensor, model) for tensor in external_tensors(network)}
    read = {model: "the network", **documents}
    read |= dict.fromkeys(weights, "the file of the network's weights")
    preprocessor = None
    if preprocessing is not None:
        from postproc.images import Preprocessor
        from postproc.schema import Preprocessing

        preprocessor = Preprocessor(load(Preprocessing, preprocessing), preprocessing.parent)
        read[preprocessing] = "the preprocessing"
        for tensor in preprocessor.named_tensors.values():
            read[preprocessing.parent / tensor.image.mean_file] = "the preprocessing's mean_file"
    check_output(output, read, bool(weights))
    _read_weights(network, model)
    if preprocessor is None:
        fused = append(network, post, options, input_size=input_size)
    else:
        fused = _with_images(network, post, preprocessor, options, input_size)
    write_whole(fused, output, bool(weights))
    return list(_told(fused, output, options))


def _read(path: Path) -> Any:
    """Read a network without the weights that lie beside it."""
    try:
        import onnx
    except ImportError as error:
        raise FusingError(f"writing graphs needs onnx: {install('onnx')} ({error})") from None
    if kind := file_mistaken_for(path):
        raise FusingError(f"expected an ONNX network; {path} is {kind}")
    try:  # whatever the file's name ends with
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf's own
        raise _unreadable(path, error) from error
    if not model.graph.output:
        raise FusingError(f"{path} is not an ONNX network, or has no outputs")
    return model


def _read_weights(network: Any, path: Path) -> None:
    try:
        for tensor in external_tensors(network):
            load_tensor(tensor, path)
    except Exception as error:  # of files that are missing or too short, or that lie elsewhere
        advice = ": expected the files of its weights beside it, as whole as they were written"
        raise _unreadable(path, error, advice) from error


def _unreadable(path: Path, error: Exception, advice: str = "") -> FusingError:
    reason = " ".join(str(error).split()).rstrip(".")
    return FusingError(f"{path} cannot be read as an ONNX network: {reason}{advice}")


def _with_images(
    network: Any,
    post: PostProcessor,
    preprocessor: Preprocessor,
    options: FuseOptions,
    input_size: tuple[int, int] | None,
) -> Any:
    from postproc.images.in_graph import with_image_inputs

    prepared = _prepared_size(network.graph, preprocessor)
    if input_size and prepared and prepared != input_size:
        raise FusingError(
            f"--size: height and width are said to be {input_size}, but the preprocessing makes images of "
            f"{prepared}: leave --size out, or correct the preprocessing's target_size"
        )
    size = input_size or prepared
    # First, since the images of 8 bits have their sides where all have them, whatever the network's order.
    fused = append(with_image_inputs(network, preprocessor), post, options, input_size=size)
    set_metadata(fused, _PREPROCESSING, json.dumps(preprocessor.preprocessing.dump()))
    return fused


def _prepared_size(graph: Any, preprocessor: Preprocessor) -> tuple[int, int] | None:
    """Give height and width of all images that come prepared, where they are the same."""
    info = image_input(graph)
    tensor = None if info is None else preprocessor.named_tensors.get(info.name)
    return None if tensor is None else tensor.image.fixed_shape


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

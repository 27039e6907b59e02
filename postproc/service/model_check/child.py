"""The process in which `postproc.service.model_check.check` checks a network: JSON in, JSON out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from postproc.errors import PostprocError, SchemaError
from postproc.file_kinds import file_mistaken_for
from postproc.isolation import answer, limit_memory
from postproc.onnx_runner.faults import is_out_of_memory
from postproc.onnx_runner.weights import external_tensors, location
from postproc.service.engine.networks.computing import without_folders
from postproc.service.engine.networks.memory import NetworkMemory

_MOST_TENSORS = 1000  # of a graph's inputs or outputs
_MOST_BYTES = 1 << 20  # of what is told of them
_LONGEST_MESSAGE = 1000
_MIB = 1 << 20
OWN_MEMORY = 512 * _MIB
_LIBRARIES = 160 * _MIB  # of it; the rest is to spare


class RefusedError(Exception):
    """What is wrong with a network, and which field of the request it belongs to."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(without_folders(message)[:_LONGEST_MESSAGE])
        self.field = field


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Check the network that an order describes.

    Parameters
    ----------
    order : dict
        ``model``, the file; ``folder`` of those that the ``preprocessing`` names; ``memory``, bytes that the
        service has for a network that it runs.

    Returns
    -------
    dict
        What a `ModelReport` holds; or ``error``, and the ``field`` that it is about.
    """
    model, limit = Path(order["model"]), order["memory"] + OWN_MEMORY
    limit_memory(limit)
    try:
        # ONNX holds it twice, and may call it broken where it cannot.
        if _LIBRARIES + 2 * model.stat().st_size > limit:
            raise MemoryError
        return check(model, Path(order["folder"]), order["preprocessing"], order["memory"])
    except RefusedError as error:
        return {"field": error.field, "error": str(error)}
    except MemoryError:
        message = (
            f"it takes too much memory: more than {order['memory'] // _MIB:,} MiB to load and run, which is "
            f"a worker's part of --session-memory, or {OWN_MEMORY // _MIB} MiB more to check; weights take "
            "less in a file of their own"
        )
        return {"field": "model", "error": message}


def check(model: Path, folder: Path, preprocessing: dict[str, Any], memory: int) -> dict[str, Any]:
    """Check a network, which may take so many bytes to load and run, and return what a `ModelReport` holds.

    Raises
    ------
    RefusedError
        If it cannot be used.
    """
    import onnx

    if kind := file_mistaken_for(model):
        raise RefusedError("model", f"expected an ONNX network; the file is {kind}")
    opset, weights = _read(model)
    with _refused("model", "ONNX's checker refuses it"):
        onnx.checker.check_model(str(model))
    warnings = []
    try:
        onnx.checker.check_model(str(model), full_check=True)
    except MemoryError:
        raise
    except Exception as error:  # exporters often declare shapes that its inference disagrees with
        warnings.append(f"ONNX's shape inference: {without_folders(str(error))}"[:_LONGEST_MESSAGE])
    network = _run(model, folder, preprocessing, NetworkMemory(memory))
    report = {
        "inputs": [_described(info) for info in network.inputs.infos.values()],
        "outputs": [_described(info) for info in network.outputs.values()],
        "opset": opset,
        "bytes": sum(path.stat().st_size for path in (model, *weights)),
        "warnings": warnings,
    }
    if len(json.dumps(report)) > _MOST_BYTES:
        raise RefusedError(
            "model", f"names and shapes of its inputs and outputs take more than {_MOST_BYTES:,} bytes"
        )
    return report


def _read(model: Path) -> tuple[int, set[Path]]:
    """Return which version of ONNX's operators a network is of, and the files of its weights."""
    import onnx

    with _refused("model", "it is no ONNX file"):
        proto = onnx.load(str(model), load_external_data=False)
    opset = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), 0)
    return opset, _check_files(proto, model.parent)


def _run(model: Path, folder: Path, document: dict[str, Any], memory: NetworkMemory) -> Any:
    """Load a network and run it on a blank image, which finds inputs that do not fit together."""
    from PIL import Image

    from postproc.images import Preprocessor
    from postproc.onnx_runner.network import OnnxNetwork
    from postproc.onnx_runner.session import CPU, options_for

    try:
        preprocessor = Preprocessor(document, folder)
    except SchemaError as error:
        problem = error.errors[0]
        raise RefusedError(f"preprocessing.{problem.path}", problem.message) from None
    options = options_for(1)
    options.log_severity_level = 4
    with _refused("model", ""), memory.limited():
        network = OnnxNetwork(
            model,
            [CPU],
            options,
            batched=preprocessor.preprocessing.batched_output,
            batched_input=preprocessor.preprocessing.batched_input,
        )
    if max(len(network.inputs.infos), len(network.outputs)) > _MOST_TENSORS:
        raise RefusedError("model", f"it has more than {_MOST_TENSORS} inputs or outputs")
    blanks = [
        Image.new("RGB", item.image.target_shape[::-1])
        for item in preprocessor.preprocessing.inputs
        if item.image is not None
    ]
    with _refused("preprocessing", ""):
        tensors = preprocessor([blanks]).tensors
        network.inputs.check(tensors)
    with _refused("model", "it fails on a blank image"), memory.limited():
        network(tensors)
    return network


def _check_files(proto: Any, folder: Path) -> set[Path]:
    """Return the files that hold weights, each of which has to be a plain file beside the network."""
    found = set()
    for tensor in external_tensors(proto):
        name = location(tensor)
        path = folder / name
        is_beside = (
            name
            and "\0" not in name
            and not PurePosixPath(name).is_absolute()
            and not PureWindowsPath(name).anchor
            and ".." not in PureWindowsPath(name).parts
            and path.resolve().is_relative_to(folder.resolve())
        )
        if not is_beside:
            raise RefusedError(
                "model", f"the weights {tensor.name!r} lie in {name!r}, outside the network's files"
            )
        if path.is_symlink() or not path.is_file():
            raise RefusedError(
                "model",
                f"the weights {tensor.name!r} lie in the file {name!r}, which was not sent along",
            )
        if kind := file_mistaken_for(path):
            raise RefusedError(
                "model", f"the weights {tensor.name!r} lie in the file {name!r}, which is {kind}"
            )
        found.add(path)
    return found


def _described(info: Any) -> dict[str, Any]:
    from postproc.onnx_runner.session import NUMPY_TYPES

    return {"name": info.name, "type": str(NUMPY_TYPES.get(info.type, info.type)), "shape": list(info.shape)}


@contextlib.contextmanager
def _refused(field: str, message: str) -> Iterator[None]:
    """Turn whatever is raised into a refusal."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if is_out_of_memory(error.__cause__ or error):
            raise MemoryError from error
        if not isinstance(error, PostprocError):
            raise RefusedError(field, f"{message}: {error}" if message else str(error)) from error
        text = str(error).removeprefix("model: ")
        raise RefusedError(field, f"{message}: {text}" if message else text) from error


if __name__ == "__main__":
    answer(main)

"""The process in which `postproc.service.models_check` checks a network: JSON in, JSON out."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from postproc.errors import PostprocError, SchemaError
from postproc.file_kinds import file_mistaken_for
from postproc.service.computing import without_folders

_GIB = 1 << 30
_MOST_TENSORS = 1000  # of a graph's inputs or outputs


class RefusedError(Exception):
    """What is wrong with a network, and which field of the request it belongs to."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(without_folders(message))
        self.field = field


def main() -> None:
    """Check the network that standard input describes."""
    order = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get among the answer
    folder = Path(order["folder"])
    _limit_memory(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    try:
        report = check(Path(order["model"]), folder, order["preprocessing"])
    except RefusedError as error:
        report = {"field": error.field, "error": str(error)}
    except MemoryError:
        report = {"field": "model", "error": "it takes too much memory"}
    json.dump(report, answers)
    answers.close()
    os._exit(0)  # destructors of a network that is checked need not run


def check(model: Path, folder: Path, preprocessing: dict[str, Any]) -> dict[str, Any]:
    """Check a network, and return what a `ModelReport` holds.

    Raises
    ------
    RefusedError
        If it cannot be used.
    """
    import onnx

    if kind := file_mistaken_for(model):
        raise RefusedError("model", f"expected an ONNX network; the file is {kind}")
    with _refused("model", "it is no ONNX file"):
        proto = onnx.load(str(model), load_external_data=False)
    weights = _check_files(proto, model.parent)
    with _refused("model", "ONNX's checker refuses it"):
        onnx.checker.check_model(str(model))
    warnings = []
    try:
        onnx.checker.check_model(str(model), full_check=True)
    except Exception as error:  # exporters often declare shapes that its inference disagrees with
        warnings.append(f"ONNX's shape inference: {without_folders(str(error))}")
    network = _run(model, folder, preprocessing)
    return {
        "inputs": [_described(info) for info in network.inputs.infos.values()],
        "outputs": [_described(info) for info in network.outputs.values()],
        "opset": next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), 0),
        "bytes": sum(path.stat().st_size for path in (model, *weights)),
        "warnings": warnings,
    }


def _run(model: Path, folder: Path, document: dict[str, Any]) -> Any:
    """Load a network and run it on a blank image, which finds inputs that do not fit together."""
    import onnxruntime
    from PIL import Image

    from postproc.images import Preprocessor
    from postproc.onnx_network import OnnxNetwork
    from postproc.onnx_session import CPU

    try:
        preprocessor = Preprocessor(document, folder)
    except SchemaError as error:
        problem = error.errors[0]
        raise RefusedError(f"preprocessing.{problem.path}", problem.message) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with _refused("model", ""):
        network = OnnxNetwork(model, [CPU], options, batched=preprocessor.preprocessing.batched_output)
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
    with _refused("model", "it fails on a blank image"):
        network(tensors)
    return network


def _check_files(proto: Any, folder: Path) -> set[Path]:
    """Return the files that hold weights, each of which has to be a plain file beside the network."""
    found = set()
    for tensor in _tensors(proto):
        places = {entry.key: entry.value for entry in tensor.external_data}
        name = places.get("location", "")
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


def _tensors(proto: Any) -> Iterator[Any]:
    """Yield all tensors of a model whose content lies in other files."""
    from onnx import TensorProto

    for tensor in _every_tensor([proto.graph], proto.functions):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def _every_tensor(graphs: Iterable[Any], functions: Iterable[Any]) -> Iterator[Any]:
    waiting = [*graphs, *functions]  # a list and no recursion: a hostile file nests deeply
    while waiting:
        part = waiting.pop()
        yield from getattr(part, "initializer", ())
        for sparse in getattr(part, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in part.node:
            for attribute in node.attribute:
                yield attribute.t
                yield from attribute.tensors
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _described(info: Any) -> dict[str, Any]:
    from postproc.onnx_session import NUMPY_TYPES

    return {"name": info.name, "type": str(NUMPY_TYPES.get(info.type, info.type)), "shape": list(info.shape)}


@contextlib.contextmanager
def _refused(field: str, message: str) -> Iterator[None]:
    """Turn whatever is raised into a refusal."""
    try:
        yield
    except MemoryError:
        raise
    except PostprocError as error:
        text = str(error).removeprefix("model: ")
        raise RefusedError(field, f"{message}: {text}" if message else text) from error
    except Exception as error:
        raise RefusedError(field, f"{message}: {error}" if message else str(error)) from error


def _limit_memory(size: int) -> None:
    """Limit this process, and make it the one that the system ends where memory is short."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = 8 * _GIB + 8 * size
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main()

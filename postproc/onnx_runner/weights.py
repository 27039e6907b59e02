"""Find the tensors of an ONNX file that lie in other files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def external_tensors(model: Any) -> Iterator[Any]:
    """Yield all tensors of an `onnx.ModelProto` whose content lies in other files."""
    from onnx import TensorProto

    for tensor in _every_tensor(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def location(tensor: Any) -> str:
    """Give the name of the file that holds such a tensor, relative to the ONNX file's folder."""
    places: dict[str, str] = {entry.key: entry.value for entry in tensor.external_data}
    return places.get("location", "")


def path_of(tensor: Any, model: Path) -> Path:
    """Give the file that holds such a tensor of an ONNX file: beside it, or beside what it is a link to."""
    name = location(tensor)
    beside = model.parent / name
    of_target = model.resolve().parent / name
    return of_target if os.path.exists(of_target) and not os.path.exists(beside) else beside


def load_tensor(tensor: Any, model: Path) -> None:
    """Read such a tensor of an ONNX file, which then holds its content.

    As for ONNX Runtime, links are followed that lead into the folder of the ONNX file, or into that of the
    file which it is a link to: so a cache of Hugging Face keeps networks.

    Raises
    ------
    Exception
        onnx's own, of a file that is missing or too short; ValueError of one that lies elsewhere.
    """
    from onnx.external_data_helper import load_external_data_for_tensor

    path, folder = path_of(tensor, model).resolve(), model.parent
    folders = (folder.resolve(), model.resolve().parent)
    if not any(path.is_relative_to(one) for one in folders) or leaves(location(tensor)):
        # onnx 1.16 would follow it.
        raise ValueError(f"{location(tensor)!r} leads out of the network's folder")
    for entry in tensor.external_data:
        if entry.key == "location":
            folder, entry.value = path.parent, path.name
    load_external_data_for_tensor(tensor, str(folder))


def leaves(name: str) -> bool:
    """Tell whether a name of a file may lead out of its folder without a link."""
    return not name or Path(name).is_absolute() or ".." in Path(name).parts


def _every_tensor(model: Any) -> Iterator[Any]:
    waiting = [model.graph, *model.functions]  # a list and no recursion: a hostile file nests deeply
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

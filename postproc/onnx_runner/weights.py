"""Find the tensors of an ONNX file that lie in other files."""

from __future__ import annotations

from collections.abc import Iterator
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

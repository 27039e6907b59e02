"""Graphs that compute nothing, for what is read from a file: shapes, names and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

Shape = Sequence[int | str]
IMAGES: dict[str, Shape] = {"images": (1, 3, 640, 640)}
COCO = {row: f"thing {row}" for row in range(80)}

# How the last operators of a tensor look: all but the raw ones have a layer before them.
RAW, DECODED, SOFTMAX, CHOSEN = "raw", "decoded", "softmax", "chosen"


class Network:
    """Collects outputs, and writes them as an ONNX file that computes nothing.

    Parameters
    ----------
    inputs : mapping of str to shape
        Float inputs; a name that ends in "_sizes" is int64.
    metadata : mapping of str to str
        ``metadata_props``.
    """

    def __init__(
        self,
        inputs: Mapping[str, Shape] = IMAGES,
        metadata: Mapping[str, str] | None = None,
        image_type: int = TensorProto.FLOAT,
    ) -> None:
        types = {name: TensorProto.INT64 if name.endswith("_sizes") else image_type for name in inputs}
        self._inputs = [helper.make_tensor_value_info(name, types[name], inputs[name]) for name in inputs]
        self._image = next(iter(inputs))
        self._metadata = dict(metadata or {})
        self._nodes: list[Any] = []
        self._outputs: list[Any] = []

    def output(self, name: str, shape: Shape | None, ending: str = DECODED, integer: bool = False) -> Network:
        """Add an output whose numbers come from operators of a kind, or from several (Concat)."""
        parts = []
        for row, kind in enumerate(ending.split("+")):
            parts.append(f"{name}.{row}")
            self._compute(parts[-1], kind)
        self._nodes.append(helper.make_node("Concat", parts, [f"{name}.all"], axis=0))
        self._nodes.append(helper.make_node("Transpose", [f"{name}.all"], [name]))
        kind = TensorProto.INT64 if integer else TensorProto.FLOAT
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return self

    def node(self, operator: str, domain: str = "") -> Network:
        """Add an operator that stands beside the outputs."""
        self._nodes.append(
            helper.make_node(operator, [self._image], [f"beside.{len(self._nodes)}"], domain=domain)
        )
        return self

    def _compute(self, name: str, kind: str) -> None:
        layer = name if kind == RAW else f"{name}.layer"
        self._nodes.append(helper.make_node("Conv", [self._image, "weights"], [layer]))
        if kind == DECODED:
            self._nodes.append(helper.make_node("Mul", [layer, layer], [name]))
        elif kind == CHOSEN:
            self._nodes.append(helper.make_node("TopK", [layer, "k"], [name, f"{name}.index"]))
        elif kind != RAW:
            self._nodes.append(helper.make_node(kind.capitalize(), [layer], [name]))

    def save(self, path: Path) -> Path:
        """Write the network to a file."""
        graph = helper.make_graph(self._nodes, "test", self._inputs, self._outputs)
        model = helper.make_model(graph, producer_name="tests")
        helper.set_model_props(model, self._metadata)
        path.write_bytes(model.SerializeToString())
        return path


def ultralytics(task: str = "detect", names: Mapping[int, str] = COCO, **others: str) -> dict[str, str]:
    """Give the metadata that ultralytics embeds."""
    return {
        "author": "Ultralytics",
        "task": task,
        "stride": "32",
        "imgsz": "[640, 640]",
        "names": str(dict(names)),
        "end2end": "False",
        **others,
    }

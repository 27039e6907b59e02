"""Take the integers of a graph's outputs from before the DequantizeLinear that they end with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.errors import RunnerError, TensorError
from postproc.installing import install
from postproc.onnx_runner.session import model_source
from postproc.quantization import DTYPES, QuantizedTensor, Scale, ZeroPoint, as_scale, as_zero_point

_DOMAINS = ("", "ai.onnx", "com.microsoft")
_DEFAULT_AXIS = 1
_ADVICE = "give quantized=True an ONNX file, its bytes or a ModelProto"


class Dequantizing(NamedTuple):
    """What a DequantizeLinear at the end of a graph would have made numbers with.

    Parameters
    ----------
    source : str
        The graph's tensor of integers, now an output.
    scale, zero_point
        As of `QuantizedTensor`.
    axis : int or None
    """

    source: str
    scale: Scale
    zero_point: ZeroPoint
    axis: int | None

    def tensor(self, integers: NDArray[Any]) -> QuantizedTensor:
        """Return the integers of a run with what makes numbers of them."""
        return QuantizedTensor.of(integers, self.scale, self.zero_point, self.axis)


def with_integers(model: object) -> tuple[bytes, dict[str, Dequantizing]]:
    """Give a network whose outputs are integers where they end with a DequantizeLinear.

    An output stays as it is where its scales are computed or of blocks, where they are not float32, and where
    its integers have 4 or 32 bits.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        The network, which stays as it is; weights in files beside it are read.

    Returns
    -------
    model : bytes
    dequantizing : dict of str to Dequantizing
        By the name of the output that the network had.

    Raises
    ------
    RunnerError
        If the package onnx is missing, or the model cannot be read.
    """
    source, name = model_source(model)
    graph_model = _load(source, name)
    graph = graph_model.graph
    producers = {output: node for node in graph.node for output in node.output}
    constants = _constants(graph)
    found: dict[str, Dequantizing] = {}
    types = {}
    for info in graph.output:
        node = producers.get(info.name)
        one = None if node is None else _dequantizing(node, constants)
        dtype = None if one is None else _dtype(node, graph, producers, constants)
        if one is not None and dtype is not None and one.source in producers:
            found[info.name], types[one.source] = one, dtype
    if found:
        _replace_outputs(graph, found, types)
    try:
        return graph_model.SerializeToString(), found
    except Exception as error:  # protobuf's own
        raise RunnerError(
            f"model: {name} cannot be written without its DequantizeLinear: {error}; a network of more than "
            "2 GiB runs with quantized=False"
        ) from error


def _load(source: str | bytes, name: str) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise RunnerError(
            f"OnnxRunner(quantized=True) needs an extra: {install('inspect')} ({error})"
        ) from error
    try:
        if isinstance(source, str):
            return onnx.load(source, format="protobuf")  # whatever its name ends with
        return onnx.load_from_string(source)
    except Exception as error:  # protobuf's own, and those of weights that are missing
        raise RunnerError(f"model: {name} cannot be read as an ONNX network: {error}; {_ADVICE}") from error


def _constants(graph: Any) -> dict[str, Any]:
    """Give the constant tensors of a graph, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {info.name for info in graph.input}  # a caller may give other values
    found = {name: tensor for name, tensor in found.items() if name not in inputs}
    for node in graph.node:
        if node.op_type == "Constant":
            found |= {name: item.t for item in node.attribute if item.name == "value" for name in node.output}
    return found


def _dequantizing(node: Any, constants: dict[str, Any]) -> Dequantizing | None:
    """Read a node, if it is a DequantizeLinear whose numbers are known and float32."""
    from onnx import TensorProto, numpy_helper

    if node.op_type != "DequantizeLinear" or node.domain not in _DOMAINS:
        return None
    attributes = {item.name: item.i for item in node.attribute}
    source, scale_name, *zero_names = node.input
    zero_name = zero_names[0] if zero_names else ""
    scale = constants.get(scale_name)
    if scale is None or scale.data_type != TensorProto.FLOAT or attributes.get("block_size"):
        return None
    if attributes.get("output_dtype", TensorProto.FLOAT) not in (TensorProto.UNDEFINED, TensorProto.FLOAT):
        return None
    zero_point = constants.get(zero_name)
    if zero_name and (zero_point is None or _name_of(zero_point.data_type) not in DTYPES):
        return None
    try:
        scales = as_scale(numpy_helper.to_array(scale))
        zeros = as_zero_point(0 if zero_point is None else numpy_helper.to_array(zero_point))
    except TensorError:  # of several axes, or not above 0
        return None
    is_listed = np.size(scales) > 1
    return Dequantizing(source, scales, zeros, attributes.get("axis", _DEFAULT_AXIS) if is_listed else None)


def _dtype(node: Any, graph: Any, producers: dict[str, Any], constants: dict[str, Any]) -> int | None:
    """Give ONNX's number of the type of a DequantizeLinear's integers, if it is one of `DTYPES`."""
    from onnx import TensorProto

    types = {info.name: info.type.tensor_type.elem_type for info in (*graph.value_info, *graph.output)}
    known = [constants[name].data_type for name in node.input[2:] if name]
    known += [types.get(node.input[0])]
    producer = producers.get(node.input[0])
    if producer is not None and producer.op_type == "QuantizeLinear":
        attributes = {item.name: item.i for item in producer.attribute}
        known += [constants[name].data_type for name in producer.input[2:] if name in constants]
        known += [attributes.get("output_dtype")]
        if len(producer.input) < 3:
            known += [TensorProto.UINT8]
    number = next(filter(None, known), None)
    return number if number is not None and _name_of(number) in DTYPES else None


def _name_of(number: int) -> str:
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(number)).lower()


def _replace_outputs(graph: Any, found: dict[str, Dequantizing], types: dict[str, int]) -> None:
    """Put the integers into the places of outputs, and leave out the nodes that nothing else needs."""
    outputs = list(graph.output)
    del graph.output[:]
    named = {info.name for info in outputs if info.name not in found}
    for info in outputs:
        if (one := found.get(info.name)) is not None:
            if one.source in named:
                continue
            named.add(one.source)
            info.name = one.source
            info.type.tensor_type.elem_type = types[one.source]
        graph.output.append(info)
    used = _used(graph) | named
    needless = [node for node in graph.node if node.output and {*node.output} <= found.keys() - used]
    for node in needless:
        graph.node.remove(node)
    # Their scales too, of which ONNX Runtime would say that nothing needs them.
    left = {name for node in needless for name in node.input[1:]} - _used(graph) - named
    for tensor in [tensor for tensor in graph.initializer if tensor.name in left]:
        graph.initializer.remove(tensor)
    for node in [node for node in graph.node if {*node.output} & left]:
        graph.node.remove(node)
    for info in [info for info in graph.value_info if info.name in named]:
        graph.value_info.remove(info)


def _used(graph: Any) -> set[str]:
    """Give the names of the tensors that nodes of a graph and of those in it take."""
    return {name for node in _all_nodes(graph) for name in node.input}


def _all_nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of those in it."""
    waiting = [graph]  # a list and no recursion: a hostile file nests deeply
    while waiting:
        for node in waiting.pop().node:
            yield node
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs

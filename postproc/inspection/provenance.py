"""Which operators computed the numbers of a tensor: of all, or of each of its columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from postproc.graph_shapes import Shape
from postproc.inspection.nodes import INTEGERS, LAYERS, MOVING, Node, Sources

_SAME_AXES = {"Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "Dropout"}
_REARRANGING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_OF_PIXELS = {"Add", "Sub", "Mul", "Div", "Gather", "Pow", "Clip"}
_ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Exp", "Log", "Sqrt", "Neg", "Abs", "Clip", "Max", "Min", "Where"),
    *("Sigmoid", "HardSigmoid", "Relu", "LeakyRelu", "Tanh", "Softplus"),
}
_MOST_COLUMNS = 30_000
_DEEPEST = 200


@dataclass(frozen=True)
class Operators:
    """The operators of a graph, to be followed from its outputs upwards.

    Parameters
    ----------
    nodes : tuple of Node
        Those of the main graph.
    inputs : frozenset of str
        The names of what the caller feeds.
    shapes : mapping of str to tuple
        The shapes of tensors, as far as they are known for the size of the input.
    constants : mapping of str to ndarray
        The values of small constants.
    integers : frozenset of str
        The tensors of integers, as far as types are known.
    """

    nodes: tuple[Node, ...]
    inputs: frozenset[str]
    shapes: Mapping[str, Shape]
    constants: Mapping[str, npt.NDArray[np.generic]]
    integers: frozenset[str] = frozenset()

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The operator that computes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs}

    def sources(self, name: str) -> Sources:
        """Name the operators that computed the numbers of a tensor.

        Operators that only move numbers are looked through, and all parts of a Concat are; a constant is
        "Constant", an input of the graph "Input". Where a Cast makes floats of integers, `INTEGERS` is there
        too.
        """
        found: set[str] = set()
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            node = self.producers.get(current)
            if node is None:
                found.add(self._end(current))
            elif node.operator == "Concat":
                waiting += node.inputs
            elif (part := self._split_off(node, current)) is not None:
                found |= part
            elif _is_moving(node, current):
                waiting.append(node.inputs[0])
                found |= self._cast(node)
            else:
                found.add(node.operator)
        return frozenset(found)

    def _split_off(self, node: Node, name: str) -> Sources | None:
        """Name the operators of what a Split leaves: of boxes and scores that were joined before, of one."""
        shape = self.shapes.get(name)
        if node.operator != "Split" or shape is None:
            return None
        columns = _split(self, node, name, node.integer("axis", 0) % len(shape), 1)
        return None if columns is None else frozenset().union(*columns)

    def _cast(self, node: Node) -> Sources:
        is_cast = node.operator == "Cast" and node.inputs[0] in self.integers
        return frozenset({INTEGERS} if is_cast else ())

    def _end(self, name: str) -> str:
        return "Input" if name in self.inputs else "Constant"

    def path(self, name: str) -> Iterator[Node]:
        """Follow the numbers of a tensor upwards, up to the operator that computes or joins them."""
        node = self.producers.get(name)
        while node is not None:
            yield node
            if not _is_moving(node, name):
                return
            name = node.inputs[0]
            node = self.producers.get(name)

    def integers_of(self, node: Node, row: int) -> tuple[int, ...] | None:
        """Give the values of an input that is a small constant of integers."""
        values = self.constants.get(node.inputs[row]) if row < len(node.inputs) else None
        return None if values is None else tuple(int(value) for value in values.reshape(-1))

    def upstream(self, name: str, stop: frozenset[str]) -> Sources:
        """Name all operators that a tensor depends on, up to those of some kinds, these included."""
        found: set[str] = set()
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            node = self.producers.get(current)
            if current in seen or node is None:
                continue
            seen.add(current)
            found.add(node.operator)
            if node.operator not in stop:
                waiting += node.inputs
        return frozenset(found)

    def parts(self, name: str, axis: int) -> tuple[tuple[str, int], ...]:
        """Give the tensors that a Concat makes a tensor of, with their columns; nothing where none does."""
        node, shape = self.producers.get(name), self.shapes.get(name)
        while node is not None and node.operator in _SAME_AXES:
            node = self.producers.get(node.inputs[0])
        if node is None or node.operator != "Concat" or shape is None:
            return ()
        rank = len(shape)
        shapes = [self.shapes.get(part) for part in node.inputs]
        if node.integer("axis", 0) % rank != axis % rank:
            return ()
        sizes = [None if each is None or len(each) != rank else each[axis] for each in shapes]
        known = [(part, size) for part, size in zip(node.inputs, sizes, strict=True) if size is not None]
        return tuple(known) if len(known) == len(sizes) else ()

    def widths(self, name: str, axis: int) -> tuple[int, ...]:
        """Give how many columns along an axis each part has that a Concat joined, however moved since.

        A single one where one layer gives all; () where shapes do not tell.
        """
        shape = self.shapes.get(name)
        node = self.producers.get(name)
        if shape is None or node is None or not -len(shape) <= axis < len(shape):
            return ()
        axis %= len(shape)
        if node.operator in LAYERS:
            return (shape[axis] or 0,)
        if node.operator == "Concat":
            if node.integer("axis", 0) % len(shape) != axis:
                return self.widths(node.inputs[0], axis)
            return tuple(width for _, width in self.parts(name, axis))
        if node.operator == "Transpose":
            order = node.attributes.get("perm", tuple(range(len(shape)))[::-1])
            return self.widths(node.inputs[0], order[axis]) if isinstance(order, tuple) else ()
        if node.operator in _REARRANGING:
            before, after = _known(self.shapes.get(node.inputs[0])), _known(shape)
            same = (
                position
                for position, size in enumerate(before or ())
                if after is not None
                and size == after[axis]
                and math.prod((before or ())[:position]) == math.prod(after[:axis])
            )
            position = next(same, None)
            return () if position is None else self.widths(node.inputs[0], position)
        return self.widths(node.inputs[0], axis) if node.operator in _SAME_AXES else ()

    def after_layers(self, name: str) -> Iterator[Node]:
        """Give the operators that a tensor depends on, up to the last layers, without these."""
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            node = self.producers.get(current)
            if node is not None and current not in seen and node.operator not in LAYERS:
                seen.add(current)
                waiting += node.inputs
                yield node

    def ends(self, node: Node) -> tuple[str, ...]:
        """Name the inputs of an operator that are weights or constants, whatever copies them."""
        names = []
        for name in node.inputs:
            copy = self.producers.get(name)
            while copy is not None and copy.operator == "Identity":
                name = copy.inputs[0]
                copy = self.producers.get(name)
            if name not in self.inputs and (copy is None or copy.operator == "Constant"):
                names.append(name)
        return tuple(names)

    def factors(self, name: str) -> frozenset[float]:
        """Give the single numbers that those of a tensor are multiplied by after their last layer."""
        ends = (end for node in self.after_layers(name) if node.operator == "Mul" for end in self.ends(node))
        values = (self.constants.get(end) for end in ends)
        return frozenset(
            float(value.reshape(-1)[0]) for value in values if value is not None and value.size == 1
        )

    def have_one_layer(self, names: Sequence[str]) -> bool:
        """Tell whether the numbers of several tensors are from layers of the same weights."""
        weights = {self._last_weights(name) for name in names}
        return len(weights) == 1 and weights != {frozenset()}

    def _last_weights(self, name: str) -> frozenset[str]:
        reached = {name, *(before for node in self.after_layers(name) for before in node.inputs)}
        layers = (node for node in map(self.producers.get, reached) if node and node.operator in LAYERS)
        return frozenset(end for node in layers for end in self.ends(node)[:1])

    def before_layers(self, name: str) -> tuple[str, ...]:
        """Name what an input goes through before the first layer, other than what only moves numbers."""
        reached, found = {name}, []
        for node in self.nodes:
            if reached.isdisjoint(node.inputs) or node.operator in LAYERS:
                continue
            if node.operator in _OF_PIXELS:
                found.append(node.operator)
            if node.operator in _OF_PIXELS | MOVING | {"Concat"}:
                reached.update(node.outputs)
        return tuple(dict.fromkeys(found))

    def columns(self, name: str, axis: int) -> tuple[Sources, ...] | None:
        """Name the operators that computed each column along an axis; None where shapes do not tell."""
        return self._columns(name, axis, 0)

    def histories(self, name: str, axis: int) -> tuple[Sources, ...] | None:
        """Name all operators from the last layers on that each column along an axis went through.

        None where shapes do not tell.
        """
        return _Histories(self.nodes, self.inputs, self.shapes, self.constants)._columns(name, axis, 0)

    def joined(self, name: str) -> tuple[int, ...]:
        """Give the sizes of what a Concat put together to a tensor, however moved since; () without one."""
        node = self.producers.get(name)
        while node is not None and node.operator in MOVING and node.inputs:
            node = self.producers.get(node.inputs[0])
        if node is None or node.operator != "Concat":
            return ()
        axis = node.integer("axis", 0)
        shapes = [self.shapes.get(part) for part in node.inputs]
        sizes = [shape[axis] for shape in shapes if shape and -len(shape) <= axis < len(shape)]
        known = [size for size in sizes if size is not None]
        return tuple(known) if len(known) == len(shapes) else ()

    def _columns(self, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
        shape = self.shapes.get(name)
        if shape is None or not -len(shape) <= axis < len(shape):
            return None
        axis %= len(shape)
        size = shape[axis]
        if size is None or not 0 < size <= _MOST_COLUMNS or depth > _DEEPEST:
            return None
        node = self.producers.get(name)
        if node is None:
            return (frozenset({self._end(name)}),) * size
        follow = _FOLLOWED.get(node.operator)
        found = None if follow is None else follow(self, node, name, axis, depth + 1)
        if found is None or len(found) != size:
            return (self._whole(name),) * size
        return found

    def _whole(self, name: str) -> Sources:
        """Name the operators of a tensor whose columns cannot be told apart."""
        return self.sources(name)


def _is_moving(node: Node, output: str) -> bool:
    """Tell whether an output of an operator holds numbers of its first input: a TopK's second has indices."""
    is_highest = node.operator == "ReduceMax" or (node.operator == "TopK" and output == node.outputs[0])
    return bool(node.inputs) and (node.operator in MOVING or is_highest)


@dataclass(frozen=True)
class _Histories(Operators):
    """The same, following each column through arithmetic up to the last layers."""

    known: dict[tuple[str, int], tuple[Sources, ...] | None] = field(default_factory=dict)

    def _columns(self, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
        key = (name, axis)
        if key not in self.known:
            node = self.producers.get(name)
            is_arithmetic = node is not None and node.operator in _ELEMENTWISE
            self.known[key] = (
                self._through(node, name, axis, depth)
                if node is not None and is_arithmetic
                else super()._columns(name, axis, depth)
            )
        return self.known[key]

    def _through(self, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
        """Join what the columns of all inputs went through, as NumPy broadcasts them."""
        shape = self.shapes.get(name)
        size = None if shape is None or not -len(shape) <= axis < len(shape) else shape[axis]
        if shape is None or size is None or not 0 < size <= _MOST_COLUMNS or depth > _DEEPEST:
            return None
        found = [frozenset({node.operator})] * size
        for source in node.inputs:
            its_shape = self.shapes.get(source)
            if source not in self.producers and source not in self.inputs:
                continue  # a constant
            own = None if its_shape is None else axis % len(shape) - len(shape) + len(its_shape)
            if own is not None and own < 0:
                each: tuple[Sources, ...] | None = (self._whole(source),)
            else:
                each = None if own is None else self._columns(source, own, depth + 1)
            if each is None or len(each) not in (1, size):
                each = (self._whole(source),)
            found = [one | each[row % len(each)] for row, one in enumerate(found)]
        return tuple(found)

    def _whole(self, name: str) -> Sources:
        return self.upstream(name, LAYERS)


def _same(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    columns, cast = graph._columns(node.inputs[0], axis, depth), graph._cast(node)
    return None if columns is None else tuple(column | cast for column in columns)


def _concat(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    rank = len(graph.shapes[name])
    along = node.integer("axis", 0) % rank
    parts = [graph._columns(part, axis, depth) for part in node.inputs]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None
    if along == axis:
        return tuple(column for part in known for column in part)
    return tuple(frozenset().union(*column) for column in zip(*known, strict=False))


def _transpose(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    rank = len(graph.shapes[name])
    order = node.attributes.get("perm", tuple(range(rank))[::-1])
    return graph._columns(node.inputs[0], order[axis], depth) if isinstance(order, tuple) else None


def _rearrange(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    """Follow an axis that stays, or one that is cut out of a larger one: (B, A*C, ...) to (B, A, C, ...)."""
    before, after = _known(graph.shapes.get(node.inputs[0])), _known(graph.shapes[name])
    if before is None or after is None:
        return None
    inner = math.prod(after[axis + 1 :])
    for position, size in enumerate(before):
        if math.prod(before[position + 1 :]) == inner and size % after[axis] == 0:
            whole = graph._columns(node.inputs[0], position, depth)
            if whole is None:
                return None
            each = after[axis]
            return tuple(frozenset().union(*whole[column::each]) for column in range(each))
    return None


def _split(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    rank = len(graph.shapes[name])
    whole = graph._columns(node.inputs[0], axis, depth)
    if whole is None or node.integer("axis", 0) % rank != axis:
        return whole
    sizes = [_known(graph.shapes.get(output)) for output in node.outputs]
    before = sizes[: node.outputs.index(name)]
    if any(size is None for size in before):
        return None
    first = sum(size[axis] for size in before if size is not None)
    return whole[first : first + (graph.shapes[name][axis] or 0)]


def _slice(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    whole = graph._columns(node.inputs[0], axis, depth)
    starts, ends, axes, steps = (graph.integers_of(node, row) for row in range(1, 5))
    if whole is None or starts is None or ends is None:
        return None
    rank = len(graph.shapes[name])
    axes = tuple(range(len(starts))) if axes is None else axes
    for start, end, along, step in zip(starts, ends, axes, steps or (1,) * len(starts), strict=False):
        if along % rank == axis:
            return whole[slice(start, None if end < -len(whole) else end, step)]
    return whole


def _gather(graph: Operators, node: Node, name: str, axis: int, depth: int) -> tuple[Sources, ...] | None:
    source, rank = graph.shapes.get(node.inputs[0]), len(graph.shapes[name])
    if source is None or len(source) != rank:
        return None
    whole = graph._columns(node.inputs[0], axis, depth)
    if whole is None or node.integer("axis", 0) % rank != axis:
        return whole
    rows = graph.constants.get(node.inputs[1])
    if node.operator != "Gather" or rows is None or rows.ndim != 1 or rows.max(initial=0) >= len(whole):
        return None
    return tuple(whole[int(row)] for row in rows)


def _known(shape: Shape | None) -> Sequence[int] | None:
    return None if shape is None or None in shape else [size for size in shape if size is not None]


_Follow = Callable[[Operators, Node, str, int, int], "tuple[Sources, ...] | None"]
_FOLLOWED: Mapping[str, _Follow] = {
    **dict.fromkeys(_SAME_AXES, _same),
    **dict.fromkeys(_REARRANGING, _rearrange),
    "Concat": _concat,
    "Transpose": _transpose,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather,
}

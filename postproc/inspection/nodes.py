"""Nodes of a graph: their operators, and what kinds of these do to numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Sources = frozenset[str]

# They move numbers about or change their type, and compute none; their first input is the data.
MOVING = frozenset(
    {
        *("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Slice", "Split"),
        *("Expand", "Gather", "GatherElements", "GatherND", "Pad", "QuantizeLinear", "DequantizeLinear"),
    }
)
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"})
WITH_BIAS = LAYERS | {"Add"}
SQUASHING = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
INTEGERS = "Integers"  # beside the operators: what an integer was before, such as an index or a class


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the graph, the names of its inputs and outputs, and its integer attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)

    def integer(self, name: str, default: int) -> int:
        """Give an attribute that is one integer."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default


def is_raw(history: Sources, *, squashed: bool = True) -> bool:
    """Tell whether numbers are what layers give, as they are or, if that is allowed, squashed into [0, 1]."""
    allowed = LAYERS | MOVING | {"Concat"} | (SQUASHING if squashed else frozenset())
    return bool(history & LAYERS) and history <= allowed

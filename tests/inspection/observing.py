"""Outputs of a graph as a run sees them, finished rows among them, and what is concluded from these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from postproc.inspection.evidence import Part
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.labels import LabelNames
from postproc.inspection.nodes import Node
from postproc.inspection.observed import Observed
from postproc.inspection.provenance import Operators
from postproc.inspection.readings import Conclusion, Reading, concluded

RNG = np.random.default_rng(3)
SIDE = 320
ULTRALYTICS = {"task": "detect", "stride": "32", "author": "Ultralytics"}


def tensor(name: str, shape: Sequence[int], dtype: str = "float32", free: Sequence[int] = ()) -> Tensor:
    return Tensor(name, dtype, tuple(shape), tuple(shape), frozenset(free))


def observed(
    outputs: Mapping[str, ArrayLike],
    nodes: Sequence[Node] = (),
    *,
    free: Sequence[int] = (),
    labels: int | None = None,
    image: Sequence[int] = (1, 3, SIDE, SIDE),
    inputs: Sequence[Tensor] = (),
    **others: Any,
) -> Observed:
    """A graph of some outputs, and what came out of a run of it."""
    arrays = {name: np.asarray(values) for name, values in outputs.items()}
    names = None if labels is None else LabelNames(("name",) * labels, "the caller")
    shapes = {name: array.shape for name, array in arrays.items()}
    graph = Graph(
        "net",
        others.pop("producer", "pytorch"),
        (tensor("x", image), *inputs),
        tuple(tensor(name, array.shape, array.dtype.name, free) for name, array in arrays.items()),
        others.pop("metadata", {}),
        {node.operator: 1 for node in nodes},
        Operators(tuple(nodes), frozenset({"x"}), shapes, {}),
        (image[1], image[2]) if image[-1] == 3 else (image[-2], image[-1]),
        "graph",
        names,
        **others,
    )
    return Observed(graph, arrays)


def conclusion(state: Observed, *recognise: Callable[[Observed], Iterator[Reading]]) -> Conclusion:
    return concluded((reading for function in recognise for reading in function(state)), state)


def only(state: Observed, *recognise: Callable[[Observed], Iterator[Reading]]) -> Reading:
    (reading,) = conclusion(state, *recognise).best
    return reading


def found_by(role: Any, state: Observed) -> tuple[set[Part], set[Part]]:
    """Give the parts that a role speaks for, and those it speaks against."""
    items = list(role.examined(state))
    return (
        {part for item in items if not item.is_against for part in item.parts},
        {part for item in items if item.is_against for part in item.parts},
    )


CORNERS = np.sort(RNG.uniform(0, SIDE, (300, 2, 2)), axis=1).reshape(300, 4).astype(np.float32)
CENTRES = np.concatenate([RNG.uniform(0.3, 0.7, (300, 2)), RNG.uniform(0.01, 0.2, (300, 2))], axis=1)
SCORES = np.sort(RNG.uniform(0.01, 1, (300, 1)))[::-1]
CLASSES = RNG.integers(0, 7, (300, 1)).astype(np.float64)
CHOOSING = (Node("NonMaxSuppression", ("a",), ("y",)),)
CHOSEN_DETS = (Node("NonMaxSuppression", ("a",), ("dets",)), Node("NonMaxSuppression", ("a",), ("y",)))
PARTS = {"box": CORNERS, "score": SCORES, "class": CLASSES}


def packed(*order: str, **changed: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([{**PARTS, **changed}[name] for name in order], axis=1)[None].astype(np.float32)

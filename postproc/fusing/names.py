"""Names in a graph, and those that are free."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, count
from typing import Any

from postproc.fusing.graph import Value


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name, or the first of ``name_2``, ``name_3``, ... that is not taken."""
    numbered = (f"{name}_{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def free_scope(name: str, taken: Collection[str]) -> str:
    """Return what names may begin with, a free name and ``/``, as no name that is taken does."""
    return free_name(name, {one[: one.find("/")] for one in taken if "/" in one}) + "/"


def names_of(graph: Any) -> set[str]:
    """Return all names in a graph, and in graphs in it: of values, of nodes, and its own."""
    own = [graph.name, *(node.name for node in graph.node)]
    inputs = [one.name for one in graph.input]
    inner = [name for node in graph.node for one in inner_graphs(node) for name in names_of(one)]
    return {*own, *inputs, *values_of(graph), *inner}


def values_of(graph: Any) -> Iterator[Value]:
    """Yield names of values that a graph, and graphs in it, make."""
    for node in graph.node:
        yield from node.output
        for inner in inner_graphs(node):
            yield from [one.name for one in inner.input]
            yield from values_of(inner)
    for one in graph.initializer:
        yield one.name
    for one in graph.sparse_initializer:
        yield one.values.name


def inner_graphs(node: Any) -> Iterator[Any]:
    """Yield the graphs of a node."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def rename(graph: Any, names: Mapping[Value, Value]) -> None:
    """Rename values in a graph, and where graphs in it use them."""
    if not names:
        return
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in inner_graphs(node):
            for one in inner.input:
                one.name = names.get(one.name, one.name)
            rename(inner, names)
    sparse = [one.values for one in graph.sparse_initializer]
    for one in (*graph.initializer, *sparse, *graph.value_info, *graph.output):
        one.name = names.get(one.name, one.name)

"""What a head gives: scores of all candidates, and boxes of those that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from postproc.fusing.graph import Value

Corners = Callable[[Value, Value], list[Value]]
"""Gives x1, y1, x2, y2 (B, K) float32 of boxes, from their numbers and the rows of their labels (B, K)."""
Place = Callable[[Value, Value], tuple[Value, Value]]
"""Places x and y (B, M) float32 as corners are placed, but does not clip them."""


class Index(NamedTuple):
    """Indices (B, K, K) of boxes with each other, float32 or float64."""

    values: Value
    dtype: type[Any]


class Extra(NamedTuple):
    """What comes with a box.

    Parameters
    ----------
    shape : tuple of int
        Of what a box has.
    of : function
        Gives it, (B, P, ...) float32, from the numbers (B, P) of boxes.
    """

    shape: tuple[int, ...]
    of: Callable[[Value, Place], Value]


@dataclass(frozen=True)
class Scored:
    """Scores of all candidates in a graph.

    Parameters
    ----------
    scores : Value
        Activated, float32: (B, L, N), or (B, N) with `labels`.
    label_count, per_label : int
        L and N.
    labels : Value, optional
        Rows of the labels that a list of boxes names, (B, N) int64; negative: none.
    """

    scores: Value
    label_count: int
    per_label: int
    labels: Value | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Decoded(Scored):
    """Scores of all candidates in a graph, and what gives their boxes.

    Parameters
    ----------
    corners : Corners
    extras : dict of str to Extra
        By the names of outputs.
    has_area : function, optional
        Which of boxes (B, K) there are, for kinds that leave some out.
    index : function, optional
        Gives for boxes (B, K) the index of each, kept, with each, (B, K, K), where it is not that of corners.
    fast : bool
        Whether suppressed boxes suppress others, too.
    """

    corners: Corners
    extras: dict[str, Extra] = field(default_factory=dict)
    has_area: Callable[[Value], Value] | None = None
    index: Callable[[Value], Index] | None = None
    fast: bool = False

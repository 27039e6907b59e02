"""Lists of oriented boxes whose scores name the label that they belong to, each image's after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import pasted
from .arguments import Activation, BoxesARegion, FirstScore, Planar, Scores, Table
from .class_numbers import ClassColumn, ClassNumbers, ClassType, KnownClasses, WideClasses
from .driver import unpacking
from .listed import EndRows, FirstRows, scan_listed
from .oriented import AngleColumn, FastSuppression, Probiou, Scales, detect_rectangles


class ListedOriented(NamedTuple):
    """Scores and classes as of `Listed`, and rectangles as of `Oriented`: a table (N, 1, C)."""

    scores: Scores
    first_score: FirstScore
    columns: BoxesARegion
    classes: ClassNumbers
    class_column: ClassColumn
    wide_classes: WideClasses
    class_type: ClassType
    known_classes: KnownClasses
    firsts: FirstRows
    ends: EndRows
    activation: Activation
    table: Table
    planar: Planar
    angle_column: AngleColumn
    scales: Scales
    probiou: Probiou
    fast: FastSuppression


@pasted
def _numbers(head: ListedOriented, image: int) -> NDArray[np.float32]:
    return head.table[head.firsts[image] :].reshape(-1)


detect_listed_oriented = unpacking(ListedOriented, detect_rectangles, scan_listed, _numbers)

"""Random documents with the tensors they need: small, and full of what goes wrong.

A seeded generator gives the numbers and a ``pick`` the structure (how many labels, which format,
which threshold): hypothesis's choices in `tests.strategies`, the same generator in `random_case`.
"""

from tests.random_cases.builder import BEYOND_BOXES, FAMILIES, KINDS, Case, CaseBuilder, random_case
from tests.random_cases.numbers import Json, clustered_boxes

__all__ = [
    "BEYOND_BOXES",
    "FAMILIES",
    "KINDS",
    "Case",
    "CaseBuilder",
    "Json",
    "clustered_boxes",
    "random_case",
]

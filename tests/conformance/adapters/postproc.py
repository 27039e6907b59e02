"""This library."""

from tests.conformance.postproc_answers import answer

__all__ = ["DISTRIBUTIONS", "answer"]

DISTRIBUTIONS = ("postproc", "numba", "numpy")

"""lsnms with its other backend, numba, whose "results shall match"."""

from tests.conformance.adapters.lsnms import DISTRIBUTIONS
from tests.conformance.adapters.lsnms import numba_batched_nms as batched_nms
from tests.conformance.adapters.lsnms import numba_nms as nms

__all__ = ["DISTRIBUTIONS", "batched_nms", "nms"]

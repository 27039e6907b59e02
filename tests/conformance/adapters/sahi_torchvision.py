"""SAHI with the backend that it takes where there is a GPU."""

from sahi.postprocess.backends import set_postprocess_backend

from tests.conformance.adapters.sahi import batched_nms, nms

__all__ = ["DISTRIBUTIONS", "batched_nms", "nms"]

DISTRIBUTIONS = ("sahi", "torchvision", "torch")
set_postprocess_backend("torchvision")

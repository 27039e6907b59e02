"""Fixtures of several of these packages' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postproc.onnx_session import cuda_fault, cuda_works


@pytest.fixture
def forget_cuda_probe() -> Iterator[None]:
    """Let a test find out anew whether CUDA works, and the tests after it too."""
    cuda_works.cache_clear()
    cuda_fault.cache_clear()
    yield
    cuda_works.cache_clear()
    cuda_fault.cache_clear()

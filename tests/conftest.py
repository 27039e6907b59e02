"""Hypothesis has no time limits here: machines are shared, and the first example of a kind compiles."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run files in an order of our own; None leaves it to xdist."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.file_order import FilesInOrder

    return FilesInOrder(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs numba's kernels where they are machine code already: see CONTRIBUTING."""
    from postproc.kernels._jit import IS_COMPILED

    if IS_COMPILED and item.get_closest_marker("needs_numba"):
        pytest.skip("the kernels are machine code already: POSTPROC_JIT=1 runs it")


@pytest.fixture
def forget_cuda_probe() -> Iterator[None]:
    """Let a test find out anew whether CUDA works, and the tests after it too."""
    from postproc.onnx_runner.session import cuda_fault, cuda_works

    cuda_works.cache_clear()
    cuda_fault.cache_clear()
    yield
    cuda_works.cache_clear()
    cuda_fault.cache_clear()

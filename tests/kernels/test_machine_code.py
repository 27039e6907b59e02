"""Machine code as wheels have it: a few kernels, compiled by this numba, joined to Python by C."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from setuptools import Distribution

from native import extensions, formats
from postproc.kernels._compiled import module_name
from postproc.kernels.core.float16 import float16_to_float32
from postproc.kernels.core.gaussians import probiou_matrix
from postproc.kernels.nms.greedy import greedy_nms

ROOT = Path(extensions.HERE).parent
HALVES, COUNTS = "core.float16.float16_to_float32", "evaluation.resampling.resampled_counts"
NMS = "nms.greedy.greedy_nms"
PROBIOU = "core.gaussians.probiou_matrix"  # calls the C library's mathematics
KERNELS = (HALVES, COUNTS, NMS, PROBIOU)
LEVEL = extensions.levels()[0]

pytestmark = pytest.mark.skipif(
    os.name != "posix" or not extensions.is_wanted(), reason="no C compiler here, or no headers of Python"
)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("machine-code")
    distribution = Distribution({"name": "postproc", "ext_modules": [extensions.Level(LEVEL)]})
    build = extensions.BuildKernels(distribution)
    build.build_lib, build.build_temp, build.only = str(folder), str(folder), KERNELS
    build.ensure_finalized()
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        assert (build.machine_code()[LEVEL] / "kernels.o").stat().st_size
        pytest.skip("C is compiled with the headers of NumPy 2, which serve both")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        build.run()
    (output,) = map(str, folder.rglob("*.so"))
    loader = importlib.machinery.ExtensionFileLoader(module_name(LEVEL), output)
    spec = importlib.util.spec_from_loader(module_name(LEVEL), loader)
    assert spec is not None
    loaded = importlib.util.module_from_spec(spec)
    loader.exec_module(loaded)
    return loaded


def boxes(count: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 50, (count, 2))
    corners = np.concatenate([low, low + rng.uniform(1, 30, low.shape)], axis=1).astype(np.float32)
    return corners, rng.random(count).astype(np.float32), np.zeros(count, np.int64)


def test_it_has_the_kernels_of_these_sources(module: Any) -> None:
    from postproc.kernels._sources import source_digest

    assert set(module.kernels) == set(KERNELS)
    assert module.digest == source_digest()
    assert module.is_supported() in (True, False)


def test_results_are_those_of_the_kernels(module: Any) -> None:
    nms, halves = module.kernels[NMS], module.kernels[HALVES]
    for count in (0, 1, 7, 500, 3000):
        arguments = (*boxes(count), 1, count, 0.5)
        np.testing.assert_array_equal(nms(*arguments), greedy_nms(*arguments), strict=True)
    turned = np.random.default_rng(0).uniform(1, 20, (2, 30, 5)).astype(np.float32)
    assert module.kernels[PROBIOU](*turned).tobytes() == probiou_matrix(*turned).tobytes()
    bits = np.arange(2**16, dtype=np.uint16)
    assert halves(bits).tobytes() == float16_to_float32(bits).tobytes()


def test_results_belong_to_the_caller(module: Any) -> None:
    found = module.kernels[HALVES](np.zeros(5, np.uint16))
    found[:] = 7
    view = found[1:].reshape(2, 2)
    del found
    assert found_memory(view)
    assert view.flags.writeable
    assert view.sum() == 28


def found_memory(array: Any) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return type(array.base).__name__ == "PyCapsule"


@pytest.mark.parametrize(
    "bits",
    [
        np.zeros(5, np.int16),
        np.zeros((5, 1), np.uint16),
        np.zeros(10, np.uint16)[::2],
        np.zeros(5, ">u2"),
        np.zeros(11, np.uint8)[1:].view(np.uint16),
        [1, 2],
        None,
        (np.zeros(5, np.uint16),),
    ],
    ids=["type", "dimensions", "strides", "byte order", "alignment", "list", "none", "tuple"],
)
def test_other_arguments_are_refused(bits: Any, module: Any) -> None:
    with pytest.raises(TypeError, match="float16_to_float32 was not compiled for such arguments"):
        module.kernels[HALVES](bits)


def test_too_few_and_too_many_arguments_are_refused(module: Any) -> None:
    arguments = (*boxes(3), 1, 3, 0.5)
    for some in ((), arguments[:-1], (*arguments, 1)):
        with pytest.raises(TypeError, match="greedy_nms was not compiled for such arguments"):
            module.kernels[NMS](*some)
    with pytest.raises(TypeError, match="integer"):
        module.kernels[NMS](*arguments[:3], 1.5, *arguments[4:])
    with pytest.raises(OverflowError):
        module.kernels[NMS](*arguments[:3], 2**70, *arguments[4:])


def test_what_a_kernel_raises_is_raised(module: Any) -> None:
    rows, flags = np.zeros(1, np.int64), np.ones(1, np.bool_)
    for _ in range(3):
        with pytest.raises(ValueError, match="negative dimensions not allowed"):
            module.kernels[COUNTS](rows, rows, flags, np.ones((1, 1), np.uint8), -1)


def test_memory_is_given_back(module: Any) -> None:
    bits, halves = np.zeros(1 << 20, np.uint16), module.kernels[HALVES]
    for _ in range(3000):  # 12 GB in all
        halves(bits)
    assert peak_mib() < 4000


def peak_mib() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("text", ["f2q1d.", "(b3f.q.q.)?1", "", "H1", "f2(h3f.q.q.)(h3f.q.q.)q."])
def test_formats_are_read_as_they_are_written(text: str) -> None:
    assert formats.write(formats.read(text)) == text


def test_formats_count_slots() -> None:
    assert formats.slots("f2(b3f.q.)") == 5 + 4 + 5 + 6 + 2


def test_formats_refuse_what_c_does_not_read() -> None:
    from numba import types

    with pytest.raises(ValueError, match=r"kernels.c does not read a array\(float32, 2d, F\)"):
        formats.write([types.Array(types.float32, 2, "F")])

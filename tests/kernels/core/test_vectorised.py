"""The hot loops are vector code: what LLVM makes of them is part of their contract."""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import config

from postproc.kernels.core import bits, numbers, scan
from postproc.kernels.nms import greedy
from tests.kernels.core.forms import in_form

MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())

pytestmark = [
    pytest.mark.needs_numba,
    pytest.mark.skipif(MACHINE not in ("x86_64", "aarch64"), reason=f"no patterns for {MACHINE}"),
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT: nothing is compiled"),
    pytest.mark.skipif(bool(config.BOUNDSCHECK), reason="NUMBA_BOUNDSCHECK: checks break vectors up"),
]

# Instructions on packed float32, and how many of them an operand holds.
_INSTRUCTION = {
    "x86_64": re.compile(r"^\s+v?(?P<name>cmp|min|max|div)\w*ps\s.*?%(?P<width>[xyz])mm"),
    "aarch64": re.compile(r"^\s+f(?P<name>cm|div)\w*\s+v\d+\.(?P<width>[24])s"),
}
_KIND = {"cm": "compare", "cmp": "compare", "div": "divide", "min": "min", "max": "max"}
_LANES = {"x": 4, "y": 8, "z": 16, "2": 2, "4": 4}
_BLOCK_END = re.compile(r"^\S+:|^\s+(j\w+|b|b\.\w+|t?bn?z|cbn?z|retq?|ret)\s")


def lanes_of_blocks(assembly: str) -> Iterator[Counter[str]]:
    """For each stretch of code without a jump: how many float32 its vector instructions work on, by kind."""
    lanes: Counter[str] = Counter()
    for line in assembly.splitlines():
        if _BLOCK_END.match(line):
            yield lanes
            lanes = Counter()
        found = _INSTRUCTION[MACHINE].match(line)
        if found:
            lanes[_KIND[found["name"]]] += _LANES[found["width"]]
    yield lanes


def compiled_afresh(kernel: Callable[..., Any], *arguments: Any) -> list[Counter[str]]:
    """Compile a kernel for arguments without its cache; return the vector code of its stretches."""
    dispatcher: Any = kernel
    options = {**dispatcher.targetoptions, "no_cpython_wrapper": False}
    fresh = numba.jit(**options)(dispatcher.py_func)
    fresh(*arguments)
    (assembly,) = fresh.inspect_asm().values()
    return [lanes for lanes in lanes_of_blocks(assembly) if lanes]


def read_only(array: Any) -> Any:
    array.setflags(write=False)
    return array


def test_scans_of_strides_are_whole_vectors() -> None:
    values = read_only(np.zeros(3 * numbers.STRIDE, np.float32))
    limits = np.ones(1 + numbers.STRIDE, np.float32)
    code = compiled_afresh(scan.next_hits, values, 0, len(values), limits, 1)
    # All of a stride, and all of the block that becomes bits, each without a jump.
    assert {numbers.STRIDE, bits.BLOCK} <= {lanes["compare"] for lanes in code}, code


@pytest.mark.parametrize("form", ["float16", "uint8"])
def test_scans_of_narrow_strides_are_whole_vectors(form: str) -> None:
    """By LLVM's own code, which names the vectors of comparisons on every machine."""
    values, _ = in_form(form, np.zeros(3000))
    width = values[0].itemsize * 8
    stride = numbers.STRIDE * 32 // width
    limits = np.ones(1 + stride, values[0].dtype)
    dispatcher: Any = scan.next_hits
    fresh = numba.jit(**{**dispatcher.targetoptions, "no_cpython_wrapper": False})(dispatcher.py_func)
    fresh(values, 0, 3000, limits, 1)
    (code,) = fresh.inspect_llvm().values()
    compared = [
        sum(int(lanes) for lanes in re.findall(rf"= icmp s[gl][et] <(\d+) x i{width}> %\S+, %", block))
        for block in re.split(r"\n\S+:", code)
    ]
    assert max(compared) * 4 >= stride, compared  # it may be a loop of a few turns
    assert bits.BLOCK in compared, compared


def test_iou_with_a_block_of_kept_boxes_is_straight_vector_code() -> None:
    box = [np.float32(value) for value in (0, 0, 1, 1)]
    heads, links = np.full(1, -1, np.int32), np.empty((4, 2), np.int32)
    pool = np.zeros((4, 5, greedy.LANES), np.float32)
    code = compiled_afresh(greedy.is_suppressed, 0, heads, links, pool, *box, np.float32(0.5))
    kinds = ("divide", "compare", "min", "max") if MACHINE == "x86_64" else ("divide", "compare")
    whole = [
        lanes for lanes in code if lanes["divide"]
    ]  # one; before numba 0.62 LLVM lays the loop out twice
    assert whole
    assert all(lanes[kind] >= greedy.LANES for lanes in whole for kind in kinds), code

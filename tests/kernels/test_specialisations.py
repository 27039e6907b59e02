"""How often kernels are compiled: once each whatever a caller passes. And what they take they give back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs_numba

NARROW = re.compile(r"Tuple\(\(?(Array|readonly array)\(int(8|16), ")


def every_call(*arguments: str) -> Any:
    return printed("-m", "tests.every_call", *arguments)


def printed(*arguments: str, **variables: str) -> Any:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "NUMBA_NRT_STATS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def called() -> Any:
    every_call()
    # Now all comes from the cache, where a kernel that others call is a part of them: the entries remain.
    return every_call()


def test_kernels_called_from_python_have_one_specialisation_for_each_form_of_numbers(called: Any) -> None:
    """That of float32 and, where they take it, that of 16 bits: what is neither comes as float32."""
    entries = called["signatures"]
    assert len(entries) > 10
    narrow = {name: [one for one in found if NARROW.search(one)] for name, found in entries.items()}
    assert any(narrow.values())
    assert {name: found for name, found in entries.items() if len(found) != 1 + bool(narrow[name])} == {}
    assert {name: found for name, found in narrow.items() if len(found) > 1} == {}


def test_kernels_give_back_all_memory_that_they_take(called: Any) -> None:
    kept = called["kept"]
    assert len(kept) > 15
    assert {name: arrays for name, arrays in kept.items() if arrays} == {}


LEAK = """
import numpy as np
from postproc.kernels._jit import borrowing, inner, kernel
from tests.every_call import kept_by

@inner
def behind(numbers):
    return numbers[1:]

@borrowing
def second(numbers):
    return CALLED[0]

@kernel
def total(count):
    result = 0.0
    for index in range(count):
        result += second(np.ones(3))
    return result

total(1)
print(kept_by(total, 5))
"""


@pytest.mark.parametrize(("called_there", "kept"), [("numbers[1:]", 0), ("behind(numbers)", 5)])
def test_borrowing_kernel_that_calls_what_returns_an_array_is_seen(
    called_there: str, kept: int, tmp_path: Path
) -> None:
    # A cache of its own, which takes kernels of one name and of these sources for the same.
    assert printed("-c", LEAK.replace("CALLED", called_there), NUMBA_CACHE_DIR=str(tmp_path)) == kept


def test_warmup_leaves_nothing_to_compile_for_the_first_call() -> None:
    late = every_call("warmup")
    assert len(late) == 15
    assert {kind: names for kind, names in late.items() if names} == {}

"""``NUMBA_BOUNDSCHECK=1 python -m pytest``: the checks are really in the code that all other tests run."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from numba.core import config

from postproc.kernels.heads.scored_boxes import detect_scored_boxes
from postproc.kernels.nms.greedy import greedy_nms

CHECKED = os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")
pytestmark = [
    pytest.mark.skipif(
        not CHECKED, reason="NUMBA_BOUNDSCHECK is not set: these would read what is not theirs"
    ),
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT: nothing is compiled"),
]

THROWAWAY = """
import numpy as np
from postproc.kernels._jit import inner, kernel

@inner
def read(values, index):
    return values[index]

@kernel
def read_through(values, index):
    return read(values, index)
"""


def test_bounds_checks_are_what_numba_was_told() -> None:
    assert config.BOUNDSCHECK == 1


def test_kernel_of_a_throwaway_file_that_reads_out_of_bounds_raises(tmp_path: Path) -> None:
    path = tmp_path / f"throwaway_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(THROWAWAY)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.read_through(np.arange(4.0), 3) == 3
    with pytest.raises(IndexError):
        module.read_through(np.arange(4.0), 4)


def test_kernels_of_the_package_check_bounds_also_when_loaded_from_the_cache() -> None:
    none = np.empty(0, np.int64)
    assert len(greedy_nms(np.zeros((300, 4), np.float32), np.zeros(300, np.float32), none, 0, 1, 0.5)) == 300
    with pytest.raises(IndexError):
        greedy_nms(np.zeros((200, 4), np.float32), np.zeros(300, np.float32), none, 0, 1, 0.5)


def test_kernels_that_kernels_call_check_bounds() -> None:
    """The boxes of a tensor are read by `decode_boxes`."""

    def detect(boxes: int) -> int:
        scores, corners = np.ones((1, 9, 1), np.float32), np.ones((1, boxes, 4), np.float32)
        found = detect_scored_boxes(
            scores, False, 0, 0, corners, False, 0, 0, 0, np.zeros(1, np.float32), True, np.float32(0),
            np.ones(1, np.float32), False, 9, 1, np.empty((0, 2), np.float32), np.empty((0, 2, 4)), 1024, 100,
            0, 1,
        )  # fmt: skip
        return len(found[1])

    assert detect(9) == 9
    with pytest.raises(IndexError):
        detect(5)

"""What docs/embedding.md says of threads and workers, as relations that hold on any machine."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.yolo import yolov8_tensor
from examples.embedding import hand_over, workers


def test_executor_costs_more_than_a_call_that_does_nothing() -> None:
    found = asyncio.run(hand_over(lambda: None, 0.1))
    assert found.executor > 10 * found.inline


def test_executor_costs_little_beside_a_call_that_takes_long() -> None:
    found = asyncio.run(hand_over(lambda: time.sleep(0.02), 0.5))
    assert found.executor == pytest.approx(found.inline, rel=0.2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_forked_workers_start_at_once_and_share_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "tensor.npy", yolov8_tensor(1))
    start = partial(workers, tmp_path / "tensor.npy", tmp_path / "cache")
    start(1, False)  # fills the cache
    new, forked = start(2, False), start(2, True)
    assert len(new) == len(forked) == 2
    assert max(worker.seconds for worker in forked) < min(worker.seconds for worker in new) / 5
    assert max(worker.alone for worker in forked) < min(worker.alone for worker in new) / 5

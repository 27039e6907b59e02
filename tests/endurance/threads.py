"""Every kind of output from many threads at once: bit for bit what a single thread gets."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from postproc import PostProcessor, Recognitions
from tests.endurance.memory import TOLERANCE, Watch
from tests.pipelines import KINDS, Tensors, assert_same, post_processor, tensors_of

SEEDS = 4


def run(seconds: float, threads: int = 16) -> dict[str, Any]:
    """Call from `threads` threads for some time, alternating between 1 and 2 threads inside a call."""
    work: list[tuple[PostProcessor, Tensors, Recognitions]] = []
    for num_threads in (1, 2):
        for kind in KINDS:
            post, alone = post_processor(kind, num_threads), post_processor(kind)
            for seed in range(SEEDS):
                tensors = tensors_of(kind, 3, seed)
                work.append((post, tensors, alone(tensors, show_discarded=True)))
    together = threading.Barrier(threads + 1)
    begin = end = 0.0

    def call(number: int) -> int:
        together.wait(60)
        calls = number * 7
        first = calls
        while time.monotonic() < end:
            post, tensors, expected = work[calls % len(work)]
            assert_same(post(tensors, show_discarded=True), expected)
            calls += 1
        return calls - first

    watch = Watch()
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(call, number) for number in range(threads)]
        begin = time.monotonic()
        end = begin + seconds
        together.wait(60)
        while (now := time.monotonic()) < end and not any(future.done() for future in futures):
            watch.look((now - begin) / seconds)
            time.sleep(min(seconds / 40, 1.0))
        end = min(end, time.monotonic())  # a thread that failed stops the others
        calls = [future.result() for future in futures]
    watch.look(1.0)
    return {
        "threads": threads,
        "seconds": seconds,
        "calls": sum(calls),
        "fewest_calls_of_a_thread": min(calls),
        "threads_alive": threading.active_count(),
        "memory": watch.summary(),
        "passed": watch.growth() <= TOLERANCE,
    }

"""The pool behind ``num_threads``: forks, errors, shutdown, and threads that end with their owner."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NoReturn

import pytest

from postproc.pipeline.workers import Workers
from tests.pipelines import assert_same, post_processor, tensors_of

TIMEOUT = 60.0  # a deadlock fails instead of hanging


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def pool_threads() -> int:
    return sum(thread.name.startswith("postproc") for thread in threading.enumerate())


@pytest.mark.parametrize("failing", [0, 1, 2], ids=["the caller's part", "the second", "the last"])
def test_run_that_fails_raises_after_the_other_parts_have_ended(failing: int) -> None:
    started, ended = [], []

    def part(start: int, stop: int) -> list[int]:
        started.append(start)
        if start == failing:
            raise KeyError(start)
        time.sleep(0.05)
        ended.append(start)
        return [start]

    with pytest.raises(KeyError, match=str(failing)):
        Workers(3).run(part, 3, lambda parts: [*chain(*parts)])
    assert sorted(ended) == sorted(set(started) - {failing})
    time.sleep(0.1)
    assert sorted(ended) == sorted(set(started) - {failing})


def test_run_without_a_thread_to_be_had_does_all_in_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    post, tensors = post_processor("direct", 3), tensors_of("direct", 5)
    expected = post_processor("direct")(tensors)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            assert_same(post(tensors), expected)
        (pool,) = post._workers._pools.values()
        assert pool._jobs.empty()  # it would keep the arrays of jobs that have no thread
    assert_same(post(tensors), expected)
    assert pool_threads() > 0


def test_post_processors_dropped_after_use_release_their_threads() -> None:
    gc.collect()
    before = threading.active_count()
    tensors = tensors_of("classification", 2)
    for _ in range(300):
        post_processor("classification", 3)(tensors)
    gc.collect()
    assert wait_for(lambda: threading.active_count() <= before)


def test_workers_used_by_many_threads_at_once_make_one_pool() -> None:
    workers, together = Workers(3), threading.Barrier(8)

    def call() -> int:
        together.wait(TIMEOUT)
        return workers.run(lambda start, stop: stop - start, 9, sum)

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(call) for _ in range(8)]
        assert [future.result(TIMEOUT) for future in futures] == [9] * 8
    assert len(workers._pools) == 1


SHUTDOWN = """
import logging, threading
logging.disable()
from tests.pipelines import assert_same, post_processor, tensors_of

post, tensors = post_processor("direct", 3), tensors_of("direct", 6)
expected = post(tensors)
ended = threading.Event()

def serve():  # the last requests of a service, after its main thread has ended
    threading.main_thread().join()
    for _ in range(50):
        assert_same(post(tensors), expected)
        assert_same(post_processor("direct", 2)(tensors), expected)
    print("served")

threading.Thread(target=serve).start()
"""
BUSY_EXIT = """
import logging, sys, threading
logging.disable()
from tests.pipelines import post_processor, tensors_of

posts = [post_processor(kind, threads) for kind in ("direct", "yolov8") for threads in (1, 3)]
work = [(post, tensors_of(kind, 6)) for post, kind in zip(posts, ("direct", "direct", "yolov8", "yolov8"))]
for post, tensors in work:
    post(tensors)
running = threading.Barrier(9)

def serve():
    running.wait()
    while True:
        for post, tensors in work:
            post(tensors)

for _ in range(8):
    threading.Thread(target=serve, daemon=True).start()
running.wait()
sys.exit(7)
"""


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_call_after_the_main_thread_has_ended_gives_the_same_result() -> None:
    done = run_program(SHUTDOWN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "")


@pytest.mark.parametrize("attempt", range(3))
def test_process_ends_while_threads_are_in_calls(attempt: int) -> None:
    done = run_program(BUSY_EXIT)
    assert (done.returncode, done.stderr) == (7, "")


SIGNALS = """
import logging, signal, threading
logging.disable()
from tests.pipelines import assert_same, post_processor, tensors_of

class Interrupt(BaseException):
    pass

def interrupt(*_):
    raise Interrupt

post, tensors = post_processor("direct", 3), tensors_of("direct", 6)
expected = post(tensors)
signal.signal(signal.SIGALRM, interrupt)
interrupted = calls = 0
while interrupted < 3000:
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 * (1 + interrupted % 40))
        while True:
            post(tensors)
            calls += 1
    except Interrupt:
        interrupted += 1
        assert_same(post(tensors), expected)
assert threading.active_count() <= 3, threading.enumerate()
assert calls > 0

received = []
signal.signal(signal.SIGALRM, lambda *_: received.append(1))
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
while len(received) < 300:  # a handler that returns leaves the call alone
    assert_same(post(tensors), expected)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no interval timers on this system")
def test_call_interrupted_by_a_signal_raises_and_the_next_is_right() -> None:
    done = run_program(SIGNALS)
    assert (done.returncode, done.stderr) == (0, "")


def test_call_in_an_executor_of_asyncio_equals_the_plain_call() -> None:
    import asyncio

    post, tensors = post_processor("yolov8", 2), tensors_of("yolov8")
    expected = post(tensors)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(*[loop.run_in_executor(None, post, tensors) for _ in range(20)])
        for result in results:
            assert_same(result, expected)

    asyncio.run(serve())

"""Forks at the worst moments: in the middle of another thread's call, and while it compiles."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

COMMON = """
import logging, multiprocessing, os, signal, sys, threading, time
logging.disable()
from tests.pipelines import assert_same, post_processor, tensors_of

def check_in_child(check):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(30)  # a deadlock fails instead of hanging
            check()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, "the child failed"
"""
BUSY = """
post, tensors = post_processor("direct", 3), tensors_of("direct", 6)
expected = post(tensors)
ended = threading.Event()

def serve():
    while not ended.is_set():
        post(tensors)

def check():
    for _ in range(5):
        assert_same(post(tensors), expected)

def check_and_fork_again():
    check()
    check_in_child(check)

threads = [threading.Thread(target=serve) for _ in range(4)]
for thread in threads:
    thread.start()
for number in range(60):
    check_in_child(check_and_fork_again if number % 20 == 0 else check)
ended.set()
for thread in threads:
    thread.join()
check()
assert threading.active_count() == 3, threading.enumerate()
"""
COMPILING = """
from numba.core.compiler_lock import global_compiler_lock
from postproc.kernels._jit import kernel

@kernel
def twice(number):
    return 2 * number

compiling = threading.Event()

def compile_for_long():
    with global_compiler_lock:
        compiling.set()
        time.sleep(0.5)

def check():
    assert twice(21) == 42

thread = threading.Thread(target=compile_for_long)
thread.start()
compiling.wait()
begin = time.monotonic()
check_in_child(check)
thread.join()
check()
with global_compiler_lock:  # by the thread that forks
    check_in_child(check)
"""
POOLS = """
def main(method):
    posts = {kind: post_processor(kind, 2) for kind in ("direct", "yolov8")}
    expected = {kind: post(tensors_of(kind)) for kind, post in posts.items()}
    with multiprocessing.get_context(method).Pool(2) as pool:
        for kind, post in posts.items():
            results = [pool.apply_async(post, (tensors_of(kind),)) for _ in range(4)]
            for result in results:
                assert_same(result.get(60), expected[kind])
    for kind, post in posts.items():
        assert_same(post(tensors_of(kind)), expected[kind])

if __name__ == "__main__":
    main(sys.argv[1])
"""


def run_program(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", COMMON + program, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_fork_while_other_threads_are_in_calls_leaves_parent_and_child_working() -> None:
    run_program(BUSY)


def test_fork_while_another_thread_compiles_waits_for_it() -> None:
    run_program(COMPILING)


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_post_processor_sent_to_a_pool_of_processes_gives_the_same_result(method: str) -> None:
    run_program(POOLS, method)

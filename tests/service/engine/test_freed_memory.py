"""Memory that was freed goes back to the system, without variables of the environment."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from postproc.service import services
from tests.service.serving import serving

CODE = """
import threading
from postproc.service.engine.freed_memory import give_back_free_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def work():
    blocks = [bytearray(b"x" * 100_000) for _ in range(100)]
    kept.append(blocks[-1])  # what lies below it is not given back by itself
    barrier.wait()

kept, barrier, start = [], threading.Barrier(8), resident()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
before = resident()
give_back_free_memory()
print((before - start) >> 20, (resident() - start) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed like this")
def test_what_threads_freed_goes_back() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    before, after = map(int, run.stdout.split())
    assert before > 40  # of 8 x 10 MB
    assert after < 10


def test_service_gives_back_what_was_freed_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = threading.Semaphore(0)
    monkeypatch.setattr(services, "give_back_free_memory", given.release)
    monkeypatch.setattr(services, "_LONGEST_PAUSE", 0.1)
    with serving(tmp_path):
        assert given.acquire(timeout=20)
        assert given.acquire(timeout=20)

"""Memory that was freed goes back to the system, without variables of the environment."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import threading
from PIL import Image
from postproc.service import freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if {with_it}:
    freed_memory.give_back_large_blocks()
start, barrier = resident(), threading.Barrier(8)

def work():
    # Each frees a block that is larger than the one before, which is what glibc adapts to.
    for side in (1500, 2000, 2400):
        image = Image.new("RGB", (side, side), "red")
        kept.append(bytearray(100_000))
        barrier.wait()
        del image

kept = []
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
kept.clear()
freed_memory.give_back_small_blocks()
print((resident() - start) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed like this")
def test_what_threads_freed_goes_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(with_it=True)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(run.stdout) < 25  # 2 MiB; 50 where glibc is left alone


def test_start_of_the_service_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from postproc.service import serving

    class AskedError(Exception):
        pass

    def ask() -> None:
        raise AskedError

    monkeypatch.setattr(serving, "configure_logging", lambda: None)
    monkeypatch.setattr(serving, "give_back_large_blocks", ask)
    with pytest.raises(AskedError):
        serving.run(None, {})  # type: ignore[arg-type]

"""What `tests.test_isolation` runs in a process of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

from postproc.isolation import answer, limit_memory

_OUTPUT = os.dup(1)  # before `answer` takes it


def work(order: dict[str, Any]) -> Any:
    if "say" in order:
        os.write(_OUTPUT, b"runs\n")
    if "print" in order:
        os.write(1, order["print"].encode())
    if "signal" in order:
        os.kill(os.getpid(), getattr(signal, order["signal"]))
    if "exit" in order:
        os._exit(order["exit"])
    if "sleep" in order:
        time.sleep(order["sleep"])
    if "hold" in order:  # Python's lock, as native code may
        ctypes.PyDLL(None).sleep(order["hold"])
    if "take" in order:
        limit_memory(8 << 30)
        try:
            return len(bytearray(order["take"]))
        except MemoryError:
            return "refused"
    return {
        "pid": os.getpid(),
        "niceness": os.nice(0) if hasattr(os, "nice") else None,
        "settings": [name for name in os.environ if name.startswith(("POSTPROC_", "PG"))],
    }


if __name__ == "__main__":
    answer(work)

"""What `tests.postproc.test_isolation` runs in a process of its own."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from postproc.isolation import answer, limit_memory


def work(order: dict[str, Any]) -> Any:
    if "print" in order:
        os.write(1, order["print"].encode())
    if "signal" in order:
        os.kill(os.getpid(), getattr(signal, order["signal"]))
    if "exit" in order:
        os._exit(order["exit"])
    if "sleep" in order:
        time.sleep(order["sleep"])
    if "take" in order:
        limit_memory(0)
        try:
            return len(bytearray(order["take"]))
        except MemoryError:
            return "refused"
    return {
        "pid": os.getpid(),
        "settings": [name for name in os.environ if name.startswith(("POSTPROC_", "PG"))],
    }


if __name__ == "__main__":
    answer(work)

"""Run a network in a process of its own, which may crash, hang or eat memory: JSON in, JSON out."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUN_SECONDS = 60.0  # for one run of a network that somebody looks at

_SECRETS = ("POSTPROC_", "PG")  # of the service, and of PostgreSQL: a network's process needs neither
_GIB = 1 << 30
_LONGEST = 1_000_000  # seconds; no wait of the system's takes many more


class CrashError(Exception):
    """The process ended without an answer.

    Parameters
    ----------
    cause : str
        The signal or the exit code that it ended with.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(f"ONNX Runtime crashed on it, or it took too much memory ({cause})")
        self.cause = cause


def ask(module: str, order: dict[str, Any], timeout: float) -> Any:
    """Run a module, which calls `answer`, in a process of its own, and give its answer.

    Parameters
    ----------
    module : str
        Its full name.
    order : dict
        What it is to do, as JSON can hold it.
    timeout : float
        Seconds, after which the process is killed.

    Raises
    ------
    TimeoutError
        If it takes longer.
    CrashError
        If it ends without an answer.
    """
    timeout = min(timeout, _LONGEST)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    environment["MALLOC_ARENA_MAX"] = "2"  # addresses are limited, of which glibc takes many for each thread
    # This process's modules, and no others: `python -m` would also take those of the current folder, which
    # may be a stranger's.
    path = [os.path.abspath(folder) for folder in sys.path]
    program = (
        f"import sys; sys.path[:] = {path!r}; import runpy; runpy.run_module({module!r}, run_name='__main__')"
    )
    question = json.dumps({"timeout": timeout, "order": order}).encode()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # so that a Ctrl-C for this process does not look like a crash
    ) as process:
        try:
            content, _ = process.communicate(question, timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            process.kill()  # does nothing to one that has ended
    try:
        return json.loads(content)
    except ValueError:
        code = process.returncode
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise CrashError(cause) from None


def answer(work: Callable[[dict[str, Any]], object]) -> None:
    """Do what `ask` ordered, in its process: give the order to `work`, send what that returns, and end."""
    question = json.load(sys.stdin)
    if hasattr(signal, "alarm"):  # ends it too where whoever asked was killed and kills nobody
        signal.alarm(math.ceil(question["timeout"]) + 1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get among the answer
    json.dump(work(question["order"]), answers)
    answers.close()
    os._exit(0)  # destructors of a network that has run need not


def limit_memory(size: int) -> int:
    """Limit this process's memory, and make it the one that the system ends where memory is short.

    Parameters
    ----------
    size : int
        Bytes of the network and its weights.

    Returns
    -------
    int
        Bytes that it may take; Windows has no such limit.
    """
    limit = 8 * _GIB + 8 * size
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    return limit

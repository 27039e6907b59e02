"""Run a network in a process of its own, which may crash, hang or eat memory, and ends with this one."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

RUN_SECONDS = 60.0  # for one run of a network that somebody looks at

_SECRETS = ("POSTPROC_", "PG")  # of the service, and of PostgreSQL: a network's process needs neither
_LONGEST = 1_000_000  # seconds; no wait of the system's takes many more
_POLL_SECONDS = 1.0
_STOP_SECONDS = 0.2  # until a process notes that it is to stop
_BELOW_NORMAL = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
# A quarter of the processor where others want it, from the first import on. Linux may share it among sessions
# before it does among processes.
_BACKGROUND = """
import contextlib, os
if hasattr(os, "nice"):
    os.nice(5)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "r+") as file:
        file.write("5")
"""
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_SYNCHRONIZE, _INFINITE = 0x00100000, 0xFFFFFFFF  # <winnt.h>


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


def spawned(
    module: str,
    *,
    background: bool = False,
    stderr: int | IO[bytes] | None = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a module in a process of its own, which ends when this one does, however that ends.

    Parameters
    ----------
    module : str
        Its full name; it is run as ``python -m`` would, with this process's modules and no others.
    background : bool
        Let other processes have the processor first.
    stderr, pass_fds : optional
        As `subprocess.Popen` takes them.

    Returns
    -------
    subprocess.Popen
        The process: bytes to its stdin, and from its stdout. It knows none of the service's secrets.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    environment["MALLOC_ARENA_MAX"] = "2"  # glibc keeps freed memory in each
    environment["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's, which would take memory for each core
    # `python -m` would also take modules of the current folder, which may be a stranger's.
    path = [os.path.abspath(folder) for folder in sys.path]
    program = (
        f"import sys; sys.path[:] = {path!r}\n{_BACKGROUND if background else ''}"
        f"from {__name__} import _main; _main({module!r}, {os.getpid()})"
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=pass_fds,
            env=environment,
            creationflags=_BELOW_NORMAL if background else 0,
            start_new_session=True,  # so that a Ctrl-C for this process does not look like a crash
        )

    return _starter.start(start)


class _Starter:
    """Starts processes from one thread that never ends: Linux ends them with the thread that did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: SimpleQueue[tuple[Future[Any], Callable[[], subprocess.Popen[bytes]]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Call a function in the thread, and return the process that it gives."""
        with self._lock:
            if self._thread is None:
                # A daemon: it would keep the interpreter from its end.
                thread = threading.Thread(target=self._run, name="postproc-starter", daemon=True)
                thread.start()
                self._thread = thread
        future: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((future, start))
        try:
            return future.result()
        except KeyboardInterrupt:
            future.add_done_callback(_kill)  # nobody takes it
            raise

    def _run(self) -> None:
        while True:
            future, start = self._orders.get()
            try:
                future.set_result(start())
            except BaseException as error:
                future.set_exception(error)
            del future, start  # or the last process is never forgotten


def _kill(started: Future[subprocess.Popen[bytes]]) -> None:
    if started.exception() is None:
        started.result().kill()


_starter = _Starter()


def _renew_starter() -> None:
    global _starter
    _starter = _Starter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_starter)  # which has no other thread than that of the fork


def _main(module: str, parent: int) -> None:
    """Run a module in the process that `spawned` started."""
    _end_with(parent)
    runpy.run_module(module, run_name="__main__")


def _end_with(parent: int) -> None:
    """See to it that this process ends when its parent does, also while a library holds Python's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    elif sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32")
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(kernel.OpenProcess(_SYNCHRONIZE, False, parent))
        if handle:
            _in_thread(lambda: kernel.WaitForSingleObject(handle, _INFINITE))
        return
    else:
        _in_thread(lambda: _wait_for_end(parent))
    if os.getppid() != parent:  # it ended before this
        os._exit(1)


def _in_thread(wait: Callable[[], object]) -> None:
    """Wait in a thread, then end this process."""

    def run() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=run, name="postproc-parent", daemon=True).start()


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)


def ask(
    module: str,
    order: dict[str, Any],
    timeout: float,
    *,
    background: bool = False,
    stop: threading.Event | None = None,
) -> Any:
    """Run a module, which calls `answer`, in a process of its own, and give its answer.

    Parameters
    ----------
    module : str
        Its full name.
    order : dict
        What it is to do, as JSON can hold it.
    timeout : float
        Seconds, after which the process is killed.
    background : bool
        Let other processes have the processor first.
    stop : threading.Event, optional
        Ends it early, as the end of its time does.

    Raises
    ------
    TimeoutError
        If it takes longer, or is stopped.
    CrashError
        If it ends without an answer.
    """
    timeout = min(timeout, _LONGEST)
    question = json.dumps({"timeout": timeout, "order": order}).encode()
    with spawned(module, background=background) as process:
        try:
            content = _content_of(process, question, timeout, stop)
        finally:
            process.kill()  # does nothing to one that has ended
    try:
        return json.loads(content)
    except ValueError:
        raise CrashError(cause_of(process.returncode)) from None


def cause_of(code: int) -> str:
    """Say what a process ended with."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _content_of(
    process: subprocess.Popen[bytes], question: bytes | None, timeout: float, stop: threading.Event | None
) -> bytes:
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        try:
            return process.communicate(question, left if stop is None else min(left, _STOP_SECONDS))[0]
        except subprocess.TimeoutExpired:
            if left <= _STOP_SECONDS or stop is None or stop.is_set():
                raise TimeoutError from None
            question = None  # it is on its way


def answer(work: Callable[[dict[str, Any]], object]) -> None:
    """Do what `ask` ordered, in its process: give the order to `work`, send what that returns, and end."""
    question = json.load(sys.stdin)
    if hasattr(signal, "alarm"):  # whoever asked may be killed, and no thread here gets to see that
        signal.alarm(math.ceil(question["timeout"]) + 1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get among the answer
    json.dump(work(question["order"]), answers)
    answers.close()
    os._exit(0)  # destructors of a network that has run need not


def limit_memory(limit: int) -> None:
    """Limit this process's memory, and make it the one that the system ends where memory is short.

    Parameters
    ----------
    limit : int
        Bytes that it may take for itself; Windows and macOS know no such limit.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # and not RLIMIT_AS: addresses are no memory
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")

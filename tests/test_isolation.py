"""A process of its own: what goes in and comes out, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from postproc.isolation import CrashError, ask

CHILD = "tests.isolated"


def test_ask_gives_the_answer_of_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTPROC_DATABASE", "secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    answer = ask(CHILD, {}, 60)
    assert answer["pid"] != os.getpid()
    assert answer["settings"] == []


def test_ask_what_libraries_print_is_no_part_of_the_answer() -> None:
    assert "pid" in ask(CHILD, {"print": "a library's banner"}, 60)


@pytest.mark.skipif(not hasattr(os, "nice"), reason="Windows has classes of priority")
def test_ask_in_the_background_leaves_the_processor_to_others() -> None:
    here = os.nice(0)
    assert ask(CHILD, {}, 60)["niceness"] == here
    assert ask(CHILD, {}, 60, background=True)["niceness"] == min(here + 5, 19)


def test_ask_modules_of_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numba", "runpy", "subprocess"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of a stranger')")
    monkeypatch.chdir(tmp_path)
    assert "pid" in ask(CHILD, {}, 60)


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        pytest.param({"signal": "SIGSEGV"}, "signal SIGSEGV", id="signal"),
        pytest.param({"exit": 3}, "exit code 3", id="exit code"),
    ],
)
def test_ask_process_without_an_answer_tells_how_it_ended(order: dict[str, object], cause: str) -> None:
    with pytest.raises(CrashError, match=rf"^ONNX Runtime crashed on it, or .*\({cause}\)") as raised:
        ask(CHILD, order, 60)
    assert raised.value.cause == cause


def test_ask_process_that_takes_too_long_is_killed() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        ask(CHILD, {"sleep": 60}, 1)
    assert time.monotonic() - started < 10


def test_limit_memory_refuses_what_is_beyond_it() -> None:
    assert ask(CHILD, {"take": 1 << 20}, 60) == 1 << 20
    assert ask(CHILD, {"take": 9 << 30}, 60) == "refused"


# --- with whom it ends


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # a container's init may reap nobody
    except OSError:
        return False


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while runs(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.05)
    return True


def parent(program: str) -> subprocess.Popen[bytes]:
    """Run a program in a process of its own, which has `start`: it gives a child that says it runs."""
    return subprocess.Popen(
        [sys.executable, "-c", STARTING + program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


STARTING = f"""
import json, os, subprocess, sys, threading, time
from postproc import isolation

def start(order):
    process = isolation.spawned({CHILD!r}, stderr=None)
    process.stdin.write(json.dumps({{"timeout": 600, "order": {{"say": True, **order}}}}).encode())
    process.stdin.close()
    assert process.stdout.readline() == b"runs\\n"
    return process

def say(text):
    sys.stdout.write(f"{{text}}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize(
    "order",
    [
        pytest.param({"sleep": 600}, id="asleep"),
        pytest.param({"hold": 600}, id="holding Python's lock"),
    ],
)
def test_spawned_process_ends_with_a_parent_that_is_killed(order: dict[str, object]) -> None:
    with parent(f"say(start({order}).pid); time.sleep(600)") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert runs(pid)
        process.kill()
    assert ends(pid)


def test_spawned_process_outlives_the_thread_that_asked_for_it() -> None:
    program = """
processes = []
thread = threading.Thread(target=lambda: processes.append(start({"sleep": 600})))
thread.start()
thread.join()
while thread.native_id and os.path.exists(f"/proc/self/task/{thread.native_id}"):
    time.sleep(0.01)
try:
    say(processes[0].wait(1))
except subprocess.TimeoutExpired:
    say("still runs")
processes[0].kill()
"""
    with parent(program) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"still runs\n"


def test_spawned_processes_of_a_fork_are_its_own() -> None:
    program = """
first = start({"sleep": 600})
if not os.fork():
    say(start({"sleep": 600}).pid)
    os._exit(0)
os.wait()
say(first.poll())
first.kill()
"""
    with parent(program) as process:
        assert process.stdout is not None
        assert ends(int(process.stdout.readline()))
        assert process.stdout.read() == b"None\n"


def test_spawned_process_whose_parent_ended_before_it_began_does_not_run() -> None:
    gone = subprocess.run(  # its own parent is this process, and not the number that it is told
        [sys.executable, "-c", f"from postproc.isolation import _main; _main({CHILD!r}, 1)"],
        input=b'{"timeout": 60, "order": {}}',
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (gone.returncode, gone.stdout) == (1, b"")


def test_spawned_process_looks_for_its_parent_where_the_system_does_not_end_it() -> None:
    program = "isolation.sys.platform = 'darwin'; isolation._end_with(os.getppid()); say(1); time.sleep(600)"
    middle = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STARTING + program!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", f"{middle}; time.sleep(600)"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.kill()
        assert process.stdout.read() == b""  # the pipe closes when its last holder ends

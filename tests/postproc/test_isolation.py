"""A process of its own: what goes in and comes out, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from postproc.isolation import CrashError, ask

CHILD = "tests.postproc.isolated"
PARENT = f"""
import sys
from postproc.isolation import ask
sys.stdout.write("asks"); sys.stdout.flush()
ask({CHILD!r}, {{"sleep": 60}}, 3)
"""


def test_ask_gives_the_answer_of_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTPROC_DATABASE", "secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    answer = ask(CHILD, {}, 60)
    assert answer["pid"] != os.getpid()
    assert answer["settings"] == []


def test_ask_what_libraries_print_is_no_part_of_the_answer() -> None:
    assert "pid" in ask(CHILD, {"print": "a library's banner"}, 60)


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


def runs(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # a container's init may reap nobody
    except OSError:
        return False


def test_ask_process_ends_by_itself_where_its_parent_was_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.read(4) == b"asks"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        deadline = time.monotonic() + 30
        while not (pids := children.read_text().split()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # it reads its order
        parent.kill()
    while runs(pids[0]):
        assert time.monotonic() < deadline
        time.sleep(0.1)

"""Commands as processes of their own: pipes, terminals, and what is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from postproc.installing import install
from tests.cli.commands import ANSWER, invoke, save

RUN = ["run", "--spec", "spec.json", "--version", "version.json"]


def process(arguments: list[str], before: str = "", **options: Any) -> subprocess.Popen[bytes]:
    code = f"import sys\n{before}\nfrom postproc.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        **{"stderr": subprocess.PIPE, **options},
    )


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently there")
def test_run_into_a_pipe_that_closes_stops_quietly(folder: Path) -> None:
    assert invoke(*RUN, "model.onnx", "a.png").exit_code == 0  # that kernels are compiled is said
    with process([*RUN, "--batch-size", "1", "model.onnx", *["a.png"] * 3000]) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        assert json.loads(started.stdout.readline())["location"] == "a.png"
        started.stdout.close()
        assert started.stderr.read() == b""
    assert started.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("images", [1, 3])
def test_run_on_a_terminal_shows_progress_for_several_images(images: int, folder: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with process([*RUN, "model.onnx", *["a.png"] * images], stderr=theirs, env=environment) as started:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # how Linux says that the other end has closed
            pass
        assert started.stdout is not None
        assert len(started.stdout.read().splitlines()) == images
    os.close(ours)
    assert (f"{images}/{images}".encode() in shown) == (images > 1)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_command_line_without_its_extra_says_what_to_install(missing: str) -> None:
    with process(["demo"], before=f"sys.modules[{missing!r}] = None") as started:
        _, errors = started.communicate()
    assert started.returncode == 2
    assert errors.decode().strip() == f"postproc: the command line needs an extra: {install('cli')}"


def test_run_without_pillow_says_what_to_install(folder: Path) -> None:
    with process([*RUN, "model.onnx", "a.png"], before="sys.modules['PIL'] = None") as started:
        _, errors = started.communicate()
    assert started.returncode == 2
    assert errors.startswith(b"error: postproc.image")
    assert install("images").encode() in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--tensors", "t.parquet"],
        ["dump", "model.onnx", "a.png", "--output", "tensors"],
        ["evaluate", "--truth", "spec.json", "--tensors", "t.parquet"],
        ["calibrate", "--truth", "spec.json", "--tensors", "t.parquet", "--output", "new.json"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_command_on_saved_tensors_without_pyarrow_says_what_to_install(
    folder: Path, arguments: list[str]
) -> None:
    Path("t.parquet").touch()
    command = [*arguments, "--spec", "spec.json", "--version", "version.json"]
    with process(command, before="sys.modules['pyarrow'] = None") as started:
        _, errors = started.communicate()
    assert started.returncode == 2
    assert errors.startswith(b"error: this command needs an extra: ")
    assert install("eval").encode() in errors


def test_run_tensors_without_pillow_and_onnxruntime_works(folder: Path) -> None:
    save("t.npz", {name: value[None] for name, value in ANSWER.items()})
    missing = "sys.modules['PIL'] = sys.modules['onnxruntime'] = None"
    with process([*RUN, "--tensors", "t.npz"], before=missing) as started:
        output, _ = started.communicate()
    assert started.returncode == 0
    assert json.loads(output)["location"] == "t.npz#0"

"""The API key of a first start: in a file for its owner alone, or on a terminal, and never in the log."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from postproc.errors import PostprocError
from postproc.service.first_key import FIRST_KEY, write_first_key
from postproc.service.settings import KEY_VARIABLE
from tests.service.running import ROOT, START_SECONDS, STOP_SECONDS, running

FAKE = ("tests.service.fake_service",)


@pytest.fixture(params=[0o000, 0o077, 0o777], ids=["umask 000", "umask 077", "umask 777"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_file_has_the_key_and_a_newline_for_its_owner_alone(tmp_path: Path) -> None:
    path = write_first_key(tmp_path, "the-key")
    assert path == tmp_path / FIRST_KEY
    assert path.read_bytes() == b"the-key\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_of_a_start_that_did_not_end_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / FIRST_KEY
    path.write_text("half")
    path.chmod(0o644)
    write_first_key(tmp_path, "the-key")
    assert path.read_text() == "the-key\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / FIRST_KEY).symlink_to(elsewhere)
    write_first_key(tmp_path, "the-key")
    assert elsewhere.read_text() == "mine"
    assert not (tmp_path / FIRST_KEY).is_symlink()


@pytest.mark.parametrize("fault", ["folder", "disk"])
def test_file_that_cannot_be_written_is_an_error_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "folder":
        (tmp_path / FIRST_KEY).mkdir()
    else:
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(PostprocError, match=r"cannot write the first API key to .*POSTPROC_API_KEY"):
        write_first_key(tmp_path, "the-key")
    assert not (tmp_path / FIRST_KEY).is_file()


def test_service_writes_the_key_to_a_file_and_its_path_into_the_log(tmp_path: Path) -> None:
    path = tmp_path / FIRST_KEY
    with running(tmp_path, module=FAKE, key="") as service:
        key = path.read_text().removesuffix("\n")
        headers = {"X-API-KEY": key}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert httpx.get(f"{service.host}/v0.7/accounts/me", headers=headers).json() == {"name": "default"}
        assert service.stop() in (0, -15)
    log = [json.loads(line) for line in service.lines]  # every line is JSON
    assert [entry["path"] for entry in log if "path" in entry] == [str(path)]
    assert key not in "".join(service.lines)
    path.unlink()
    with running(tmp_path, module=FAKE, key="") as service:
        assert httpx.get(f"{service.host}/v0.7/accounts/me", headers=headers).status_code == 200
        assert service.stop() in (0, -15)
    assert not path.exists(), "a service that has keys makes none"


def test_service_that_cannot_write_the_key_ends_and_has_none(tmp_path: Path) -> None:
    path = tmp_path / FIRST_KEY
    path.mkdir()
    command = [sys.executable, "-m", "postproc.cli", "serve", "--data", str(tmp_path), "--port", "0"]
    environment = {**os.environ, KEY_VARIABLE: ""}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=START_SECONDS
    )
    log = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert "cannot write the first API key" in log[-1]["event"]
    assert ended.stdout == "", "it never said that it serves"
    path.rmdir()
    with running(tmp_path, module=FAKE, key=""):
        assert path.is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo terminals")
def test_service_on_a_terminal_shows_the_key_there_and_keeps_no_file(tmp_path: Path) -> None:
    import pty

    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", *FAKE, str(tmp_path), "0"],
        cwd=ROOT,
        env={**os.environ, KEY_VARIABLE: "", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=its,
        text=True,
    )
    os.close(its)
    try:
        assert process.stdout is not None
        host = process.stdout.readline().split()[-1]  # said after the key was handed over
        text = os.read(ours, 1 << 16).decode()
        key = re.search(r"shown this once: (\S+)", text)
        assert key is not None
        assert f"{host}/#key={key[1]}" in text
        headers = {"X-API-KEY": key[1]}
        assert httpx.get(f"{host}/v0.7/accounts/me", headers=headers).json() == {"name": "default"}
        assert not (tmp_path / FIRST_KEY).exists()
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        process.communicate()
        os.close(ours)

"""``postproc store``, and ``postproc serve --store``: what they take, and what they refuse."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from tests.service.objects import make_version
from tests.service.serving import serving


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_service_with_a_store_needs_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def run(settings: Any, keys: Any) -> None:
        assert settings.data.is_dir()
        calls.append(settings)

    monkeypatch.setattr("postproc.service.serving.run", run)
    result = call("serve", "--store", "s3://bucket/a", "--database", "postgresql://host/name")
    assert result.exit_code == 0, result.output
    assert (calls[0].store, calls[0].lease_seconds) == ("s3://bucket/a", 10)
    assert not calls[0].data.exists()


@pytest.mark.parametrize("command", [["serve"], ["keys", "list"], ["keys", "add", "a"]])
def test_without_a_store_or_a_database_a_folder_is_needed(command: list[str]) -> None:
    result = call(*command)
    assert result.exit_code == 2
    assert "--data" in result.output


@pytest.mark.parametrize(
    "options", [[], ["--from-data", "a"], ["--from-data", "a", "--to-data", "b", "--to-store", "file:///c"]]
)
def test_copy_takes_a_folder_or_a_store_on_each_side(options: list[str]) -> None:
    result = call("store", "copy", *options)
    assert result.exit_code == 2
    assert "a folder or a store" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("side", ["from", "to"])
def test_copy_asks_for_the_database_of_a_store(side: str) -> None:
    other = "to" if side == "from" else "from"
    result = call("store", "copy", f"--{side}-store", "s3://bucket/a", f"--{other}-data", "b")
    assert (result.exit_code, f"value for --{side}-database: what belongs" in result.output) == (2, True)


def test_copy_leaves_a_folder_that_is_no_services_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    result = call("store", "copy", "--from-data", tmp_path / "own", "--to-data", tmp_path / "new")
    assert (result.exit_code, "no service has used the database" in result.output) == (1, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["own"]


def test_copy_of_a_folder_has_all_of_it(tmp_path: Path) -> None:
    with serving(tmp_path / "a") as front:
        make_version(front.client)
        version = front.client.get("/recognition/versions/").json()
    result = call("store", "copy", "--from-data", tmp_path / "a", "--to-data", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert "copied 1 files" in result.output
    with serving(tmp_path / "b") as front:
        assert front.client.get("/recognition/versions/").json()["results"] == version["results"]
        assert front.client.get(f"{front.host}/healthz").json()["missing_networks"] == 0
    with sqlite3.connect(tmp_path / "b" / "postproc.sqlite") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert "lease" not in tables  # a folder's database is as it always was

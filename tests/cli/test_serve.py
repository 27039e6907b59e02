"""``postproc serve`` and ``postproc keys``: options, keys, and what is said where something is missing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from postproc.installing import install
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database

PILLOW_PIXELS = Image.MAX_IMAGE_PIXELS or 0


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ServiceSettings, dict[str, str]]]:
    """Collect what would be served."""
    calls: list[tuple[ServiceSettings, dict[str, str]]] = []
    monkeypatch.setattr("postproc.service.serving.run", lambda settings, keys: calls.append((settings, keys)))
    monkeypatch.delenv("POSTPROC_API_KEY", raising=False)
    return calls


def test_serve_without_options_has_the_defaults_of_the_settings(served: list[Any], tmp_path: Path) -> None:
    result = call("serve", "--data", tmp_path)
    assert result.exit_code == 0, result.output
    assert served == [(ServiceSettings(data=tmp_path), {})]


def test_serve_takes_as_many_pixels_as_pillow(served: list[Any], tmp_path: Path) -> None:
    result = call("serve", "--data", tmp_path, "--max-image-pixels", str(PILLOW_PIXELS))
    assert result.exit_code == 0, result.output
    assert served[0][0].max_image_pixels == PILLOW_PIXELS > 0


def test_serve_takes_sizes_and_the_key_of_the_environment(
    served: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTPROC_API_KEY", "secret")
    options = ["--max-body", "10M", "--max-model", "3GiB", "--max-inputs-bytes", "1000", "--port", "0"]
    options += ["--max-connections", "7", "--intra-op-threads", "2"]
    options += ["--cors", "https://a.example", "--cors", "http://localhost:5173"]
    result = call("serve", "--data", tmp_path, *options, "--allow-urls", "--provider", "A", "--provider", "B")
    assert result.exit_code == 0, result.output
    settings, keys = served[0]
    assert keys == {"secret": "default"}
    assert (settings.max_body, settings.max_model, settings.max_inputs_bytes) == (10 << 20, 3 << 30, 1000)
    assert (settings.port, settings.allow_urls, settings.providers) == (0, True, ("A", "B"))
    assert (settings.max_connections, settings.intra_op_threads) == (7, 2)
    assert settings.cors == ("https://a.example", "http://localhost:5173")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-body", "ten"], "expected bytes such as 64M or 2GiB"),
        (["--max-body", "0"], "--max-body"),
        (["--port", "70000"], "--port"),
        (["--intra-op-threads", "0"], "--intra-op-threads"),
        (["--cors", "https://a.example/"], "--cors"),
        (["--cors", "a.example"], "--cors"),
        (["--task-seconds", "-1"], "--task-seconds"),
        (["--ray-cpus", "inf"], "--ray-cpus"),
        (["--wait", "inf"], "--wait"),
        (["--max-image-pixels", str(PILLOW_PIXELS + 1)], "--max-image-pixels"),
    ],
)
def test_serve_with_a_wrong_option_names_it(
    served: list[Any], tmp_path: Path, options: list[str], message: str
) -> None:
    result = call("serve", "--data", tmp_path, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert served == []


def test_serve_help_shows_the_descriptions_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = call("serve", "--help").output
    for name in ("host", "queue_length", "max_model", "task_seconds", "session_memory"):
        assert f"--{name.replace('_', '-')}" in text
        assert str(ServiceSettings.model_fields[name].description)[:40] in text
    assert "2GiB" in text


def test_keys_are_added_listed_and_removed(tmp_path: Path) -> None:
    with closing(Database(ServiceSettings(data=tmp_path))) as database:
        database.prepare("identity")
    added = call("keys", "add", "team", "--data", tmp_path)
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    assert len(key) > 40
    result = call("keys", "list", "--data", tmp_path)
    assert result.exit_code == 0, result.output
    listed = result.stdout
    assert "team" in listed
    assert key not in listed
    identifier = next(line for line in listed.splitlines() if "team" in line).split()[1]
    assert call("keys", "remove", identifier, "--data", tmp_path).exit_code == 0
    assert "team" not in call("keys", "list", "--data", tmp_path).stdout
    again = call("keys", "remove", identifier, "--data", tmp_path)
    assert (again.exit_code, "there is no key" in again.output) == (1, True)


def test_keys_of_a_folder_that_is_missing_make_none(tmp_path: Path) -> None:
    result = call("keys", "add", "team", "--data", tmp_path / "missing")
    assert result.exit_code == 1
    assert "does not exist" in result.output
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("module", ["sqlalchemy", "fastapi", "uvicorn"])
def test_serve_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for name in list(sys.modules):
        if name.startswith(("postproc.service.", module)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    result = call("serve", "--data", tmp_path)
    assert result.exit_code == 2
    assert install("serve") in " ".join(result.output.split())


def test_command_line_needs_nothing_of_the_services_extra() -> None:
    missing = [
        "fastapi",
        "starlette",
        "uvicorn",
        "h11",
        "anyio",
        "sqlalchemy",
        "structlog",
        "prometheus_client",
    ]
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import postproc.cli.app"
    subprocess.run([sys.executable, "-c", code], check=True)

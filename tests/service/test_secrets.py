"""No line of the log, and no error, shows a password or a key; every line of it is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from postproc.service.database import Database
from postproc.service.settings import ServiceSettings
from tests.service.running import ROOT, START_SECONDS

SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"postgresql://u:{SECRET}@127.0.0.1:1/db", id="refused"),
        pytest.param(f"postgresql://u:p@127.0.0.1:1/db?password={SECRET}", id="in the query"),
        pytest.param(f"postgresql://127.0.0.1:1/db?sslpassword={SECRET}&sslmode=disable", id="of a key"),
        pytest.param(f"postgresql://127.0.0.1:1/db?password={SECRET}&nonsense=1", id="unknown option"),
        pytest.param(f"postgresql://u@127.0.0.1:{SECRET}/db", id="in place of a port"),
        pytest.param(f"postgresql://u:1@127.0.0.1:1/db?host=a&port={SECRET}", id="as a port"),
        pytest.param(f"postgresql://u:p@{SECRET}@127.0.0.1:1/db", id="with an @"),
        pytest.param(f"postgresql://u:p/{SECRET}@127.0.0.1:1/db", id="with a slash"),
        pytest.param(f"postgresql://a/u:{SECRET}@127.0.0.1:1/db", id="of a user with a slash"),
        pytest.param(f"postgresql:///u:{SECRET}@127.0.0.1:1/db", id="with a slash too many"),
        pytest.param(f"postgresql+nothing://u:{SECRET}@127.0.0.1:1/db", id="unknown driver"),
        pytest.param(f"mysql://u:{SECRET}@127.0.0.1:1/db", id="unknown database"),
        pytest.param(f"sqlite:////nowhere/file?password={SECRET}", id="SQLite"),
        pytest.param(SECRET, id="no URL"),
    ],
)
def test_service_that_cannot_open_its_database_tells_no_password(tmp_path: Path, url: str) -> None:
    command = [sys.executable, "-m", "postproc.cli", "serve", "--data", str(tmp_path), "--port", "0"]
    ended = subprocess.run(
        [*command, "--database", url],
        cwd=ROOT,
        env={**os.environ, "PGCONNECT_TIMEOUT": "5"},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert ended.returncode == 1
    assert SECRET not in ended.stdout + ended.stderr
    log = [json.loads(line) for line in ended.stderr.splitlines()]
    assert log[-1]["event"].startswith("the service ends: ")
    assert "database" in log[-1]["event"]


def test_settings_do_not_show_the_database() -> None:
    settings = ServiceSettings(data=Path("data"), database=f"postgresql://u:{SECRET}@h/db")
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_errors_of_statements_do_not_show_what_tenants_sent(database: Database) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught, database.reading() as session:
        session.execute(text("SELECT :value FROM no_such_table"), {"value": SECRET})
    assert SECRET not in str(caught.value)


def test_what_python_itself_says_is_json_too(tmp_path: Path) -> None:
    code = """
import threading, warnings
from postproc.service.logs import configure_logging
configure_logging()
class Broken:
    def __del__(self): raise ValueError("in a finalizer")
warnings.warn("a warning")
broken = Broken()
del broken
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise KeyError("at the end")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS
    )
    log = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert "a warning" in log[0]["event"]
    told = [entry["exception"].splitlines()[-1] for entry in log[1:]]
    assert told == [
        "ValueError: in a finalizer",
        "ZeroDivisionError: division by zero",
        "KeyError: 'at the end'",
    ]

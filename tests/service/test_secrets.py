"""No line of the log, and no error, shows a password or a key; every line of it is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database
from tests.service.running import ROOT, START_SECONDS

SECRET = "s3cret"

URLS = {
    "refused": f"postgresql://u:{SECRET}@127.0.0.1:1/db",
    "in the query": f"postgresql://u:p@127.0.0.1:1/db?password={SECRET}",
    "of a key": f"postgresql://127.0.0.1:1/db?sslpassword={SECRET}&sslmode=disable",
    "unknown option": f"postgresql://127.0.0.1:1/db?password={SECRET}&nonsense=1",
    "in place of a port": f"postgresql://u@127.0.0.1:{SECRET}/db",
    "as a port": f"postgresql://u:1@127.0.0.1:1/db?host=a&port={SECRET}",
    "with an @": f"postgresql://u:p@{SECRET}@127.0.0.1:1/db",
    "with a slash": f"postgresql://u:p/{SECRET}@127.0.0.1:1/db",
    "of a user with a slash": f"postgresql://a/u:{SECRET}@127.0.0.1:1/db",
    "with a slash too many": f"postgresql:///u:{SECRET}@127.0.0.1:1/db",
    "of an OAuth client": f"postgresql://127.0.0.1:1/db?oauth_client_secret={SECRET}",
    "unknown driver": f"postgresql+nothing://u:{SECRET}@127.0.0.1:1/db",
    "unknown database": f"mysql://u:{SECRET}@127.0.0.1:1/db",
    "SQLite": f"sqlite:////nowhere/file?password={SECRET}",
    "no URL": SECRET,
}


def test_service_that_cannot_open_its_database_tells_no_password(tmp_path: Path) -> None:
    code = f"""
from postproc.cli.app import app
given = ["serve", "--data", {str(tmp_path)!r}, "--port", "0", "--database"]
for url in {list(URLS.values())}:
    ended = app([*given, url], standalone_mode=False)
    assert ended == 1, ended
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PGCONNECT_TIMEOUT": "5"},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    log = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    told = [event for event in log if event.startswith("the service ends: ")]
    assert [name for name, event in zip(URLS, told, strict=True) if "database" not in event] == []
    assert [event for event in log if SECRET in event] == []
    assert SECRET not in ended.stderr


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

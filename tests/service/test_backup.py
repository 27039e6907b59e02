"""Backups that are taken while the service runs, and upgrades under load."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.service.digits import client_of, digits_in, ended, post_image, publish
from tests.service.objects import IMAGE, made, make_network
from tests.service.postgres import binaries
from tests.service.running import running
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until

SECONDS = 60


def _strain(service: Serving, networks: list[int], stopping: threading.Event) -> None:
    while not stopping.is_set():
        networks.append(make_network(service.client)["id"])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_backup_under_uploads_has_every_file_of_its_networks(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    make: Callable[[], str] | None = request.getfixturevalue("postgres") if kind == "postgresql" else None
    url, restored = (make(), make()) if make else (None, None)
    networks: list[int] = []
    stopping = threading.Event()
    with serving(data, database=url) as service:
        thread = threading.Thread(target=_strain, args=(service, networks, stopping))
        thread.start()
        wait_until(lambda: len(networks) > 5)
        backup.mkdir()
        kept = list(networks)
        if url is None:
            with closing(sqlite3.connect(data / "postproc.sqlite")) as database:
                database.execute(f"VACUUM INTO '{backup}/postproc.sqlite'")
        else:
            programs = binaries()
            assert programs is not None
            _run(programs / "pg_dump", "-Fc", "-f", backup / "database", url)
        shutil.copytree(data / "networks", backup / "networks", copy_function=_copy)
        shutil.copy(data / "service.json", backup)
        stopping.set()
        thread.join()
    if restored is not None:
        _run(programs / "pg_restore", "-d", restored, backup / "database")
    with serving(backup, database=restored) as service:
        found = service.client.get("/networks", params={"limit": 1000}).json()["results"]
        assert {row["id"] for row in found} >= set(kept)
        assert service.services.missing == []
        for row in found:
            made(service.client.post(f"/networks/{row['id']}/inference", files=IMAGE))


def _copy(source: str, target: str) -> None:
    """Copy a file, as cp does, which goes on where the mark of an upload that is settled went meanwhile."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        assert Path(source).name == "unsettled"


def _run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True, timeout=SECONDS)


def test_upgrade_under_load_loses_nothing(tmp_path: Path) -> None:
    tasks: list[int] = []
    unexpected: list[BaseException] = []
    stopping = threading.Event()

    def infer(client: httpx.Client, version: int) -> None:
        try:
            while not stopping.is_set():
                try:
                    response = post_image(client, version)
                except httpx.TransportError:
                    time.sleep(0.05)  # nobody listens: as the vendor's client does
                    continue
                if response.status_code < 500:
                    tasks.append(made(response)["task_id"])
        except BaseException as error:
            unexpected.append(error)

    with running(tmp_path) as old, client_of(old) as client:
        version = publish(client).version
        threads = [threading.Thread(target=infer, args=(client, version)) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(tasks) > 5, SECONDS)
        waiter = threading.Timer(2.0, old.process.terminate)
        waiter.start()
        with running(tmp_path, "--wait", "60", port=int(old.host.rpartition(":")[2])) as new:
            assert new.host == old.host
            before = len(tasks)
            wait_until(lambda: len(tasks) > before + 5, SECONDS)
            stopping.set()
            for thread in threads:
                thread.join(SECONDS)
            assert unexpected == []
            for task in tasks:
                document = ended(client, task)
                if document["status"] == "success":
                    assert digits_in(document["data"]) == 17
                else:
                    assert "stopped before this task was done" in document["error"]

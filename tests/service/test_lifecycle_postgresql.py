"""A life of the service with its real engine on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from tests.service.digits import client_of, digits_in, ended, post_image, publish
from tests.service.objects import complaint, made
from tests.service.running import running


def _digits(client: httpx.Client, version: int) -> int:
    task = made(post_image(client, version))["task_id"]
    return digits_in(ended(client, task)["data"])


def test_service_on_postgresql_lives_through_a_kill_and_deletes(
    postgres: Callable[[], str], tmp_path: Path
) -> None:
    url = postgres()
    with running(tmp_path, "--database", url) as service, client_of(service) as client:
        kept, removed = publish(client), publish(client, "direct")
        assert _digits(client, kept.version) == 17
        service.kill()
    with running(tmp_path, "--database", url) as service, client_of(service) as client:
        assert _digits(client, kept.version) == 17
        assert client.delete(f"/networks/{removed.network}").status_code == 204
        complaint(post_image(client, removed.version), 404)
        assert len(list((tmp_path / "networks").iterdir())) == 1
        assert service.stop() in (0, -15)
    assert not (tmp_path / "postproc.sqlite").exists()
    with running(tmp_path, "--database", url) as service, client_of(service) as client:
        complaint(client.get(f"/networks/{removed.network}"), 404)
        assert [row["id"] for row in client.get("/recognition/versions").json()["results"]] == [kept.version]
        assert _digits(client, kept.version) == 17

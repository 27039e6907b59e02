"""The whole service on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.service.objects import IMAGE, complaint, made, make_network, make_spec, make_version
from tests.service.serving import serving


def test_service_on_postgresql_keeps_and_runs_versions(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    with serving(tmp_path, database=url) as first:
        network, spec = make_network(first.client), make_spec(first.client, name="é\u2028")
        version = make_version(first.client, spec, network)
    with serving(tmp_path, database=url) as second:
        client, path = second.client, f"/recognition/versions/{version['id']}"
        assert client.get(path).json() == version

        def infer(_: int) -> int:
            task_id: int = made(client.post(f"{path}/inference", files=IMAGE))["task_id"]
            return task_id

        with ThreadPoolExecutor(8) as pool:
            tasks = list(pool.map(infer, range(24)))
        page = client.get("/tasks", params={"task_ids": tasks}).json()
        assert {row["status"] for row in page["results"]} == {"success"}
        assert page["count"] == len(set(tasks)) == 24
        assert client.delete(f"/networks/{network['id']}").status_code == 204
        complaint(client.get(path), 404)
        complaint(client.get(f"/recognition/specs/{2**62}"), 404)

"""Public networks: listed, and taken by versions of every tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.digits import spec_document, version_document
from tests.service.objects import IMAGE, complaint, made, make_network
from tests.service.serving import Serving, serving

NAMES = ["digits-yolo", "digits-anchored", "digits-direct", "digits-classifier"]


def make_version(client: httpx.Client, name: str = "digits-yolo", **fields: Any) -> dict[str, Any]:
    kind = name.removeprefix("digits-")
    spec = made(client.post("/recognition/specs", json=spec_document(kind)))["id"]
    return made(
        client.post(
            "/recognition/versions", json={**version_document(spec, 1, kind), "network_id": name, **fields}
        )
    )


def test_public_networks_are_listed_in_pages(service: Serving) -> None:
    url, seen = "/networks/public/?public=1&offset=0&limit=3", []
    page = service.client.get(url).json()
    assert page["count"] == 4
    assert page["previous"] is page["prev"] is None
    seen += page["results"]
    page = service.client.get(page["next"]).json()
    assert page["next"] is None
    assert page["previous"] == page["prev"] is not None
    seen += page["results"]
    assert [row["id"] for row in seen] == NAMES
    for row in seen:
        assert service.client.get(f"/networks/public/{row['id']}").json() == row


@pytest.mark.parametrize("name", NAMES)
def test_version_on_a_public_network_is_made_and_runs(service: Serving, name: str) -> None:
    client = service.client
    version = make_version(client, name)
    public = client.get(f"/networks/public/{name}").json()
    assert (version["network_id"], version["network_name"]) == (name, public["name"])
    path = f"/recognition/versions/{version['id']}"
    assert client.get(path).json() == version
    row = {key: value for key, value in version.items() if key != "post_processings"}
    spec = f"/recognition/specs/{version['spec_id']}"
    assert client.get(f"{spec}/versions").json()["results"] == [row]
    assert row in client.get("/recognition/versions").json()["results"]
    for target in (path, spec):
        made(client.post(f"{target}/inference", files=IMAGE))
        work = service.engine.works[-1][1]
        assert (work.network.id, work.key) == (name, version["id"])
        assert work.network.model.is_file()
    complaint(service.other.get(path), 404)
    assert client.delete(path).status_code == 204
    assert client.get(f"/networks/public/{name}").status_code == 200


def test_public_network_is_among_those_of_no_tenant(service: Serving) -> None:
    make_version(service.client)
    make_version(service.other)
    own = make_network(service.client)["id"]
    for client in (service.client, service.other):
        listed = client.get("/networks").json()
        assert len(listed["results"]) == listed["count"]
        assert not {row["name"] for row in listed["results"]} & {"digits (yolo)"}
        for identifier in range(1, own):
            if identifier not in {row["id"] for row in listed["results"]}:
                complaint(client.get(f"/networks/{identifier}"), 404)
                complaint(client.delete(f"/networks/{identifier}"), 404)


def test_version_on_a_public_network_outlives_a_start(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        version = make_version(first.client)
    with serving(tmp_path) as second:
        assert second.client.get(f"/recognition/versions/{version['id']}").json() == version
        made(second.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE))
        again = make_version(second.client)
        assert again["network_id"] == version["network_id"]
        assert second.services.networks.folders() == set(), "there are no files to look after"


def test_version_on_a_public_network_of_another_release_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        version = make_version(service.client)
        del service.services.public["digits-yolo"]
        message = complaint(
            service.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE), 404
        )
        assert "no public spec or network 'digits-yolo'; there are digits-anchored" in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"network_id": "digits-none"}, "public ones are digits-yolo, digits-anchored"),
        ({"network_id": "1"}, "an integer, got '1'"),
        ({"network_id": "digits-direct"}, "the network has no tensor"),
        ({"spec_id": "digits-yolo"}, "takes no further versions: make a spec with its outputs"),
    ],
)
def test_version_that_does_not_fit_what_is_public_says_so(
    service: Serving, fields: dict[str, Any], words: str
) -> None:
    spec = made(service.client.post("/recognition/specs", json=spec_document("yolo")))["id"]
    document = {**version_document(spec, 1, "yolo"), "network_id": "digits-yolo", **fields}
    assert words in complaint(service.client.post("/recognition/versions", json=document))

"""The files of the page, as a browser asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO

import httpx
import pytest
from PIL import Image

from tests.service.serving import Serving


@pytest.fixture(scope="module")
def client(service: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.host, timeout=60) as opened:
        yield opened


FILES = sorted(
    path.name for path in files("postproc.service.page").iterdir() if path.name.endswith((".js", ".css"))
)
TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/page/{name}" for name in FILES)])
def test_asset_is_served_with_its_type_and_names_nothing_elsewhere(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES.get(path.rpartition(".")[2], "text/html; charset=utf-8")
    # Nothing comes from elsewhere: no address of another host, but for the name of SVG's language.
    assert re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]", answer.text) == []


def test_page_names_only_files_that_are_served(client: httpx.Client) -> None:
    names = re.findall(r'(?:href|src)="(page/[^"]+)"', client.get("/").text)
    scripts = [client.get(f"/page/{name}").text for name in FILES if name.endswith(".js")]
    imports = [f"page/{name}" for text in scripts for name in re.findall(r'from "\./([^"]+)"', text)]
    assert {"page/page.js", "page/page.css"} <= set(names)
    assert {client.get(f"/{name}").status_code for name in names + imports} == {200}


@pytest.mark.parametrize("path", ["/", "/docs", "/page/page.js", "/page/sample_digit.png"])
def test_asset_that_the_browser_has_is_not_sent_again(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = client.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content
    assert client.head(path).headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    ("name", "media_type", "size"),
    [("sample_page.jpg", "image/jpeg", (640, 480)), ("sample_digit.png", "image/png", (65, 65))],
)
def test_sample_is_an_image_of_the_package(
    client: httpx.Client, name: str, media_type: str, size: tuple[int, int]
) -> None:
    answer = client.get(f"/page/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    with Image.open(BytesIO(answer.content)) as image:
        assert image.size == size


@pytest.mark.parametrize(
    "path",
    [
        "/page/other.js",
        "/page/__init__.py",
        "/page/index.html",
        "/page/docs.html",
        "/page/sample_x.png",
        "/page/..%2Ferrors.py",
    ],
)
def test_asset_that_is_none_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404

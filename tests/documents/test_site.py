"""The site is built as CI and readers build it, and its reference has every name, field and command."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from pydantic import BaseModel

from postproc import Preprocessing, RecognitionSpec, RecognitionVersion, schema
from postproc.cli.app import app
from tests.documents.pages import ROOT
from tests.test_public_names import PUBLIC

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("mkdocs", "material", "mkdocstrings_handlers")),
    reason='needs the extra docs: pip install -e ".[docs]"',
)
# Attributes by which a page makes the browser fetch something while it is read; a link is none.
FETCHING = {"img": "src", "script": "src", "iframe": "src", "source": "src", "object": "data", "use": "href"}


class Page(HTMLParser):
    """The ids of a page, what it fetches, and where its links lead."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.ids |= {found["id"]} if "id" in found else set()
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        if tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "icon", "preload"):
            self.fetched.append(found.get("href", ""))
        if FETCHING.get(tag) in found:
            self.fetched.append(found[FETCHING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors, behind proxies that lead nowhere."""
    folder = tmp_path_factory.mktemp("site")
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    nowhere = dict.fromkeys(names, "http://127.0.0.1:9")
    done = subprocess.run(  # with -q, links that lead nowhere are neither told nor counted
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "excluded from the built site" not in done.stderr  # a link to what readers do not get
    return folder


def dead_links(pages: dict[Path, Page]) -> Iterator[tuple[str, str]]:
    """Yield each page with a link of it that leads to no file of the site, or to no id of its page."""
    for path, page in pages.items():
        for link in page.links:
            address, _, anchor = unquote(link).partition("#")
            if urlsplit(link).scheme:
                continue
            target = (path.parent / address.partition("?")[0]).resolve() if address else path
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].ids):
                yield path.name, link


def test_every_link_leads_to_a_file_and_an_anchor(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert sorted(dead_links(pages)) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    texts = {
        "a.html": '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="#top">3</a>',
        "b.html": '<p id="there"><a href="c.html">4</a><a href="https://a.example/#x">5</a></p>',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    pages = {path: Page(path) for path in sorted(tmp_path.resolve().iterdir())}
    assert list(dead_links(pages)) == [("a.html", "b.html#gone"), ("a.html", "#top"), ("b.html", "c.html")]


def text_of(path: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", path.read_text("utf-8")))


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    fetched = {(page.name, source) for page in pages for source in Page(page).fetched}
    assert any(source.endswith(".css") for _, source in fetched)
    assert [pair for pair in sorted(fetched) if re.match(r"(\w+:)?//", pair[1])] == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\([\"']?(?:https?:)?//[^)]*", styles) == []


def test_reference_has_every_public_name(site: Path) -> None:
    ids = set().union(*(Page(page).ids for page in (site / "reference" / "python").glob("*.html")))
    wanted = {f"{path}.{name}" for path, names in PUBLIC.items() for name in names.split()}
    wanted |= {f"{path}.{name}" for path in PUBLIC for name in importlib.import_module(path).__all__}
    assert len(wanted) > 90
    # What is shown with another module has that one's anchor.
    anchors = {id_.rpartition(".")[2] for id_ in ids}
    assert {name for name in wanted if name not in ids and name.rpartition(".")[2] not in anchors} == set()
    assert {
        "postproc.SegmentedDetections.masks",
        "postproc.schema.RecognitionSpec.load",
        "postproc.PostProcessor.replace",
    } <= ids


def test_every_example_of_a_host_has_a_page_that_is_linked(site: Path) -> None:
    html = (site / "hosts.html").read_text("utf-8")
    files = [path for path in (ROOT / "examples" / "hosts").rglob("*.py") if "__pycache__" not in path.parts]
    assert len(files) > 5
    for path in files:
        name, *inside = path.relative_to(ROOT / "examples" / "hosts").parts
        assert f'href="hosts/{name}.html"' in html
        page = text_of(site / "hosts" / f"{name}.html")
        assert "/".join(inside) in page
        assert path.read_text("utf-8").splitlines()[0] in page


def test_formulas_of_docstrings_are_not_emphasis(site: Path) -> None:
    pages = (site / "reference" / "python").glob("*.html")
    assert {page.name: re.findall(r"<em>.{,40}", page.read_text("utf-8")) for page in pages} == {
        page.name: [] for page in (site / "reference" / "python").glob("*.html")
    }


def models() -> dict[str, type[BaseModel]]:
    found = [getattr(schema, name) for name in schema.__all__]
    named = [kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return {kind.__name__: kind for kind in named if kind is not schema.DetectionOutput}


def test_reference_has_every_field_with_its_default(site: Path) -> None:
    html = (site / "reference" / "documents.html").read_text("utf-8")
    sections = dict(re.findall(r'<h[23] id="(\w+)">(.*?)(?=<h[23] id=|</article>)', html, re.DOTALL))
    assert {"recognitionspec", "recognitionversion", "preprocessing"} <= sections.keys()
    for name, model in models().items():
        rows = [
            [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
            for row in re.findall(r"<tr>(.*?)</tr>", sections[name.lower()], re.DOTALL)[1:]
        ]
        told = {row[0].removesuffix(" +"): row[1:] for row in rows}
        assert told.keys() == model.model_fields.keys(), name
        for field, info in model.model_fields.items():
            kind, default, described = told[field]
            assert kind not in ("", "any"), (name, field)
            assert bool(info.description) <= bool(described), (name, field)
            if info.is_required():
                assert default == "required", (name, field)
            elif isinstance(info.default, (bool, int, float, str)):
                assert default == json.dumps(info.default), (name, field)


def test_documents_are_those_of_the_page() -> None:
    assert {RecognitionSpec, RecognitionVersion, Preprocessing} <= set(models().values())


def test_reference_has_every_command_and_option(site: Path) -> None:
    told = text_of(site / "reference" / "commands.html")
    command = typer.main.get_command(app)
    groups = [name for name, part in command.commands.items() if hasattr(part, "commands")]
    assert groups == ["keys", "store"]
    inside = [f"{group} {name}" for group in groups for name in command.commands[group].commands]
    names = [*command.commands, *inside]
    assert len(names) > 12
    for name in names:
        found = command
        for part in name.split():
            found = found.commands[part]
        assert f"postproc {name}" in told
        for parameter in found.params:
            assert all(option in told for option in parameter.opts if option.startswith("--")), name

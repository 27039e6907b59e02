"""The four commands on a data set, wherever its files lie, and what they give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from postproc.stores import StoredPath, place_of
from tests.cli.commands import invoke

PAGES = 5


def make_digits(folder: Path) -> None:
    """Write a data set of pages of digits, a network that finds them, and one image that is none."""
    result = invoke("demo", "--dataset", folder, "--pages", PAGES)
    assert result.exit_code == 0, result.output
    (folder / "pages" / "x.png").write_text("nothing")


def upload(folder: Path, url: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            (StoredPath(url) / file.relative_to(folder).as_posix()).put(file)


def outcome(place: str, out: str, *options: str, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Call the commands on what lies at a path or URL, and give all that they wrote, without its place."""
    documents = ("--spec", f"{place}/spec.json", "--version", f"{place}/version.json")
    network = (f"{place}/model.onnx", f"{place}/pages", "--preprocessing", f"{place}/preprocessing.json")
    truth = ("--truth", f"{place}/truth.json")
    found: dict[str, Any] = {}

    def do(name: str, *arguments: str) -> None:
        if only and name not in only:
            return
        result = invoke(*arguments, *options)
        text = f"{result.stdout}{result.stderr}".replace(place, "PLACE").replace(out, "OUT")
        assert "Traceback" not in text, text
        found[name] = result.exit_code, text

    do("evaluate", "evaluate", *documents, *truth, *network, "--json", f"{out}/evaluation.json")
    do(
        "calibrate",
        *("calibrate", *documents, *truth, *network, "--output", f"{out}/calibrated.json"),
        *("--min-examples", "2", "--folds", "0"),
    )
    do("dump", "dump", *documents, *network, "--output", f"{out}/tensors", "--batch-size", "2")
    pages = [
        f"{place}/pages/{name}"
        for name in ("page-00000.png", "x.png", "page-00002.png", "gone.png", "page-00001.png")
    ]
    images = (f"{place}/model.onnx", *pages, *network[2:], "--batch-size", "2")
    do("run", "run", *documents, *images, "--draw", f"{out}/drawn")
    do("run to files", "run", *documents, *images, "--format", "voc", "--output", f"{out}/voc")
    saved = ("--tensors", f"{out}/tensors")
    do("evaluate tensors", "evaluate", *documents, *truth, *saved, "--json", f"{out}/of-tensors.json")
    do("run tensors", "run", *documents, *saved)
    for file in _below(out):
        name = str(file).removeprefix(f"{out}/")
        if name.endswith((".json", ".xml")):
            found[name] = file.read_bytes().decode().replace(place, "PLACE")
        elif name.endswith(".parquet"):
            found[name] = _rows(str(file), place)
        elif not name.endswith(".lock"):
            found[name] = file.read_bytes()
    return found


def _below(out: str) -> list[Path | StoredPath]:
    place = place_of(out)
    if isinstance(place, StoredPath):
        return list(place.below())
    return [path for path in place.rglob("*") if path.is_file()]


def _rows(path: str, place: str) -> list[Any]:
    from postproc.saved_tensors.files import open_stored

    file = open_stored(path)
    return [
        (
            image.name.replace(place, "PLACE"),
            image.size,
            image.transform,
            name,
            tensor.tobytes(),
            tensor.shape,
        )
        for group in range(len(file.group_rows))
        for image in file.read(group)
        for name, tensor in image.tensors.items()
    ]


def numbers(found: dict[str, Any]) -> Any:
    return json.loads(found["evaluation.json"])

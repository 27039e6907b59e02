"""Pascal VOC's XML with a ``score`` an object, a file an image, as ``postproc run`` writes it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import numpy as np

from postproc.errors import SchemaProblem
from postproc.evaluation.found_formats.found_file import FoundFile, Given, Key, check, numbered, text_of
from postproc.schema.problems import counted, describe

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def recognises(given: Given) -> bool:
    """Whether it is a folder of XML, or a file that begins with an annotation."""
    if given.path is not None and given.path.is_dir():
        return ".xml" in given.suffixes
    head = given.head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return re.match(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<annotation[\s>]", head, re.DOTALL) is not None


def read(given: Given) -> FoundFile:
    """Read a folder of such files, or a file; what is marked as difficult was discarded.

    Raises
    ------
    SchemaError
        If files are broken, or objects have no score.
    """
    assert given.path is not None
    root = given.path if given.path.is_dir() else given.path.parent
    files = sorted(root.rglob("*.xml")) if given.path.is_dir() else [given.path]
    images: list[Key] = []
    sizes: list[list[int]] = []
    rows: list[tuple[int, str, list[float], float, str]] = []
    discarded: list[str] = []

    def problems() -> Iterator[SchemaProblem]:
        for path in files:
            yield from _read_file(path, root, images, sizes, rows, discarded)

    check(given.source, problems())
    keys, category_of_each = numbered(name for _, name, *_ in rows)
    return FoundFile(
        given.source,
        tuple(images),
        np.array([image for image, *_ in rows], np.int64),
        {key: str(key) for key in keys},
        category_of_each,
        np.array([box for _, _, box, *_ in rows], np.float64).reshape(-1, 4),
        np.array([score for *_, score, _ in rows], np.float64),
        [where for *_, where in rows].__getitem__,
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        notes=(f"{counted(len(discarded), 'discarded candidate')} of {given.source} left out",)
        if discarded
        else (),
    )


def _read_file(
    path: Path,
    root: Path,
    images: list[Key],
    sizes: list[list[int]],
    rows: list[tuple[int, str, list[float], float, str]],
    discarded: list[str],
) -> Iterator[SchemaProblem]:
    try:
        fields = _fields(text_of(path))
    except (expat.ExpatError, _NotVocError) as error:
        yield SchemaProblem(path.name, f"expected Pascal VOC's XML: {error}")
        return
    of_image, objects = fields[0], fields[1:]
    folder = path.relative_to(root).parent
    images.append((folder / (of_image.get("filename") or path.stem)).as_posix())
    width, height = (_whole(of_image.get(f"size/{side}")) for side in ("width", "height"))
    sizes.append([height, width])
    for number, item in enumerate(objects):
        where = f"{path.name}: object[{number}]"
        box = [_number(item.get(f"bndbox/{side}")) for side in _SIDES]
        score = _number(item.get("score") or item.get("confidence"))
        name = item.get("name", "")
        if not name or any(side is None for side in box):
            yield SchemaProblem(
                where, f"expected a name and a bndbox with {', '.join(_SIDES)}, got {describe(item)}"
            )
        elif score is None:
            yield SchemaProblem(
                where,
                "expected a score: objects without one are ground truth, which --truth takes",
            )
        elif item.get("difficult") == "1":
            discarded.append(where)
        else:
            xmin, ymin, xmax, ymax = (side or 0.0 for side in box)
            # Pixels are counted from 1, and the last one is inside.
            rows.append(
                (len(images) - 1, name, [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1], score, where)
            )


class _NotVocError(ValueError):
    """It is XML, but no annotation, or one that is not safe to read."""


def _fields(text: str) -> list[dict[str, str]]:
    """Texts by the paths of their elements: of the image, and then of each object.

    Declared entities are refused, which may stand for any amount of text.
    """
    found: list[dict[str, str]] = [{}]
    path: list[str] = []
    written: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if not path and name != "annotation":
            raise _NotVocError(f"expected <annotation>, got <{name}>")
        path.append(name)
        written.clear()
        if path == ["annotation", "object"]:
            found.append({})

    def end(name: str) -> None:
        of_object = path[1:2] == ["object"]
        key = "/".join(path[2 if of_object else 1 :])
        if key and len(path) < 5:
            found[-1 if of_object else 0].setdefault(key, "".join(written).strip())
        path.pop()
        written.clear()

    def refuse(*declared: object) -> None:
        raise _NotVocError("it declares entities, which annotations do not need")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = written.append, refuse
    parser.Parse(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), True)
    return found


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _whole(text: str | None) -> int:
    number = _number(text)
    return int(number) if number is not None and math.isfinite(number) and 0 < number < 2**31 else 0

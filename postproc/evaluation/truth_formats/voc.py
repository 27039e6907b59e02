"""Pascal VOC: an XML file an image; difficult objects are ignored.

Coordinates are whole pixels counted from 1, the last one inside, as `postproc.exports.voc` describes. Where
one of a data set is below 1, they are edges counted from 0, as some tools write them.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.image_index import ImageIndex, Size, size_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import (
    Key,
    Problems,
    TruthFile,
    TruthRows,
    normal,
    number_of,
)
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.evaluation.truth_formats.xml_trees import parsed, text_in
from postproc.schema.problems import counted, describe

_START = re.compile(
    rb"^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype[^>\[]*>\s*)?<annotation[\s>]", re.I | re.S
)
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FOLDERS = frozenset(("annotations", "jpegimages", "images", "labels"))


def _looks_like(source: TruthSource) -> bool:
    if source.is_folder:
        return any(map(_is_annotation, source.samples(".xml")))
    return not source.is_document and _is_annotation(source.head)


def _is_annotation(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = text.decode("utf-16", "replace").encode()
    return bool(_START.match(text)) and (b"<polygon" not in text or b"<bndbox" in text)


def read(source: TruthSource) -> TruthFile:
    """Read the XML files of a folder, or one."""
    problems = Problems(source.name)
    paths = _files(source, problems)
    found = TruthRows()
    index = ImageIndex(source)
    owners: dict[str, str] = {}
    lowest, scores = 1.0, 0
    for path in paths:
        where = source.inside(path)
        try:
            root = parsed(path)
        except ValueError as error:
            problems.add(where, str(error))
            continue
        if root.tag != "annotation":
            problems.add(where, f"expected an annotation, got <{root.tag[:60]}>")
            continue
        name = _name(source, path, root)
        if (owner := owners.setdefault(normal(name), where)) != where:
            problems.add(f"{where}: filename", f"expected unique names, got {name!r}, that of {owner}")
        found.add_image(name, _size(root, path, index, problems, where))
        for number, item in enumerate(root.findall("object"), start=1):
            place = f"{where}: object {number}"
            corners = _corners(item, place, problems)
            difficult = _difficult(item, place, problems)
            if not (label := text_in(item, "name")):
                problems.add(f"{place}: name", "expected a name, got nothing")
            if corners and label:
                lowest = min(lowest, *corners)
                scores += item.find("score") is not None
                left, top, right, bottom = corners
                found.add(label, (left, top, right - left, bottom - top), ignored=difficult)
    problems.check()
    return _finished(source, found, lowest, scores)


def _finished(source: TruthSource, found: TruthRows, lowest: float, scores: int) -> TruthFile:
    # The last pixel, counted from 1, is the edge behind it, counted from 0.
    starts_at_one = lowest >= 1
    shift, growth = (-1.0, 1.0) if starts_at_one else (0.0, 0.0)
    found.boxes = [(x + shift, y + shift, w + growth, h + growth) for x, y, w, h in found.boxes]
    found.areas = [box[2] * box[3] for box in found.boxes]
    notes = [
        "pixels are counted from 1 and the last one of a box is inside, as VOC's development kit has it"
        if starts_at_one
        else "corners are taken as edges counted from 0, since some are below 1, where VOC's own begin"
    ]
    if any(found.ignored):
        notes.append(f"{counted(sum(found.ignored), 'difficult object')} ignored")
    if scores:
        notes.append("scores are left out: what was found counts as truth")
    names: dict[Key, str] = {key: str(key) for key in sorted(map(str, dict.fromkeys(found.categories)))}
    return found.file(source.name, names, names_first=True, notes=tuple(notes))


def _files(source: TruthSource, problems: Problems) -> list[Path]:
    """XML files, of a split those that ``ImageSets/Main`` lists, or that lie in its folder."""
    if not source.is_folder:
        return [source.path]
    paths = source.files.get(".xml", [])
    split = source.split
    if split is not None:
        lists = [
            path
            for path in source.files.get(".txt", [])
            if path.stem == split and "imagesets" in map(str.lower, path.parts)
        ]
        listed = {line.split()[0] for path in lists for line in _lines(path, source, problems)}
        paths = [
            path
            for path in paths
            if (path.stem in listed if lists else split in path.relative_to(source.path).parts[:-1])
        ]
    if not paths:
        told = (
            "" if split is None else f" of the split {split!r}, which ImageSets/Main or a folder would tell"
        )
        raise SchemaError(f"{source.name}: expected XML files{told}, found none")
    return paths


def _lines(path: Path, source: TruthSource, problems: Problems) -> list[str]:
    return [line for line in problems.text_of(path, source.inside(path)).splitlines() if line.strip()]


def _name(source: TruthSource, path: Path, root: Element) -> str:
    """Name of the image: its file name, in the folder that the XML file lies in below the data set's."""
    inside = PurePosixPath(source.inside(path)) if source.is_folder else PurePosixPath(path.name)
    parts = [part for part in inside.parent.parts if part.lower() not in _FOLDERS]
    named = PurePosixPath(text_in(root, "filename").replace("\\", "/")).name
    return str(PurePosixPath(*parts, named or inside.stem))


def _size(root: Element, path: Path, index: ImageIndex, problems: Problems, where: str) -> Size:
    """Height and width that the file says; else those of the image, if it is found; else zeros."""
    size = root.find("size")
    sides = []
    for side in ("height", "width"):
        text = "" if size is None else text_in(size, side)
        value = number_of(text)
        if text and (value is None or value < 0 or not value.is_integer() or value >= 2**31):
            problems.add(f"{where}: size: {side}", f"expected a whole number, got {describe(text)}")
            value = None
        sides.append(int(value or 0))
    if min(sides) > 0:
        return sides[0], sides[1]
    image = index.find(path, problems)
    return (0, 0) if image is None else size_of(image, problems, where)


def _corners(item: Element, place: str, problems: Problems) -> list[float]:
    box = item.find("bndbox")
    if box is None:
        problems.add(f"{place}: bndbox", "expected a box, xmin, ymin, xmax and ymax; got nothing")
        return []
    corners = []
    for name in _CORNERS:
        value = number_of(text_in(box, name))
        if value is None or abs(value) >= 2**31:
            problems.add(
                f"{place}: bndbox: {name}",
                f"expected a number of pixels, got {describe(text_in(box, name)) or 'nothing'}",
            )
        else:
            corners.append(value)
    if len(corners) < 4:
        return []
    if corners[2] < corners[0] or corners[3] < corners[1]:
        problems.add(
            f"{place}: bndbox",
            f"expected xmin <= xmax and ymin <= ymax, got {', '.join(f'{value:g}' for value in corners)}",
        )
        return []
    return corners


def _difficult(item: Element, place: str, problems: Problems) -> bool:
    text = text_in(item, "difficult").lower()
    if text not in ("", "0", "1", "true", "false", "unspecified"):
        problems.add(f"{place}: difficult", f"expected 0 or 1, got {describe(text)}")
    return text in ("1", "true")


FORMAT = TruthFormat(
    name="voc",
    summary="Pascal VOC's XML",
    looks_like=_looks_like,
    read=read,
    takes_folders=True,
    has_splits=True,
)

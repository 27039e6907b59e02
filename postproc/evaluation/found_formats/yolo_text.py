"""YOLO text with confidences, a file an image, as ultralytics' ``save_txt`` with ``save_conf`` writes them.

A line is the class, numbers that are parts of the image's width and height, and the confidence:

- ``cx cy w h`` for boxes, with ``x y v ...`` or ``x y ...`` of keypoints after them;
- eight numbers, the corners, for oriented boxes;
- ``x y x y ...``, an outline of three or more corners, for masks.

What the lines of a folder are is told by all of them together: each length fits boxes, or an outline. Poses
and outlines that both fit are told apart by ``kpt_shape`` of ``data.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.evaluation.found_formats.found_file import FoundFile, Given, Key, check, numbered, text_of
from postproc.schema.problems import describe

_LINE = re.compile(rb"\s*\d+(?:\.0+)?(?:[ \t]+[-+.\deEnainf]+){4,}[ \t]*(?:\r?\n|\r|$)")
NO_LABELS = frozenset(
    ("classes.txt", "labels.txt", "obj.names", "predefined_classes.txt", "requirements.txt")
)
_BOX, _CORNERS = 5, 9  # numbers of a line besides the class


def recognises(given: Given) -> bool:
    """Whether it is a folder of text, or a text whose first line has a class and numbers."""
    if given.path is not None and given.path.is_dir():
        return ".txt" in given.suffixes
    return _LINE.match(given.head.removeprefix(b"\xef\xbb\xbf")) is not None


def read(given: Given) -> FoundFile:
    """Read a folder of such files, or a file.

    Raises
    ------
    SchemaError
        If lines are broken, have no confidence, or may be read in two ways.
    """
    assert given.path is not None
    files, root = [given.path], given.path.parent
    if given.path.is_dir():
        root = given.path
        files = [path for path in sorted(root.rglob("*.txt")) if path.name.lower() not in NO_LABELS]
        labels = [path for path in files if "labels" in path.relative_to(root).parts[:-1]]
        files = labels or files
    lines: list[tuple[int, list[float], str]] = []
    names = _stems(files, root)
    check(given.source, _read_lines(files, lines))
    classes, points = _names_beside(root)
    numbers = [values for _, values, _ in lines]
    scores = np.array([values[-1] for values in numbers], np.float64)
    kind = _kind_of(given.source, [len(values) for values in numbers], points)
    keys, category_of_each = numbered([int(values[0]) for values in numbers])
    outlines = [values[1:-1] for values in numbers]
    boxes, keypoints = _boxes(outlines), np.zeros((len(lines), 0))
    corners = np.full((len(lines), 4, 2), np.nan)
    masks = np.full(len(lines), None, np.object_)
    if kind in ("boxes", "keypoints"):
        middles = np.array([values[:4] for values in outlines], np.float64).reshape(-1, 4)
        boxes = np.hstack([middles[:, :2] - middles[:, 2:] / 2, middles[:, 2:]])
        keypoints = np.array([values[4:] for values in outlines], np.float64).reshape(
            len(lines), -1 if lines else 0
        )
    elif kind == "oriented boxes":
        corners = np.reshape(outlines, (-1, 4, 2)).astype(np.float64)
    else:
        masks[:] = [[outline] for outline in outlines]
    return FoundFile(
        given.source,
        tuple(names),
        np.array([image for image, _, _ in lines], np.int64),
        {key: classes.get(int(key), "") for key in keys},
        category_of_each,
        boxes,
        scores,
        [place for *_, place in lines].__getitem__,
        is_relative=True,
        masks=masks,
        keypoints=keypoints,
        corners=corners,
        classes_are_rows=True,
    )


def _stems(files: list[Path], root: Path) -> list[Key]:
    """Give the paths of the images without their endings, as the labels lie beside or below them."""
    names: list[Key] = []
    for path in files:
        parts = path.relative_to(root).with_suffix("").parts
        names.append("/".join(parts[parts.index("labels") + 1 :] if "labels" in parts[:-1] else parts))
    return names


def _read_lines(files: list[Path], lines: list[tuple[int, list[float], str]]) -> Iterator[SchemaProblem]:
    for image, path in enumerate(files):
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            where = f"{path.name}, line {number}"
            try:
                values = [float(word) for word in words]
            except ValueError:
                yield SchemaProblem(where, f"expected a class and numbers, got {describe(line)}")
                continue
            if not (0 <= values[0] < 2**31 and values[0].is_integer()):
                yield SchemaProblem(where, f"expected a whole number as class, got {describe(words[0])}")
            elif len(values) == _BOX:
                yield SchemaProblem(
                    where,
                    "expected a confidence after cx cy w h: these are labels, which --truth takes; "
                    "ultralytics writes confidences with save_conf=True, postproc run with --scores",
                )
            elif len(values) < _BOX:
                yield SchemaProblem(
                    where, f"expected class, cx, cy, w, h and confidence, got {len(values)} numbers"
                )
            else:
                lines.append((image, values, where))


def _kind_of(source: str, lengths: list[int], points: tuple[int, int] | None) -> str:
    """Tell what lines of these numbers of values are, class and confidence included."""
    kinds = set(lengths)
    if kinds <= {_BOX + 1}:
        return "boxes"
    if points is not None and kinds == {_BOX + 1 + points[0] * points[1]}:
        return "keypoints"
    if kinds == {_CORNERS + 1}:
        return "oriented boxes"
    if any(length % 2 for length in kinds):  # class, box, three numbers a point, confidence
        # Corners of labels have nine numbers, and outlines of labels an odd one, but not all the same.
        if len(kinds) == 1 and len(lengths) > 1 and kinds != {_CORNERS} and (min(kinds) - _BOX - 1) % 3 == 0:
            return "keypoints"
        raise SchemaError(
            f"{source}: lines of {', '.join(map(str, sorted(kinds)[:6]))} numbers are neither boxes nor "
            "outlines with a class and a confidence each; labels of masks or corners without confidences are "
            "ground truth"
        )
    if len(kinds) == 1 and len(lengths) > 1:
        raise SchemaError(
            f"{source}: all lines have {min(kinds)} numbers, which may be keypoints or an outline; a "
            "data.yaml beside them with kpt_shape: [points, 2 or 3] says that they are keypoints"
        )
    return "masks"


def _boxes(outlines: list[list[float]]) -> NDArray[np.float64]:
    """Boxes around outlines."""
    boxes = np.zeros((len(outlines), 4))
    for row, outline in enumerate(outlines):
        xs, ys = outline[::2], outline[1::2]
        boxes[row] = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return boxes


def _names_beside(root: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Names of the classes, and the points of a pose and their numbers, as files beside the labels say."""
    names: dict[int, str] = {}
    shape = None
    for folder in (root, root.parent):
        yaml = next((path for path in sorted(folder.glob("*.yaml")) if path.name == "data.yaml"), None)
        if yaml is not None:
            names, shape = _of_yaml(text_of(yaml))
        if not names and (folder / "classes.txt").is_file():
            names = dict(enumerate(text_of(folder / "classes.txt").splitlines()))
        if names:
            break
    return names, shape


def _of_yaml(text: str) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Read names and kpt_shape, of block or flow style, quoted or not; pass over whatever else there is."""
    shape = re.search(r"^kpt_shape:\s*\[\s*(\d+)\s*,\s*(\d+)\s*\]", text, re.MULTILINE)
    points = (int(shape[1]), int(shape[2])) if shape else None
    block = re.search(r"^names:[ \t]*(.*)\n((?:[ \t]+.*\n|-[ \t].*\n)*)", text + "\n", re.MULTILINE)
    if block is None:
        return {}, points
    if flow := block[1].strip().strip("[]{}"):
        entries = [part for part in re.findall(r"(?:\"[^\"]*\"|'[^']*'|[^,\"'])+", flow) if part.strip()]
    else:
        entries = [line.strip().removeprefix("- ") for line in block[2].splitlines() if line.strip()]
    names = {}
    for row, entry in enumerate(entries):
        pair = re.match(r"(\d+)\s*:\s*(.*)", entry.strip())
        key, name = (int(pair[1]), pair[2]) if pair else (row, entry)
        names[key] = name.strip().strip("\"'")
    return names, points

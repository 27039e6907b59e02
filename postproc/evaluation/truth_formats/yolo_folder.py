"""A YOLO data set's files: data.yaml, or classes.txt, and which image goes with which label file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.image_index import IMAGE_SUFFIXES, ImageIndex
from postproc.evaluation.truth_formats.source import TruthSource, walk
from postproc.evaluation.truth_formats.truth_file import Problems, whole
from postproc.installing import install
from postproc.schema.problems import describe

SPLITS = ("val", "valid", "validation", "test", "train")
_LISTS = frozenset(
    (
        "classes.txt",
        "labels.txt",
        "obj.names",
        "train.txt",
        "val.txt",
        "valid.txt",
        "test.txt",
        "trainval.txt",
    )
)
_YAML = re.compile(rb"^\s*['\"]?(names|nc)['\"]?\s*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class YoloFolder:
    """What a data set of YOLO's consists of.

    Parameters
    ----------
    pairs : list of (path or None, path or None)
        Image and label file; either may be missing, never both.
    names : tuple of str
    keypoints : (int, int), optional
        Number of keypoints and of the numbers of each.
    notes : tuple of str
    """

    pairs: list[tuple[Path | None, Path | None]]
    names: tuple[str, ...]
    keypoints: tuple[int, int] | None
    notes: tuple[str, ...]


def document_of(source: TruthSource) -> Path | None:
    """Find the YAML file of a source, or in its folder, that says what the classes are called."""
    if not source.is_folder:
        return source.path if source.suffix in (".yaml", ".yml") else None
    found = []
    for path in (*source.files.get(".yaml", []), *source.files.get(".yml", [])):
        if path.parent == source.path and _YAML.search(path.read_bytes()[:65_536]):
            found.append(path)
    if len(found) > 1:
        preferred = [path for path in found if path.stem.lower() in ("data", "dataset")]
        if len(preferred) != 1:
            listed = ", ".join(path.name for path in found[:4])
            raise SchemaError(f"{source.name}: {listed} may each describe the data set; give one of them")
        return preferred[0]
    return found[0] if found else None


def label_files(source: TruthSource) -> list[Path]:
    """Text files of a folder that are labels of images, by their names."""
    return [path for path in source.files.get(".txt", []) if _is_label(path)]


def _is_label(path: Path) -> bool:
    name = path.name.lower()
    return name not in _LISTS and not name.startswith(("readme", "license", "requirements"))


def read_folder(source: TruthSource, problems: Problems) -> YoloFolder:
    """Find the images, label files and names of a data set.

    Raises
    ------
    SchemaError
        If its names or its images are not found.
    """
    path = document_of(source)
    if path is None:
        return _without_document(source, problems)
    document = _parsed(path)
    names = _names(document, path)
    if (count := document.get("nc")) is not None and whole(count) != len(names):
        raise SchemaError(
            f"{path}: nc: expected how many names there are, {len(names)}, got {describe(count)}; names or "
            "nc is wrong"
        )
    keypoints = _keypoints(document, path)
    split, entries = _split(document, path, source.split)
    if split is None:
        base = TruthSource(path.parent)
        pairs = _pairs_by_labels(source, label_files(base), problems)
        notes: tuple[str, ...] = ()
    else:
        pairs = _pairs_of_entries(source, path, document, split, entries, problems)
        notes = (f"the images are those of {split} in {path.name}", *_lost_root(document, path))
    if not pairs:
        raise SchemaError(f"{path}: expected label files, *.txt in a folder labels beside it, found none")
    return YoloFolder(pairs, names, keypoints, notes)


def _without_document(source: TruthSource, problems: Problems) -> YoloFolder:
    labels = label_files(source)
    if source.split is not None:
        inside = [path for path in labels if source.split in path.relative_to(source.path).parts[:-1]]
        if not inside:
            raise SchemaError(f"{source.name}: expected label files in a folder {source.split}, found none")
        labels = inside
    places = dict.fromkeys(
        (source.path, source.path / "labels", source.path.parent, source.path.parent.parent)
    )
    for place in places:
        for name in ("classes.txt", "labels.txt", "obj.names", "data/obj.names"):
            if (file := place / name).is_file():
                text = problems.text_of(file, source.inside(file))
                names = tuple(line.strip() for line in text.splitlines() if line.strip())
                notes = (f"names of classes are those of {file}",) if place != source.path else ()
                return YoloFolder(_pairs_by_labels(source, labels, problems), names, None, notes)
    raise SchemaError(
        f"{source.name}: YOLO's labels know classes by their rows: expected data.yaml, classes.txt or "
        "obj.names with their names in the folder or in the one above, found none"
    )


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise ImportError(f"{path}: reading YAML needs PyYAML: {install('eval')}") from None
    try:
        document = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise SchemaError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, Mapping):
        raise SchemaError(f"{path}: expected an object with names, got {describe(document)}")
    return document


def _names(document: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = document.get("names")
    if names is None:
        count = whole(document.get("nc"))
        if count is None or not 0 < count <= 100_000:
            raise SchemaError(f"{path}: names: expected the names of classes, got nothing")
        return tuple(map(str, range(count)))
    if isinstance(names, Mapping):
        try:
            keys = {int(key): name for key, name in names.items()}
        except (TypeError, ValueError, OverflowError):
            keys = {}
        if sorted(keys) != list(range(len(names))):
            raise SchemaError(
                f"{path}: names: expected keys 0, 1, 2, ..., got {describe(sorted(map(str, names)))}"
            )
        names = [keys[row] for row in range(len(keys))]
    if not isinstance(names, list) or not names or any(isinstance(name, (list, Mapping)) for name in names):
        raise SchemaError(f"{path}: names: expected a list of texts, got {describe(names)}")
    return tuple(map(str, names))


def _keypoints(document: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    shape = document.get("kpt_shape")
    if shape is None:
        return None
    if isinstance(shape, list) and len(shape) == 2:
        count, numbers = (whole(value) for value in shape)
        if count is not None and 0 < count <= 10_000 and numbers in (2, 3):
            return count, numbers
    raise SchemaError(f"{path}: kpt_shape: expected [number of points, 2 or 3], got {describe(shape)}")


def _split(document: Mapping[str, Any], path: Path, asked: str | None) -> tuple[str | None, list[str]]:
    there = {name: document[name] for name in SPLITS if document.get(name)}
    if asked is not None and not document.get(asked):
        known = ", ".join(there) or "none"
        raise SchemaError(f"{path}: expected a split {asked!r}, found {known}")
    name = asked or next(iter(there), None)
    if name is None:
        return None, []
    value = document[name]
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) and "\0" not in entry for entry in entries):
        raise SchemaError(f"{path}: {name}: expected a path, or a list of paths, got {describe(value)}")
    return name, entries


def _roots(document: Mapping[str, Any], path: Path) -> list[Path]:
    """Folders that ``path`` may mean: beside the file, or from where the program runs."""
    root = document.get("path")
    return [path.parent / root, Path(root)] if isinstance(root, str) and root and "\0" not in root else []


def _lost_root(document: Mapping[str, Any], path: Path) -> list[str]:
    """Say where images are looked for if ``path`` is no folder."""
    roots = _roots(document, path)
    if not roots or any(root.is_dir() for root in roots):
        return []
    return [
        f"path of {path.name}, {document['path']!r}, is no folder here: images are those beside {path.name}"
    ]


def _pairs_of_entries(
    source: TruthSource,
    path: Path,
    document: Mapping[str, Any],
    split: str,
    entries: list[str],
    problems: Problems,
) -> list[tuple[Path | None, Path | None]]:
    """Images of a split, each with its label file; label files alone where the images are not there."""
    bases = _roots(document, path)
    pairs: list[tuple[Path | None, Path | None]] = []
    for entry in entries:
        name = entry.replace("\\", "/")
        # Roboflow writes ../valid/images for what lies beside the file, which ultralytics allows for.
        names = [name, name[3:]] if name.startswith("../") else [name]
        places = [base / one for base in (*bases, path.parent) for one in names]
        images = next((place for place in places if place.exists()), None)
        labels = next((other for place in places if (other := labels_folder(place)).is_dir()), None)
        if images is not None and images.is_file():
            pairs += [(image, _label_of(image)) for image in _listed(images, path, problems)]
        elif images is not None and (files := [file for file in walk(images) if _is_image(file)]):
            pairs += [(image, _label_of(image)) for image in files]
        elif labels is not None:
            files = [file for file in walk(labels) if file.suffix.lower() == ".txt" and _is_label(file)]
            pairs += _pairs_by_labels(source, files, problems)
        else:
            raise SchemaError(
                f"{path}: {split}: expected a folder of images, or of labels in the place of images, or "
                f"a file that lists images; found nothing at {places[0]}"
            )
    return pairs


def _listed(file: Path, document: Path, problems: Problems) -> list[Path]:
    """Images that a text file lists, a path a line."""
    found = []
    for line in problems.text_of(file, str(file)).splitlines():
        if text := line.strip().replace("\\", "/").replace("\0", ""):
            places = [file.parent / text, document.parent / text]
            found.append(next((place for place in places if place.is_file()), places[0]))
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def labels_folder(images: Path) -> Path:
    """Folder of the labels of a folder of images: ``labels/val`` of ``images/val``, else the same."""
    parts = images.parts
    for row in range(len(parts) - 1, -1, -1):
        if parts[row] == "images":
            return Path(*parts[:row], "labels", *parts[row + 1 :])
    return images


def _label_of(image: Path) -> Path | None:
    label = labels_folder(image.parent) / f"{image.stem}.txt"
    return label if label.is_file() else None


def _pairs_by_labels(
    source: TruthSource, labels: list[Path], problems: Problems
) -> list[tuple[Path | None, Path | None]]:
    """Label files, each with its image where there is one, and images without any beside them."""
    index = ImageIndex(source)
    return [(index.find(label, problems), label) for label in labels]

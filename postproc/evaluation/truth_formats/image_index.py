"""Images beside labels, and their sizes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from postproc.errors import ImageError
from postproc.evaluation.truth_formats.source import TruthSource, walk
from postproc.evaluation.truth_formats.truth_file import Problems

IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".tif", ".tiff", ".webp", ".mpo", ".pfm")
)
# Where images lie, by the name of the folder that labels lie in.
_BESIDE = {
    "labels": ("images",),
    "labeltxt": ("images",),
    "labeltxt-v1.0": ("images",),
    "labeltxt-v1.5": ("images",),
    "annotations": ("JPEGImages", "images"),
}

Size = tuple[int, int]


class ImageIndex:
    """Finds the images of labels: beside them, in the folder for images, or in `source.images`."""

    def __init__(self, source: TruthSource) -> None:
        self._source = source
        self._folders: dict[Path, dict[str, list[Path]]] = {}
        self._given: dict[str, list[Path]] | None = None

    def find(self, label: Path, problems: Problems) -> Path | None:
        """Image of the same name as a label file; None where there is none.

        Several images of that name are a problem.
        """
        return self.named(label.stem, label.parent, problems, self._source.inside(label))

    def named(self, stem: str, folder: Path, problems: Problems, where: str) -> Path | None:
        """Image of a name without ending, whose labels lie in a folder."""
        for place in (*image_folders(folder), folder):
            if found := self._in(place).get(stem):
                return self._only(found, problems, where)
        if self._source.images is not None:
            if self._given is None:
                self._given = _by_stem(walk(self._source.images))
            if found := self._given.get(stem):
                return self._only(found, problems, where)
        return None

    def _in(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._folders:
            try:
                files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
            except OSError:
                files = []
            self._folders[folder] = _by_stem(files)
        return self._folders[folder]

    def _only(self, found: list[Path], problems: Problems, where: str) -> Path | None:
        if len(found) > 1:
            names = " and ".join(self._source.inside(path) for path in found[:2])
            problems.add(where, f"its image may be {names}; keep one, or name the folder of one")
            return None
        return found[0]


def _by_stem(files: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(path.stem, []).append(path)
    return found


def image_folders(folder: Path) -> list[Path]:
    """Folders that images lie in whose labels lie in a folder: ``images/val`` of ``labels/val``."""
    parts = folder.parts
    for row in range(len(parts) - 1, -1, -1):
        if names := _BESIDE.get(parts[row].lower()):
            return [Path(*parts[:row], name, *parts[row + 1 :]) for name in names]
    return []


def size_of(image: Path | bytes, problems: Problems, where: str) -> Size:
    """Height and width of an upright image by its header; zeros, and a problem, where it cannot be read."""
    from postproc.images.loading import EncodedImage

    try:
        encoded = EncodedImage(image)
    except ImageError as error:
        problems.add(where, f"the size of its image is needed: {error}")
        return 0, 0
    encoded.close()
    height, width = encoded.size
    return height, width


def missing_image(source: TruthSource) -> str:
    """Say that the size of an image is needed, and where images are looked for."""
    looked = "" if source.images is None else f" or in {source.images}"
    return (
        "its numbers are fractions of the image, whose size is said nowhere: no image of that name is found "
        f"beside it, in the images folder that corresponds to its own{looked}; name the folder of the images "
        "(images=, or the command's images or --pictures)"
    )


def unsized(row: int, name: str) -> str:
    """Say that the size of an image is needed, which was read without, by what is known of it."""
    if PurePosixPath(name).suffix.lower() == ".txt":  # no image was found of these labels
        place, of = name, "its image"
        todo = (
            "put the images into the folder images beside that of the labels, or name their folder (images=, "
            "or the command's images or --pictures)"
        )
    else:
        place, of, todo = f"images[{row}]", repr(name), "write them there"
    return f"{place}: width and height of {of} are needed, which the predictions do not know either; {todo}"

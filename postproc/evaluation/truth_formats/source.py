"""What a ground truth is read from: a file, a folder or a document in memory, looked into once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.wrong_kinds import EXPECTED, kind_of_bytes
from postproc.schema.problems import describe

_HEAD = 65_536  # bytes
_SAMPLES = 20
_LINE = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"(location|image)"\s*:\s*"')
_TRIED = 2_000  # empty files before it


class TruthSource:
    """A file, a folder or a document, and how it is to be read.

    Parameters
    ----------
    given : path or mapping
    images : path, optional
        Folder in which images are looked for whose sizes are needed.
    split : str, optional
        Which part of a data set, such as "val".
    output : int
        Which output of a spec, where a file holds results of several.
    needs_boxes : bool, optional
        Whether objects must have boxes; None where the file is to tell.

    Raises
    ------
    SchemaError
        If there is no such file or folder.
    """

    def __init__(
        self,
        given: str | os.PathLike[str] | Mapping[str, Any],
        *,
        images: str | os.PathLike[str] | None = None,
        split: str | None = None,
        output: int = 0,
        needs_boxes: bool | None = None,
    ) -> None:
        is_document = isinstance(given, Mapping)
        if not is_document and not isinstance(given, (str, os.PathLike)):
            raise SchemaError(
                "the ground truth: expected a file, a folder, or COCO's document as a dict, got "
                f"{describe(given)}"
            )
        self.path: Path = Path() if is_document else Path(given)  # type: ignore[arg-type]
        self.name = "the ground truth" if is_document else str(self.path)
        self.is_document = is_document
        self.images = None if images is None else Path(images)
        self.split, self.output, self.needs_boxes = split, output, needs_boxes
        if is_document:
            self.document = given
        try:
            self.is_folder = not is_document and self.path.is_dir()
            if not is_document and not self.is_folder:
                self.head = _head(self.path)
        except (OSError, ValueError) as error:  # a name with a null character is a ValueError
            reason = getattr(error, "strerror", None) or error
            raise SchemaError(f"{self.path}: cannot be read: {reason}") from None

    @cached_property
    def head(self) -> bytes:
        """First bytes of the file; none of a folder or document."""
        return b""

    @cached_property
    def suffix(self) -> str:
        """Ending of the name, in lower case; none of a folder or document."""
        return "" if self.is_document or self.is_folder else self.path.suffix.lower()

    @cached_property
    def is_json(self) -> bool:
        """Whether it is a document, or a file that begins as JSON does, but not as lines of it."""
        begins = self.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
        return self.is_document or (begins and not self.first_line)

    @cached_property
    def first_line(self) -> Mapping[str, Any]:
        """The first line as JSON, where it is an object as `postproc run` writes; else an empty one."""
        if self.is_document or not _LINE.match(self.head):
            return {}
        try:
            with self.path.open("rb") as file:
                line = json.loads(file.readline().removeprefix(b"\xef\xbb\xbf"))
        except (OSError, ValueError, RecursionError):
            return {}
        return line if isinstance(line, Mapping) and isinstance(line.get("outputs"), list) else {}

    @cached_property
    def document(self) -> Any:
        """The whole file as JSON.

        Raises
        ------
        SchemaError
            If it is none; says what it is.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise SchemaError(f"{self.path}: cannot be read: {error.strerror}") from None
        # Without the look-out for repeated keys that specs get, which would double the time of a large file.
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            found = kind_of_bytes(content) or f"what is not JSON: {error}"
            raise SchemaError(f"{self.path}: {EXPECTED}; found {found}") from None

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Files of a folder and of those in it, by their endings in lower case, each list in order.

        Links are followed, no folder is visited twice, and what begins with a dot is left out.
        """
        found: dict[str, list[Path]] = {}
        if self.is_folder:
            for path in walk(self.path):
                found.setdefault(path.suffix.lower(), []).append(path)
        return found

    def samples(self, suffix: str) -> list[bytes]:
        """First bytes of the first files with an ending that are not empty."""
        found: list[bytes] = []
        for path in self.files.get(suffix, [])[:_TRIED]:
            try:
                head = _head(path)
            except OSError:
                continue
            if head.strip():
                found.append(head)
            if len(found) == _SAMPLES:
                break
        return found

    def inside(self, path: Path) -> str:
        """Name a file of the folder, as messages and images do; the whole path if it lies elsewhere."""
        base = self.path if self.is_folder else self.path.parent
        try:
            return path.relative_to(base).as_posix()
        except ValueError:
            return path.as_posix()


def walk(folder: Path) -> list[Path]:
    """Files in a folder and below it, in order; see `TruthSource.files`."""
    found: list[Path] = []
    seen = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        identity = os.stat(where)
        if (identity.st_dev, identity.st_ino) in seen:
            folders.clear()
            continue
        seen.add((identity.st_dev, identity.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(where, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)

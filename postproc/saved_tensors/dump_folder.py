"""A folder that tensors are dumped into: what was asked for, and the parts that are complete."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from postproc.disk import hold, settle
from postproc.errors import TensorError
from postproc.saved_tensors.files import open_stored
from postproc.stores import StoredPath

_MANIFEST = "manifest.json"
_UNREADABLE = "unreadable.json"
_UNFINISHED = ".unfinished"


class DumpFolder:
    """A folder of saved tensors that grows part by part, each of which is there in full or not at all.

    Parameters
    ----------
    path : Path or StoredPath
        The folder, which is made if it is not there.
    asked : mapping
        What is asked for, as JSON: the network, the tensors, ... Written to ``manifest.json`` the first time.

    Attributes
    ----------
    done : set of str
        Names of the images in the complete parts.

    Raises
    ------
    TensorError
        If something else was asked for before, a part is damaged, or parts are there without a manifest.
    """

    def __init__(self, path: Path | StoredPath, asked: Mapping[str, Any]) -> None:
        self.path = path
        parts: list[Path | StoredPath] = []
        if isinstance(path, Path):
            path.mkdir(parents=True, exist_ok=True)
            parts += sorted(path.glob("part-*.parquet"))
        else:
            parts += [file for file in path.below() if file.folder == path and _is_part(file.name)]
        self._check_manifest(asked, bool(parts))
        if isinstance(path, Path):
            for left in path.glob(f"*{_UNFINISHED}"):  # by a process that was killed
                left.unlink()
        self._next = 1 + max((_number(part) for part in parts), default=-1)
        self.done = {name for part in parts for name in open_stored(str(part)).image_names()}

    def _check_manifest(self, asked: Mapping[str, Any], has_parts: bool) -> None:
        file = self.path / _MANIFEST
        asked = json.loads(json.dumps(asked))
        try:
            written = json.loads(file.read_bytes().decode())
        except FileNotFoundError:
            if has_parts:
                raise TensorError(
                    f"{self.path}: holds parts of a dump, but no {_MANIFEST} that says of what; "
                    "take another folder"
                ) from None
            self._publish(_MANIFEST, asked)
            return
        except ValueError as error:
            raise TensorError(f"{file}: is no JSON ({error}); take another folder") from None
        if not isinstance(written, dict):
            written = {}
        differing = [key for key in {**asked, **written} if asked.get(key) != written.get(key)]
        if differing:
            lines = "".join(
                f"\n  {key}: it has {_brief(written.get(key))}, asked for is {_brief(asked.get(key))}"
                for key in differing
            )
            raise TensorError(
                f"{self.path}: holds a dump of something else; take another folder, or delete this one{lines}"
            )

    @contextmanager
    def part(self) -> Iterator[Path]:
        """Give the path to write a part to, which is in the folder for good once the block ends well."""
        final = self.path / f"part-{self._next:05}.parquet"
        if isinstance(final, StoredPath):
            with tempfile.TemporaryDirectory(prefix="postproc-") as folder:
                made = Path(folder) / final.name
                yield made
                try:
                    final.put(made, is_new=True)
                except FileExistsError:
                    raise TensorError(f"{self.path}: another process is dumping into this folder") from None
        else:
            unfinished = final.with_name(final.name + _UNFINISHED)
            try:
                yield unfinished
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            settle(unfinished, final)
        self._next += 1

    def write_unreadable(self, images: Mapping[str, str]) -> None:
        """List the images that could not be read, and why; no list is left where there are none."""
        if images:
            self._publish(_UNREADABLE, images)
        else:
            (self.path / _UNREADABLE).unlink(missing_ok=True)

    def _publish(self, name: str, document: Any) -> None:
        final = self.path / name
        content = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
        if isinstance(final, StoredPath):
            final.put(content)
            return
        unfinished = final.with_name(name + _UNFINISHED)
        unfinished.write_bytes(content)
        settle(unfinished, final)


@contextmanager
def locked(folder: Path | StoredPath) -> Iterator[None]:
    """Keep other processes from dumping into the folder; the lock ends with the process, however it ends.

    A store has none: there, a part is written only where it is new.

    Raises
    ------
    TensorError
        If another one does so.
    """
    if isinstance(folder, StoredPath):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a") as file:
        try:
            hold(file)
        except OSError:
            raise TensorError(f"{folder}: another process is dumping into this folder") from None
        yield


def _is_part(name: str) -> bool:
    return name.startswith("part-") and name.endswith(".parquet")


def _number(part: Path | StoredPath) -> int:
    digits = part.stem.removeprefix("part-")
    if not digits.isdecimal():
        raise TensorError(f"{part}: expected parts named part-00000.parquet and on in this folder")
    return int(digits)


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."

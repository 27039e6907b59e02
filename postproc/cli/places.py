"""Files of commands, by path or by URL of a store: what options take, copies here, and what is written."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from postproc.disk import whole_file
from postproc.errors import ExportError, PostprocError, StoreError
from postproc.stores import StoredPath, is_url, place_of

# What parsers give is a Path or a StoredPath; options say Path, since Typer takes no unions.
Place = Path | StoredPath
_copies: dict[str, str] = {}  # folders of this machine, and the URLs that they are copies of


def parser(
    *, exists: bool = True, files: bool = True, folders: bool = False, of_all: bool = False
) -> Callable[[str], Place]:
    """Make what reads an option that is a path or a URL, and checks it as Typer does a path.

    With `of_all` a ``file://`` stays a URL, of what all machines of a cluster have; else it is a path.
    """
    kind = "Path" if files and folders else "File" if files else "Directory"

    def parse(text: str) -> Place:
        with _as_misuse():
            place = place_of(text)
            if isinstance(place, StoredPath) and not of_all:
                place = place.local or place
            if isinstance(place, Path):
                _check(place, kind, exists)
            elif not exists and not of_all:
                is_dir = place.is_dir()  # asks whether its store answers, before all work
                if kind == "File" and (is_dir or place.is_bucket):
                    raise typer.BadParameter(f"File {text!r} is a directory.")
                if kind == "Directory" and not is_dir and place.is_file():
                    raise typer.BadParameter(f"Directory {text!r} is a file.")
            elif exists and not ((files and place.is_file()) or (folders and place.is_dir())):
                raise typer.BadParameter(f"{kind} {text!r} does not exist.")
            return place

    return parse


def copying_parser(*, folders: bool = False) -> Callable[[str], Path]:
    """Make the same for what libraries read by its path: of a URL a copy, which goes with the command."""
    read = parser(folders=folders)

    def parse(text: str) -> Path:
        place = read(text)
        if isinstance(place, Path):
            return place
        with _as_misuse():
            return _copied(place)

    return parse


def copied_if_url(text: str) -> str:
    """Read an option that is a path or something else: a URL becomes the path of a copy."""
    return str(copying_parser()(text)) if is_url(text) else text


def _copied(place: StoredPath) -> Path:
    folder = tempfile.mkdtemp(prefix="postproc-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _copies[folder] = _before_name(place)
    target = Path(folder) / place.name
    if place.is_file():
        place.fetch(target)
    else:
        for file in place.below():
            file.fetch(target / file.relative_to(place))
    return target


def _before_name(place: StoredPath) -> str:
    """Give its URL up to its name, which may be that of a bucket."""
    return place.url.rpartition("/")[0]


def told(text: str) -> str:
    """Word a text by URLs where it has the paths of their copies."""
    for folder, url in _copies.items():
        text = text.replace(folder, url)
    return text


def read_tensors(place: str) -> str:
    """Read an option that is a path or a URL of saved tensors; a path is checked."""
    if not is_url(place):
        _check(Path(place), "Path", True)
    return place


@contextmanager
def writing(target: Place) -> Iterator[Path]:
    """Give the path of this machine to write a file or a folder to, which goes to its store when it is whole.

    Raises
    ------
    ExportError
        If a folder of a store holds files already.
    StoreError
        If the store does not take it; what was written then stays on this machine, and the error says where.
    """
    if isinstance(target, Path):
        yield target
        return
    folder = Path(tempfile.mkdtemp(prefix="postproc-"))
    _copies[str(folder)] = _before_name(target)
    path = folder / target.name
    is_kept = False
    try:
        yield path
        try:
            _put(path, target)
        except (StoreError, ExportError, OSError) as error:
            is_kept = True
            del _copies[str(folder)]
            raise type(error)(f"{error}; what was to be written there is at {path}") from None
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)


def write_text(target: Place, text: str) -> None:
    """Write a file of text, whole or not at all."""
    with writing(target) as path, whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def check_new_folder(target: Place) -> None:
    """Raise an `ExportError` if a folder of a store holds files."""
    if isinstance(target, StoredPath) and target.is_dir():
        raise ExportError(f"{target}: expected a new or empty folder; this one holds files, name another")


def check_new_file(target: Place) -> None:
    """Raise an `ExportError` if the name is that of a folder of a store."""
    if isinstance(target, StoredPath) and (target.is_bucket or target.is_dir()):
        raise ExportError(f"{target}: expected the name of a file; this is a folder, name a file in it")


def check_outputs(outputs: Mapping[str, Place | None], inputs: Iterable[Place | str | None]) -> None:
    """See that nothing is written over what is read, or between the tensors that are read.

    Parameters
    ----------
    outputs : mapping of str to path or StoredPath
        What is written, by the names of the options.
    inputs : iterable of path or StoredPath
        What is read.

    Raises
    ------
    typer.BadParameter
        If something is.
    """
    read = [place_of(told(str(place))) for place in inputs if place is not None]
    for option, target in outputs.items():
        if target is not None and any(_is_among(target, place) for place in read):
            raise typer.BadParameter(
                f"{target} is what the command reads: give another name", param_hint=option
            )


def _is_among(target: Place, read: Place) -> bool:
    """Whether a file is what is read, or a file of tensors in the folder that is read."""
    folder = place_of(os.path.dirname(target))
    return _is_same(target, read) or (target.suffix == ".parquet" and _is_same(folder, read))


def _is_same(one: Place, other: Place) -> bool:
    one, other = (place if isinstance(place, Path) else place.local or place for place in (one, other))
    if isinstance(one, Path) and isinstance(other, Path):  # a terminal may be both read and written
        return (one.is_file() or one.is_dir()) and other.exists() and one.samefile(other)
    return one == other


def _put(path: Path, target: StoredPath) -> None:
    if not path.is_dir():
        target.put(path)
        return
    check_new_folder(target)
    done: list[StoredPath] = []
    try:
        for file in sorted(one for one in path.rglob("*") if one.is_file()):
            done.append(target / file.relative_to(path).as_posix())
            done[-1].put(file)
    except BaseException:  # a store has no folder that appears at once
        for file_there in done:
            with suppress(PostprocError, OSError):
                file_there.unlink()
        raise


def _check(path: Path, kind: str, exists: bool) -> None:
    if not path.exists():
        if exists:
            raise typer.BadParameter(f"{kind} {str(path)!r} does not exist.")
        return
    if path.is_dir() and kind == "File":
        raise typer.BadParameter(f"File {str(path)!r} is a directory.")
    if path.is_file() and kind == "Directory":
        raise typer.BadParameter(f"Directory {str(path)!r} is a file.")
    if exists and not os.access(path, os.R_OK):
        raise typer.BadParameter(f"{kind} {str(path)!r} is not readable.")


@contextmanager
def _as_misuse() -> Iterator[None]:
    """Tell what is wrong with a URL, or with its store, as Typer does of an option."""
    try:
        yield
    except (PostprocError, OSError) as error:
        raise typer.BadParameter(str(error)) from None

"""Where compiled kernels are kept, and whether those of this processor are there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from numba.core import config
from numba.core.registry import cpu_target
from numba.misc.appdirs import AppDirs

from postproc.doctor.findings import Finding, Status, megabytes
from postproc.kernels import _numba

_TEMPORARY = "every process compiles the kernels again, which takes up to a minute"


def kernel_cache() -> Iterator[Finding]:
    """Describe the cache of kernels."""
    if config.DISABLE_JIT:
        yield Finding("directory", "not used, since NUMBA_DISABLE_JIT is set")
        return
    directory, reason = _numba.cache_place()
    if directory is None:
        advice = "set NUMBA_CACHE_DIR to a folder that only you can write to, and run `postproc warmup`"
        yield Finding("directory", f"none: {reason}. So {_TEMPORARY}", Status.WARNING, advice)
        return
    yield _writable(directory)
    yield _contents(directory)
    yield from _stale(directory)


def _writable(directory: Path) -> Finding:
    try:
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        # As in a container whose build has filled it: right, as long as nothing is missing.
        return Finding("directory", f"{directory}, which can be read only ({error.strerror})")
    return Finding("directory", f"{directory}, which can be written")


def _contents(directory: Path) -> Finding:
    indices = list(directory.glob("*.nbi"))
    size = sum(_size(path) for path in directory.iterdir())
    # An index holds its keys in plain text, of which the processor's name and features are a part.
    mine = [text.encode() for text in cpu_target.target_context.codegen().magic_tuple()]
    fitting = sum(all(text in index for text in mine) for index in map(Path.read_bytes, indices))
    text = f"{fitting} compiled for this processor" if fitting else "none for this processor yet"
    text += f", {megabytes(size)}" if indices else ""
    if fitting < len(indices):
        text += f"; {len(indices) - fitting} for other processors or settings, which are of no use here"
    if fitting:
        return Finding("kernels", text, Status.OK)
    if os.access(directory, os.W_OK):
        return Finding(
            "kernels", f"{text}: they are compiled when they are first needed, up to a minute in all"
        )
    advice = "run `postproc warmup` as a user who may write there, or set NUMBA_CACHE_DIR to another folder"
    return Finding("kernels", f"{text}: {_TEMPORARY}", Status.WARNING, advice)


def _stale(directory: Path) -> Iterator[Finding]:
    """Tell of folders that other versions left behind."""
    roots = dict.fromkeys((directory.parent, Path(AppDirs("numba", appauthor=False).user_cache_dir)))
    for root in roots:
        stale = [path for path in root.glob("postproc-*") if path != directory and path.is_dir()]
        if stale:
            size = sum(_size(file) for folder in stale for file in folder.iterdir())
            yield Finding(
                "left behind",
                f"{len(stale)} folder{'s' * (len(stale) > 1)} of other versions or settings, "
                f"{megabytes(size)}: {root / 'postproc-*'}. All but {directory.name} may be deleted",
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just removed it
        return 0

"""The one decorator of all kernels: compiled without the GIL, cached by the content of this package.

numba stamps a cached function with the source file that defines it, not with the helpers it calls from
other files, so an edited or upgraded helper would leave stale machine code in its callers. Here every
cached kernel is keyed by a digest of all kernel sources together with what else changes the code.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, _CacheLocator
from numba.misc.appdirs import AppDirs

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function on its first call, or load it from the cache.

    ``error_model="numpy"`` lets a division by zero give infinity as in NumPy: the check that Python's
    rules ask for would keep LLVM from vectorising the loop around it.
    """
    return _compile(function, fastmath=False)


def reassociating_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like `kernel`, but let LLVM add in vectors: for a sum whose order does not matter."""
    return _compile(function, fastmath={"reassoc"})


def _compile(function: Callable[P, R], fastmath: bool | set[str]) -> Callable[P, R]:
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    if not config.DISABLE_JIT:
        dispatcher._cache = _KernelCache(function)
    compiled: Callable[P, R] = dispatcher
    return compiled


@functools.cache
def source_digest() -> str:
    """Digest of every kernel source, of numba's version and of the flags that numba's own key leaves out."""
    digest = hashlib.sha256(f"{numba.__version__} boundscheck={config.BOUNDSCHECK}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def cache_directory() -> Path | None:
    """Directory of the compiled kernels; None if no place can be written.

    In order: ``NUMBA_CACHE_DIR``, the package's own ``__pycache__``, the user's cache directory. A place
    that a container build has filled serves even when it cannot be written any more.
    """
    name = f"postproc-{source_digest()}"
    if config.CACHE_DIR:
        roots = [Path(config.CACHE_DIR)]
    else:
        roots = [
            Path(__file__).parent / "__pycache__",
            Path(AppDirs(appname="numba", appauthor=False).user_cache_dir),
        ]
    for root in roots:
        if (root / name).is_dir():
            return root / name
    for root in roots:
        try:
            (root / name).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=root / name).close()
        except OSError:
            continue
        return root / name
    return None


@functools.cache
def _say_once(reason: str) -> None:
    logger.warning(
        "compiled kernels are not cached (%s): every process compiles them again, which takes seconds. "
        "Set NUMBA_CACHE_DIR to a writable directory, or run `postproc warmup` where one is.",
        reason,
    )


class _Locator(_CacheLocator):
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get_cache_path(self) -> str:
        return os.fspath(self._directory)

    def get_source_stamp(self) -> str:
        return source_digest()

    def get_disambiguator(self) -> str:
        return ""


class _CacheImpl(CompileResultCacheImpl):
    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self._locator = _Locator(directory)
        module = function.__module__.rpartition(".")[2]
        tag = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        self._filename_base = f"{module}.{function.__qualname__}.{tag}"


class _FunctionCache(FunctionCache):
    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self._impl_class = functools.partial(_CacheImpl, directory=directory)
        super().__init__(function)


class _KernelCache(NullCache):
    """A cache that opens on first use and never breaks its user: what fails is compiled in memory."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @functools.cached_property
    def _files(self) -> Any:
        directory = cache_directory()
        if directory is None:
            _say_once("no writable cache directory")
            return NullCache()
        return _FunctionCache(self._function, directory)

    @property
    def cache_path(self) -> str | None:
        path: str | None = self._files.cache_path
        return path

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return self._files.load_overload(signature, target_context)
        except Exception as error:
            # A truncated or foreign file can raise anything from pickle or LLVM: it only costs a compilation.
            logger.info("cached kernel %s is unreadable: %r", self._function.__qualname__, error)
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            self._files.save_overload(signature, data)
        except OSError as error:
            _say_once(f"{error}")

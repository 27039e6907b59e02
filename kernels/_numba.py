"""Kernels compiled by numba on their first call: without the GIL, cached by the content of this package.

numba stamps a cached function with the source file that defines it, not with the helpers it calls from
other files, so an edited or upgraded helper would leave stale machine code in its callers. Here every
cached kernel is keyed by a digest of all kernel sources together with what else changes the code.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, _CacheLocator
from numba.core.compiler_lock import global_compiler_lock
from numba.core.types.misc import unliteral
from numba.misc.appdirs import AppDirs

from ._announcing import say_compiling
from ._cache_files import CheckedFiles
from ._compiled import for_kernels_only
from ._interrupts import holding_signals, let_signals_through
from ._sources import archive, content_digest
from ._trusted_paths import DistrustError, TrustedDirectory

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

if hasattr(os, "register_at_fork"):
    # A child that is forked while another thread compiles or loads a kernel would wait for ever for numba's
    # lock: the fork waits instead, seconds at most.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

# Sources under work change often, and a flag of numba's asks for code of its own: some are worth keeping.
_KEPT_CACHES = 4


def compiled_on_call(
    function: Callable[P, R],
    is_inner: bool = False,
    is_inlined: bool = False,
    is_borrowing: bool = False,
    is_pasted: bool = False,
) -> Callable[P, R]:
    """Compile a function on its first call, or load it from the cache: see the decorators in `_jit`.

    ``error_model="numpy"`` lets a division by zero give infinity as in NumPy: the check that Python's
    rules ask for would keep LLVM from vectorising the loop around it.
    """
    if is_pasted:
        code: Callable[P, R] = numba.njit(inline="always")(function)
        return code
    dispatcher = numba.njit(
        nogil=True,
        error_model="numpy",
        no_cfunc_wrapper=True,
        no_cpython_wrapper=is_inner,
        forceinline=is_inlined,
        _nrt=not is_borrowing,
    )(function)
    if not config.DISABLE_JIT:
        # Now, and not on the first call: sources that change in between are not what this process runs.
        source_digest()
        dispatcher._cache = _KernelCache(function)
        dispatcher.get_call_template = functools.partial(_call_template, dispatcher.get_call_template)
        if is_inner:
            dispatcher.add_overload = functools.partial(_add_for_kernels, dispatcher)
            dispatcher._compile_for_args = for_kernels_only(function)
        else:
            dispatcher._compile_for_args = functools.partial(
                holding_signals, _compile_for_call, dispatcher, dispatcher._compile_for_args, {}
            )
    compiled: Callable[P, R] = dispatcher
    return compiled


def _compile_for_call(
    dispatcher: Any, compile_for: Callable[..., Any], entered: dict[tuple[int, ...], object], *args: Any
) -> Any:
    """Code for a call from Python with arguments of types that none has had.

    Every array counts as read-only: numba passes a writable one to such code as well, so memory of both kinds
    shares one specialisation, without a copy or a view. It is entered for the arguments as they are, too:
    numba remembers types of arrays for all functions of a process, and would compare here at every call. But
    once only, whichever threads come here at a time: of two that fit numba takes neither.
    """
    plain = tuple(map(_read_only, args))
    code = compile_for(*plain)
    given = _codes(dispatcher, args)
    own = object()
    if given != _codes(dispatcher, plain) and entered.setdefault(given, own) is own:
        dispatcher._insert(given, code)
    return code


def _codes(dispatcher: Any, values: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(dispatcher.typeof_pyval(value)._code for value in values)


def _read_only(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_read_only, value))
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def _call_template(template: Callable[[Any, Any], Any], args: Any, kws: Any) -> Any:
    """Code for a call from another kernel: numba would compile anew for a constant among the arguments."""
    return template(
        tuple(unliteral(kind) for kind in args), {name: unliteral(kind) for name, kind in kws.items()}
    )


def _add_for_kernels(dispatcher: Any, compiled: Any) -> None:
    """Keep code for other kernels, out of reach of a call from Python: it has no entry for one."""
    dispatcher.overloads[tuple(compiled.signature.args)] = compiled


@functools.cache
def source_digest() -> str:
    """Digest of every kernel source, of numba's version and of the flags that numba's own key leaves out."""
    whole = f"{numba.__version__} boundscheck={config.BOUNDSCHECK} {content_digest()}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def cache_directory() -> Path | None:
    """Directory of the compiled kernels; None if no place can be written.

    In order: ``NUMBA_CACHE_DIR``, the package's own ``__pycache__`` unless it lies in an archive, the user's
    cache directory. A place that a container build has filled serves even when it cannot be written any more;
    one that other users can write to, or lead to another place, never serves.
    """
    return cache_place()[0]


@functools.cache
def cache_place() -> tuple[Path | None, str]:
    """Directory of the compiled kernels, and if there is none the reason."""
    name = f"postproc-{source_digest()}"
    reason = "no writable cache directory"
    if config.CACHE_DIR:
        roots = [Path(config.CACHE_DIR).absolute()]
    else:
        roots = [Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)]
        if archive() is None:  # else there is no folder, or one that is gone when the process ends
            roots.insert(0, Path(__file__).absolute().parent / "__pycache__")
    fresh = []
    for root in roots:
        try:
            TrustedDirectory(root / name).close()
        except DistrustError as error:
            logger.info("cache ignored: %s", error)
            reason = str(error)
        except OSError:
            fresh.append(root)
        else:
            return root / name, ""
    for root in fresh:
        try:
            with TrustedDirectory(root / name, make=True) as directory:
                directory.try_writing()
        except DistrustError as error:  # another process has made it first
            reason = str(error)
        except OSError:
            continue
        else:
            if root.name == "__pycache__":
                _remove_stale(root)
            return root / name, ""
    return None, reason


def _remove_stale(root: Path) -> None:
    """Remove what older sources of this very folder were compiled to, but for the last few."""
    with contextlib.suppress(OSError):
        newest_first = sorted(root.glob("postproc-*"), key=os.path.getmtime, reverse=True)
        for folder in newest_first[_KEPT_CACHES:]:
            shutil.rmtree(folder, ignore_errors=True)


_said: list[str] = []


def _say_once(reason: str) -> None:
    if _said:
        return
    _said.append(reason)
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

    def ensure_cache_path(self) -> None:
        pass  # it is open

    def get_source_stamp(self) -> str:
        return source_digest()

    def get_disambiguator(self) -> str:
        return ""


class _CacheImpl(CompileResultCacheImpl):
    def __init__(self, function: Callable[..., Any], directory: Path, variant: str) -> None:
        self._locator = _Locator(directory)
        # The whole path below this package: folders may have modules of one name.
        module = function.__module__.removeprefix(f"{__package__}.")
        tag = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        self._filename_base = f"{module}.{function.__qualname__}.{variant}.{tag}"


class _FunctionCache(FunctionCache):
    def __init__(self, function: Callable[..., Any], directory: TrustedDirectory, variant: str) -> None:
        self._impl_class = functools.partial(_CacheImpl, directory=directory.path, variant=variant)
        super().__init__(function)
        self._cache_file = CheckedFiles(
            directory, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )


class _KernelCache(NullCache):
    """A cache that opens on first use and never breaks its user: what fails is compiled in memory.

    Every signature and processor has files of its own. numba numbers those of one function, and two processes
    that fill a cold cache at once can give one number to two signatures: from then on every process would run
    the code of one for the other (measured: a float64 call answered by the int64 code).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def cache_path(self) -> str | None:
        directory = cache_directory()
        return None if directory is None else os.fspath(directory)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        found = None
        try:
            found = self._load(signature, target_context)
        except Exception as error:
            # A truncated or foreign file can raise anything from pickle or LLVM: it only costs a compilation.
            logger.info("cached kernel %s is unreadable: %r", self._function.__qualname__, error)
        let_signals_through()
        if found is None:
            say_compiling(self._function)
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        place, reason = cache_place()
        if place is None:
            _say_once(reason)
            return None
        try:
            directory = TrustedDirectory(place)
        except FileNotFoundError:  # removed since: to save makes it again
            return None
        with directory:
            files = self._files(directory, signature, target_context.codegen())
            try:
                return files.load_overload(signature, target_context)
            except Exception:
                with contextlib.suppress(OSError):
                    files.flush()
                raise

    def save_overload(self, signature: Any, data: Any) -> None:
        let_signals_through()
        place, reason = cache_place()
        if place is None:
            _say_once(reason)
            return
        try:
            with TrustedDirectory(place, make=True) as directory:
                self._files(directory, signature, data.codegen).save_overload(signature, data)
        except Exception as error:
            _say_once(f"{error}")

    def _files(self, directory: TrustedDirectory, signature: Any, codegen: Any) -> _FunctionCache:
        variant = hashlib.sha256(repr((signature, codegen.magic_tuple())).encode()).hexdigest()[:12]
        return _FunctionCache(self._function, directory, variant)

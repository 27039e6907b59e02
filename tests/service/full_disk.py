"""A disk that is full while a file lies beside it, for a service that was started with it.

A library in C, which is loaded before all others, makes what writes into a folder fail with ENOSPC. Unlike a
small file system of its own this needs no right to mount one, so that it works in any container that has gcc,
and what was there before stays readable.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 60
_FLAG, _FOLDER = "FULL_DISK_FLAG", "FULL_DISK_FOLDER"
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int descriptor) {
    const char *flag = getenv("FULL_DISK_FLAG"), *folder = getenv("FULL_DISK_FOLDER");
    char link[64], path[PATH_MAX];
    int before = errno, found = 0;
    if (flag && folder && access(flag, F_OK) == 0) {
        size_t length = strlen(folder);
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t size = readlink(link, path, sizeof path - 1);
        found = size > (ssize_t) length && strncmp(path, folder, length) == 0 && path[length] == '/';
    }
    errno = found ? ENOSPC : before;
    return found;
}

#define FAILING(result, name, parameters, arguments, failed)                              \
    result name parameters {                                                              \
        static result (*real) parameters;                                                 \
        if (!real) real = (result (*) parameters) dlsym(RTLD_NEXT, #name);                \
        return is_full(descriptor) ? failed : real arguments;                             \
    }

#define WRITING(result, name, parameters, arguments) FAILING(result, name, parameters, arguments, -1)

WRITING(ssize_t, write, (int descriptor, const void *data, size_t size), (descriptor, data, size))
WRITING(ssize_t, writev, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))
WRITING(ssize_t, pwrite, (int descriptor, const void *data, size_t size, off_t at),
        (descriptor, data, size, at))
WRITING(ssize_t, pwrite64, (int descriptor, const void *data, size_t size, off64_t at),
        (descriptor, data, size, at))
WRITING(int, ftruncate, (int descriptor, off_t size), (descriptor, size))
WRITING(int, ftruncate64, (int descriptor, off64_t size), (descriptor, size))
WRITING(int, fallocate, (int descriptor, int mode, off_t at, off_t size), (descriptor, mode, at, size))
WRITING(int, fsync, (int descriptor), (descriptor))
WRITING(int, fdatasync, (int descriptor), (descriptor))
FAILING(int, posix_fallocate, (int descriptor, off_t at, off_t size), (descriptor, at, size), ENOSPC)
"""


def compiler() -> str | None:
    """Return the C compiler, or None."""
    return shutil.which("gcc")


class Disk:
    """The disk of a data folder, which can be full.

    Parameters
    ----------
    data : Path
        What is written below it fails while the disk is full.
    tools : Path
        Folder for the library and the flag.
    """

    def __init__(self, data: Path, tools: Path) -> None:
        self._flag = tools / "full"
        source, library = tools / "full_disk.c", tools / "full_disk.so"
        source.write_text(_SOURCE)
        subprocess.run(
            [compiler() or "gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"],
            check=True,
            timeout=_SECONDS,
        )
        self.environment = {"LD_PRELOAD": str(library), _FLAG: str(self._flag), _FOLDER: str(data.resolve())}

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let it be full as long as the block lasts."""
        self._flag.touch()
        try:
            yield
        finally:
            self._flag.unlink()

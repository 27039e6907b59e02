"""A PostgreSQL server of the tests' own, as long as they need it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"
_SECONDS = 60


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, of the newest release that is installed, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("pg_ctl")
    return None if program is None else Path(program).resolve().parent


@contextmanager
def cluster(programs: Path) -> Iterator[str]:
    """Run a server that listens on a socket in a folder of its own, and give its URL without a database."""
    # Not under pytest's folder: the user postgres may not enter that, and a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder, user = Path(name), None
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            user = USER
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        data = folder / "data"
        _run(user, programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        _run(user, programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://{USER}@/{{name}}?host={folder}"
        finally:
            _run(user, programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _run(user: str | None, *command: str | Path) -> None:
    subprocess.run(
        list(map(str, command)), user=user, cwd="/", check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL
    )

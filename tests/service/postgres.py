"""A PostgreSQL server of the tests' own, as long as they need it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Cluster:
    """A server that can be stopped and started again.

    Parameters
    ----------
    programs, folder : Path
        PostgreSQL's programs, and where its data and its socket lie.
    user : str or None
        Who runs it, if not this user.
    """

    programs: Path
    folder: Path
    user: str | None

    def url(self, name: str = USER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: connections end at once; ``fast`` lets it write what it has, ``immediate`` is a crash."""
        self._control("-m", mode, "stop")

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes, such as SIGSTOP: it hangs."""
        main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in (main, *map(int, children)):
            os.kill(process, number)

    def _control(self, *command: str | Path) -> None:
        _run(self.user, self.programs / "pg_ctl", "-D", self.folder / "data", "-w", *command)


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """Run a server that listens on a socket in a folder of its own."""
    # Not under pytest's folder: the user postgres may not enter that, and a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder, user = Path(name), None
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            user = USER
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        data = folder / "data"
        _run(user, programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        server = Cluster(programs, folder, user)
        server.start()
        try:
            yield server
        finally:
            if (data / "postmaster.pid").exists():
                server.signal(signal.SIGCONT)  # a test may have failed while it hung
                server.stop()


def _run(user: str | None, *command: str | Path) -> None:
    subprocess.run(
        list(map(str, command)), user=user, cwd="/", check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL
    )

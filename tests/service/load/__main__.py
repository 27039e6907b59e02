"""``python -m tests.service.load``: see `tests.service.load`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from typer.main import get_command

from postproc.cli.app import app
from postproc.service.settings import ServiceSettings
from tests.service.load.attacks import ATTACKS
from tests.service.load.clients import measure
from tests.service.load.hostility import clients_of
from tests.service.load.mix import Mix, run_mix
from tests.service.load.reporting import report
from tests.service.postgres import binaries, cluster
from tests.service.running import Running, running

_FLOODING = 10  # clients of a hostile tenant's flood, for each of all good tenants'
_STOPPING = 60  # seconds
_MANY, _FEW = 64, 4  # clients of the only tenant, and of each of several


def main() -> int:
    """Measure what the command line asks for; return 1 if a limit was passed."""
    given = _parser().parse_args()
    failed = False
    for options in given.options or [""]:
        for names in given.attacks or [",".join(ATTACKS)]:
            with (
                tempfile.TemporaryDirectory(dir=given.folder) as folder,
                _database(given.database) as database,
                running(Path(folder), *database, *options.split()) as service,
            ):
                title, text, is_bad = (
                    _clients(service, given)
                    if given.tenants is None
                    else _mix(service, given, names, options.split())
                )
                failed |= is_bad
                sys.stdout.write(f"== {title}, {given.database} {options}\n{text}\n")
                sys.stdout.write(f"exit code after SIGTERM: {_stop(service)}\n")
                sys.stdout.flush()
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.service.load", description=__doc__)
    parser.add_argument("--clients", type=int, help=f"of each good tenant; {_MANY}, or {_FEW} of several")
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--folder", type=Path, help="where the data lie for the time; /tmp if left out")
    parser.add_argument(
        "--options",
        action="append",
        help='further options of `postproc serve`, "--max-batch 8"; repeat it to compare settings',
    )
    parser.add_argument("--tenants", type=int, help="how many there are, hostile ones included")
    parser.add_argument("--hostile", type=int, default=1, help="how many of them are hostile")
    parser.add_argument(
        "--attacks",
        action="append",
        type=_names,
        metavar="NAME,...",
        help=f"what a hostile tenant does, all at once; repeat it for further runs; {', '.join(ATTACKS)}",
    )
    parser.add_argument(
        "--pause", type=float, default=0.1, help="seconds between a good client's photographs"
    )
    parser.add_argument(
        "--strength", type=float, default=1.0, help="of an attack: a factor of its connections"
    )
    parser.add_argument("--most-memory", type=float, default=8, help="GiB at which the service is killed")
    return parser


def _names(text: str) -> str:
    for name in text.split(","):
        if name not in ATTACKS:
            raise argparse.ArgumentTypeError(f"unknown attack {name!r}; there are {', '.join(ATTACKS)}")
    return text


def _clients(service: Running, given: argparse.Namespace) -> tuple[str, str, bool]:
    clients = given.clients or _MANY
    measured = measure(service, clients, given.seconds)
    return f"{clients} clients", measured.report(), bool(measured.errors)


def _mix(
    service: Running, given: argparse.Namespace, names: str, options: Sequence[str]
) -> tuple[str, str, bool]:
    good, clients = given.tenants - given.hostile, given.clients or _FEW
    attacks = clients_of(names.split(","), _FLOODING * good * clients, given.strength)
    mix = Mix(
        good=good,
        hostile=given.hostile,
        clients=clients,
        pause=given.pause,
        seconds=given.seconds,
        attacks=attacks,
        most=round(given.most_memory * (1 << 30)),
    )
    result = run_mix(service, mix, settings_of_options(service.data, options))
    return f"{given.tenants} tenants, {given.hostile} hostile: {names}", report(result), bool(result.faults())


def settings_of_options(data: Path, options: Sequence[str]) -> ServiceSettings:
    """Return the settings that options of ``postproc serve`` make."""
    commands = getattr(get_command(app), "commands")  # noqa: B009  # of a group of click's
    context = commands["serve"].make_context("serve", ["--data", str(data), *options])
    fields = ServiceSettings.model_fields
    return ServiceSettings(
        **{name: value for name, value in context.params.items() if value and name in fields}
    )


def _stop(service: Running) -> str:
    try:
        return str(service.stop(_STOPPING) if service.process.poll() is None else service.process.returncode)
    except subprocess.TimeoutExpired:
        service.kill()
        return f"none in {_STOPPING} s, it was killed"


@contextmanager
def _database(kind: str) -> Iterator[list[str]]:
    if kind == "sqlite":
        yield []
        return
    programs = binaries()
    if programs is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    with cluster(programs) as server:
        yield ["--database", server.url()]


if __name__ == "__main__":
    sys.exit(main())

"""Faults one after the other, with load before, during and after each."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from postproc.service.store.tables import now
from tests.service.digits import wait_for_kernels
from tests.service.outages.checks import check, check_ended, check_folders
from tests.service.outages.faults import OLDER_BACKUP, faults_of
from tests.service.outages.ledger import Ledger
from tests.service.outages.load import Load, make_version
from tests.service.outages.on_postgres import OnPostgres
from tests.service.outages.on_sqlite import OnSqlite
from tests.service.outages.scene import Scene
from tests.service.postgres import binaries, cluster

SHORTEST, LONGEST = 0.2, 15.0  # seconds of an outage
_BEFORE, _AFTER = (0.5, 2.5), (0.3, 1.0)  # seconds of load beside a fault
_TASK_SECONDS = 10.0


@contextmanager
def scene_of(kind: str, folder: Path, ledger: Ledger) -> Iterator[Scene]:
    """Give a service on a database of a kind, which runs not yet."""
    if kind == "sqlite":
        with closing(OnSqlite(folder, ledger)) as scene:
            yield scene
        return
    programs = binaries()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    with cluster(programs) as server, closing(OnPostgres(folder, ledger, server)) as scene:
        yield scene


def publish(scene: Scene) -> None:
    """Make a version that stays, once kernels are compiled."""
    assert scene.service is not None
    wait_for_kernels(scene.service.host)
    with scene.client(60.0) as client:
        make_version(scene.ledger, lambda send: send(client), "yolo", "first")


def run_faults(
    kind: str,
    folder: Path,
    count: int,
    seed: int,
    names: Sequence[str] = (),
    seconds: tuple[float, float] = (SHORTEST, LONGEST),
    verbose: bool = False,
) -> dict[str, Any]:
    """Put a service through faults, and return what came of it.

    Parameters
    ----------
    kind : str
        Of the database.
    folder : Path
        An empty one.
    count : int
        How many faults.
    seed : int
        Of what is drawn.
    names : sequence of str
        Kinds of faults, taken in turns in an order that is drawn; all if empty.
    seconds : tuple of float
        Shortest and longest outage.
    """
    rng, ledger, started = random.Random(seed), Ledger(), time.monotonic()
    with scene_of(kind, folder, ledger) as scene:
        known = faults_of(scene)
        scene.start()
        publish(scene)
        if OLDER_BACKUP in (names or known):
            scene.stop()
            scene.back_up()
            scene.start()
        turns: list[str] = []
        for number in range(count):
            turns = turns or rng.sample(sorted(names or known), len(names or known))
            name = turns.pop()
            length = rng.uniform(*seconds)
            stops, current = scene.stops, ledger.begin(name)
            load = Load(scene, ledger, rng.getrandbits(32))
            load.start()
            time.sleep(rng.uniform(*_BEFORE))
            ledger.acknowledged.clear()
            ledger.acknowledged.wait(_TASK_SECONDS)  # so that the fault finds a task that has not ended
            begin, before = now(), current.unfinished
            known[name](scene, rng, length)
            current.seconds += length
            time.sleep(rng.uniform(*_AFTER))
            load.stop()
            check(scene, ledger, begin)
            current.hits += current.unfinished > before
            if scene.stops != stops:
                scene.stop()
                scene.start()
                check_folders(scene, ledger)
            if not ledger.versions:
                publish(scene)
            if verbose:
                sys.stderr.write(f"{number + 1}: {name}, {length:.1f} s: {dict(current.violations)}\n")
        ledger.begin("the end")
        check_ended(scene, ledger)
        scene.stop()
    found = _summary(kind, count, seed, ledger, time.monotonic() - started)
    return {**found, "longest_stop": round(scene.longest_stop, 1)}


def _summary(kind: str, count: int, seed: int, ledger: Ledger, seconds: float) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    turned: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    for found in ledger.kinds.values():
        outcomes += found.outcomes
        turned += found.reversed
        violations += found.violations
    return {
        "database": kind,
        "seed": seed,
        "faults": count,
        "hits": sum(found.hits for found in ledger.kinds.values()),
        "unfinished": sum(found.unfinished for found in ledger.kinds.values()),
        "tasks": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "reversed": dict(turned),
        "networks": len(ledger.networks) + len(ledger.deleted),
        "answers": dict(ledger.answers),
        "seconds": round(seconds),
        "violations": dict(violations),
        "examples": ledger.examples,
        "kinds": {name: vars(found) for name, found in sorted(ledger.kinds.items())},
    }

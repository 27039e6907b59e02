"""Faults by their names: each happens under load, and is over when its function returns."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from functools import partial

from tests.service.digits import client_of
from tests.service.outages.scene import Outage, Scene
from tests.service.running import NotStartedError, running

OLDER_BACKUP = "an older backup"
_SEEN_SECONDS = 5.0  # after which all who ask must see an outage

Fault = Callable[[Scene, random.Random, float], None]


def faults_of(scene: Scene) -> dict[str, Fault]:
    """Return the faults that a service on this database goes through."""
    found: dict[str, Fault] = {"a rolling upgrade": _upgrade}
    for name, outage in scene.outages.items():
        found[name] = partial(_outage, outage, True)
        for end in (scene.kill, scene.stop):
            found[f"{name}, {end.__name__}"] = partial(_outage_and_end, outage, end, False)
        found[f"{name}, kill, a start in vain"] = partial(_outage_and_end, outage, scene.kill, True)
    for name, nuisance in scene.nuisances.items():
        found[name] = partial(_outage, nuisance, False)
    for name, mistake in scene.mistakes.items():
        found[name] = partial(_mistake, mistake)
    found[OLDER_BACKUP] = _older_backup
    found["a second service, another folder"] = partial(_second, "other")
    found["a second service, a copy of the folder"] = partial(_second, "copy")
    found["a second service, the same folder"] = partial(_second, "data")
    return found


def _outage(outage: Outage, is_seen: bool, scene: Scene, _: random.Random, seconds: float) -> None:
    with outage():
        time.sleep(seconds)
        if is_seen and seconds > _SEEN_SECONDS:
            found = scene.health()
            if found != (200, "degraded", 503):
                scene.ledger.violation("an outage is not told by /healthz and /readyz", found)


def _outage_and_end(
    outage: Outage,
    end: Callable[[], None],
    tries: bool,
    scene: Scene,
    rng: random.Random,
    seconds: float,
) -> None:
    share = rng.uniform(0.2, 0.8)
    with outage():
        time.sleep(seconds * share)
        end()
        if tries:  # it may start, or end with the reason
            scene.try_to_start(scene.data, *scene.database)
        time.sleep(seconds * (1 - share))
    scene.start()


def _upgrade(scene: Scene, rng: random.Random, _: float) -> None:
    """Start the service's successor, which waits for it to end."""
    with scene.successor():
        time.sleep(rng.uniform(0.0, 4.0))
        scene.stop()


def _end(scene: Scene, rng: random.Random) -> None:
    if rng.random() < 0.5:
        scene.stop()
    else:
        scene.kill()


def _mistake(mistake: Outage, scene: Scene, rng: random.Random, _: float) -> None:
    """Start the service once with what is not its database."""
    _end(scene, rng)
    with mistake() as options:
        before = scene.files()
        if scene.try_to_start(scene.data, *options):
            scene.ledger.violation("a start with the wrong database is not refused")
        changed = scene.files() ^ before
        if changed:
            scene.ledger.violation("a start with the wrong database changes the folder", sorted(changed))
    scene.start()


def _older_backup(scene: Scene, rng: random.Random, _: float) -> None:
    """Start the service with a backup of its database, which starts, then with the newest again."""
    _end(scene, rng)
    before = set(scene.rows().values())
    with scene.backup():  # on another port: clients wait for the service that they know
        try:
            with running(scene.data, *scene.database, environment=scene.environment) as service:
                with client_of(service) as client:
                    assert client.get("/networks").json()["count"] == len(scene.rows())
                scene.ledger.kind.exits[f"SIGTERM: {service.stop()}"] += 1
        except NotStartedError as error:
            scene.ledger.violation("a start with a backup is refused", error)
    removed = before - scene.folders() - scene.swept()  # uploads that a kill cut off are moved aside
    if removed:
        scene.ledger.violation("a start with a backup removes networks", sorted(removed))
    scene.start()


def _second(which: str, scene: Scene, rng: random.Random, _: float) -> None:
    """Start another service on the same database, beside the one that runs."""
    data = scene.folder / which
    if which != "data":
        shutil.rmtree(data, ignore_errors=True)
    if which == "copy":
        data.mkdir()
        for path in scene.data.iterdir():
            if path.name == "service.json":
                shutil.copy(path, data)
        shutil.copytree(scene.data / "networks", data / "networks", dirs_exist_ok=True)
    if scene.try_to_start(data, *scene.beside):
        scene.ledger.violation("a second service is not refused")

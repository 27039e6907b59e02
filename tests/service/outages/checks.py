"""What must hold after a fault is over."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx

from postproc.service.engine.engine import DELETED
from postproc.service.store.reporting import LEFT_OUT
from postproc.service.work import STOPPED, TASK_MARGIN
from tests.service.digits import digits_in, ended, listed, post_image
from tests.service.killing import DIGITS
from tests.service.objects import made
from tests.service.outages.ledger import Ledger, Promised
from tests.service.outages.load import remove_network
from tests.service.outages.scene import Scene

_STATED = {
    "too late": re.compile(r"the task waited .* s for its turn\b.*; send it again.*"),
    "left out": re.compile(re.escape(LEFT_OUT)),
}
_SECONDS = 60


def check(scene: Scene, ledger: Ledger, begin: str) -> None:
    """Check what a service has, the load being over; count what does not hold.

    Parameters
    ----------
    begin : str
        When the fault began, as the service writes times.
    """
    if not scene.wait_until_ready():
        ledger.violation("the service does not come back")
        scene.kill()
        scene.start()
    over = time.monotonic()
    with scene.client(_SECONDS) as client:
        _check_tasks(scene, ledger, client, begin, over)
        _check_objects(scene, ledger, client)
    found = scene.integrity()
    if found != "ok":
        ledger.violation("the database is broken", found)
    missing = set(scene.rows().values()) - scene.folders()
    if missing:
        ledger.violation("rows of networks without a folder", sorted(missing))


def check_folders(scene: Scene, ledger: Ledger) -> None:
    """Check after a start, while nothing is uploaded, that folders and rows are the same."""
    left = scene.folders() - set(scene.rows().values())
    if left:
        ledger.violation("folders without a row are left after a start", sorted(left))
    if any((scene.data / "staging").iterdir()):
        ledger.violation("staged uploads are left after a start")


def check_ended(scene: Scene, ledger: Ledger) -> None:
    """Check that all tasks of all faults are there as they ended."""
    with scene.client(_SECONDS) as client:
        found = {row["id"]: row["status"] for row in listed(client, sorted(ledger.ended))}
    changed = [task for task, status in ledger.ended.items() if found.get(task) != status]
    for task in changed:
        ledger.violation("a task that had ended is lost or another", (task, found.get(task)))


def _check_tasks(scene: Scene, ledger: Ledger, client: httpx.Client, begin: str, over: float) -> None:
    pending = dict(ledger.tasks)
    ledger.tasks.clear()
    while pending:
        now = time.monotonic()
        rows = {row["id"]: row for row in listed(client, sorted(pending))}
        for task, promised in list(pending.items()):
            row = rows.get(task)
            if row is None:
                ledger.violation("a task is lost")
                del pending[task]
            elif row["status"] != "pending":
                _judge(scene, ledger, promised, row, begin)
                ledger.ended[task] = row["status"]
                del pending[task]
            elif now > max(promised.since + scene.bound, over + TASK_MARGIN):
                _count(ledger, row, begin)
                ledger.violation("a task stays pending", row)
                del pending[task]
        if pending:
            time.sleep(0.2)


def _judge(scene: Scene, ledger: Ledger, promised: Promised, row: dict[str, Any], begin: str) -> None:
    """Check how a task ended."""
    _count(ledger, row, begin)
    error = row["error"]
    if row["status"] == "success":
        outcome = "success"
        if digits_in(row["data"]) != promised.digits:
            ledger.violation("a result is wrong", row["id"])
    elif error == STOPPED:
        outcome = "stopped"
        if scene.stops == promised.stops:
            ledger.violation("a task was stopped, the service was not", row)
    elif error == DELETED:
        outcome = "deleted"
        if promised.version not in ledger.deleting:
            ledger.violation("a task of a network that is there ends as of one that is deleted", row)
    elif found := [name for name, text in _STATED.items() if text.fullmatch(error)]:
        outcome = found[0]
    else:
        outcome = "another error"
        ledger.violation("a task ends in an error that is not stated", row)
    ledger.kind.outcomes[outcome] += 1
    if promised.seen is not None and promised.seen != row["status"]:
        ledger.kind.reversed[f"{promised.seen}, then {outcome}"] += 1


def _count(ledger: Ledger, row: dict[str, Any], begin: str) -> None:
    if row["date_created"] >= begin:
        ledger.kind.during += 1
    elif row["date_updated"] is None or row["date_updated"] > begin:
        ledger.kind.unfinished += 1


def _check_objects(scene: Scene, ledger: Ledger, client: httpx.Client) -> None:
    networks = {row["id"]: row["name"] for row in _rows(client, "/networks")}
    versions = {row["id"]: row["network_id"] for row in _rows(client, "/recognition/versions")}
    for network in [network for network, name in ledger.networks.items() if networks.get(network) != name]:
        ledger.violation("a network is lost")
        ledger.forget(network)
    for version in [version for version, owner in ledger.versions.items() if versions.get(version) != owner]:
        ledger.violation("a version is lost")
        del ledger.versions[version]
    if ledger.deleted & set(networks):
        ledger.violation("a network is back that was deleted", ledger.deleted & set(networks))
    for version, owner in versions.items():
        expected = ledger.digits.get(version)
        found = _run(client, version)
        if not isinstance(found, int) or found not in ([expected] if expected else DIGITS.values()):
            ledger.violation("a version does not run", found)
            ledger.forget(owner)
    for network in set(networks) - set(ledger.networks):  # the answer to their upload was lost
        remove_network(ledger, lambda send: send(client), network)


def _run(client: httpx.Client, version: int) -> int | str:
    """Return how many digits a version finds, or what became of it."""
    try:
        document = ended(client, made(post_image(client, version))["task_id"])
    except (AssertionError, httpx.TransportError) as error:
        return repr(error)
    return digits_in(document["data"]) if document["status"] == "success" else str(document)


def _rows(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(path, params={"limit": 1000}).json()["results"]
    return rows

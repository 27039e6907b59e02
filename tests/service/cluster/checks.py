"""What must hold of tasks that were acknowledged, once nothing is killed any more."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from postproc.service.store.reporting import LEFT_OUT
from postproc.service.taking_over import DIED, TOO_LATE
from postproc.service.work import LOST, TASK_MARGIN
from tests.service.cluster.ledger import Ledger
from tests.service.digits import all_ended
from tests.service.vendor import check_same, expected

if TYPE_CHECKING:
    from tests.service.cluster.scene import Scene

LEASE, TIMEOUT = 3.0, 60.0  # of the front ends

# Beyond the time of a task: see docs/scaling.md, "What becomes of a task when something dies".
BOUND = TIMEOUT + TASK_MARGIN + LEASE + 5
_DATES = "date_created", "date_updated"
STATED = tuple(
    re.compile(text)
    for text in (
        r"the task waited .* s for its turn\b.*; send it again.*",
        *map(re.escape, (LEFT_OUT, DIED, LOST, TOO_LATE.format(TIMEOUT))),
    )
)


def check(scene: Scene, ledger: Ledger) -> dict[str, int]:
    """Ask each front end for every task; return how many ended how.

    Each has to say the same, and what a client saw first: a result is written once.
    """
    endings: Counter[str] = Counter()
    wanted = expected()
    for tenant, tasks in ledger.tasks.items():
        answers = []
        for front in scene.fronts:
            with front.client(scene.keys[tenant]) as client:
                answers.append(all_ended(client, sorted(tasks), BOUND))
        for task, promised in tasks.items():
            row = answers[0].get(task, {"status": "lost", "error": None})
            if any(other.get(task) != row for other in answers) or promised.row not in (None, row):
                told = [promised.row, *(other.get(task) for other in answers)]
                ledger.complain(f"task {task} has several answers: {told}"[:2000])
            endings[re.sub(r"\d+(\.\d+)?", "N", row["error"] or row["status"])] += 1
            if fault := _fault(row, wanted):
                ledger.complain(f"task {task}: {fault}")
    return dict(endings)


def _fault(row: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Return what is wrong with how a task ended, if anything."""
    if row["status"] == "success":
        try:
            check_same(row["data"], wanted)
        except AssertionError as error:
            return f"its result is wrong: {error}"[:500]
    elif row["status"] != "error" or not any(text.fullmatch(row["error"]) for text in STATED):
        return f"{row['status']}: {row['error']}"
    took = longest([row])
    return f"it took {took:.1f} s" if took > BOUND else None


def longest(rows: list[dict[str, Any]]) -> float:
    """Return the longest time from the acknowledgement of a task to its end, in seconds."""
    times = [[datetime.fromisoformat(row[name].replace("Z", "+00:00")) for name in _DATES] for row in rows]
    return max(((ended - made).total_seconds() for made, ended in times), default=0.0)

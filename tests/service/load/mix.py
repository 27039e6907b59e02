"""Good tenants alone, then the same beside hostile ones, on one service."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database
from postproc.service.store.identity import settings_of
from postproc.service.store.tables import PENDING, Task
from postproc.service.work import TASK_MARGIN
from tests.service.digits import SECONDS, wait_for_kernels
from tests.service.load.attacks import ATTACKS
from tests.service.load.budget import budget_of, kept_of
from tests.service.load.hostility import Damage, Hostile
from tests.service.load.tenants import LONGEST, Photographer, Seen, Tenant
from tests.service.load.watching import MIB, Watch
from tests.service.load.wire import Wire
from tests.service.running import Running

IDLE, ALONE, ATTACKED, REST = "idle", "alone", "attacked", "rest"
KINDS = ("inference", "post", "list", "upload")
_WARM_UP = 3  # inferences of each tenant
_MOST_TIMES = 3.0  # p99 attacked, of p99 alone
_MOST_HEALTH = 0.5  # seconds
_CLOCK = 2.0  # seconds beyond the time of a task: its dates are rounded, and are taken beside the clock


@dataclass(frozen=True)
class Mix:
    """What is run.

    Parameters
    ----------
    good, hostile : int
        Tenants.
    clients : int
        Of each good tenant that send photographs, beside one that lists and one that uploads.
    pause : float
        Seconds between two photographs of a client, on average.
    seconds : float
        Of either phase.
    attacks : dict of str to int
        Names, and connections of each.
    most : int
        Memory in bytes beyond which the service is killed.
    idle, rest : float
        Seconds before the two phases, and after the last task has ended.
    """

    good: int
    hostile: int
    clients: int
    pause: float
    seconds: float
    attacks: dict[str, int]
    most: int
    idle: float = 3.0
    rest: float = 10.0


@dataclass
class Result:
    """What came of it."""

    watch: Watch
    budget: dict[str, int]
    seen: dict[str, Seen] = field(default_factory=lambda: {ALONE: Seen(), ATTACKED: Seen()})
    seconds: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)  # of the good tenants' clients
    damage: list[Damage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the hostile tenants' preparations
    after: int = 0  # memory at the end of the rest
    lost: list[int] = field(default_factory=list)
    longest: float = 0.0  # seconds of a task

    @property
    def errors(self) -> list[str]:
        """What the good tenants should not have seen."""
        return [f"{phase}: {error}" for phase, seen in self.seen.items() for error in seen.errors]

    @property
    def tasks(self) -> set[int]:
        """All that were acknowledged, to whomever."""
        lists = [seen.tasks for seen in self.seen.values()] + [damage.tasks for damage in self.damage]
        return {task for tasks in lists for task in tasks}

    @property
    def peak(self) -> int:
        """The most memory above that of an idle service."""
        memory = self.watch.memory
        return max(memory[phase] for phase in (ALONE, ATTACKED, REST)) - memory[IDLE]

    def faults(self) -> list[str]:
        """Say which limits were passed."""
        watch, found = self.watch, []
        if watch.reason:
            found.append(watch.reason)
        if self.errors:
            found.append(f"{len(self.errors)} errors of good tenants")
        if self.lost:
            found.append(f"{len(self.lost)} acknowledged tasks did not end in time: {self.lost[:5]}")
        for kind in KINDS:
            times = self.times(kind)
            if times is not None and times > _MOST_TIMES:
                found.append(f"p99 of {kind} is {times:.1f} times that without, at most {_MOST_TIMES:g}")
        peak, most = self.peak, sum(self.budget.values())
        if peak > most:
            found.append(f"{peak // MIB} MiB above idle, at most {most // MIB}")
        kept = self.after - watch.memory[IDLE]
        if kept > kept_of(self.budget):
            found.append(f"{kept // MIB} MiB above idle afterwards, at most {kept_of(self.budget) // MIB}")
        for phase in (ALONE, ATTACKED, REST):
            if watch.health[phase] > _MOST_HEALTH or watch.unanswered[phase]:
                found.append(f"/healthz took {watch.health[phase]:.2f} s, {phase}, at most {_MOST_HEALTH:g}")
        return found

    def times(self, kind: str) -> float | None:
        """Return p99 of a kind of request under attack as a multiple of that without, if both are known."""
        before, after = (self.seen[phase].seconds[kind] for phase in (ALONE, ATTACKED))
        return percentile(after, 99) / percentile(before, 99) if before and after else None


def run_mix(service: Running, mix: Mix, settings: ServiceSettings) -> Result:
    """Run it; a service that ends meanwhile ends it, and the result says so."""
    watch = Watch(service, mix.most)
    parts = {
        "images",
        *(part for name in mix.attacks for part in ATTACKS[name].parts),
    }  # photographs are images
    result = Result(watch, budget_of(settings, parts))
    wait_for_kernels(service.host)
    tenants = [Tenant.of(service, f"good-{row}") for row in range(mix.good)]
    for row, tenant in enumerate(tenants):
        with Wire(tenant.host, tenant.key) as wire:
            for _ in range(_WARM_UP):
                Photographer(tenant, 0.0, row).infer(wire)
    with watch.watching():
        with watch.phase(IDLE):
            watch.rest(mix.idle)
        hostile = [Hostile(Tenant.of(service, f"hostile-{row}"), mix.attacks) for row in range(mix.hostile)]
        result.problems = [problem for one in hostile for problem in one.prepare()]
        _run_phase(ALONE, tenants, mix, result)
        try:
            _run_phase(ATTACKED, tenants, mix, result, hostile)
        finally:
            result.damage = [one.end() for one in hostile]
        with watch.phase(REST):
            _find_lost(result, service.data, settings)
            watch.rest(mix.rest)
            result.after = watch.memory_now()
    return result


def _run_phase(
    name: str, tenants: Sequence[Tenant], mix: Mix, result: Result, hostile: Sequence[Hostile] = ()
) -> None:
    watch = result.watch
    if watch.ended.is_set():
        return
    stop = threading.Event()
    clients = [
        client
        for row, tenant in enumerate(tenants)
        for client in tenant.clients(mix.clients, mix.pause, seed=100 * row)
    ]
    threads = [threading.Thread(target=client.work, args=(stop,), daemon=True) for client in clients]
    with watch.phase(name):
        started, processor = time.monotonic(), time.process_time()
        for one in hostile:
            one.attack()
        for thread in threads:
            thread.start()
        watch.rest(mix.seconds)
        stop.set()
        deadline = time.monotonic() + LONGEST + SECONDS
        for thread in threads:  # what is begun is finished, still under attack
            thread.join(max(0.0, deadline - time.monotonic()))
        result.seconds[name] = time.monotonic() - started
        result.processor[name] = time.process_time() - processor
    for client, thread in zip(clients, threads, strict=True):
        result.seen[name].add(client.seen)
        if thread.is_alive():
            result.seen[name].errors.append("a client hangs")


def _find_lost(result: Result, data: Path, settings: ServiceSettings) -> None:
    """Wait until every acknowledged task has ended, no longer than it may take; else it is lost."""
    most = settings.task_timeout + TASK_MARGIN + _CLOCK
    deadline = time.monotonic() + most
    database = Database(settings_of(data))
    try:
        while True:
            ended = _ended(database)
            result.lost = sorted(result.tasks - ended.keys())
            if not result.lost or result.watch.ended.is_set() or time.monotonic() > deadline:
                break
            time.sleep(0.5)
    finally:
        database.close()
    taken = {task: ended[task] for task in result.tasks & ended.keys()}
    result.longest = max(taken.values(), default=0.0)
    result.lost += sorted(task for task, seconds in taken.items() if seconds > most)


def _ended(database: Database) -> dict[int, float]:
    """Return the tasks that have ended, and the seconds that they took."""
    columns = select(Task.id, Task.date_created, Task.date_updated).where(Task.status != PENDING)
    with database.reading() as session:
        rows = session.execute(columns).all()
    return {
        row.id: (_date(row.date_updated) - _date(row.date_created)).total_seconds()
        for row in rows
        if row.date_updated is not None
    }


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of values, of which there is one at least."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if values[1:] else values[0]

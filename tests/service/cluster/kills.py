"""Parts that are killed one after the other, under load."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.service.cluster.checks import check, longest
from tests.service.cluster.clients import Load
from tests.service.cluster.ledger import Ledger
from tests.service.cluster.scene import Scene
from tests.service.digits import wait_for_kernels
from tests.service.waiting import wait_until

_RECOVERY = 240.0  # seconds in which a part that was killed is back, and tasks end
_AWAY = 0.2, 3.0  # seconds until a supervisor notices


@dataclass
class Found:
    """What a run went through.

    Parameters
    ----------
    recoveries : dict of str to list of float
        By part, seconds from each kill until all front ends were ready and a task sent after it had ended.
    hits : Counter of str
        By part, acknowledged tasks that had not ended when it was killed.
    endings : dict of str to int
        How many tasks ended how.
    """

    ledger: Ledger
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    endings: dict[str, int] = field(default_factory=dict)
    longest: float = 0.0

    def report(self) -> str:
        """Say it in some lines."""
        count = sum(map(len, self.recoveries.values()))
        lines = [f"{count} kills, each with tasks under way:"]
        lines += [
            f"  {name}: {len(times)} with {self.hits[name]} tasks; all was well after "
            f"{min(times):.1f} to {max(times):.1f} s"
            for name, times in self.recoveries.items()
        ]
        lines += [
            f"{sum(self.endings.values())} tasks acknowledged, {self.longest:.1f} s the longest; they ended:",
            *(f"  {count}: {ending}" for ending, count in self.endings.items()),
            f"other answers: {dict(sorted(self.ledger.answers.items()))}",
            f"unexpected: {len(self.ledger.unexpected)}",
            *(f"  {text}" for text in self.ledger.unexpected[:20]),
        ]
        return "\n".join(lines)


def run_kills(scene: Scene, kills: int, seed: int) -> Found:
    """Kill so many parts under load, each kind in turns in an order that is drawn, and check every task."""
    rng, found = random.Random(seed), Found(Ledger())
    for front in scene.fronts:
        wait_for_kernels(front.host)
    wait_until(scene.supervise, _RECOVERY, 0.1)
    turns: list[str] = []
    _say("all parts run")
    with Load(scene.balancer.url, scene.keys, found.ledger, seed):
        wait_until(lambda: found.ledger.succeeded(0), _RECOVERY, 0.05)
        _say("tasks end")
        for number in range(kills):
            turns = turns or rng.sample(sorted(scene.kills(rng)), len(scene.kills(rng)))
            name = turns.pop()
            seconds = _kill(scene, found, name, rng)
            found.recoveries.setdefault(name, []).append(seconds)
            _say(f"{number + 1}: {name}, all well after {seconds:.1f} s")
    _say("checks every task")
    if scene.fallen:
        found.ledger.complain(f"front ends ended by themselves: {scene.fallen}")
    if left := [process for front in scene.fronts for process in front.left()]:
        found.ledger.complain(f"processes of front ends that were killed run on: {left}")
    found.endings = check(scene, found.ledger)
    rows = [kept.row for tasks in found.ledger.tasks.values() for kept in tasks.values() if kept.row]
    found.longest = longest(rows)
    return found


def _say(what: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")


def _kill(scene: Scene, found: Found, name: str, rng: random.Random) -> float:
    """Kill a part and start it again; return after how many seconds all was well."""
    pending = lambda: [task for tenant in scene.keys for task in found.ledger.pending(tenant)]  # noqa: E731
    wait_until(lambda: len(pending()) > 2, _RECOVERY, 0.005)  # so that it finds tasks under way
    kill, start = scene.kills(rng)[name]
    found.hits[name] += len(pending())
    began = time.monotonic()
    kill()
    killed = time.monotonic()
    time.sleep(rng.uniform(*_AWAY))
    start()
    try:
        wait_until(lambda: scene.supervise() and found.ledger.succeeded(killed), _RECOVERY, 0.05)
    except AssertionError:
        raise AssertionError(f"the service does not come back after the death of a {name}") from None
    return time.monotonic() - began

"""A hostile tenant in a process of its own: the clients who are measured do not wait for its Python."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from multiprocessing.connection import Connection
from typing import Any

from tests.service.load.attack import Attack
from tests.service.load.attacks import ATTACKS
from tests.service.load.tenants import Tenant, UnexpectedError
from tests.service.load.wire import Wire

_PREPARING, _ENDING = 240, 20  # seconds


@dataclass
class Damage:
    """What a hostile tenant got."""

    answers: dict[str, Counter[str]] = field(default_factory=dict)  # by attack
    tasks: list[int] = field(default_factory=list)  # all that were acknowledged
    processor: float = 0.0
    problems: list[str] = field(default_factory=list)


class Hostile:
    """A hostile tenant: `prepare`, then `attack`, then `end`.

    Parameters
    ----------
    tenant : Tenant
        Whose key it has.
    clients : mapping of str to int
        The attacks, all at once, and the connections of each.
    """

    def __init__(self, tenant: Tenant, clients: Mapping[str, int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_run, args=(other, tenant, dict(clients)), daemon=True)
        self._process.start()
        other.close()

    def prepare(self) -> list[str]:
        """Wait until it has made and uploaded all it needs; return what it could not."""
        found: list[str] = self._answer(_PREPARING, ["a hostile tenant was not ready in time"])
        return found

    def attack(self) -> None:
        """Begin."""
        self._pipe.send("attack")

    def end(self) -> Damage:
        """End, and return what came of it."""
        with suppress(OSError):
            self._pipe.send("end")
        damage: Damage = self._answer(_ENDING, Damage(problems=["a hostile tenant did not end"]))
        self._process.kill()
        self._process.join()
        return damage

    def _answer(self, seconds: float, otherwise: Any) -> Any:
        try:
            return self._pipe.recv() if self._pipe.poll(seconds) else otherwise
        except EOFError:
            return otherwise


def clients_of(names: Sequence[str], flood: int, strength: float = 1.0) -> dict[str, int]:
    """Return how many connections each attack has; fewer than its own where `strength` is below 1."""
    numbers = {name: ATTACKS[name].clients for name in names}
    if "flood" in numbers:
        numbers["flood"] = flood
    return {name: max(1, round(number * strength)) for name, number in numbers.items()}


def _run(pipe: Connection, tenant: Tenant, clients: dict[str, int]) -> None:
    """Be a hostile tenant, as the other end of the pipe says."""
    attacks, problems = _prepared(tenant, list(clients))
    pipe.send(problems)
    pipe.recv()
    started, stop = time.process_time(), threading.Event()
    for attack in attacks:
        for row in range(clients[attack.name]):
            threading.Thread(target=attack.work, args=(row, stop), daemon=True).start()
    pipe.recv()
    stop.set()
    pipe.send(
        Damage(
            {attack.name: Counter(dict(attack.answers)) for attack in attacks},
            [task for attack in attacks for task in list(attack.tasks)],
            time.process_time() - started,
        )
    )
    pipe.recv()  # what is under way ends with this process


def _prepared(tenant: Tenant, names: Sequence[str]) -> tuple[list[Attack], list[str]]:
    attacks, problems = [], []
    with Wire(tenant.host, tenant.key, _PREPARING) as wire:
        for name in names:
            attack = ATTACKS[name](tenant)
            try:
                attack.prepare(wire)
            except (UnexpectedError, OSError, HTTPException) as error:
                problems.append(f"{name}: {error}"[:300])
            else:
                attacks.append(attack)
    return attacks, problems

"""What the service acknowledged, and what became of it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Promised:
    """A task that was acknowledged.

    Parameters
    ----------
    version : int
        Of which version.
    digits : int
        What it has to find.
    stops : int
        How often the service had been stopped before.
    since : float
        When it was acknowledged, `time.monotonic`.
    seen : str or None
        How it ended, for who has asked so far.
    """

    version: int
    digits: int
    stops: int
    since: float
    seen: str | None = None


@dataclass
class Kind:
    """What faults of one kind did."""

    faults: int = 0
    hits: int = 0  # faults that found acknowledged tasks unfinished
    unfinished: int = 0  # such tasks
    during: int = 0  # tasks that were acknowledged during faults
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    # What was read while it waited for the database, and did not outlive the service.
    reversed: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)  # of what was started or stopped
    violations: Counter[str] = field(default_factory=Counter)


class Ledger:
    """Objects and tasks that the service said it keeps, and what does not hold; used by many threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.networks: dict[int, str] = {}
        self.versions: dict[int, int] = {}  # the network of each
        self.digits: dict[int, int] = {}  # what each version finds, also after it is gone
        self.deleting: set[int] = set()  # versions of networks whose removal was asked for
        self.deleted: set[int] = set()  # networks whose removal was acknowledged
        self.tasks: dict[int, Promised] = {}  # those that are not known to have ended
        self.acknowledged = threading.Event()  # set by every task
        self.ended: dict[int, str] = {}
        self.answers: Counter[str] = Counter()
        self.kinds: dict[str, Kind] = {}
        self.kind = Kind()  # of the fault under way
        self.examples: dict[str, str] = {}

    def begin(self, name: str) -> Kind:
        """Count what follows for a fault of this kind."""
        self.kind = self.kinds.setdefault(name, Kind())
        self.kind.faults += 1
        return self.kind

    def violation(self, what: str, example: object = "") -> None:
        """Count what must not be."""
        with self.lock:
            self.kind.violations[what] += 1
            self.examples.setdefault(what, str(example)[:500])

    def forget(self, network: int) -> None:
        """Expect a network and its versions no longer."""
        with self.lock:
            self.networks.pop(network, None)
            for version in [version for version, owner in self.versions.items() if owner == network]:
                del self.versions[version]

"""What tenants share: places and memory, of which none may take all, and turns, which go round."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from postproc.service.errors import QueueFullError

STRANGERS = ""  # who has no valid key, or none yet: all of them are one tenant
TAKEN_OVER = "\0"  # as whom tasks of other front ends are made ready, behind no newer requests; no key has it


class Shares:
    """Places or bytes, of which tenants hold some; from many threads at once.

    A tenant may hold so many times what is free then, and something is left for whoever comes next: eight
    times are 8/9 of all for one alone, 8/17 beside another that takes what it can; once is a half, a third.
    The rule is that of dynamic thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for
    shared-memory packet switches", 1998).

    Parameters
    ----------
    total : int
        What there is.
    times : int
        How many times what is free a tenant may hold.

    Attributes
    ----------
    elsewhere : mapping of str to int
        What tenants hold of other front ends' shares: it counts as theirs here, and takes nothing of what is
        free.
    """

    def __init__(self, total: int, times: int = 8) -> None:
        self.elsewhere: Mapping[str, int] = {}
        self._total = total
        self._times = times
        self._lock = threading.Lock()
        self._held: defaultdict[str, int] = defaultdict(int)
        self._used = 0

    @property
    def used(self) -> int:
        """What all hold together."""
        return self._used

    def held(self, tenant: str) -> int:
        """Return what a tenant holds."""
        return self._held.get(tenant, 0)

    def take(self, tenant: str, size: int = 1, before: int = 0) -> bool:
        """Take a part, and return whether that was allowed: one larger than all is, if nobody holds any.

        One that comes in pieces says what it took `before`.
        """
        with self._lock:
            if not self._may(tenant, size, before):
                return False
            self._hold(tenant, size)
        return True

    def hold(self, tenant: str, size: int = 1) -> None:
        """Take a part that cannot be refused."""
        with self._lock:
            self._hold(tenant, size)

    def has_room(self, tenant: str, size: int = 1) -> bool:
        """Tell whether a part could be taken now."""
        with self._lock:
            return self._may(tenant, size)

    def give_back(self, tenant: str, size: int = 1) -> None:
        """Give back what was taken."""
        with self._lock:
            self._held[tenant] -= size
            self._used -= size
            if not self._held[tenant]:
                del self._held[tenant]

    def _hold(self, tenant: str, size: int) -> None:
        self._held[tenant] += size
        self._used += size

    def _may(self, tenant: str, size: int, before: int = 0) -> bool:
        free = self._total - self._used - size
        return self._used <= before or (
            free >= 0
            and (self._held.get(tenant, 0) + self.elsewhere.get(tenant, 0) + size) // self._times <= free
        )


class Place:
    """A place that is held as long as the context lasts, and may become another tenant's.

    Parameters
    ----------
    shares : Shares
        Of which it is one.
    tenant : str
        Whose it is at first.
    """

    def __init__(self, shares: Shares, tenant: str) -> None:
        self._shares = shares
        self._tenant: str | None = None
        self._first = tenant

    def __enter__(self) -> Place:
        self.move_to(self._first)
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def move_to(self, tenant: str) -> None:
        """Make it a tenant's.

        Raises
        ------
        QueueFullError
            If the tenant has its share; nobody holds it then.
        """
        self._give_back()
        if not self._shares.take(tenant):
            raise QueueFullError(cause="requests")
        self._tenant = tenant

    def _give_back(self) -> None:
        if self._tenant is not None:
            self._shares.give_back(self._tenant)
            self._tenant = None


class Turns:
    """Lets requests in while there is room for them; the next is of the tenant that holds least.

    Of tenants that hold the same, it is that whose last turn is longest ago, and of one tenant the request
    that came first. None overtakes the next one, so that a large one gets its room. In one event loop only.

    Parameters
    ----------
    total : int
        Room in all: a number of requests, or bytes.
    most : int, optional
        Most that a tenant may hold while others may want some; by default all.
    waiting : int, optional
        Most requests that wait, shared by the tenants as `Shares` has it; by default any number.
    retry_after : float
        Seconds after which one that finds too many waiting should come again.
    """

    def __init__(
        self, total: int, *, most: int | None = None, waiting: int | None = None, retry_after: float = 1.0
    ) -> None:
        self._total = total
        self._most = total if most is None else most
        self._places = None if waiting is None else Shares(waiting)
        self._retry_after = retry_after
        self._held: defaultdict[str, int] = defaultdict(int)
        self._used = 0
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}
        self._last: dict[str, int] = {}  # turns of tenants that hold or wait, in their order
        self._count = itertools.count(1)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def used(self) -> int:
        """What all hold together."""
        return self._used

    @asynccontextmanager
    async def turn(self, tenant: str, size: int = 1) -> AsyncIterator[None]:
        """Wait for room of this size, and hold it as long as the context lasts; all of it for a larger one.

        Raises
        ------
        QueueFullError
            If too many wait.
        """
        size = min(size, self._total)
        await self._enter(tenant, size)
        try:
            yield
        finally:
            self._leave(tenant, size)

    async def _enter(self, tenant: str, size: int) -> None:
        waiter = size, asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(waiter)
        self._let_in()
        if waiter[1].done():
            return
        if self._places is not None and not self._places.take(tenant):
            self._remove(tenant, waiter)
            raise QueueFullError(self._retry_after, "memory")
        try:
            await waiter[1]
        except BaseException:
            if waiter[1].cancelled():
                self._remove(tenant, waiter)
                self._let_in()  # those that were behind it
            else:  # it was let in at the same moment
                self._leave(tenant, size)
            raise
        finally:
            if self._places is not None:
                self._places.give_back(tenant)

    def _leave(self, tenant: str, size: int) -> None:
        self._held[tenant] -= size
        self._used -= size
        self._let_in()
        self._forget(tenant)

    def _let_in(self) -> None:
        while ready := [name for name, queue in self._waiting.items() if self._may(name, queue[0][0])]:
            tenant = min(ready, key=lambda name: (self._held.get(name, 0), self._last.get(name, 0)))
            size, future = self._waiting[tenant][0]
            if future.cancelled():  # and its task has not run since
                self._remove(tenant, (size, future))
                continue
            if self._used + size > self._total:
                return
            self._held[tenant] += size
            self._used += size
            self._last[tenant] = next(self._count)
            self._remove(tenant, (size, future))
            future.set_result(None)

    def _may(self, tenant: str, size: int) -> bool:
        held = self._held.get(tenant, 0)
        return not held or held + size <= self._most

    def _remove(self, tenant: str, waiter: tuple[int, asyncio.Future[None]]) -> None:
        queue = self._waiting.get(tenant, deque())
        if waiter in queue:
            queue.remove(waiter)
        if not queue:
            self._waiting.pop(tenant, None)
        self._forget(tenant)

    def _forget(self, tenant: str) -> None:
        if not self._held.get(tenant) and tenant not in self._waiting:
            self._held.pop(tenant, None)
            self._last.pop(tenant, None)

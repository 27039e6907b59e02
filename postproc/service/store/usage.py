"""Seconds of networks' calls that tenants have, as front ends tell each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import CursorResult, func, insert, select, update
from sqlalchemy.orm import Session

from postproc.service.store.tables import FrontEnd, Usage


class UsageExchange:
    """Tells what tenants have had of one front end, and reads what they had of the others.

    Parameters
    ----------
    front_end : str
        Its id.
    """

    def __init__(self, front_end: str) -> None:
        self._front_end = front_end
        self._known: dict[str, dict[str, float]] = {}  # what others told last

    def exchange(self, session: Session, had: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Write the sums of this front end, and return those of the others, for `more`.

        Parameters
        ----------
        session : Session
            Of a transaction that writes, in which this front end has its row.
        had : mapping of str to float
            Sums since the start; a tenant who has none for a while may be left out, and begin anew.
        """
        row = {"seconds": {tenant: round(seconds, 3) for tenant, seconds in had.items()}}
        told = session.execute(update(Usage).where(Usage.front_end == self._front_end).values(row))
        if isinstance(told, CursorResult) and not told.rowcount:
            session.execute(insert(Usage).values({"front_end": self._front_end, **row}))
        others = (
            select(Usage.front_end, Usage.seconds)
            .join(FrontEnd, FrontEnd.id == Usage.front_end)
            .where(Usage.front_end != self._front_end, FrontEnd.expires > func.clock_timestamp())
        )
        return {row.front_end: row.seconds for row in session.execute(others)}

    def more(self, found: dict[str, dict[str, float]]) -> dict[str, float]:
        """Return what tenants had elsewhere since the last time.

        What a front end had told before it was first read here is its past, and counts for nothing.
        """
        more: defaultdict[str, float] = defaultdict(float)
        for name, sums in found.items():
            before = self._known.get(name, sums)
            for tenant, seconds in sums.items():
                last = before.get(tenant, 0.0)
                more[tenant] += seconds - last if seconds >= last else seconds
        self._known = found
        return {tenant: seconds for tenant, seconds in more.items() if seconds > 0}

"""Whether the database is away, or refuses what it was given."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# PostgreSQL's classes of errors that pass: of the connection, of a transaction that others or a standby stop,
# and of a server that lacks room, is told to stop or fails. It files "row is too big" (54000) beside them.
_PASSING = ("08", "25", "40", "53", "55", "57", "58")


class StoreAwayError(OSError):
    """The store of network files does not answer, or refuses."""


def is_outage(error: BaseException) -> bool:
    """Tell whether the same may succeed later: no answer, no room, no turn.

    Of all else, such as a text that the database cannot hold, time is no cure.
    """
    if isinstance(error, (PoolTimeout, OSError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(state.startswith(_PASSING))
    return isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated


def reason_of(error: BaseException) -> str:
    """Tell what happened in one line, without the statement and what it was to write."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(f"{type(cause).__name__}: {cause}".split())

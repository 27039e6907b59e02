"""Answers with rows of the database, whose memory is bounded: read, written and sent some at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Generic

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from postproc.service.http import pagination
from postproc.service.http.disconnects import while_connected
from postproc.service.http.pagination import PageRequest, fitting
from postproc.service.http.responses import encoded, json_text
from postproc.service.services import Services
from postproc.service.store.common import Sized, SizedRow
from postproc.service.store.networks import NetworkStore
from postproc.service.store.specs import SpecStore
from postproc.service.store.versions import VersionStore

SMALL = 1 << 16  # bytes of rows for which no room is needed: a connection takes as much

_TOGETHER = 1 << 20  # bytes of rows that are read at once, unless one has more
_PIECE = 1 << 18  # bytes that are sent at once


class RowsAnswer(Response, Generic[Sized]):
    """Rows of the database as JSON, read and sent some at a time.

    What is in memory of it counts for its tenant in `Services.answers` until the client has taken it. The
    first rows are read before the head is sent, so that what goes wrong then is answered by an error.

    Parameters
    ----------
    services : Services
        Whose answer it is.
    tenant : str
        Whose rows they are.
    rows : sequence of SizedRow
        Which they are.
    read : callable
        Reads rows and returns the JSON of each, in parts; those that are gone are left out.
    head, tail : str
        JSON before and after the rows of a list.
    """

    media_type = "application/json"

    def __init__(
        self,
        services: Services,
        tenant: str,
        rows: Sequence[Sized],
        read: Callable[[Sequence[Sized]], Awaitable[Iterable[Sequence[str]]]],
        head: str = "",
        tail: str = "",
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._services, self._tenant, self._read = services, tenant, read
        self._groups = list(_groups(rows))
        self._size = max(sum(row.size for row in group) for group in self._groups)
        self._head, self._tail = head, tail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        await while_connected(receive, self._send_in_turn(send))

    async def _send_in_turn(self, send: Send) -> None:
        needs_room = self._size > SMALL
        async with self._services.answers.turn(self._tenant, self._size) if needs_room else nullcontext():
            await self._send(send)

    async def _send(self, send: Send) -> None:
        is_first = True
        for number, group in enumerate(self._groups):
            parts = [] if number else [self._head]
            for texts in await self._read(group):
                parts += ["" if is_first else ",", *texts]
                is_first = False
                del texts
            is_last = number == len(self._groups) - 1
            if is_last:
                parts.append(self._tail)
            if number == 0:
                if is_last:
                    self.headers["content-length"] = str(sum(map(_length, parts)))
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
            for piece in _pieces(parts):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            del parts  # before the next ones are read
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def list_answer(
    services: Services,
    tenant: str,
    page: PageRequest,
    find: Callable[..., tuple[int, Sequence[Sized]]],
    read: Callable[[Sequence[Sized]], Awaitable[Iterable[Sequence[str]]]],
) -> RowsAnswer[Sized]:
    """Answer with a page of a list, which ends before its limit where its rows get large.

    Parameters
    ----------
    services : Services
        Whose answer it is.
    tenant : str
        Whose rows they are.
    page : PageRequest
        What is asked for.
    find : callable
        Returns, in a thread, how many rows there are, and those of a page: `offset`, `limit`, `after_id` and
        `max_bytes`.
    read : callable
        As of `RowsAnswer`.
    """
    bounds = {"offset": page.offset, "limit": page.limit, "after_id": page.after_id}
    count, rows = await services.run(tenant, partial(find, **bounds, max_bytes=pagination.MAX_BYTES))
    given = rows[: fitting(row.size for row in rows)]
    body = json_text(page.links(count, [row.id for row in given], is_cut=len(given) < len(rows)))
    return RowsAnswer(services, tenant, given, read, f'{body[:-1]},"results":[', "]}")


async def list_rows(
    services: Services,
    tenant: str,
    page: PageRequest,
    store: NetworkStore | SpecStore | VersionStore,
    document: Callable[[Any], Mapping[str, Any]],
    **named: Any,
) -> RowsAnswer[SizedRow]:
    """Answer with a page of the rows of a store, of each its document; `named` goes to the store's `list`."""

    def texts(identifiers: Sequence[int]) -> list[tuple[str]]:
        return [(json_text(document(row)),) for row in store.listed(tenant, identifiers)]

    async def read(rows: Sequence[SizedRow]) -> Iterable[Sequence[str]]:
        return await services.run(tenant, texts, [row.id for row in rows]) if rows else []

    return await list_answer(services, tenant, page, partial(store.list, tenant, **named), read)


def _groups(rows: Sequence[Sized]) -> Iterator[list[Sized]]:
    """Split rows into those that are read together; there is one group at least."""
    group: list[Sized] = []
    size = 0
    for row in rows:
        if group and size + row.size > _TOGETHER:
            yield group
            group, size = [], 0
        group.append(row)
        size += row.size
    yield group


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(encoded(text))


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    """Encode texts, short ones together and long ones piece by piece."""
    waiting = bytearray()
    for text in texts:
        for start in range(0, len(text), _PIECE):
            waiting += encoded(text[start : start + _PIECE])
            if len(waiting) >= _PIECE:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)

"""Tasks on their way to clients, with their results as the texts that they are, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from postproc.service.documents import task_texts
from postproc.service.errors import not_found
from postproc.service.responses import encoded
from postproc.service.services import Services
from postproc.service.store.tasks import TaskRow

SMALL = 1 << 16  # bytes of results for which no room is needed: a connection takes as much

_TOGETHER = 1 << 20  # bytes of results that are read at once, unless one has more
_PIECE = 1 << 18  # bytes that are sent at once


class TasksAnswer(Response):
    """Tasks as JSON.

    What is in memory of it counts for its tenant in `Services.answers` until the client has taken it. The
    first results are read before the head is sent, so that what goes wrong then is answered by an error.

    Parameters
    ----------
    services : Services
        Where results are read.
    tenant : str
        Whose tasks they are.
    rows : sequence of TaskRow
        The tasks. One whose result is gone when its turn comes is left out.
    head, tail : str
        JSON before and after the tasks of a list. Without them the answer is one task, or a 404.
    """

    media_type = "application/json"

    def __init__(
        self, services: Services, tenant: str, rows: Sequence[TaskRow], head: str = "", tail: str = ""
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._services, self._tenant = services, tenant
        self._groups = list(_groups(rows))
        self._size = max(sum(row.size for row in group) for group in self._groups)
        self._head, self._tail = head, tail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        sending = asyncio.ensure_future(self._send_in_turn(send))
        leaving = asyncio.ensure_future(_leave(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnect
            sending.result()
        finally:
            leaving.cancel()
            sending.cancel()
            await asyncio.wait({sending})  # a thread that reads goes on, and what it reads counts until then

    async def _send_in_turn(self, send: Send) -> None:
        needs_room = self._size > SMALL
        async with self._services.answers.turn(self._tenant, self._size) if needs_room else nullcontext():
            await self._send(send)

    async def _send(self, send: Send) -> None:
        is_first = True
        for number, group in enumerate(self._groups):
            texts = await self._results(group)
            parts = [] if number else [self._head]
            for row in group:
                if row.size and row.id not in texts:
                    continue
                before, after = task_texts(row)
                parts += ["" if is_first else ",", before, texts.get(row.id, "null"), after]
                is_first = False
            if is_first and not self._head:
                raise not_found("task", group[0].id)
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
            del texts, parts  # before the next ones are read
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _results(self, rows: Sequence[TaskRow]) -> Mapping[int, str]:
        known = {row.id: row.data for row in rows if row.data is not None}
        missing = [row.id for row in rows if row.size and row.data is None]
        return {**known, **await self._services.run(self._tenant, self._read, missing)} if missing else known

    def _read(self, task_ids: Sequence[int]) -> dict[int, str]:
        kept = self._services.reporter.kept(task_ids)
        waiting = {task_id: outcome.data for task_id, outcome in kept.items() if outcome.data is not None}
        left = [task_id for task_id in task_ids if task_id not in waiting]
        return {**waiting, **(self._services.tasks.texts(self._tenant, left) if left else {})}


async def _leave(receive: Receive) -> None:
    """Wait until the client is gone, or has its answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _groups(rows: Sequence[TaskRow]) -> Iterator[list[TaskRow]]:
    """Split tasks into those that are read together; there is one group at least."""
    group: list[TaskRow] = []
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

"""Lists in pages: `count`, `next`, `previous` (and `prev`, as the vendor's client has it), `results`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Depends, Query, Request

from postproc.service.parameters import DIGITS
from postproc.service.tables import LARGEST_ID

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000


@dataclass(frozen=True)
class Page:
    """Which rows of a list are asked for."""

    request: Request
    offset: int
    limit: int

    def answer(self, count: int, results: Sequence[Any]) -> dict[str, Any]:
        """Return the body; the links lead to where the client came from, with the rest of its query."""
        following, preceding = self.offset + self.limit, max(0, self.offset - self.limit)
        previous = self._link(preceding) if self.offset > 0 else None
        return {
            "count": count,
            "next": self._link(following) if following < count else None,
            "prev": previous,
            "previous": previous,
            "results": list(results),
        }

    def _link(self, offset: int) -> str:
        scope = self.request.scope
        host = self.request.headers.get("host") or ":".join(map(str, scope["server"]))
        kept = [
            (name, value)
            for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if name not in ("offset", "limit")
        ]
        query = urlencode([*kept, ("offset", offset), ("limit", self.limit)])
        return f"{scope['scheme']}://{host}{quote(scope.get('asked_path', scope['path']))}?{query}"


async def _page(
    request: Request,
    offset: Annotated[int, Query(ge=0, le=LARGEST_ID, description="Rows to skip."), DIGITS] = 0,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="Most rows to return."), DIGITS
    ] = DEFAULT_LIMIT,
) -> Page:
    return Page(request, offset, limit)


Paged = Annotated[Page, Depends(_page)]

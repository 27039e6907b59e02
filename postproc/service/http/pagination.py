"""Lists in pages: `count`, `next`, `previous` (and `prev`, as the vendor's client has it), `results`."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Depends, Query, Request

from postproc.service.errors import InputError
from postproc.service.http.dependencies import DIGITS
from postproc.service.settings import ServiceSettings
from postproc.service.store.tables import LARGEST_ID

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
MAX_BYTES = 16 << 20  # of the rows of a page, unless one alone has more


@dataclass(frozen=True)
class PageRequest:
    """Which rows of a list are asked for."""

    request: Request
    offset: int
    limit: int
    after_id: int | None = None

    def answer(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Return the body of a list, of all its rows."""
        results = list(rows[self.offset : self.offset + self.limit])
        return {**self.links(len(rows), [row["id"] for row in results]), "results": results}

    def links(self, count: int, ids: Sequence[int | str], is_cut: bool = False) -> dict[str, Any]:
        """Return a body without its rows; the links lead to where the client came from, with its query.

        Parameters
        ----------
        count : int
            Length of the whole list.
        ids : sequence of int or str
            Of the rows that are returned.
        is_cut : bool
            Whether there are more on the page than are returned: the next page begins with them.
        """
        following = previous = None
        if self.after_id is not None:
            if is_cut or len(ids) == self.limit:
                following = self._link(after_id=ids[-1])
        else:
            place = self.offset + (len(ids) if is_cut else self.limit)
            following = self._link(offset=place) if place < count else None
            previous = self._link(offset=max(0, self.offset - self.limit)) if self.offset > 0 else None
        return {"count": count, "next": following, "prev": previous, "previous": previous}

    def _link(self, **place: int | str) -> str:
        scope = self.request.scope
        kept = [
            (name, value)
            for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if name not in ("offset", "limit", "after_id")
        ]
        query = urlencode([*kept, *place.items(), ("limit", self.limit)])
        return f"{self._origin}{quote(scope.get('asked_path', scope['path']))}?{query}"

    @property
    def _origin(self) -> str:
        scope = self.request.scope
        settings: ServiceSettings = self.request.app.state.services.settings
        if settings.public_url is not None:
            return settings.public_url
        # Checked by `hosts.check_host`; HTTP/1.0 needs none.
        name, port = scope["server"]
        own = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        host = self.request.headers.get("host") or own
        # A proxy may say "wss", too.
        return f"{'https' if scope['scheme'] in ('https', 'wss') else 'http'}://{host}"


def fitting(sizes: Iterable[int]) -> int:
    """Return how many rows of these sizes a page has room for: one at least, if there is one."""
    totals = list(itertools.accumulate(sizes))
    return max(bisect_right(totals, MAX_BYTES), min(len(totals), 1))


async def _page(
    request: Request,
    offset: Annotated[int, Query(ge=0, le=LARGEST_ID, description="Rows to skip."), DIGITS] = 0,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="Most rows to return."), DIGITS
    ] = DEFAULT_LIMIT,
) -> PageRequest:
    return PageRequest(request, offset, limit)


async def _page_by_id(
    page: Annotated[PageRequest, Depends(_page)],
    after_id: Annotated[
        int,  # noqa: RUF013
        Query(
            ge=0,
            le=LARGEST_ID,
            description="Return the rows whose id is larger, by their ids, in place of an offset: 0 for the "
            "first. Rows that are deleted between two pages then hide none; `next` goes on so. An extension "
            "of v0.7.",
        ),
        DIGITS,
    ] = None,  # type: ignore[assignment]  # "int | None" would show null, which no query can hold
) -> PageRequest:
    if after_id is not None and page.offset:
        raise InputError("after_id", f"expected no offset beside it, got {page.offset}; leave one out")
    return replace(page, after_id=after_id)


Paged = Annotated[PageRequest, Depends(_page)]
PagedById = Annotated[PageRequest, Depends(_page_by_id)]

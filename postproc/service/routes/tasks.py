"""Tasks: what became of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from postproc.service.errors import not_found
from postproc.service.http.dependencies import DIGITS, AllServices, Id, Tenant
from postproc.service.http.openapi import errors
from postproc.service.http.pagination import PagedById
from postproc.service.http.response_models import Listing, TaskAnswer
from postproc.service.http.responses import json_text
from postproc.service.http.routing import TenantRoute
from postproc.service.http.streaming import SMALL, RowsAnswer, list_answer
from postproc.service.services import Services
from postproc.service.store.reporting import Kept
from postproc.service.store.tables import PENDING, as_fields
from postproc.service.store.tasks import TaskRow

router = APIRouter(prefix="/v0.7/tasks", tags=["tasks"], route_class=TenantRoute)


@router.get("", response_model=Listing[TaskAnswer], responses=errors())
async def list_tasks(
    services: AllServices,
    tenant: Tenant,
    page: PagedById,
    task_ids: Annotated[
        list[Annotated[int, DIGITS]] | None, Query(description="Ids of the tasks; none without any.")
    ] = None,
) -> Response:
    """List tasks by their ids; those that are unknown are left out.

    A page ends before its limit where its results get large, and `next` goes on after its last task.
    """
    return await list_answer(
        services, tenant, page, partial(_listed, services, tenant, task_ids or ()), _reading(services, tenant)
    )


@router.get("/{task_id}", response_model=TaskAnswer, responses=errors(404))
async def read_task(services: AllServices, tenant: Tenant, task_id: Id) -> Response:
    """Read a task: `pending`, then `success` with data, or `error`. Results are kept for a time only."""
    row = await services.run(tenant, _row, services, tenant, task_id)
    read = _reading(services, tenant)

    async def read_it(rows: Sequence[TaskRow]) -> Iterable[Sequence[str]]:
        found = list(await read(rows))
        if not found:
            raise not_found("task", task_id)
        return found

    return RowsAnswer(services, tenant, [row], read_it)


def _listed(
    services: Services, tenant: str, task_ids: Sequence[int], **bounds: Any
) -> tuple[int, list[TaskRow]]:
    kept = services.reporter.kept(task_ids)
    count, rows = services.tasks.list(tenant, task_ids, **bounds)
    return count, [_with_kept(row, kept.get(row.id)) for row in rows]


def _row(services: Services, tenant: str, task_id: int) -> TaskRow:
    kept = services.reporter.kept([task_id])
    return _with_kept(services.tasks.get(tenant, task_id, SMALL), kept.get(task_id))


def _reading(
    services: Services, tenant: str
) -> Callable[[Sequence[TaskRow]], Awaitable[Iterable[Sequence[str]]]]:
    """Return what reads tasks for a `RowsAnswer`: results go into it as the texts that are stored."""

    def results(task_ids: Sequence[int]) -> dict[int, str]:
        kept = services.reporter.kept(task_ids)
        waiting = {task_id: outcome.data for task_id, outcome in kept.items() if outcome.data is not None}
        left = [task_id for task_id in task_ids if task_id not in waiting]
        return {**waiting, **(services.tasks.texts(tenant, left) if left else {})}

    async def read(rows: Sequence[TaskRow]) -> Iterable[Sequence[str]]:
        known = {row.id: row.data for row in rows if row.data is not None or not row.size}
        missing = [row.id for row in rows if row.id not in known]
        if missing:
            known |= await services.run(tenant, results, missing)
        return [_texts(row, known[row.id]) for row in rows if row.id in known]

    return read


def _texts(row: TaskRow, data: str | None) -> tuple[str, str, str]:
    """Return a task as JSON: what comes before its result, that, and what comes after."""
    text = json_text(as_fields(row, ("id", "status", "error", "date_created", "date_updated")))
    return f'{text[:-1]},"data":', data or "null", ',"subtasks":null}'


def _with_kept(row: TaskRow, kept: Kept | None) -> TaskRow:
    """Return a task with its outcome that waits to be written, if the row has none yet."""
    if kept is None or row.status != PENDING:
        return row
    return replace(row, status=kept.status, error=kept.error, date_updated=kept.date, size=kept.size)

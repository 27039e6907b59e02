"""Tasks: what became of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response

from postproc.service import pagination
from postproc.service.answers import Listing, TaskAnswer
from postproc.service.dependencies import AllServices, Id, Tenant
from postproc.service.documents import with_kept
from postproc.service.pagination import Page, PagedById, fitting
from postproc.service.parameters import DIGITS
from postproc.service.responses import errors, json_text
from postproc.service.routing import TenantRoute
from postproc.service.services import Services
from postproc.service.store.tasks import TaskRow
from postproc.service.task_answers import SMALL, TasksAnswer

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
    count, rows = await services.run(tenant, _listed, services, tenant, task_ids or (), page)
    given = rows[: fitting(row.size for row in rows)]
    body = json_text(page.links(count, [row.id for row in given], is_cut=len(given) < len(rows)))
    return TasksAnswer(services, tenant, given, f'{body[:-1]},"results":[', "]}")


@router.get("/{task_id}", response_model=TaskAnswer, responses=errors(404))
async def read_task(services: AllServices, tenant: Tenant, task_id: Id) -> Response:
    """Read a task: `pending`, then `success` with data, or `error`. Results are kept for a time only."""
    row = await services.run(tenant, _row, services, tenant, task_id)
    return TasksAnswer(services, tenant, [row])


def _listed(
    services: Services, tenant: str, task_ids: Sequence[int], page: Page
) -> tuple[int, list[TaskRow]]:
    kept = services.reporter.kept(task_ids)
    count, rows = services.tasks.list(
        tenant, task_ids, page.offset, page.limit, page.after_id, max_bytes=pagination.MAX_BYTES
    )
    return count, [with_kept(row, kept.get(row.id)) for row in rows]


def _row(services: Services, tenant: str, task_id: int) -> TaskRow:
    kept = services.reporter.kept([task_id])
    return with_kept(services.tasks.get(tenant, task_id, SMALL), kept.get(task_id))

"""Tasks: what became of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from postproc.service.answers import Listing, TaskAnswer
from postproc.service.dependencies import AllServices, Id, Tenant
from postproc.service.documents import task_document
from postproc.service.pagination import PagedById
from postproc.service.parameters import DIGITS
from postproc.service.responses import Json, errors

router = APIRouter(prefix="/v0.7/tasks", tags=["tasks"])


@router.get("", response_model=Listing[TaskAnswer], responses=errors())
def list_tasks(
    services: AllServices,
    tenant: Tenant,
    page: PagedById,
    task_ids: Annotated[
        list[Annotated[int, DIGITS]] | None, Query(description="Ids of the tasks; none without any.")
    ] = None,
) -> Json:
    """List tasks by their ids; those that are unknown are left out."""
    kept = services.reporter.kept(task_ids or ())
    count, tasks = services.tasks.list(
        tenant, task_ids or (), page.offset, page.limit, after_id=page.after_id
    )
    return Json(page.answer(count, [task_document(task, kept.get(task.id)) for task in tasks]))


@router.get("/{task_id}", response_model=TaskAnswer, responses=errors(404))
def read_task(services: AllServices, tenant: Tenant, task_id: Id) -> Json:
    """Read a task: `pending`, then `success` with data, or `error`. Results are kept for a time only."""
    kept = services.reporter.kept([task_id])
    return Json(task_document(services.tasks.get(tenant, task_id), kept.get(task_id)))

"""Tasks of front ends that died or were stopped, run by this one."""

from __future__ import annotations

import asyncio
import logging

from starlette.concurrency import run_in_threadpool
from structlog.contextvars import bound_contextvars

from postproc.service.errors import ApiError
from postproc.service.http.inference import run_again
from postproc.service.services import Services
from postproc.service.store.leases import MOST_LOSSES, Taken
from postproc.service.store.outages import is_outage, reason_of
from postproc.service.work import FAILED, Outcome

logger = logging.getLogger(__name__)

_MOST = 8  # at once

DIED = f"{MOST_LOSSES} services that ran this task ended before it did; it is taken for the reason"
TOO_LATE = "the service that had this task could not end it, and no other could within {:g} s; send it again"


class TakingOver:
    """Takes tasks over as long as there are any and this front end has room for them.

    Parameters
    ----------
    services : Services
        Of a front end that has started.
    """

    def __init__(self, services: Services) -> None:
        assert services.leased is not None
        assert services.heart is not None
        self._services, self._tasks, self._heart = services, services.leased, services.heart
        self._own: list[Taken] = []  # whose leases it holds, and which could neither run nor be handed over

    async def work(self) -> None:
        """Take tasks over until it is cancelled."""
        while True:
            has_room = False
            try:
                if self._heart.is_waiting or self._own:
                    has_room = await self._turn()
            except Exception as error:
                if not is_outage(error):
                    logger.exception("tasks of other front ends cannot be taken over")
            if not has_room:
                await asyncio.sleep(self._heart.pause)

    async def _turn(self) -> bool:
        """Take some tasks over; return whether there may be more to take at once."""
        taken, self._own = self._own, []
        if not taken:
            taken = await run_in_threadpool(self._tasks.take_over, _MOST, of_dead=self._heart.is_steady)
            if not taken:
                self._heart.is_waiting = False  # until it is heard again
                return False
            logger.warning("takes %d tasks over from other front ends", len(taken))
            self._services.metrics.count("postproc_tasks_taken_over", len(taken))
        later = [task for task in await asyncio.gather(*map(self._run, taken)) if task is not None]
        if later:
            try:
                await run_in_threadpool(self._tasks.hand_over, [task.task_id for task in later])
            except Exception:
                self._own = later
                raise
        return not later

    async def _run(self, task: Taken) -> Taken | None:
        """Run a task, or end it; return it where it has to wait."""
        tracing = self._services.metrics.tracing
        with (
            bound_contextvars(request_id=task.request_id, task=task.task_id),
            tracing.span("take over", task.trace),
        ):
            logger.info("runs a task of another front end")
            return await self._run_bound(task)

    async def _run_bound(self, task: Taken) -> Taken | None:
        error = None
        timeout = self._services.settings.task_timeout
        if task.losses >= MOST_LOSSES:
            error = DIED
        elif task.age > timeout:
            error = TOO_LATE.format(timeout)
        else:
            try:
                await run_again(self._services, task)
            except ApiError as found:
                if found.status == 503:
                    return task
                error = found.message
            except Exception as found:
                if is_outage(found):  # the store, too
                    logger.warning("task %d has to wait: %s", task.task_id, reason_of(found))
                    return task
                logger.exception("task %d cannot be taken over", task.task_id)
                error = FAILED
        if error is not None:
            outcome = Outcome(task.task_id, None, error, task.tenant, task.trace)
            await run_in_threadpool(self._services.reporter.put, [outcome])
        return None

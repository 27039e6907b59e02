"""Calls of networks on replicas: tried again where a replica dies, as long as there is time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from postproc.service.engine.networks.calls import NetworkCall
from postproc.service.on_ray.messages import NetworkSource, Reply, Told

logger = logging.getLogger(__name__)

_MOST_TRIES = 3
_PAUSE = 0.5  # seconds before a call is tried again
_LOST_PAUSE = 1.5  # for which no more come after one that was lost: those would be handed over, too

Tell = Callable[[Told], Awaitable[None]]


class Tries:
    """Has replicas run calls, many at once.

    A call whose replica dies is tried again, at another one: it changes nothing where it runs. One that finds
    too many waiting does so too, as long as somebody waits for it. Where three replicas die while they run
    it, it is the one to blame, and not those that wait behind it. Whether one had begun is not known where it
    died before its word of that came: such a try counts as any other that was lost.

    Parameters
    ----------
    handle : DeploymentHandle
        Of the replicas.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def run(
        self,
        call: NetworkCall,
        parts: Mapping[str, Sequence[NDArray[Any]]],
        source: NetworkSource,
        seconds: float,
        tell: Tell,
    ) -> Reply:
        """Run a call, and tell its results as they come; in so many seconds, waits and tries included."""
        deadline = time.monotonic() + seconds
        handle = self._handle.options(multiplexed_model_id=source.key, stream=True)
        lost = died = 0
        while (left := deadline - time.monotonic()) > 0:
            response = handle.remote(call, parts, source)
            running = _Running(response, tell)
            try:
                reply = await asyncio.wait_for(running.reply(), left)
            except BackPressureError as error:
                pause = getattr(error, "retry_after_s", None) or _PAUSE
                await tell(pause)
            except RayTaskError as error:  # what a replica raised by itself it would raise again
                return Reply(failed=str(error))
            except (TimeoutError, asyncio.TimeoutError):
                with suppress(Exception):  # what became of it meanwhile
                    response.cancel()
                break
            except (RayError, RayServeException, asyncio.CancelledError) as error:  # Serve cancels some, too
                if running.has_begun and isinstance(error, ActorDiedError):
                    died += 1
                else:
                    lost += 1
                why = _first_line(error)
                logger.warning("a call of network %s is lost: %s", call.model.id, why)
                if died == _MOST_TRIES:
                    return Reply(crashed=f"{died} replicas ended while they ran it")
                if lost == _MOST_TRIES:
                    await tell(_LOST_PAUSE)
                    return Reply(lost=why)
                await tell(None)
                pause = _PAUSE * (died + lost)
            else:
                await tell(0.0 if reply.lost is None else _LOST_PAUSE)
                return reply
            await asyncio.sleep(pause)
        return Reply(lost=f"no replica ran it within {seconds:g} s")


class _Running:
    """A call at a replica."""

    def __init__(self, response: Any, tell: Tell) -> None:
        self._response, self._tell = response, tell
        self.has_begun = False

    async def reply(self) -> Reply:
        async for told in self._response:
            if isinstance(told, Reply):
                return told
            self.has_begun = True
            if told:
                await self._tell(told)
        return Reply(failed="a replica gave no answer")


def _first_line(error: BaseException) -> str:
    return next(filter(None, str(error).splitlines()), type(error).__name__)

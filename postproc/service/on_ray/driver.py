"""The process that speaks to a Ray cluster for a front end: orders come from its parent, answers go back.

What Ray does to a process is done to this one: signals, logging, threads, and an end where its node ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from postproc.errors import PostprocError
from postproc.service.engine.in_threads import in_thread
from postproc.service.engine.networks.buffer import SharedBuffer
from postproc.service.on_ray.messages import LinkOrder, Told

if TYPE_CHECKING:
    from postproc.service.on_ray.trying import Tries

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 2.0
_FORGET_SECONDS = 5.0  # that replicas may take to say that they have
_PROBE = bytes(200_000)  # which Ray puts into the memory of the node, so that the node has to answer


def main(connect: Any = None) -> None:
    """Connect as ordered, and run calls until the parent ends, or the cluster does.

    Parameters
    ----------
    connect : callable, optional
        Takes the place of `making.connected`.
    """
    os.dup2(2, 1)  # nobody reads what libraries print
    logging.basicConfig(format="%(message)s")  # in the parent's log each line becomes a warning
    logging.disable(logging.INFO)
    control = Connection(int(os.read(0, 32)))
    order: LinkOrder
    order, lines = control.recv()
    try:
        from postproc.service.on_ray.trying import Tries

        if connect is None:
            from postproc.service.on_ray.making import connected as connect
        handle, said = connect(order)
    except (PostprocError, ImportError) as error:
        control.send(str(error))
        return
    control.send(said)
    opened = [(Connection(number), SharedBuffer(place)) for number, place in lines]
    asyncio.run(_work(handle, Tries(handle), control, opened))


async def _work(
    handle: Any, tries: Tries, control: Connection, lines: Sequence[tuple[Connection, SharedBuffer]]
) -> None:
    # Each line waits in a thread, for an order or until an answer is read; so does the beat.
    threads = ThreadPoolExecutor(len(lines) + 2)
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        await asyncio.gather(_beat(handle, control), *(_serve(threads, tries, *line) for line in lines))
    except Exception as error:  # of the cluster's end, or of the parent's
        logger.error("%s: %s", type(error).__name__, error)
    os._exit(1)  # whatever still runs


async def _serve(
    threads: ThreadPoolExecutor, tries: Tries, connection: Connection, buffer: SharedBuffer
) -> None:
    """Run the calls of a line, one after the other."""

    async def tell(told: Told) -> None:
        # To its end, also where the time of the call is over: the next word would get into the midst of it.
        await in_thread(threads, connection.send, told)

    while True:
        call, source, layout, seconds = await asyncio.to_thread(connection.recv)
        parts = {name: [array] for name, array in buffer.arrays(layout).items()}
        await tell(await tries.run(call, parts, source, seconds, tell))


async def _beat(handle: Any, control: Connection) -> None:
    """Tell that this process and its node live, and replicas which networks were deleted."""
    import ray

    while True:
        forgotten = []
        while control.poll():
            forgotten.append(control.recv())
        if forgotten:
            response = handle.broadcast("forget", forgotten)
            with suppress(TimeoutError):
                await response.results_async(timeout_s=_FORGET_SECONDS, return_exceptions=True)
        if ray.is_initialized():
            await asyncio.to_thread(ray.put, _PROBE)
        control.send(None)
        await asyncio.sleep(_BEAT_SECONDS)


if __name__ == "__main__":
    main()

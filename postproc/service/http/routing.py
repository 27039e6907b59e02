"""Routes whose functions run in threads, in turns of the tenants."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from fastapi.routing import APIRoute


class TenantRoute(APIRoute):
    """A route of the tenant that its function has as `tenant`, beside the `services`.

    A function that is no coroutine runs in a thread, in a turn of the tenant's (`Services.run`): not while
    the body comes in, and not while the answer goes out. A coroutine asks for turns itself.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = _in_turn(endpoint)
        super().__init__(path, endpoint, **options)


def _in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def run(**arguments: Any) -> Any:
        return await arguments["services"].run(arguments["tenant"], partial(function, **arguments))

    # With types in place of their names, which FastAPI would look for in this module.
    signature = inspect.signature(function, eval_str=True)
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run

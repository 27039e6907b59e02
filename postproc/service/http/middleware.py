"""What surrounds every request: its id, one line of the log, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postproc.service.errors import ApiError, RefusedError
from postproc.service.hosts import check_host, with_path
from postproc.service.http.responses import Json
from postproc.service.logs import silence
from postproc.service.metrics import Metrics
from postproc.service.sharing import STRANGERS, Place, Shares

logger = structlog.stdlib.get_logger("postproc.service")

_WRONG_METHOD = 405
_LENGTHS = {
    b"content-length",
    b"transfer-encoding",
}  # both: a proxy may see the end elsewhere (RFC 9112, 6.1)
_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")  # nothing that a log or a header would have to quote
PROBES = ("/healthz", "/readyz", "/metrics")  # asked for every few seconds, as long as the service runs
_CLIENT_LEFT = 499  # as nginx logs it; nobody is there to see it


class RequestGate:
    """Takes requests as clients spell them, and logs what became of each.

    A path with a slash at its end is the path without it, HEAD is a GET whose body is dropped, and an error
    that nothing else handles is a 500 that names the request. A probe is logged where it begins to fail, with
    what went wrong, and where that ends. All others hold a place while they are under way: strangers' at
    first, and the tenant's once its key was looked up.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, places: Shares, log_probes: bool = False) -> None:
        self._app = app
        self._metrics = metrics
        self._places = places
        self._failing: dict[str, bool] = {} if log_probes else dict.fromkeys(PROBES, False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(with_path(scope), send)
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request.id), self._span(request, scope):
            try:
                with silence() if self._failing.get(request.scope["path"]) else nullcontext():
                    await self._serve(request, receive)
            finally:
                self._record(request, scope["method"], time.perf_counter() - started)

    async def _serve(self, request: _Request, receive: Receive) -> None:
        try:
            check_host(request.scope)
            with self._place(request.scope):
                await self._app(request.scope, receive, request.send)
        except ApiError as error:
            await request.answer(error, receive)
        except ClientDisconnect:
            request.status = _CLIENT_LEFT
        except Exception:
            logger.exception("request failed")
            problem = ApiError(500, f"the service failed; its log says why under request {request.id}")
            await request.answer(problem, receive)
        except asyncio.CancelledError:  # by the server, whose own task this is, and which waits no longer
            await request.answer(RefusedError("the service is being stopped", "stopping"), receive)
        except BaseException:
            request.status = request.status or _CLIENT_LEFT
            raise

    def _span(self, request: _Request, scope: Scope) -> AbstractContextManager[None]:
        return (
            nullcontext()
            if request.scope["path"] in PROBES
            else self._metrics.tracing.request(request, scope)
        )

    def _place(self, scope: Scope) -> AbstractContextManager[Any]:
        if scope["path"] in PROBES:
            return nullcontext()
        place: Place = scope["state"].setdefault("place", Place(self._places, STRANGERS))
        return place

    def _record(self, request: _Request, method: str, seconds: float) -> None:
        route = getattr(request.scope.get("route"), "path", None)
        status = request.status or 0
        if route is not None and status != _WRONG_METHOD:  # else paths and methods without end
            self._metrics.request(route, method, status, seconds)
        state = request.scope["state"]
        error = state.get("error")
        if isinstance(error, RefusedError):
            self._metrics.count("postproc_refused", cause=error.cause)
        if self._is_news(request.scope["path"], status):
            logger.info(
                "request",
                tenant=state.get("tenant"),
                **{name: state[name] for name in ("task",) if name in state},
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                bytes=request.sent,
            )

    def _is_news(self, path: str, status: int) -> bool:
        """Tell whether the log should know: of a probe, where it begins to fail and where it ends to."""
        fails = status >= 500
        if path not in self._failing or 400 <= status < 500:  # what a stranger sends changes no state
            return True
        was_failing, self._failing[path] = self._failing[path], fails
        return was_failing != fails


def request_id_of(scope: Scope) -> str:
    """Return the valid id that a request came with, of its client or a proxy, or a new one."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return given[0].decode() if len(given) == 1 and _ID.fullmatch(given[0]) else uuid.uuid4().hex


class _Request:
    """A request on its way, and what was answered so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.id = request_id_of(scope)
        self.status: int | None = None
        self.sent = 0
        self._send = send
        self._is_head = scope["method"] == "HEAD"
        path = scope["path"]
        self.scope: dict[str, Any] = {
            **scope,
            "asked_path": path,
            "path": path[:-1] if len(path) > 1 and path.endswith("/") else path,
            "method": "GET" if self._is_head else scope["method"],
            "state": dict(scope.get("state") or {}),
        }

    async def send(self, message: Message) -> None:
        """Send a part of the answer, its id in the head."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], (b"x-request-id", self.id.encode())]
            if {name for name, _ in self.scope["headers"]} >= _LENGTHS:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            if self._is_head:
                message = {**message, "body": b""}
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def answer(self, error: ApiError, receive: Receive) -> None:
        """Answer in place of the application, unless it began to."""
        if self.status is None:
            self.scope["state"]["error"] = error
            await Json(error.body(), error.status, error.headers)(self.scope, receive, self.send)

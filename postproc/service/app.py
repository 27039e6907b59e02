"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match

from postproc import __version__
from postproc.errors import SchemaProblem
from postproc.schema.problems import path_of
from postproc.service.errors import ApiError, RefusedError
from postproc.service.http.bodies import BodyReader
from postproc.service.http.headers import SecurityHeaders
from postproc.service.http.middleware import RequestGate, logger
from postproc.service.http.openapi import install_openapi
from postproc.service.http.responses import Json
from postproc.service.metrics import Metrics
from postproc.service.model_check import check
from postproc.service.model_check.scheduler import CheckModel
from postproc.service.routes import account, networks, operations, pages, public, specs, tasks, versions
from postproc.service.services import MakeEngine, Services
from postproc.service.settings import ServiceSettings
from postproc.service.store.outages import StoreAwayError, is_outage
from postproc.service.taking_over import TakingOver
from postproc.service.tracing_setup import tracing_of_environment

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota, the system's limit of a file
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Of pages of other origins; those that every page may send or read are not among them.
_ASKED_HEADERS = ("X-API-KEY", "X-APP-ID", "X-Request-ID", "Content-Type", "traceparent", "tracestate")
_ANSWERED_HEADERS = ("X-Request-ID", "Retry-After")
_TAGS = ("networks", "recognition specs", "recognition versions", "tasks", "public", "account", "operations")
_DESCRIPTION = """Recognition versions over HTTP: the v0.7 API.

Upload a network, say what it recognises in a recognition spec, and how in a recognition version; then send
images to the version and ask for the task's result. Every object belongs to the owner of the key in
`X-API-KEY`. Every path may end in a slash."""


def create_app(
    settings: ServiceSettings,
    *,
    keys: Mapping[str, str] | None = None,
    make_engine: MakeEngine | None = None,
    check_model: CheckModel | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """Make the application of a service; it starts and stops with the server's lifespan.

    Parameters
    ----------
    settings : ServiceSettings
        Where things lie, and the limits.
    keys : mapping of str to str, optional
        API keys, and the tenants whose objects they open, beside the keys of the database.
    make_engine, check_model, metrics : optional
        Take the place of the parts that run networks.

    Raises
    ------
    PostprocError
        If the data folder or the database cannot be used.
    """
    if make_engine is None and settings.ray is not None:
        from postproc.service.on_ray.engine import RayEngine

        make_engine = RayEngine
    if make_engine is None:
        # Not at the top: whoever brings another engine does not pay for what fetches and decodes images.
        from postproc.service.engine.engine import Engine

        make_engine = Engine
    metrics = metrics if metrics is not None else Metrics(tracing_of_environment())
    services = Services(settings, keys or {}, make_engine, check_model or check.check_model, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(services.start)
        taking = None if services.heart is None else asyncio.create_task(TakingOver(services).work())
        try:
            yield
        finally:
            if taking is not None:
                taking.cancel()
            await run_in_threadpool(services.stop)

    below = urlsplit(settings.public_url or "").path  # for the requests that /docs sends
    app = FastAPI(
        title="postproc",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        servers=[{"url": below}] if below else None,
        openapi_tags=[{"name": name} for name in _TAGS],
    )
    app.state.services = services
    app.state.bodies = BodyReader(settings)
    app.add_middleware(RequestGate, metrics=metrics, places=services.requests, log_probes=settings.log_probes)
    if settings.cors:  # outside of the gate, so that pages may read errors too; preflights have no key
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=_METHODS,
            allow_headers=_ASKED_HEADERS,
            expose_headers=_ANSWERED_HEADERS,
        )
    app.add_middleware(SecurityHeaders)  # outside of all others: what they answer has them too
    for part in (public, networks, specs, versions, tasks, account, operations):
        app.include_router(part.router)
    pages.add_pages(app)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    app.add_exception_handler(HTTPException, _http_error)
    for kind in (OperationalError, InterfaceError, InternalError, PoolTimeout):
        app.add_exception_handler(kind, _database_error)
    app.add_exception_handler(StoreAwayError, _store_error)
    app.add_exception_handler(OSError, _disk_error)
    install_openapi(app)
    return app


def _answer(error: ApiError, request: Request) -> Json:
    request.state.error = error  # which the gate counts
    return Json(error.body(), error.status, error.headers)


async def _api_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, ApiError)
    return _answer(error, request)


async def _http_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404:
        message = f"there is nothing at {request.url.path}; see /docs"
    elif error.status_code == 405:
        allowed = _methods_of(request)
        message = f"{request.method} is not for {request.url.path}, which takes {allowed}; see /docs"
        return _answer(ApiError(405, message, headers={"Allow": allowed}), request)
    return _answer(ApiError(error.status_code, message, headers=error.headers), request)


def _methods_of(request: Request) -> str:
    """Name all methods of a path: each of its routes knows its own only."""
    routes = request.app.router.routes
    found = [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return ", ".join(found)


async def _wrong_parameters(request: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    problems = [
        SchemaProblem(
            path_of(tuple(details["loc"][1:])), f"{details['msg']}, got {details.get('input')!r}"[:300]
        )
        for details in error.errors()
    ]
    in_path = any(details["loc"][0] == "path" for details in error.errors())
    message = "\n".join(map(str, problems))
    wrong = ApiError(404 if in_path else 400, message, problems[0].path or None, problems=problems)
    return _answer(wrong, request)


async def _database_error(request: Request, error: Exception) -> Json:
    reason = str(getattr(error, "orig", None) or error)
    if "disk is full" in reason:  # SQLite's SQLITE_FULL
        return _full(reason, request)
    if isinstance(error, InternalError) and not is_outage(error):
        raise error
    logger.error("the database does not answer", error=reason)
    message = "the database does not answer; send this again later"
    return _answer(RefusedError(message, "database"), request)


async def _store_error(request: Request, error: Exception) -> Json:
    logger.error("the store of network files does not answer", error=str(error))
    message = "the store of network files does not answer; send this again later"
    return _answer(RefusedError(message, "files", 2.0), request)


async def _disk_error(request: Request, error: Exception) -> Json:
    if not isinstance(error, OSError) or error.errno not in _NO_SPACE:
        raise error
    return _full(str(error), request)


def _full(reason: str, request: Request) -> Json:
    logger.error("the disk is full", error=reason)
    message = "the disk of the service is full; make room, then send this again"
    return _answer(ApiError(507, message), request)

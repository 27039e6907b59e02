"""What those who run the service look at; open without a key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from postproc import __version__
from postproc.service.http.dependencies import AllServices
from postproc.service.http.middleware import logger
from postproc.service.http.response_models import Health
from postproc.service.http.responses import Json
from postproc.service.services import Services
from postproc.service.sharing import STRANGERS

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=Health)
async def check_health(services: AllServices) -> Json:
    """Tell that the process works: 200 also where the database is away, for results wait in memory then."""
    return Json(await _health(services))


@router.get(
    "/readyz",
    response_model=Health,
    responses={503: {"model": Health, "description": "Requests cannot be taken now; the body says why."}},
)
async def check_readiness(services: AllServices) -> Json:
    """Tell whether requests can be taken: the database reads and writes, and kernels are compiled."""
    health = await _health(services)
    if health["reasons"]:
        logger.warning("not ready", reasons=health["reasons"])
    return Json(health, 503 if health["reasons"] else 200)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_metrics(services: AllServices) -> Response:
    """Return the metrics, for Prometheus."""
    content = await services.run(STRANGERS, generate_latest, services.metrics.registry)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


async def _health(services: Services) -> dict[str, Any]:
    database = await services.probe.state()
    reporter = services.reporter
    is_behind = reporter.is_behind
    held = services.engine.held_networks
    is_away = services.folders.is_away
    are_networks_away = services.engine.is_away
    is_degraded = bool(
        is_behind or is_away or are_networks_away or database != "ok" or services.missing or held
    )
    reasons = {
        "the database does not answer": database == "away",
        "the database takes no writes": database == "read-only",
        "results wait for the database to take them": is_behind,
        "kernels are being compiled for the first time": not services.was_warm,
        "the service is being stopped": services.is_stopping,
        "another service has the database": services.lost is not None,
    }
    return {
        "status": "degraded" if is_degraded else "ok",
        "version": __version__,
        "kernels": "ready" if services.engine.is_warm else "compiling",
        "database": database,
        "store": {"behind": reporter.count, "seconds": round(reporter.seconds, 3)},
        "files": "away" if is_away else "ok",
        "networks": "away" if are_networks_away else "ok",
        "missing_networks": len(services.missing),
        "held_networks": held,
        "reasons": [reason for reason, holds in reasons.items() if holds],
    }

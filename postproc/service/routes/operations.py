"""What those who run the service look at; open without a key."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from postproc import __version__
from postproc.service.answers import Health
from postproc.service.dependencies import AllServices
from postproc.service.responses import Json, errors

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=Health, responses={503: errors()[503]})
def check_health(services: AllServices) -> Json:
    """Tell that the service and its database answer, and whether the first image would wait for kernels."""
    services.database.check()
    kernels = "ready" if services.engine.is_warm else "compiling"
    return Json(
        {
            "status": "ok",
            "version": __version__,
            "kernels": kernels,
            "missing_networks": len(services.missing),
        }
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def read_metrics(services: AllServices) -> Response:
    """Return the metrics, for Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)

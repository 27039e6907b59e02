"""Whether there are traces, as the variables ``OTEL_*`` of the environment say."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from postproc.installing import install
from postproc.service.tracing import Tracing

logger = logging.getLogger(__name__)


def tracing_of_environment(service: str = "postproc") -> Tracing:
    """Return what the variables ``OTEL_*`` ask for: no traces where there are none.

    Parameters
    ----------
    service : str
        Name of this process, unless ``OTEL_SERVICE_NAME`` has one.

    Raises
    ------
    PostprocError
        If they name an exporter that is not installed.
    """
    if not _is_configured(os.environ):
        return Tracing()
    try:
        from postproc.service.spans import from_environment
    except ImportError as error:
        logger.warning("OTEL_* asks for traces, which need an extra: %s (%s)", install("tracing"), error)
        return Tracing()
    return from_environment(service)


def _is_configured(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter:
        return exporter != "none"
    endpoints = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    return any(environment.get(name) for name in endpoints)

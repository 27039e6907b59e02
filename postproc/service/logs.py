"""Structured logs: a line of JSON for each event on stderr, coloured text where that is a terminal.

Neither keys nor images are ever logged, and of a URL only the route's template.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import structlog

_is_silent: ContextVar[bool] = ContextVar("is_silent", default=False)


@contextmanager
def silence() -> Iterator[None]:
    """Keep what is logged here, and in threads that are called from here, out of the log."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


def is_heard(_: logging.LogRecord) -> bool:
    """Tell whether a record is logged outside of `silence`; a filter of handlers."""
    return not _is_silent.get()


def configure_logging(level: int = logging.INFO) -> None:
    """Send what structlog and Python's own logging say through one format, warnings and defects among it."""
    is_terminal = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any]
    if is_terminal:
        # Its own way to show errors prints local variables, keys and images among them.
        last = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.addFilter(is_heard)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its start and end are told by the command
    logging.captureWarnings(True)
    sys.excepthook = _log_defect
    threading.excepthook = lambda defect: _log_defect(defect.exc_type, defect.exc_value, defect.exc_traceback)
    sys.unraisablehook = lambda defect: _log_defect(defect.exc_type, defect.exc_value, defect.exc_traceback)


def _log_defect(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    """Log an error that nothing handled, as Python would print it."""
    if not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        logging.getLogger("postproc.service").critical(
            "nothing handled an error", exc_info=(kind, error or kind(), traceback)
        )

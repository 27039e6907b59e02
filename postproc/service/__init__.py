"""The HTTP service: v0.7 recognition versions, created, listed, read, deleted and run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from postproc.service.settings import ServiceSettings

if TYPE_CHECKING:
    from postproc.service.app import create_app

__all__ = ["ServiceSettings", "create_app"]


def __getattr__(name: str) -> Any:
    # Late: the command line reads the settings without FastAPI and SQLAlchemy.
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("postproc.service.app").create_app

"""The pages at ``/`` and ``/docs``: all their files are local, none from a CDN."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from postproc.service import page


def add_pages(app: FastAPI) -> None:
    """Add the pages to an app."""
    app.include_router(page.router)
    swagger = Path(str(files("fastapi_offline"))) / "static"
    app.mount("/docs-assets", StaticFiles(directory=swagger), name="docs-assets")

"""The web page at ``/``, and the documentation at ``/docs``: all their files are local, none from a CDN."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from postproc.service import page

_ASSETS = "/docs-assets"


def add_pages(app: FastAPI) -> None:
    """Add the pages to an app."""
    app.include_router(page.router)
    assets = Path(str(files("fastapi_offline"))) / "static"
    app.mount(_ASSETS, StaticFiles(directory=assets), name="docs-assets")
    app.add_api_route("/docs", _docs, include_in_schema=False, response_class=HTMLResponse)


def _docs() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="postproc: the API",
        swagger_js_url=f".{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f".{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f".{_ASSETS}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )

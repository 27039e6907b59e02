"""The web page at ``/``, and the documentation at ``/docs``: all their files are local, none from a CDN."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

_ASSETS = {".html", ".js", ".css", ".svg", ".png", ".jpg", ".ico"}
_DOCS = "/docs-assets"


def add_pages(app: FastAPI) -> None:
    """Add the pages to an app."""
    folder = Path(str(files("postproc.service.page")))
    for path in sorted(folder.iterdir()):
        if path.suffix in _ASSETS:
            name = "/" if path.name == "index.html" else f"/{path.name}"
            app.add_api_route(name, _sender(path), include_in_schema=False, name=path.stem)
    assets = Path(str(files("fastapi_offline"))) / "static"
    app.mount(_DOCS, StaticFiles(directory=assets), name="docs-assets")
    app.add_api_route("/docs", _docs, include_in_schema=False, response_class=HTMLResponse)


def _sender(path: Path) -> Callable[[], FileResponse]:
    def send() -> FileResponse:
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    return send


def _docs() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="postproc: the API",
        swagger_js_url=f".{_DOCS}/swagger-ui-bundle.js",
        swagger_css_url=f".{_DOCS}/swagger-ui.css",
        swagger_favicon_url=f".{_DOCS}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )

"""The part of the v0.7 API that the page uses, computed by the demo's networks, all in one request."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from postproc import PostProcessor, demo
from postproc.errors import PostprocError
from postproc.images import Preprocessor, load_image
from postproc.onnx_runner import OnnxRunner
from postproc.schema import RecognitionSpec, RecognitionVersion
from postproc.service.errors import ApiError, InputError
from postproc.service.page import router

MAX_BODY = 4 << 20


class Stub:
    """Specs, versions and tasks in memory.

    Parameters
    ----------
    key : str
        The API key of the only tenant.
    versions : list of (str, dict, dict)
        The tenant's: name of the demo's network, spec, version; ids are 1, 2, ...
    """

    def __init__(self, key: str, versions: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
        self.key = key
        self.tasks: dict[int, list[dict[str, Any]]] = {}
        self.numbers = count(1)
        self.models: dict[int | str, tuple[str, dict[str, Any], dict[str, Any]]] = {
            number: (kind, {**spec, "id": number}, {**version, "id": number, "spec_id": number})
            for number, (kind, spec, version) in enumerate(versions, 1)
        }
        for kind in demo.MODELS:
            name = f"digits-{kind}"
            spec = {
                **RecognitionSpec.load(demo.spec_path(kind)).dump(),
                "id": name,
                "current_version_id": name,
            }
            version = {**RecognitionVersion.load(demo.version_path(kind)).dump(), "id": name, "spec_id": name}
            self.models[name] = kind, {**spec, "name": f"{spec['name']} ({kind})"}, version
        self.runners: dict[int | str, tuple[OnnxRunner, Preprocessor]] = {}

    def model(self, identifier: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
        found = self.models.get(int(identifier) if identifier.isdigit() else identifier)
        if found is None:
            raise ApiError(404, f"there is no version {identifier}")
        return found

    def recognise(self, identifier: str, image: bytes, most: int) -> dict[str, Any]:
        kind, spec, version = self.model(identifier)
        if identifier not in self.runners:
            runner = OnnxRunner(
                demo.model_path(kind), PostProcessor(spec, {**version, "spec_id": spec["id"]})
            )
            self.runners[identifier] = runner, Preprocessor(demo.preprocessing_path(kind))
        runner, preprocessor = self.runners[identifier]
        batch = preprocessor([load_image(image)])
        found = runner(batch.tensors, True, most, transforms=batch.transforms)
        return found.to_dicts()[0]

    def rows(self, public: bool) -> Iterator[dict[str, Any]]:
        for identifier, (kind, spec, version) in self.models.items():
            if public == isinstance(identifier, str):
                row = {"spec_name": spec["name"], "network_name": kind} | (spec if public else version)
                yield {
                    name: value for name, value in row.items() if name not in ("outputs", "post_processings")
                }


def stub_app(stub: Stub) -> FastAPI:
    """Return the app: the page, and the API that it calls."""
    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(ApiError)
    async def explain(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, error.headers)

    @app.middleware("http")
    async def check(request: Request, call_next: Any) -> Any:
        if request.url.path.startswith("/v0.7/") and request.headers.get("x-api-key") != stub.key:
            return JSONResponse(ApiError(401, "expected a valid key in X-API-KEY").body(), 401)
        return await call_next(request)

    @app.get("/v0.7/recognition/versions/")
    def versions(offset: int, limit: int) -> Any:
        return _page(list(stub.rows(public=False)), offset, limit)

    @app.get("/v0.7/recognition/public/")
    def public(offset: int, limit: int) -> Any:
        return _page(list(stub.rows(public=True)), offset, limit)

    @app.get("/v0.7/recognition/versions/{identifier}/")
    def version(identifier: str) -> Any:
        return stub.model(identifier)[2]

    @app.get("/v0.7/recognition/specs/{identifier}/")
    @app.get("/v0.7/recognition/public/{identifier}/")
    def spec(identifier: str) -> Any:
        return stub.model(identifier)[1]

    @app.post("/v0.7/recognition/versions/{identifier}/inference", status_code=201)
    @app.post("/v0.7/recognition/public/{identifier}/inference", status_code=201)
    async def inference(identifier: str, request: Request) -> Any:
        stub.model(identifier)
        if int(request.headers["content-length"]) > MAX_BODY:
            await request.body()
            raise ApiError(413, f"expected a body of at most {MAX_BODY:,} bytes")
        async with request.form() as form:
            image, most = form["inputs[0]image.source"], int(str(form["max_predictions"]))
            if isinstance(image, str) or form["show_discarded"] != "True":
                raise InputError("inputs[0].image.source", "expected a file")
            content = await image.read()
        try:
            data = stub.recognise(identifier, content, most)
        except PostprocError as error:
            raise InputError("inputs[0].image.source", str(error)) from error
        number = next(stub.numbers)
        done = {"id": number, "status": "success", "error": None, "data": data}
        stub.tasks[number] = [done, {"id": number, "status": "pending", "error": None, "data": None}]
        return {"task_id": number}

    @app.get("/v0.7/tasks/{number}/")
    def task(number: int) -> Any:
        states = stub.tasks[number]
        return states.pop() if len(states) > 1 else states[0]

    return app


def _page(rows: list[dict[str, Any]], offset: int, limit: int) -> dict[str, Any]:
    return {"count": len(rows), "next": None, "previous": None, "results": rows[offset : offset + limit]}

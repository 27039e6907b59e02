"""Digits in FastAPI: a request is decoded, recognised and answered in one thread of its pool.

Needs: pip install "postproc[cpu,demo]" fastapi uvicorn python-multipart
Start: cd examples/hosts/fastapi && uvicorn app:app --workers 2
Ask:   curl -F image=@page.png http://127.0.0.1:8000/recognise
Other thresholds, without a restart: replace the file that VERSION names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from fastapi import FastAPI, File, Request
from fastapi.responses import JSONResponse

from postproc import ImageError, PostprocError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner

VERSION = Path(os.environ.get("VERSION", version_path("yolo")))


def stamp_of(path: Path) -> int | None:
    """Return when a file was written; None of one that is not there, as while it is replaced."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


class Digits:
    """The network, and the post-processor of a file that is read again once it has changed."""

    def __init__(self) -> None:
        self.stamp = stamp_of(VERSION)
        self.prepare = Preprocessor(preprocessing_path("yolo"))
        self.runner = OnnxRunner(model_path("yolo"), PostProcessor(spec_path("yolo"), VERSION))
        self.runner.warmup()
        self.refreshing = Lock()

    def refresh(self) -> None:
        """Take a new version, or say why not and keep the last; each worker looks for itself.

        One thread does so, and the others go on with the last: two could end in the other order.
        """
        if not self.refreshing.acquire(blocking=False):
            return
        try:
            if (stamp := stamp_of(VERSION)) != self.stamp:
                self.stamp = stamp
                post = PostProcessor(spec_path("yolo"), VERSION)
                runner = OnnxRunner(self.runner.network, post)  # the same network: has it these tensors?
                runner.warmup()
                self.runner = runner
        except PostprocError as error:
            logging.getLogger("uvicorn.error").error("%s is not taken: %s", VERSION, error)
        finally:
            self.refreshing.release()

    def recognise(self, image: bytes) -> dict[str, Any]:
        """Return what is on an image, as JSON."""
        prepared = self.prepare([image])
        return self.runner(prepared.tensors, transforms=prepared.transforms).to_dicts()[0]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open and warm up in each worker, before it takes a request."""
    app.state.digits = Digits()
    yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(ImageError)
def refuse(request: Request, error: ImageError) -> JSONResponse:
    """Answer what is wrong with an image; any other PostprocError is this service's, and a 500."""
    return JSONResponse({"detail": str(error)}, 422)


@app.post("/recognise")
def recognise(request: Request, image: Annotated[bytes, File()]) -> dict[str, Any]:
    """Run in a thread, since it is no coroutine: it leaves the event loop free."""
    digits: Digits = request.app.state.digits
    digits.refresh()
    return digits.recognise(image)

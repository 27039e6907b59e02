"""Digits in Ray Serve: requests that wait are recognised as one batch, and thresholds change in place.

Needs: pip install "postproc[cpu,demo]" "ray[serve]"
Start: cd examples/hosts/ray_serve && serve run app:app
Ask:   curl --data-binary @page.png http://127.0.0.1:8000
Other thresholds, without a restart: `user_config: {thresholds: 0.7}` in a config file, and `serve deploy`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from postproc import ImageError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import PreparedBatch, Preprocessor
from postproc.onnx_runner import OnnxRunner


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Digits:
    """One image a request; a replica opens and warms up before it takes one."""

    def __init__(self) -> None:
        self.prepare = Preprocessor(preprocessing_path("yolo"))
        self.post = PostProcessor(spec_path("yolo"), version_path("yolo"))
        self.runner = OnnxRunner(model_path("yolo"), self.post)
        self.runner.warmup()

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Take other thresholds; ones that do not fit are a SchemaError, and the deployment is unhealthy."""
        self.runner.post = self.post.replace(**config)  # of the file's: what config leaves out goes back

    async def __call__(self, request: Request) -> Any:
        """Answer what was found, or with 422 what is wrong with the image."""
        try:
            image = await asyncio.to_thread(self.prepare, [await request.body()])
        except ImageError as error:
            return JSONResponse({"detail": str(error)}, 422)
        return await self.recognise(image)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def recognise(self, images: list[PreparedBatch]) -> list[dict[str, Any]]:
        """Recognise the images of several requests at once; the event loop stays free."""
        tensors = {name: np.concatenate([row.tensors[name] for row in images]) for name in images[0].tensors}
        transforms = [transform for row in images for transform in row.transforms]
        found = await asyncio.to_thread(self.runner, tensors, transforms=transforms)
        return found.to_dicts()


app = Digits.bind()

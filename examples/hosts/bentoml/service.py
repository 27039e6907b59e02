"""Digits in BentoML: one service answers requests, another recognises those that wait as one batch.

Needs: pip install "postproc[cpu,demo]" bentoml
Start: cd examples/hosts/bentoml && bentoml serve service:Digits
Ask:   curl -F image=@page.png http://127.0.0.1:3000/recognise
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument

from postproc import ImageError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import PreparedBatch, Preprocessor
from postproc.onnx_runner import OnnxRunner


@bentoml.service(workers=2)
class Network:
    """Encoded images in, an answer to each; a worker opens and warms up before it takes any.

    An exception would be the answer to all requests of its batch: what is wrong with one image is its answer.
    """

    def __init__(self) -> None:
        self.prepare = Preprocessor(preprocessing_path("yolo"))
        post = PostProcessor(spec_path("yolo"), version_path("yolo"))
        self.runner = OnnxRunner(model_path("yolo"), post)
        self.runner.warmup()

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=1000)
    def recognise(self, images: list[bytes]) -> list[dict[str, Any]]:
        """Recognise the images of several requests at once."""
        rows = [self.prepared(image) for image in images]
        good = [row for row in rows if isinstance(row, PreparedBatch)]
        if not good:
            return [{"error": str(row)} for row in rows]
        tensors = {name: np.concatenate([row.tensors[name] for row in good]) for name in good[0].tensors}
        transforms = [transform for row in good for transform in row.transforms]
        found = iter(self.runner(tensors, transforms=transforms).to_dicts())
        return [next(found) if isinstance(row, PreparedBatch) else {"error": str(row)} for row in rows]

    def prepared(self, image: bytes) -> PreparedBatch | ImageError:
        """Decode and resize an image, or return what is wrong with it."""
        try:
            return self.prepare([image])
        except ImageError as error:
            return error


@bentoml.service
class Digits:
    """One image a request."""

    network = bentoml.depends(Network)

    @bentoml.api
    async def recognise(self, image: Path) -> dict[str, Any]:
        """Answer what was found, or with 400 what is wrong with the image."""
        (answer,) = await self.network.to_async.recognise([image.read_bytes()])
        if "error" in answer:
            raise InvalidArgument(answer["error"])
        return answer

r"""Digits in LitServe: requests that wait are decoded one by one, and recognised as one batch.

Needs: pip install "postproc[cpu,demo]" litserve
Start: python examples/hosts/litserve/server.py
Ask:   echo "{\"image\": \"$(base64 -w0 page.png)\"}" | curl -H content-type:application/json -d @- \
       http://127.0.0.1:8000/predict
"""

from __future__ import annotations

import base64
from typing import Any

import litserve
import numpy as np
from fastapi.responses import JSONResponse

from postproc import ImageError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import PreparedBatch, Preprocessor
from postproc.onnx_runner import OnnxRunner


class Digits(litserve.LitAPI):
    """One image a request.

    An exception, an HTTPException too, would be the answer to all requests of its batch: what is wrong with
    one image goes along as its row, and becomes an answer of its own. LitServe reads annotations of
    `decode_request` and `encode_response` as FastAPI's; without, they are of JSON.
    """

    def setup(self, device: str) -> None:
        """Open and warm up in each worker, before it takes a request."""
        self.prepare = Preprocessor(preprocessing_path("yolo"))
        post = PostProcessor(spec_path("yolo"), version_path("yolo"))
        self.runner = OnnxRunner(model_path("yolo"), post)
        self.runner.warmup()

    def decode_request(self, request):
        """Decode and resize the image of a request."""
        try:
            image = base64.b64decode(request["image"], validate=True)
        except (KeyError, TypeError, ValueError):
            return ImageError('expected JSON, {"image": "an image file in base64"}')
        try:
            return self.prepare([image])
        except ImageError as error:
            return error

    def batch(self, inputs: list[PreparedBatch | ImageError]) -> list[PreparedBatch | ImageError]:
        """Leave a batch as it is: a list of rows."""
        return inputs

    def predict(self, x: list[PreparedBatch | ImageError]) -> list[Any]:
        """Recognise the images among the rows at once."""
        images = [row for row in x if isinstance(row, PreparedBatch)]
        if not images:
            return list(x)
        tensors = {name: np.concatenate([row.tensors[name] for row in images]) for name in images[0].tensors}
        transforms = [transform for row in images for transform in row.transforms]
        found = iter(self.runner(tensors, transforms=transforms).to_dicts())
        return [next(found) if isinstance(row, PreparedBatch) else row for row in x]

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Leave the answers as they are: a list of rows."""
        return output

    def encode_response(self, output):
        """Answer what was found, or with 422 what is wrong with the image."""
        return JSONResponse({"detail": str(output)}, 422) if isinstance(output, ImageError) else output


if __name__ == "__main__":
    api = Digits(max_batch_size=16, batch_timeout=0.005)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=2).run(
        host="127.0.0.1", port=8000, generate_client_file=False
    )

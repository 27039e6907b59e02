r"""Digits in KServe, as a custom predictor: the instances of a request are one batch.

Needs: pip install "postproc[cpu,demo]" kserve
Start: python examples/hosts/kserve/model.py --model_name digits
Ask:   echo "{\"instances\": [{\"image\": {\"b64\": \"$(base64 -w0 page.png)\"}}]}" | curl -d @- \
       -H content-type:application/json http://127.0.0.1:8080/v1/models/digits:predict
"""

from __future__ import annotations

import argparse
import asyncio
import base64
from typing import Any

import kserve
from kserve.errors import InvalidInput

from postproc import ImageError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner


class Digits(kserve.Model):
    """Images in base64 in, results as JSON out."""

    def load(self) -> bool:
        """Open and warm up, before the model says that it is ready."""
        self.prepare = Preprocessor(preprocessing_path("yolo"))
        post = PostProcessor(spec_path("yolo"), version_path("yolo"))
        self.runner = OnnxRunner(model_path("yolo"), post)
        self.runner.warmup()
        self.ready = True
        return self.ready

    async def predict(
        self, payload: Any, headers: Any = None, response_headers: Any = None
    ) -> dict[str, Any]:
        """Recognise the images of a request at once, in a thread: probes are answered meanwhile."""
        try:
            images = [base64.b64decode(one["image"]["b64"], validate=True) for one in payload["instances"]]
        except (KeyError, TypeError, ValueError):
            raise InvalidInput('expected {"instances": [{"image": {"b64": "an image file"}}]}') from None
        try:
            return {"predictions": await asyncio.to_thread(self.recognise, images)}
        except ImageError as error:  # any other PostprocError is this service's, and a 500
            raise InvalidInput(str(error)) from None

    def recognise(self, images: list[bytes]) -> list[dict[str, Any]]:
        """Return what is on each image, as JSON."""
        prepared = self.prepare(images)
        return self.runner(prepared.tensors, transforms=prepared.transforms).to_dicts()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    arguments, _ = parser.parse_known_args()
    model = Digits(arguments.model_name)
    model.load()
    kserve.ModelServer().start([model])

"""Digits in Triton's Python backend: the images of all requests of an execution are one batch.

Needs: pip install "postproc[cpu,demo]", in the container, for the Python of its backend
Start: tritonserver --model-repository examples/hosts/triton
Ask:   python examples/hosts/triton/ask.py page.png
"""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from postproc import ImageError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import PreparedBatch, Preprocessor
from postproc.onnx_runner import OnnxRunner


class TritonPythonModel:
    """Encoded images in, fixed rows of boxes out."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open and warm up in each instance, a process of its own, before Triton says that it is ready."""
        self.prepare = Preprocessor(preprocessing_path("yolo"))
        post = PostProcessor(spec_path("yolo"), version_path("yolo"))
        self.runner = OnnxRunner(model_path("yolo"), post)
        self.runner.warmup()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Recognise the images of all requests at once; one with a wrong image gets an error of its own."""
        prepared = [self.prepared(request) for request in requests]
        good = [row for row in prepared if isinstance(row, PreparedBatch)]
        outputs = self.recognise(good) if good else {}
        responses, first = [], 0
        for row in prepared:
            if isinstance(row, ImageError):
                error = pb_utils.TritonError(str(row), pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            rows = slice(first, first + len(row))
            first = rows.stop
            tensors = [pb_utils.Tensor(name, array[rows]) for name, array in outputs.items()]
            responses.append(pb_utils.InferenceResponse(output_tensors=tensors))
        return responses

    def prepared(self, request: Any) -> PreparedBatch | ImageError:
        """Decode and resize the images of a request, or return what is wrong with one of them."""
        images = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        try:
            return self.prepare(list(images[:, 0]))
        except ImageError as error:
            return error

    def recognise(self, rows: list[PreparedBatch]) -> dict[str, Any]:
        """Return the output tensors, 100 rows an image."""
        tensors = {name: np.concatenate([row.tensors[name] for row in rows]) for name in rows[0].tensors}
        transforms = [transform for row in rows for transform in row.transforms]
        found = self.runner(tensors, transforms=transforms).outputs[0].padded(100)
        count = found.count[:, None].astype(np.int64)
        return {"boxes": found.boxes, "scores": found.scores, "labels": found.labels, "count": count}

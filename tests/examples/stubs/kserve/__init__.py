"""KServe's interface as far as the example uses it; of kserve 0.21.0, its source and
https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/custom-predictor.
"""

from __future__ import annotations

from typing import Any

from kserve import model_server as model_server


class Model:
    def __init__(self, name: str) -> None:
        self.name, self.ready = name, False


class ModelServer:
    def start(self, models: list[Any]) -> None: ...

"""LitServe's interface as far as the example uses it; of litserve 0.2.19, its source and
https://lightning.ai/docs/litserve/api-reference/litapi.
"""

from __future__ import annotations

from typing import Any


class LitAPI:
    def __init__(self, max_batch_size: int = 1, batch_timeout: float = 0.0) -> None:
        self.max_batch_size, self.batch_timeout = max_batch_size, batch_timeout

    def setup(self, device: Any) -> None: ...


class LitServer:
    def __init__(self, lit_api: LitAPI, accelerator: str = "auto", workers_per_device: int = 1) -> None: ...

    def run(self, host: str = "0.0.0.0", port: int = 8000, *, generate_client_file: bool = True) -> None: ...

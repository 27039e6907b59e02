"""A worker of a Ray job that fails, in a module of its own, which the cluster's processes import."""

from __future__ import annotations

import os
import signal
from typing import Any

from postproc.evaluation.ray_job import _Worker


class DyingOnce(_Worker):
    """Is killed by the second row group of a file, once."""

    def __call__(self, task: Any) -> Any:
        folder = os.environ["POSTPROC_TEST_FOLDER"]
        if task.column("group").to_pylist() == [1]:
            try:
                os.close(os.open(f"{folder}/killed", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)

"""``python -m tests.service.cluster.slow_front serve``: a front end whose tasks take replicas 200 ms.

They sleep for that time where they would post-process, so that the processor is no limit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from postproc.cli.app import app
from postproc.service.on_ray.engine import RayEngine
from postproc.service.work import Work
from tests.service.posts import Sleeping

SECONDS = 0.2


def _submit(self: RayEngine, task_id: int, work: Work, ticket: Any) -> None:
    _given(self, task_id, replace(work, post=Sleeping(SECONDS)), ticket)


if __name__ == "__main__":
    _given = RayEngine.submit
    RayEngine.submit = _submit  # type: ignore[method-assign]
    app()

"""A link's process whose replica is in itself, by Serve's own mode for tests, which knows no multiplexing."""

from __future__ import annotations

import logging
from typing import Any

from postproc.service.on_ray.driver import main
from postproc.service.on_ray.messages import LinkOrder


def connect(order: LinkOrder) -> tuple[Any, list[str]]:
    from ray import serve

    from postproc.service.on_ray.replica import NetworkReplica, application

    async def known(self: Any, key: str) -> None:
        return None

    NetworkReplica._known = known  # type: ignore[method-assign,assignment]
    logging.disable(logging.NOTSET)  # what the replica logs comes out here
    return serve.run(application(order.replicas), name="tests", _local_testing_mode=True), []


if __name__ == "__main__":
    main(connect)

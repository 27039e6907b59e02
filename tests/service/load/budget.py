"""The memory that a service may take beyond what it takes idle: the sum of its limits."""

from __future__ import annotations

from collections.abc import Collection

from postproc.service.model_check.child import OWN_MEMORY
from postproc.service.model_check.scheduler import AT_ONCE
from postproc.service.settings import ServiceSettings

_MIB = 1 << 20
_DECODING = 2048 * _MIB
KEPT = 300 * _MIB  # above idle, once nobody asks for anything any more
_PROCESS = 160 * _MIB  # of a second one that runs networks, which starts when it is needed


def budget_of(settings: ServiceSettings, parts: Collection[str]) -> dict[str, int]:
    """Return the memory of parts of a service, in bytes, as its settings bound it.

    - ``bodies``: requests that arrive or are read. ``queue``: tensors of tasks that wait.
    - ``images``: what is being decoded. ``results``: what waits for the database.
    - ``networks``: loaded ones and their runs. ``checks``: those of uploads, two at once.
    """
    sizes = {
        "networks": settings.session_memory,
        "checks": AT_ONCE * (settings.network_memory + OWN_MEMORY),
        "bodies": settings.max_inputs_bytes,
        "queue": settings.max_inputs_bytes,
        "images": _DECODING,
        "results": settings.max_outcomes_bytes,
    }
    return {name: size for name, size in sizes.items() if name in parts}


def kept_of(budget: dict[str, int]) -> int:
    """Return the memory that may be left when all is done, in bytes: networks stay loaded."""
    return KEPT + _PROCESS + budget.get("networks", 0)

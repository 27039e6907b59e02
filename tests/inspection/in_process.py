"""Runs of networks in the process of the tests."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from postproc.inspection import generated_inputs, network_child, network_run

_images_once = functools.lru_cache(maxsize=8)(generated_inputs._images)


def run_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run networks here: these are ours, and a process for each takes longer than all the rest.

    Most are asked about images of the same sizes, which take longer to draw than a network to run.
    """

    def ask(module: str, order: dict[str, Any], timeout: float) -> dict[str, Any]:
        return network_child.main(order)

    monkeypatch.setattr(network_run, "ask", ask)
    monkeypatch.setattr(network_child, "limit_memory", lambda size: size)
    monkeypatch.setattr(generated_inputs, "_images", _images_once)

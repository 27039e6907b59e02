"""Runs of networks in the process of the tests."""

from __future__ import annotations

from typing import Any

import pytest

from postproc.inspection import network_child, network_run


def run_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run networks here: these are ours, and a process for each takes longer than all the rest."""

    def ask(module: str, order: dict[str, Any], timeout: float) -> dict[str, Any]:
        return network_child.main(order)

    monkeypatch.setattr(network_run, "ask", ask)
    monkeypatch.setattr(network_child, "limit_memory", lambda size: size)

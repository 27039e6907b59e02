"""What the command of the whole service measures and kills: too little growth, and a kill that is none."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.service.cluster import measures


@pytest.mark.parametrize(("four", "is_fault"), [(17.6, False), (17.4, True)])
def test_growth_that_is_too_little_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, four: float, is_fault: bool
) -> None:
    monkeypatch.setattr(measures, "_rate", lambda scene, replicas: {1: 5.0, 4: four}[replicas])
    faults: list[str] = []
    scene: Any = None
    said = measures.growth(scene, faults)
    assert faults == ([said] if is_fault else [])


def test_kill_waits_for_a_replica_and_kills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="the extra ray-serve is not installed")
    from tests.service.cluster.ray_nodes import Nodes

    found: list[int] = []
    monkeypatch.setattr(Nodes, "replicas", lambda nodes: found)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as replica:
        appearing = threading.Timer(0.1, found.append, [replica.pid])
        appearing.start()
        try:
            Nodes.__new__(Nodes).kill_replica(random.Random(0))
            assert replica.wait(10) == -9
        finally:
            appearing.join()
            replica.kill()

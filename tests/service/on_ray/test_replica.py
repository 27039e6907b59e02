"""NetworkReplica: what becomes of a call that its machine has no room for, and what it tells of itself."""

from __future__ import annotations

import errno
import logging
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

from postproc.service.engine.networks.calls import Answer, NetworkCall, NetworkModel
from postproc.service.metrics import Metrics
from postproc.service.on_ray.messages import NetworkSource, Reply
from postproc.service.on_ray.replica import NetworkReplica
from postproc.service.store.copies import Copies
from postproc.service.store.networks import FileEntry

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of what it deprecates in itself

CALL = NetworkCall(NetworkModel(7, Path("model.onnx"), 1, True, True), None, {}, ())


class Process:
    """Stands for a process with two networks, one of which may be forgotten."""

    last = Answer(networks=2, bytes=20)

    def forget(self, network_id: int) -> None:
        assert network_id == 7
        self.last = Answer(networks=1, bytes=10)

    def close(self) -> None:
        pass


class FullStore:
    """Stands for a store whose files find no room on this machine."""

    def fetch(self, digest: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def told() -> dict[str, float]:
    return {}


@pytest.fixture
def replica(tmp_path: Path, told: dict[str, float]) -> NetworkReplica:
    made: Any = object.__new__(NetworkReplica)
    store: Any = FullStore()
    made._process, made._tracing = Process(), Metrics().tracing
    made._copies = Copies(
        store, tmp_path, max_bytes=9, in_use=9.0, count=lambda *_, **__: None, prefix="postproc_replica"
    )
    names = "postproc_replica_networks", "postproc_replica_network_bytes"
    made._metrics = {name: SimpleNamespace(set=partial(told.__setitem__, name)) for name in names}
    replica: NetworkReplica = made
    return replica


def test_call_may_run_elsewhere_where_the_disk_of_a_replica_is_full(
    replica: NetworkReplica, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = NetworkSource("model.onnx", (FileEntry("model.onnx", "digest", 1),))
    with caplog.at_level(logging.WARNING, "ray.serve"):
        reply = replica._traced(CALL, {}, source, lambda results: None)
    assert reply == Reply(lost="[Errno 28] No space left on device")
    assert not list(tmp_path.iterdir())


def test_replica_tells_what_is_loaded_once_a_network_is_forgotten(
    replica: NetworkReplica, told: dict[str, float]
) -> None:
    replica.forget([7])
    assert told == {"postproc_replica_networks": 1, "postproc_replica_network_bytes": 10}

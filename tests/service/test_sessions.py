"""SessionCache: networks are loaded once, kept while used, unloaded least recently used first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from postproc.errors import RunnerError
from postproc.schema import Preprocessing
from postproc.service.metrics import Metrics
from postproc.service.sessions import SessionCache
from postproc.service.work import NetworkFiles

PREPROCESSING = Preprocessing.load({"inputs": [{"tensor_name": "data", "image": {"target_size": "2"}}]})


def files(folder: Path, identifier: int | str, size: int = 50) -> NetworkFiles:
    """Make the files of a network, which take twice their size in memory."""
    place = folder / str(identifier)
    place.mkdir(exist_ok=True)
    (place / "model.onnx").write_bytes(bytes(size))
    return NetworkFiles(identifier, place, place / "model.onnx", PREPROCESSING)


class Loads:
    """Loads nothing, and remembers what."""

    def __init__(self) -> None:
        self.ids: list[int | str] = []
        self.failures = 0
        self.go = threading.Event()
        self.go.set()

    def __call__(self, network: NetworkFiles) -> Any:
        self.ids.append(network.id)
        assert self.go.wait(10)
        if self.failures:
            self.failures -= 1
            raise RunnerError("broken")
        return f"network {network.id}"


@pytest.fixture
def loads() -> Loads:
    return Loads()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_first_users_at_once_load_a_network_once(tmp_path: Path, loads: Loads) -> None:
    cache = SessionCache(loads, 1000, Metrics())
    network = files(tmp_path, 1)
    loads.go.clear()

    def use() -> object:
        with cache.use(network) as loaded:
            return loaded

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(use) for _ in range(8)]
        while not loads.ids:
            time.sleep(0.001)
        assert cache.size == 100  # the lock is free while a network loads
        loads.go.set()
        assert {result.result(5) for result in results} == {"network 1"}
    assert loads.ids == [1]


def test_failure_goes_to_all_who_wait_and_is_not_kept(tmp_path: Path, loads: Loads) -> None:
    metrics = Metrics()
    cache = SessionCache(loads, 1000, metrics)
    network = files(tmp_path, 1)
    loads.failures = 1
    loads.go.clear()
    waiting = threading.Barrier(3)

    def use() -> object:
        waiting.wait(5)
        with cache.use(network) as loaded:
            return loaded

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(use) for _ in range(2)]
        waiting.wait(5)
        while sum(entry.users for entry in list(cache._entries.values())) < 2:
            time.sleep(0.001)
        loads.go.set()
        for result in results:
            with pytest.raises(RunnerError, match="broken"):
                result.result(5)
    assert cache.size == 0
    with cache.use(network) as loaded:
        assert loaded == "network 1"
    assert loads.ids == [1, 1]
    assert value(metrics, "postproc_session_loads_total", outcome="error") == 1
    assert value(metrics, "postproc_session_loads_total", outcome="success") == 1


def test_least_recently_used_makes_room(tmp_path: Path, loads: Loads) -> None:
    metrics = Metrics()
    cache = SessionCache(loads, 200, metrics)  # for two
    for identifier in (1, 2, 1, 3, 1, 2):
        with cache.use(files(tmp_path, identifier)):
            pass
    assert loads.ids == [1, 2, 3, 2]
    assert cache.size == 200
    assert value(metrics, "postproc_session_evictions_total") == 2
    assert value(metrics, "postproc_session_bytes") == 200
    assert value(metrics, "postproc_sessions") == 2


def test_network_in_use_is_never_unloaded(tmp_path: Path, loads: Loads) -> None:
    cache = SessionCache(loads, 100, Metrics())
    with cache.use(files(tmp_path, 1)), cache.use(files(tmp_path, 2)):
        assert cache.size == 200
        with cache.use(files(tmp_path, 1)):
            pass
        assert loads.ids == [1, 2]
    assert cache.size == 100
    with cache.use(files(tmp_path, 1)):  # 2 was given back first, and went then
        assert loads.ids == [1, 2]


def test_network_larger_than_all_memory_is_loaded_and_not_kept(tmp_path: Path, loads: Loads) -> None:
    cache = SessionCache(loads, 10, Metrics())
    with cache.use(files(tmp_path, 1)) as loaded:
        assert loaded == "network 1"
    assert cache.size == 0


def test_forgotten_network_is_loaded_anew_and_stays_with_its_user(tmp_path: Path, loads: Loads) -> None:
    cache = SessionCache(loads, 1000, Metrics())
    network = files(tmp_path, 1)
    with cache.use(network) as first:
        cache.forget(1)
        assert first == "network 1"
        with cache.use(network):
            pass
    assert loads.ids == [1, 1]
    assert cache.size == 100


def test_network_with_the_id_of_another_is_not_mistaken_for_it(tmp_path: Path, loads: Loads) -> None:
    cache = SessionCache(loads, 1000, Metrics())
    (tmp_path / "other").mkdir()
    for network in (files(tmp_path, 1), files(tmp_path / "other", 1)):
        with cache.use(network):
            pass
    assert loads.ids == [1, 1]


def test_many_threads_and_little_memory_leave_nothing_behind(tmp_path: Path, loads: Loads) -> None:
    cache = SessionCache(loads, 250, Metrics())
    networks = [files(tmp_path, row) for row in range(5)]

    def use(row: int) -> None:
        with cache.use(networks[row % 5]) as loaded:
            assert loaded == f"network {row % 5}"
        if row % 17 == 0:
            cache.forget(row % 5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(500)))
    assert all(entry.users == 0 for entry in cache._entries.values())
    assert cache.size <= 250

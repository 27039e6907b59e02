"""Engine: networks that hang or crash, which harm no others and are held back."""

from __future__ import annotations

from pathlib import Path

import pytest

from postproc.schema import Preprocessing
from postproc.service.engine.engine import DELETED, HELD, NetworkFiles, Outcome
from postproc.service.work import STOPPED
from tests.service.engine.engines import Service, averaging, greys, shade, small
from tests.service.engine.test_engine import service
from tests.service.load import networks
from tests.service.posts import GREY, Crashing

__all__ = ["service"]  # the fixture


def white(folder: Path, content: bytes, identifier: int = 1) -> NetworkFiles:
    """Save one of the networks of `tests.service.load.networks`."""
    place = folder / str(identifier)
    place.mkdir()
    (place / "model.onnx").write_bytes(content)
    return NetworkFiles(identifier, place, place / "model.onnx", Preprocessing.load(networks.preprocessing()))


@pytest.mark.parametrize("service", [{"run_seconds": 0.5}], indirect=True)
def test_engine_network_that_hangs_on_some_images_harms_no_others(service: Service, tmp_path: Path) -> None:
    files, other = white(tmp_path, networks.hanging()), small(tmp_path, averaging(), 2)
    for task_id, value in enumerate((0, 255, 0)):  # in one call
        service.submit(task_id, files, None, shade(value))
    service.submit(3, other, GREY, shade(255))
    service.engine.start()
    outcomes = service.collect(4)
    assert "did not end within 0.5 s" in str(outcomes.pop(1).error)
    assert greys({3: outcomes.pop(3)}) == {3: 1}
    assert all(outcome.error is None for outcome in outcomes.values())
    assert service.value("postproc_calls_ended_total", cause="hung") == 2
    assert service.engine.held_networks == 0


@pytest.mark.parametrize("service", [{"workers": 2, "run_seconds": 600}], indirect=True)
def test_engine_network_that_hangs_leaves_a_process_to_other_tenants(
    service: Service, tmp_path: Path
) -> None:
    files, other = white(tmp_path, networks.hanging()), small(tmp_path, averaging(), 2)
    service.submit(0, other, GREY, shade(255), tenant="other")  # it was here within the last minute
    service.engine.start()
    service.collect(1)
    for task_id in (1, 2):
        service.submit(task_id, files, None, shade(255), tenant="hostile", max_predictions=task_id)
    for task_id in range(3, 8):
        service.submit(task_id, other, GREY, shade(255), tenant="other")
        assert greys(service.collect(1)) == {task_id: 1}
    service.engine.forget_network(1)  # the one that waits
    assert service.collect(1) == {2: Outcome(2, None, DELETED)}
    service.engine.stop()
    assert service.collect(1) == {1: Outcome(1, None, STOPPED)}


@pytest.mark.parametrize("service", [{"run_seconds": 0.5}], indirect=True)
def test_engine_network_that_hangs_three_times_in_a_row_is_held_back_until_it_is_resumed(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files, other = white(tmp_path, networks.hanging()), small(tmp_path, averaging(), 2)
    service.engine.start()
    for task_id in range(3):
        service.submit(task_id, files, None, shade(255))
        assert "--run-seconds" in str(service.collect(1)[task_id].error)
    assert service.engine.held_networks == service.value("postproc_networks_held") == 1
    assert "network 1 is held back" in caplog.text
    service.submit(4, files, None, shade(0))
    assert service.collect(1) == {4: Outcome(4, None, HELD.format(path="/v0.7/networks/1/resume"))}
    service.submit(5, other, GREY, shade(255))
    assert greys(service.collect(1)) == {5: 1}
    service.engine.resume(1)
    service.submit(6, files, None, shade(0))
    assert service.collect(1)[6].error is None
    assert service.engine.held_networks == 0


def test_engine_network_that_crashes_is_held_back_and_its_waiting_tasks_end(
    service: Service, tmp_path: Path
) -> None:
    files, other = small(tmp_path, averaging()), small(tmp_path, averaging(), 2)
    for task_id in range(4):
        service.submit(task_id, files, Crashing(tmp_path), shade(255))
    service.submit(4, other, GREY, shade(255), key=2)
    service.engine.start()
    outcomes = service.collect(5)
    assert greys({4: outcomes.pop(4)}) == {4: 1}
    errors = [str(outcome.error) for outcome in outcomes.values()]
    assert sum("SIGABRT" in error for error in errors) == 2  # and one more for all four together
    assert errors.count(HELD.format(path="/v0.7/networks/1/resume")) == 2
    assert service.value("postproc_calls_ended_total", cause="crashed") == 3


def test_engine_deleted_network_is_not_held_back_any_more(service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging())
    service.engine.start()
    for task_id in range(3):
        service.submit(task_id, files, Crashing(tmp_path), shade(255))
        service.collect(1)
    assert service.engine.held_networks == 1
    service.engine.forget_network(1)
    assert service.engine.held_networks == 0

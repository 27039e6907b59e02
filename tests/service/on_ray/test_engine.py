"""RayEngine: what a front end makes of its replicas, which are in this process here, without a cluster."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from postproc import PostProcessor
from postproc.demo import spec_path, version_path
from postproc.demo.pages import make_page
from postproc.errors import PostprocError
from postproc.service.engine.engine import Engine
from postproc.service.engine.networks.calls import Answer
from postproc.service.errors import QueueFullError
from postproc.service.metrics import Metrics
from postproc.service.on_ray.engine import RayEngine, connected
from postproc.service.on_ray.messages import ReplicaSettings, Reply
from postproc.service.on_ray.replica import NetworkReplica, application
from postproc.service.settings import ServiceSettings
from postproc.service.work import FAILED, STOPPED, UNLOADABLE
from tests.service.engine.test_engine import averaging, demo, encoded, greys, shade, small
from tests.service.on_ray.replicas import Front, keep, settings_of
from tests.service.posts import GREY, Crashing
from tests.service.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of what it deprecates in itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Any]:
    """The handle of a replica in this process, by Serve's own mode for tests, which knows no multiplexing."""
    with pytest.MonkeyPatch.context() as patch:

        async def known(self: Any, key: str) -> None:
            return None

        patch.setattr(NetworkReplica, "_known", known)
        app = application(ReplicaSettings.of(settings_of(folder, run_seconds=2.0)))
        yield serve.run(app, name="tests", _local_testing_mode=True)


@pytest.fixture
def front(folder: Path, local: Any) -> Iterator[Front]:
    made = Front(settings_of(folder, run_seconds=2.0, batch_wait=0.2), local)
    yield made
    made.engine.stop()


def test_replica_gives_what_the_engine_of_one_process_gives(front: Front, folder: Path) -> None:
    post = PostProcessor(spec_path("yolo"), version_path("yolo"))
    post.warmup()
    pages = [[{"image": {"source": encoded(make_page(seed).image)}}] for seed in range(4)]
    alone = Front(settings_of(folder), None)
    alone.engine = Engine(ServiceSettings(data=folder, batch_wait=0.2, workers=1), Metrics(), alone)  # type: ignore[assignment]
    texts = []
    for service in (front, alone):
        for task_id, page in enumerate(pages):
            service.submit(task_id, demo("yolo"), post, page, show_discarded=True)
        service.engine.start()
        outcomes = service.collect(4)
        texts.append([json.loads(outcomes[task_id].data or "null") for task_id in range(4)])
    alone.engine.stop()
    assert texts[0] == texts[1]
    assert len(texts[0][0]["outputs"][0]["labels"]["predicted"]) > 3
    assert front.metrics.registry.get_sample_value("postproc_batch_size_sum") == 4
    assert front.metrics.registry.get_sample_value("postproc_batch_size_count") == 1
    assert front.metrics.registry.get_sample_value("postproc_stage_seconds_count", {"stage": "network"}) == 1


def test_networks_come_from_the_store_to_the_replica(front: Front, folder: Path, tmp_path: Path) -> None:
    files, other = small(tmp_path, averaging()), small(tmp_path, averaging("N"), 2, target_size="4x4")
    (other.folder / "of-this-one").touch()
    source = keep(files, folder)
    front.submit(1, files, GREY, shade(255), request_id="request-1")
    front.submit(2, other, GREY, shade(255))
    front.engine.start()
    outcomes = front.collect(2)
    assert outcomes.pop(2).error == UNLOADABLE  # the store has not all of it
    assert greys(outcomes) == {1: 1.0}
    assert (folder / "copies" / source.key / "model.onnx").read_bytes() == files.model.read_bytes()


def test_replica_logs_the_ids_of_requests(
    front: Front, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = small(tmp_path, averaging())
    keep(files, folder)
    with caplog.at_level(logging.INFO, "ray.serve"), _heard(logging.getLogger("ray.serve"), caplog.handler):
        for task_id in (1, 2):
            front.submit(task_id, files, GREY, shade(255), request_id=f"request-{task_id}")
        front.engine.start()
        front.collect(2)
    (line,) = [text for text in caplog.messages if "of network 1 " in text]
    assert "2 requests" in line
    assert "request-1 request-2" in line


def test_network_that_hangs_or_crashes_is_struck_in_the_front_end(
    front: Front, folder: Path, tmp_path: Path
) -> None:
    files = small(tmp_path, averaging(), 3)
    keep(files, folder)
    front.engine.start()
    for task_id in range(3):
        front.submit(task_id, files, Crashing(tmp_path), shade(255))
        error = front.collect(1)[task_id].error or ""
        assert "the process that ran the network was replaced" in error
    assert front.engine.held_networks == 1
    front.submit(4, files, GREY, shade(255))
    assert "held back" in (front.collect(1)[4].error or "")
    front.engine.resume(3)
    front.submit(5, files, GREY, shade(255))
    assert greys(front.collect(1)) == {5: 1.0}


# --- replicas that are lost


class Handle:
    """Stands for the handle of a deployment: each call meets the next of some fates."""

    def __init__(self, *fates: Any) -> None:
        self.fates = list(fates)
        self.calls = 0

    def options(self, **given: Any) -> Handle:
        assert given["multiplexed_model_id"]
        return self

    def remote(self, *given: Any) -> Any:
        self.calls += 1
        return SimpleNamespace(result=self._result, cancel=lambda: None)

    def _result(self, timeout_s: float) -> Any:
        fate = self.fates.pop(0) if len(self.fates) > 1 else self.fates[0]
        if isinstance(fate, BaseException):
            raise fate
        return fate


OK = Reply([(0, "{}", None)], Answer())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postproc.service.on_ray.remote._PAUSE", 0.05)


@pytest.mark.parametrize(
    ("fates", "calls", "error"),
    [
        ([ActorDiedError(), OK], 2, None),
        ([BackPressureError(3, 2), BackPressureError(3, 2), BackPressureError(3, 2), OK], 4, None),
        ([DeploymentUnavailableError(DeploymentID("networks", "tests")), OK], 2, None),
        ([ActorDiedError()], 3, STOPPED),
        ([Reply([], away="the store does not answer")], 1, STOPPED),
        ([RayTaskError("call", "trace", ZeroDivisionError())], 1, FAILED),
    ],
)
def test_task_of_a_lost_replica_is_tried_again_or_may_run_elsewhere(
    fates: list[Any], calls: int, error: str | None, folder: Path, tmp_path: Path
) -> None:
    handle = Handle(*fates)
    front = Front(settings_of(folder), handle)
    front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    front.engine.start()
    assert front.collect(1)[1].error == error
    assert handle.calls == calls
    front.engine.stop()


def test_no_task_is_taken_while_no_replica_takes_calls(folder: Path, tmp_path: Path) -> None:
    handle = Handle(BackPressureError(3, 2, 503, 1.5))
    front = Front(settings_of(folder), handle)
    files = small(tmp_path, averaging())
    front.submit(1, files, GREY, shade(255))
    front.engine.start()
    wait_until(lambda: handle.calls > 0, 10, 0.01)
    with pytest.raises(QueueFullError) as refused:
        wait_until(lambda: front.submit(2, files, GREY, shade(255)), 10, 0.01)
    assert refused.value.headers["Retry-After"] in ("1", "2")
    handle.fates = [OK]
    assert front.collect(1)[1].error is None
    front.submit(3, files, GREY, shade(255))
    assert front.collect(1)[3].error is None
    front.engine.stop()


def test_stop_ends_calls_that_wait_for_a_replica(folder: Path, tmp_path: Path) -> None:
    front = Front(settings_of(folder), Handle(BackPressureError(3, 2)))
    front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    front.engine.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("postproc.service.engine.engine._DRAIN", 0.2)
        front.engine.stop()
    assert front.collect(1)[1].error == STOPPED


# --- settings


def test_ray_needs_a_store(folder: Path) -> None:
    with pytest.raises(PostprocError, match="--ray needs --store"):
        RayEngine(ServiceSettings(data=folder, ray="auto"), Metrics(), Front(settings_of(folder), None))


def test_more_replicas_at_least_than_at_most_are_refused(folder: Path) -> None:
    with pytest.raises(
        PostprocError, match="--ray-min-replicas: expected at most --ray-max-replicas, 1, got 2"
    ):
        Front(settings_of(folder, ray_min_replicas=2), None)


def test_address_of_a_client_is_refused(folder: Path) -> None:
    with pytest.raises(PostprocError, match="has to be a node"):
        connected(settings_of(folder, ray="ray://127.0.0.1:10001"))


def test_cluster_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(PostprocError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        connected(settings_of(folder, ray="127.0.0.1:1"))


def test_replicas_know_nothing_of_the_database(folder: Path) -> None:
    settings = ReplicaSettings.of(settings_of(folder, database="postgresql://user:secret@host/name"))
    assert "secret" not in settings.model_dump_json()


@contextmanager
def _heard(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """Have a logger that hands nothing on heard by a handler."""
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)

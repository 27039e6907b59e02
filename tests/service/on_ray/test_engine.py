"""RayEngine: what a front end makes of its link, whose process has the replica in itself here."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

from postproc import PostProcessor
from postproc.demo import spec_path, version_path
from postproc.demo.pages import make_page
from postproc.errors import PostprocError
from postproc.service.engine.engine import Engine
from postproc.service.engine.networks.calls import Answer
from postproc.service.errors import QueueFullError
from postproc.service.metrics import Metrics
from postproc.service.on_ray.engine import RayEngine
from postproc.service.on_ray.link import Link
from postproc.service.on_ray.messages import LinkOrder, ReplicaSettings, Reply
from postproc.service.settings import ServiceSettings
from postproc.service.work import FAILED, STOPPED, UNLOADABLE
from tests.service.engine.engines import averaging, demo, encoded, greys, shade, small
from tests.service.on_ray.replicas import Front, ScriptedLink, keep, settings_of
from tests.service.posts import GREY, Crashing
from tests.service.spans import Spans, collector, id_of, trace_of
from tests.service.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of what it deprecates in itself


class _SharedLink(Link):
    """Is started and stopped by none of its engines."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def link(folder: Path) -> Iterator[Link]:
    order = LinkOrder.of(settings_of(folder, run_seconds=2.0))
    made = _SharedLink(order, 2, "tests.service.on_ray.local_driver")
    Link.start(made)
    yield made
    Link.stop(made)


@pytest.fixture
def front(folder: Path, link: Link) -> Iterator[Front]:
    made = Front(settings_of(folder, run_seconds=2.0, batch_wait=0.2), link)
    yield made
    made.engine.stop()


def test_replica_gives_what_the_engine_of_one_process_gives(front: Front, folder: Path) -> None:
    post = PostProcessor(spec_path("yolo"), version_path("yolo"))
    post.warmup()
    pages = [[{"image": {"source": encoded(make_page(seed).image)}}] for seed in range(4)]
    alone = Front(settings_of(folder))
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


def test_replica_logs_the_ids_of_requests_by_way_of_the_link(
    front: Front, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = small(tmp_path, averaging())
    keep(files, folder)
    with caplog.at_level(logging.WARNING, "postproc.service.on_ray.link"):
        for task_id in (1, 2):
            front.submit(task_id, files, GREY, shade(255), request_id=f"request-{task_id}")
        front.engine.start()
        front.collect(2)
        wait_until(lambda: "request-2" in caplog.text)
    (line,) = [text for text in caplog.messages if "of network 1 " in text]
    assert "2 requests" in line
    assert "request-1 request-2" in line


def test_trace_goes_on_in_the_replica(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spans, files = Spans(), small(tmp_path, averaging())
    keep(files, folder)
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        settings = settings_of(folder)
        front = Front(settings, Link(LinkOrder.of(settings), 2, "tests.service.on_ray.local_driver"))
        front.metrics.tracing = spans.tracing
        front.engine.start()
        with spans.tracing.span("request"):
            front.submit(1, files, GREY, shade(255), trace=spans.tracing.current())
        front.collect(1)
        wait_until(lambda: bool(received), 20)
        front.engine.stop()
    ((resource, replica),) = received
    (call,) = [span for span in spans.ended if span.name == "call"]
    assert (replica.name, resource["service.name"]) == ("replica", "postproc-replica")
    assert replica.trace_id.hex() == trace_of(call)
    assert int.from_bytes(replica.parent_span_id, "big") == id_of(call)
    assert spans.open == 0


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


# --- calls that are lost


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply([(0, "{}", None)], Answer()), None),
        (Reply(lost="the store does not answer"), STOPPED),
        (Reply(failed="ZeroDivisionError"), FAILED),
        (Reply(crashed="3 replicas ended while they ran it"), "3 replicas ended while they ran it"),
    ],
)
def test_task_of_a_lost_call_may_run_elsewhere(
    reply: Reply, error: str | None, folder: Path, tmp_path: Path
) -> None:
    front = Front(settings_of(folder), ScriptedLink([reply]))
    front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    front.engine.start()
    found = front.collect(1)[1].error
    front.engine.stop()
    assert (found is None) == (error is None)
    assert (error or "") in (found or "")


def test_results_are_told_as_they_come(folder: Path, tmp_path: Path) -> None:
    front = Front(settings_of(folder), ScriptedLink([[(0, "{}", None)]]))  # and its end never
    front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    front.engine.start()
    assert front.collect(1)[1].error is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("postproc.service.engine.engine._DRAIN", 0.2)
        front.engine.stop()


def test_no_task_is_taken_while_no_replica_takes_calls(folder: Path, tmp_path: Path) -> None:
    link = ScriptedLink([1.5])
    front = Front(settings_of(folder), link)
    files = small(tmp_path, averaging())
    front.submit(1, files, GREY, shade(255))
    front.engine.start()
    wait_until(lambda: link.calls > 0, 10, 0.01)
    with pytest.raises(QueueFullError) as refused:
        wait_until(lambda: front.submit(2, files, GREY, shade(255)), 10, 0.01)
    assert refused.value.headers["Retry-After"] in ("1", "2")
    link.tell(0.0, Reply([(0, "{}", None)], Answer()))
    assert front.collect(1)[1].error is None
    link.script = [Reply([(0, "{}", None)], Answer())]
    front.submit(3, files, GREY, shade(255))
    assert front.collect(1)[3].error is None
    front.engine.stop()


def test_no_task_is_taken_while_the_cluster_is_away(folder: Path, tmp_path: Path) -> None:
    link = ScriptedLink([])
    link.is_away = True
    front = Front(settings_of(folder), link)
    with pytest.raises(QueueFullError) as refused:
        front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    assert refused.value.headers["Retry-After"] == "7"
    assert front.engine.is_away
    assert front.metrics.registry.get_sample_value("postproc_cluster_away") == 1


def test_calls_that_are_tried_again_or_lost_are_counted(folder: Path, tmp_path: Path) -> None:
    front = Front(settings_of(folder), ScriptedLink([None, None, Reply(lost="gone")]))
    front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    front.engine.start()
    assert front.collect(1)[1].error == STOPPED
    front.engine.stop()
    read = front.metrics.registry.get_sample_value
    assert read("postproc_calls_retried_total") == 2
    assert read("postproc_calls_lost_total") == 1
    assert read("postproc_task_seconds_count") == 0
    assert read("postproc_cluster_away") == 0


def test_stop_ends_calls_that_wait_for_a_replica(folder: Path, tmp_path: Path) -> None:
    front = Front(settings_of(folder), ScriptedLink([]))
    front.submit(1, small(tmp_path, averaging()), GREY, shade(255))
    front.engine.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("postproc.service.engine.engine._DRAIN", 0.2)
        front.engine.stop()
    assert front.collect(1)[1].error == STOPPED


# --- settings


def test_ray_needs_a_store(folder: Path) -> None:
    with pytest.raises(PostprocError, match="--ray needs --store"):
        RayEngine(ServiceSettings(data=folder, ray="auto"), Metrics(), Front(settings_of(folder)))


def test_more_replicas_at_least_than_at_most_are_refused(folder: Path) -> None:
    with pytest.raises(
        PostprocError, match="--ray-min-replicas: expected at most --ray-max-replicas, 1, got 2"
    ):
        Front(settings_of(folder, ray_min_replicas=2))


def test_gpus_that_ray_cannot_give_are_refused(folder: Path) -> None:
    with pytest.raises(PostprocError, match=r"--ray-gpus: expected a part of one.*got 1\.5"):
        Front(settings_of(folder, ray_gpus=1.5))
    Front(settings_of(folder, ray_gpus=2.0))


def test_replicas_know_nothing_of_the_database(folder: Path) -> None:
    settings = ReplicaSettings.of(settings_of(folder, database="postgresql://user:secret@host/name"))
    assert "secret" not in settings.model_dump_json()

"""Front ends that share a database and a store: what one does the others see, and take over."""

from __future__ import annotations

import base64
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import InternalError

from postproc.errors import PostprocError
from postproc.service import ServiceSettings, create_app
from postproc.service.engine.batching import Batcher
from postproc.service.engine.engine import Engine
from postproc.service.engine.jobs import Ticket
from postproc.service.errors import QueueFullError
from postproc.service.model_check.check import check_model
from postproc.service.sharing import TAKEN_OVER
from postproc.service.store.keys import Keys
from postproc.service.store.reporting import Reporter
from postproc.service.store.tables import Lease
from postproc.service.work import TargetName, TaskRequest
from tests.service import digits, front_end
from tests.service.fake_engine import FakeEngine
from tests.service.front_end import SlowEngine
from tests.service.fronts import Fronts, check, run_rounds
from tests.service.objects import IMAGE, complaint, made, make_network, make_version, post_network
from tests.service.postgres import Cluster
from tests.service.running import running
from tests.service.serving import Serving, serving
from tests.service.spans import Spans, id_of
from tests.service.waiting import wait_until

pytest.importorskip("obstore")

LEASE = 0.5


@pytest.fixture(scope="module")
def shared(
    postgres: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Serving, Serving, Path]]:
    """Two front ends and the folder of their store."""
    folder = tmp_path_factory.mktemp("shared")
    given: dict[str, Any] = {
        "database": postgres(),
        "store": f"file://{folder}/store",
        "lease_seconds": LEASE,
        "task_seconds": 3600.0,
        "task_timeout": 4.0,
    }
    with serving(folder / "a", **given) as a, serving(folder / "b", **given) as b:
        yield a, b, folder / "store"


@pytest.fixture
def fronts(shared: tuple[Serving, Serving, Path]) -> Iterator[tuple[Serving, Serving, Path]]:
    yield shared
    for front in shared[:2]:
        front.engine.holds = False
        front.engine.data = {"outputs": []}
        front.engine.release()


def infer(front: Serving, version: int) -> int:
    task: int = made(front.client.post(f"/recognition/versions/{version}/inference", files=IMAGE))["task_id"]
    return task


def ended(front: Serving, task: int) -> dict[str, Any]:
    wait_until(lambda: front.client.get(f"/tasks/{task}").json()["status"] != "pending", 20, 0.02)
    document: dict[str, Any] = front.client.get(f"/tasks/{task}").json()
    return document


def _cut_off(*_: Any) -> Any:
    raise OSError("cut off")


def _value(front: Serving, name: str) -> float:
    value = front.services.metrics.registry.get_sample_value(name)
    assert value is not None
    return value


def _is_heard(front: Serving) -> bool:
    heart = front.services.heart
    return heart is not None and time.monotonic() - heart._last < 1


def test_what_one_front_end_makes_the_other_runs(fronts: tuple[Serving, Serving, Path]) -> None:
    a, b, store = fronts
    network = make_network(a.client)
    version = make_version(b.client, network=network)
    task = infer(b, version["id"])
    assert ended(a, task)["status"] == ended(b, task)["status"] == "success"
    files = b.engine.works[-1][1].network
    assert files.model.read_bytes().startswith(b"onnx")
    assert "/b/" in str(files.model)
    assert (
        len([path for path in store.rglob("*") if path.is_file()]) == 2
    )  # the content, once, and the record
    key = Keys(a.services.database).add("one")
    assert b.client.get("/networks/", headers={"X-API-KEY": key}).json()["count"] == 1
    folder = files.model.parent.name
    assert a.client.delete(f"/networks/{network['id']}").status_code == 204
    complaint(b.client.get(f"/recognition/versions/{version['id']}"), 404)
    wait_until(lambda: network["id"] in b.engine.forgotten)
    assert folder not in b.services.folders.names()


def test_task_of_a_silent_front_end_is_taken_over_and_written_once(
    fronts: tuple[Serving, Serving, Path],
) -> None:
    a, b, _ = fronts
    version = make_version(a.client)
    a.engine.holds, a.engine.data, b.engine.data = True, {"outputs": ["a"]}, {"outputs": ["b"]}
    task = infer(a, version["id"])
    heart, tasks = a.services.heart, a.services.leased
    assert heart is not None
    assert tasks is not None
    beat = tasks.beat
    tasks.beat = _cut_off  # type: ignore[method-assign]
    try:
        assert ended(b, task)["data"] == {"outputs": ["b"]}
        assert b.engine.works[-1][1].inputs == [
            {"image": {"source": b"an image"}},
        ]
        a.engine.holds = False
        a.engine.release()
        wait_until(lambda: not a.services.reporter.count)
        assert ended(a, task)["data"] == {"outputs": ["b"]}
    finally:
        tasks.beat = beat  # type: ignore[method-assign]
    wait_until(lambda: heart.is_steady, 5)


def test_task_that_is_taken_over_keeps_its_request_id_and_its_trace_and_is_counted(
    fronts: tuple[Serving, Serving, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, _ = fronts
    spans = Spans()
    for front in (a, b):
        monkeypatch.setattr(front.services.metrics, "tracing", spans.tracing)
    version = make_version(a.client)
    a.engine.works.clear()
    a.engine.holds = True
    headers = {"X-Request-ID": "mine", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    answer = a.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE, headers=headers)
    task = made(answer)["task_id"]
    older = infer(a, version["id"])
    assert a.services.leased is not None
    with a.services.database.writing() as session:  # as an older release wrote it
        lease = session.get_one(Lease, older)
        lease.request = {
            key: value for key, value in lease.request.items() if key not in ("request_id", "trace")
        }

    def taken() -> float:
        return sum(_value(front, "postproc_tasks_taken_over_total") for front in (a, b))

    before = taken()
    assert _value(a, "postproc_tasks_pending") == 2
    a.engine.holds = False  # it may well be the one that takes them
    a.services.leased.hand_over([task, older])
    assert ended(b, task)["status"] == ended(b, older)["status"] == "success"
    works = [*a.engine.works[2:], *b.engine.works]
    assert [work.request_id for number, work in works if number == task] == ["mine"]
    assert [work.request_id for number, work in works if number == older] == [""]
    assert taken() == before + 2
    wait_until(lambda: spans.open == 0 and "store" in spans.of("a" * 32))
    found = spans.of("a" * 32)
    assert found["take over"].parent.span_id == found["acknowledge"].parent.span_id  # type: ignore[union-attr]
    assert found["store"].parent.span_id == id_of(found["take over"])  # type: ignore[union-attr]
    wait_until(lambda: _value(b, "postproc_front_ends") == 2 and _value(b, "postproc_leases_waiting") == 0)
    wait_until(lambda: _value(b, "postproc_heartbeat_age_seconds") < LEASE)


def test_signs_of_life_that_fail_are_counted(fronts: tuple[Serving, Serving, Path]) -> None:
    a, _, _ = fronts
    heart, tasks = a.services.heart, a.services.leased
    assert heart is not None
    assert tasks is not None
    beat, before = tasks.beat, _value(a, "postproc_heartbeat_failures_total")
    tasks.beat = _cut_off  # type: ignore[method-assign]
    try:
        wait_until(lambda: _value(a, "postproc_heartbeat_failures_total") >= before + 2)
        assert _value(a, "postproc_heartbeat_age_seconds") > heart.pause
    finally:
        tasks.beat = beat  # type: ignore[method-assign]
    wait_until(lambda: heart.is_steady)


def test_task_is_taken_over_while_newer_requests_of_its_tenant_wait(
    fronts: tuple[Serving, Serving, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, _ = fronts
    version, is_over = make_version(a.client), threading.Event()
    a.engine.holds = True
    task = infer(a, version["id"])

    def hold(*_: Any, **__: Any) -> Any:
        assert is_over.wait(20)
        return 0, []

    async def prepare(tenant: str, opened: Any) -> Any:
        assert tenant == TAKEN_OVER  # the turn of its tenant would come behind all that it sends
        return opened

    with monkeypatch.context() as patch, ThreadPoolExecutor(20) as pool:
        patch.setattr(b.services.networks, "list", hold)
        patch.setattr(b.engine, "prepare", prepare)
        flood = [pool.submit(b.client.get, "/networks") for _ in range(20)]  # threads that it may have: 8
        try:
            wait_until(lambda: b.services.threads.waiting)
            tasks = a.services.leased
            assert tasks is not None
            patch.setattr(tasks, "beat", _cut_off)
            wait_until(lambda: a.client.get(f"/tasks/{task}").json()["status"] == "success", 15)
            assert not any(future.done() for future in flood)
        finally:
            is_over.set()


def test_network_that_is_resumed_at_one_front_end_is_at_all(fronts: tuple[Serving, Serving, Path]) -> None:
    a, b, _ = fronts
    network = make_network(a.client)["id"]
    assert a.client.post(f"/networks/{network}/resume").status_code == 204
    assert a.engine.resumed[-1] == network
    wait_until(lambda: network in b.engine.resumed)


def test_what_a_tenant_holds_and_has_had_elsewhere_is_told_to_engines(
    fronts: tuple[Serving, Serving, Path],
) -> None:
    a, b, _ = fronts
    version = make_version(a.client)
    a.engine.holds = True
    infer(a, version["id"])
    a.engine.seconds = {"one": 1.5}
    wait_until(lambda: b.engine.elsewhere == {"one": 1})
    wait_until(lambda: b.engine.had_elsewhere == {"one": 1.5})
    a.engine.seconds = {"one": 2.0, "other": 1.0}
    wait_until(lambda: b.engine.had_elsewhere == {"one": 2.0, "other": 1.0})


def test_damaged_file_of_the_store_is_refused_and_one_that_is_away_asked_for_again(
    fronts: tuple[Serving, Serving, Path],
) -> None:
    a, b, store = fronts
    content = b"onnx boxes:0 scores:0 classes:0 and-more"
    network = made(
        post_network(a.client, files={"model": ("model.onnx", content)}),
    )
    version = make_version(a.client, network=network)
    moved = store.with_name("moved")
    store.rename(moved)
    response = b.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE)
    assert "does not answer" in complaint(response, 503)
    assert response.headers["Retry-After"]
    upload = post_network(a.client, files={"model": ("model.onnx", b"onnx x y")})
    assert "store" in complaint(upload, 503)
    wait_until(lambda: a.client.get(f"{a.host}/healthz").json()["files"] == "away")
    assert a.client.get(f"{a.host}/readyz").status_code == 200  # what it has copies of works
    shutil.rmtree(store, ignore_errors=True)  # a probe may have made it
    moved.rename(store)
    wait_until(lambda: a.client.get(f"{a.host}/healthz").json()["files"] == "ok")
    (path,) = [path for path in store.rglob("*") if path.is_file() and path.read_bytes() == content]
    path.write_bytes(content[:-1])
    response = b.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE)
    assert "upload the network again" in complaint(response, 400)
    path.write_bytes(content)
    assert ended(b, infer(b, version["id"]))["status"] == "success"


def test_front_end_that_is_stopped_hands_over_at_once(
    postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_end, "LONGEST", 5.0)  # so that most have not ended by then
    given: dict[str, Any] = {
        "database": postgres(),
        "store": f"file://{tmp_path}/store",
        "lease_seconds": 8.0,  # so that nobody waits for it
    }
    with serving(tmp_path / "b", **given) as b:
        with serving(tmp_path / "a", make_engine=SlowEngine, **given) as a:
            version = make_version(a.client)
            tasks = [infer(a, version["id"]) for _ in range(6)]
        assert all(ended(b, task)["status"] == "success" for task in tasks)
        assert {task for task, _ in b.engine.works} <= set(tasks)
        assert b.engine.works, "all ended before the stop"


def test_database_that_was_away_has_nobody_take_over_what_the_living_hold(
    own_postgres: Cluster, tmp_path: Path
) -> None:
    lease = 2.0
    given: dict[str, Any] = {
        "database": own_postgres.url(),
        "store": f"file://{tmp_path}/store",
        "lease_seconds": lease,
    }
    with serving(tmp_path / "a", **given) as a, serving(tmp_path / "b", **given) as b:
        hearts = [front.services.heart for front in (a, b)]
        assert all(hearts)
        version = make_version(a.client)
        a.engine.holds = True
        task = infer(a, version["id"])
        wait_until(lambda: all(heart is not None and heart.is_steady for heart in hearts))
        own_postgres.stop()
        response = b.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE)
        assert complaint(response, 503)
        assert response.headers["Retry-After"]
        time.sleep(1.5 * lease)
        assert not any(heart is not None and heart.is_steady for heart in hearts)
        tasks = a.services.leased
        assert tasks is not None
        beat, tasks.beat = tasks.beat, _cut_off  # type: ignore[method-assign]
        own_postgres.start()
        wait_until(lambda: _is_heard(b))
        time.sleep(lease / 2)  # in which the other could take all that it has
        tasks.beat = beat  # type: ignore[method-assign]
        wait_until(lambda: all(heart is not None and heart.is_steady for heart in hearts), 20)
        time.sleep(lease / 2)
        assert b.engine.works == []
        a.engine.holds = False
        a.engine.release()
        assert ended(b, task)["status"] == "success"


def test_a_store_needs_postgresql_and_its_own_database(postgres: Callable[[], str], tmp_path: Path) -> None:
    def app(data: str, **given: Any) -> Any:
        return create_app(ServiceSettings(data=tmp_path / data, **given), make_engine=FakeEngine)

    store, url = f"file://{tmp_path}/store", postgres()
    with pytest.raises(PostprocError, match="PostgreSQL"):
        app("a", store=store)
    with pytest.raises(PostprocError, match=r"expected s3://bucket/prefix .* begins with 'http://'"):
        app("a", store="http://host/x", database=url)
    with serving(tmp_path / "a", store=store, database=url):
        with pytest.raises(PostprocError, match="another service uses the database"):
            create_app(
                ServiceSettings(data=tmp_path / "alone", database=url, adopt=True), make_engine=FakeEngine
            )
        with pytest.raises(PostprocError, match="belongs to another database"):
            app("b", store=store, database=postgres())
        with pytest.raises(PostprocError, match=r"the store .* is new"):
            app("b", store=f"file://{tmp_path}/other", database=url)


def test_lease_that_cannot_be_read_ends_in_error_and_holds_up_no_others(
    fronts: tuple[Serving, Serving, Path],
) -> None:
    a, b, _ = fronts
    tasks, version = a.services.leased, make_version(a.client)
    assert tasks is not None
    unreadable = tasks.add("one", lambda: TaskRequest(TargetName("version", 7), {}, []))
    a.engine.holds = True
    other = infer(a, version["id"])
    with tasks._database.writing() as session:
        session.execute(update(Lease).where(Lease.task_id == unreadable).values(request={"of": "another"}))
    a.engine.holds = False  # it may well be the one that takes it
    tasks.hand_over([unreadable, other])
    assert ended(b, other)["status"] == "success"
    assert "failed to run" in ended(b, unreadable)["error"]


def test_request_whose_transaction_was_ended_is_asked_for_again(
    fronts: tuple[Serving, Serving, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg.errors import IdleInTransactionSessionTimeout

    def woken(*_: Any) -> Any:
        raise InternalError("", None, IdleInTransactionSessionTimeout())

    a = fronts[0]
    monkeypatch.setattr(a.services.networks, "get", woken)
    response = a.client.get("/networks/1")
    assert complaint(response, 503)
    assert response.headers["Retry-After"]


def test_places_count_what_a_tenant_has_elsewhere() -> None:
    batcher = Batcher(
        lambda jobs: (), lambda jobs, why: None, length=9, max_bytes=1 << 20, wait=0, workers=1, timeout=9
    )
    batcher.share({"spread": 72}, {})
    for _ in range(2):
        batcher.reserve("here", 1)
    with pytest.raises(QueueFullError):
        batcher.reserve("spread", 1)
    batcher.share({}, {})
    batcher.reserve("spread", 1)


def test_few_tasks_that_are_taken_over_find_places_beyond_those_of_newer_ones() -> None:
    batcher = Batcher(
        lambda jobs: (), lambda jobs, why: None, length=9, max_bytes=9, wait=0, workers=1, timeout=9
    )

    def reserve_all(tenant: str, **given: bool) -> list[Ticket]:
        tickets = []
        with suppress(QueueFullError):
            while True:
                tickets.append(batcher.reserve(tenant, 1, **given))
        return tickets

    newer = reserve_all("flood")
    due = [ticket for tenant in ("flood", "other") for ticket in reserve_all(tenant, is_due=True)]
    assert len(due) == 8
    assert {ticket.tenant for ticket in due} == {"flood", "other"}
    for ticket in newer + due:
        ticket.release()
    assert (batcher.places, batcher.bytes) == (0, 0)


def test_images_of_a_front_end_that_is_killed_are_recognised_by_another(
    postgres: Callable[[], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database, store = postgres(), f"file://{tmp_path}/store"
    options = ["--database", database, "--store", store, "--lease-seconds", "1", "--batch-wait", "50"]
    given: dict[str, Any] = {"database": database, "store": store, "lease_seconds": 1.0}
    with (
        serving(tmp_path / "a", Engine, check_model, **given) as a,
        running(tmp_path / "b", *options) as b,
        digits.client_of(b) as other,
    ):
        client = a.client
        client.headers["X-API-KEY"] = Keys(a.services.database).add("default")
        version = digits.publish(client).version
        path = f"/recognition/versions/{version}/inference"
        box = {"xmin": 0.0, "ymin": 0.0, "xmax": 0.98, "ymax": 0.98}
        document = {"inputs": [{"image": {"source": base64.b64encode(digits.IMAGE).decode(), "bbox": box}}]}
        expected = digits.ended(client, made(client.post(path, json=document))["task_id"])["data"]
        sent = [digits.post_image(other, version), other.post(path, json=document)]
        b.kill()
        whole, part = (digits.ended(client, made(response)["task_id"])["data"] for response in sent)
        assert digits.digits_in(whole) == 17
        assert part == expected
    assert "takes 2 tasks over" in caplog.text


def test_real_processes_that_are_killed_lose_no_task(postgres: Callable[[], str], tmp_path: Path) -> None:
    with Fronts(postgres(), tmp_path, 2) as group:
        counted = run_rounds(group, kills=2, seed=1)
        assert counted.tasks > 20
        assert check(group, counted) == {"success": counted.tasks}


def test_outcomes_that_are_not_written_are_not_shown_where_another_may_write_first() -> None:
    from postproc.service.metrics import Metrics
    from postproc.service.work import Outcome

    reporter = Reporter(lambda batch: 0, Metrics(), 1 << 20, shows=False)
    reporter.put([Outcome(1, json.dumps({}), None, "one")])
    assert reporter.kept([1]) == {}
    assert reporter.known([1]) == {1}

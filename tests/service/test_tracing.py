"""Traces: one of each request, from HTTP to the network's call and what is written; none by default."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra tracing is not installed")

from opentelemetry.trace import SpanKind, StatusCode

from postproc.errors import PostprocError
from postproc.service.engine.call_log import told
from postproc.service.engine.engine import Engine
from postproc.service.engine.networks.calls import Answer
from postproc.service.model_check.check import check_model
from postproc.service.spans import OpenTelemetry, from_environment
from postproc.service.tracing import Trace, Tracing
from postproc.service.tracing_setup import tracing_of_environment
from tests.service import digits
from tests.service.objects import made
from tests.service.running import ROOT
from tests.service.serving import Serving, serving
from tests.service.spans import Spans, collector, id_of, parent_of, trace_of
from tests.service.waiting import wait_until

CLIENT, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{CLIENT}-{SPAN}-01", "tracestate": "vendor=1"}
INFERENCE = "/networks/public/digits-yolo/inference"
ROUTE = "/v0.7/networks/public/{name}/inference"


@pytest.fixture
def kept() -> Spans:
    return Spans()


@pytest.fixture
def tracing(kept: Spans) -> OpenTelemetry:
    return kept.tracing


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service that runs networks."""
    folder = tmp_path_factory.mktemp("real")
    with serving(folder, make_engine=Engine, check_model=check_model, batch_wait=0.3, max_batch=3) as running:
        yield running


@pytest.fixture
def traced(real: Serving, tracing: OpenTelemetry, monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.setattr(real.services.metrics, "tracing", tracing)
    return real


def post(service: Serving, headers: dict[str, str], version: str = "/recognition/public/digits-yolo") -> int:
    files = {digits.SOURCE: ("page.jpg", digits.IMAGE)}
    answer = service.client.post(f"{version}/inference", files=files, headers=headers)
    task: int = made(answer)["task_id"]
    return task


def test_trace_goes_from_the_client_to_what_is_written(traced: Serving, kept: Spans) -> None:
    task = post(traced, {**HEADERS, "X-Request-ID": "mine"})
    wait_until(lambda: "store" in kept.of(CLIENT), 60)
    wait_until(lambda: kept.open == 0)
    spans = kept.of(CLIENT)
    (server,) = [span for span in spans.values() if span.kind is SpanKind.SERVER]
    assert server.name == "POST /v0.7/recognition/public/{name}/inference"
    assert parent_of(server) == int(SPAN, 16)
    assert server.attributes is not None
    assert server.attributes["http.route"] == server.name.partition(" ")[2]
    assert server.attributes["http.response.status_code"] == 201
    assert server.attributes["postproc.request_id"] == "mine"
    assert server.attributes["postproc.task"] == task
    parents = {name: parent_of(span) for name, span in spans.items()}
    of_request = ("open", "decode", "prepare", "acknowledge", "wait", "call", "store")
    assert {name: parents.get(name) for name in of_request} == dict.fromkeys(of_request, id_of(server))
    assert parents["network"] == parents["post"] == id_of(spans["call"])
    for name in ("network", "post"):
        assert spans["call"].start_time <= spans[name].start_time <= spans[name].end_time  # type: ignore[operator]
        assert spans[name].end_time - 10**7 <= spans["call"].end_time  # type: ignore[operator]
    wait, call = spans["wait"], spans["call"]
    assert (wait.end_time or 0) - (wait.start_time or 0) > 2.9 * 10**8  # batch_wait
    assert abs((call.start_time or 0) - (wait.end_time or 0)) < 5 * 10**8
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.values())


def test_call_of_several_requests_links_to_each(
    traced: Serving, kept: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cast(Any, traced.services.engine)._batcher, "_wait", 60.0)  # until there are three
    traces = [f"{number:032x}" for number in (1, 2, 3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda item: post(traced, {"traceparent": f"00-{item}-{SPAN}-01"}), traces))
    wait_until(lambda: all("store" in kept.of(item) for item in traces), 60)
    assert kept.open == 0
    calls = [kept.of(item)["call"] for item in traces]
    shared = [call for call in calls if call.attributes and "postproc.requests" in call.attributes]
    assert len(shared) == 1, "they were to share a call"
    others = {id_of(call) for call in calls} - {id_of(shared[0])}
    assert {trace_of(shared[0]), *(f"{link.context.trace_id:032x}" for link in shared[0].links)} == set(
        traces
    )
    for call in calls:
        if id_of(call) in others:
            assert [link.context.span_id for link in call.links] == [id_of(shared[0])]
    assert sum("network" in kept.of(item) for item in traces) == 1


def test_call_belongs_to_a_trace_that_is_recorded(tracing: OpenTelemetry, kept: Spans) -> None:
    jobs = [job_of({"traceparent": f"00-{number:032x}-{SPAN}-0{number % 2}"}) for number in (2, 4, 5, 6)]
    with told(jobs, tracing) as call:
        call.answer = Answer(network_seconds=0.1)
    assert {(span.name, trace_of(span)) for span in kept.ended} == {
        ("call", f"{5:032x}"),
        ("network", f"{5:032x}"),
    }


def test_requests_without_a_valid_parent_begin_traces_and_probes_none(traced: Serving, kept: Spans) -> None:
    traced.client.request("BREW", "/networks", headers=HEADERS)
    for headers in ({}, {"traceparent": "00-zz-yy-01"}, {"traceparent": f"00-{'0' * 32}-{SPAN}-01"}):
        traced.client.get("/networks", headers=headers)
    for probe in ("/healthz", "/readyz", "/metrics"):
        traced.client.get(f"{traced.host}{probe}", headers=HEADERS)
    wait_until(lambda: kept.open == 0 and len(kept.ended) >= 4)
    other, *servers = [span for span in kept.ended if span.kind is SpanKind.SERVER]
    assert (other.name, (other.attributes or {})["http.request.method"]) == ("HTTP", "_OTHER")
    assert [(span.name, span.parent) for span in servers] == [("GET /v0.7/networks", None)] * 3
    assert len({trace_of(span) for span in servers}) == 3


def test_client_that_does_not_sample_has_no_spans_made(traced: Serving, kept: Spans) -> None:
    post(traced, {"traceparent": f"00-{CLIENT}-{SPAN}-00"})
    wait_until(lambda: traced.services.tasks.unfinished == 0, 20)
    assert kept.ended == []


def test_log_has_the_trace(traced: Serving, caplog: pytest.LogCaptureFixture) -> None:
    import structlog

    caplog.set_level("INFO")
    lines: list[dict[str, Any]] = []

    def keep(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
        lines.append(structlog.contextvars.get_contextvars() | event)
        return event

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[keep, *before])
    try:
        traced.client.get("/networks/9", headers=HEADERS)
        wait_until(lambda: any(line.get("trace_id") == CLIENT for line in lines))
    finally:
        structlog.configure(processors=before)


def test_failures_end_their_spans(traced: Serving, kept: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise ZeroDivisionError

    assert traced.client.get("/networks/999999", headers=HEADERS).status_code == 404
    wrong = traced.client.post(INFERENCE, files={digits.SOURCE: b"no image"}, headers=HEADERS)
    assert wrong.status_code == 400
    monkeypatch.setattr(traced.services.networks, "list", fail)
    assert traced.client.get("/networks", headers=HEADERS).status_code == 500
    wait_until(lambda: kept.open == 0 and "GET /v0.7/networks" in kept.of(CLIENT))
    spans = kept.of(CLIENT)
    assert spans["GET /v0.7/networks"].status.status_code is StatusCode.ERROR
    assert (spans["GET /v0.7/networks"].attributes or {})["error.type"] == "500"
    assert spans["GET /v0.7/networks/{network_id}"].status.status_code is StatusCode.UNSET, (
        "its client's fault"
    )
    assert spans[f"POST {ROUTE}"].status.status_code is StatusCode.UNSET
    assert spans["open"].status.status_code is StatusCode.ERROR
    assert "no image" not in json.dumps([span.to_json() for span in spans.values()])


def job_of(trace: Trace) -> Any:
    return SimpleNamespace(
        work=SimpleNamespace(trace=trace, request_id="", network=SimpleNamespace(id=1)),
        task_id=1,
        started=time.monotonic(),
        submitted=time.monotonic(),
    )


@pytest.mark.parametrize("fate", ["dies", "fails", "answers"])
def test_call_ends_its_spans_however_it_ends(tracing: OpenTelemetry, kept: Spans, fate: str) -> None:
    traces: list[Trace] = []
    for _ in range(2):
        with tracing.span("request"):
            traces.append(tracing.current())
    jobs = [job_of(trace) for trace in [{}, *traces]]
    answers = {
        "fails": Answer("failed", "told", "logged"),
        "answers": Answer(network_seconds=1, post_seconds=1),
    }
    with suppress(OSError), told(jobs, tracing) as call:
        if fate == "dies":
            raise OSError("gone")
        call.answer = answers[fate]
    assert kept.open == 0
    calls = [span for span in kept.ended if span.name == "call"]
    assert len(calls) == 2
    is_well = fate == "answers"
    assert all((span.status.status_code is StatusCode.ERROR) != is_well for span in calls)
    parts = [span.name for span in kept.ended if span.name in ("network", "post")]
    assert parts == (["network", "post"] if is_well else [])


# --- what configures it


VARIABLES = ("SDK_DISABLED", "TRACES_EXPORTER", "EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_TRACES_ENDPOINT")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"OTEL_{name}", raising=False)


def test_service_imports_nothing_of_it_by_default() -> None:
    # Newer releases of FastAPI import the API themselves, for what a host configures.
    code = (
        "import sys, postproc.service.app\n"
        "from postproc.service.tracing_setup import tracing_of_environment\n"
        "own = 'opentelemetry.sdk', 'opentelemetry.exporter', 'postproc.service.spans'\n"
        "found = [name for name in sys.modules if name.startswith(own)]\n"
        "print(type(tracing_of_environment()).__name__, found)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["Tracing", "[]"]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, Tracing),
        ({"TRACES_EXPORTER": "none", "EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, Tracing),
        ({"SDK_DISABLED": "true", "TRACES_EXPORTER": "otlp"}, Tracing),
        ({"EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, OpenTelemetry),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, OpenTelemetry),
        ({"TRACES_EXPORTER": "otlp,console"}, OpenTelemetry),
    ],
)
def test_variables_say_whether_there_are_traces(
    given: dict[str, str], kind: type[Tracing], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    made = tracing_of_environment()
    assert type(made) is kind
    made.close()


def test_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "smoke-signals")
    with pytest.raises(PostprocError, match=r"one of console, .*otlp_proto_http.*, got 'smoke-signals'"):
        tracing_of_environment()


@pytest.mark.parametrize(
    "name", ["EXPORTER_OTLP_TIMEOUT", "SPAN_ATTRIBUTE_COUNT_LIMIT", "BSP_MAX_QUEUE_SIZE"]
)
def test_variable_that_is_no_number_is_no_crash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv(f"OTEL_{name}", "many")
    try:
        tracing_of_environment().close()  # the SDK passes some over, with a warning of its own
    except PostprocError as error:
        assert "OTEL_" in str(error)  # noqa: PT017


def test_packages_that_are_not_there_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.delitem(sys.modules, "postproc.service.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert type(tracing_of_environment()) is Tracing
    assert "[tracing]" in caplog.text


def test_spans_reach_a_collector_and_one_that_is_away_holds_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=tests")
    monkeypatch.setattr("postproc.service.spans._END_SECONDS", 1.0)
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracing = from_environment("postproc")
        with tracing.span("a span of mine"):
            pass
        tracing.close()
    ((resource, span),) = received
    assert span.name == "a span of mine"
    assert resource["service.name"] == "postproc"
    assert resource["deployment.environment"] == "tests"
    away = from_environment("postproc")
    with away.span("lost"):
        pass
    started = time.monotonic()
    away.close()
    assert time.monotonic() - started < 3


def test_name_of_the_service_may_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    for given, name in ((None, "postproc-replica"), ("mine", "mine")):
        if given:
            monkeypatch.setenv("OTEL_SERVICE_NAME", given)
        made = from_environment("postproc-replica")
        assert made._provider.resource.attributes["service.name"] == name
        made.close()

"""The metrics, as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from postproc.service.metrics import STAGES, Metrics


def test_metrics_of_two_services_are_apart() -> None:
    first, second = Metrics(), Metrics()
    first.ended(2, 1)
    values = [
        metrics.registry.get_sample_value("postproc_tasks_total", {"outcome": "success"})
        for metrics in (first, second)
    ]
    assert values == [2, 0]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_is_measured_also_where_it_fails(stage: str) -> None:
    metrics = Metrics()
    with metrics.stage(stage):
        pass
    with pytest.raises(ValueError), metrics.stage(stage):
        raise ValueError
    assert metrics.registry.get_sample_value("postproc_stage_seconds_count", {"stage": stage}) == 2


def test_metrics_read_as_text() -> None:
    metrics = Metrics()
    metrics.watch(
        postproc_queue_length=lambda: 3,
        postproc_queue_bytes=lambda: 4096,
        postproc_outcomes_waiting=lambda: 2,
        postproc_outcomes_waiting_bytes=lambda: 2048,
        postproc_store_behind_seconds=lambda: 1.5,
    )
    metrics.request("/v0.7/tasks/{id}", "GET", 200, 0.004)
    metrics.observe("postproc_batch_size", 5)
    metrics.count("postproc_refused", cause="queue")
    text = generate_latest(metrics.registry).decode()
    for line in (
        "postproc_queue_length 3.0",
        "postproc_queue_bytes 4096.0",
        "postproc_outcomes_waiting 2.0",
        "postproc_outcomes_waiting_bytes 2048.0",
        "postproc_store_behind_seconds 1.5",
        'postproc_http_request_seconds_count{method="GET",route="/v0.7/tasks/{id}",status="200"} 1.0',
        'postproc_batch_size_bucket{le="4.0"} 0.0',
        'postproc_batch_size_bucket{le="8.0"} 1.0',
        'postproc_refused_total{cause="queue"} 1.0',
        'postproc_refused_total{cause="cluster"} 0.0',
        'postproc_tasks_total{outcome="error"} 0.0',
    ):
        assert line in text.splitlines()

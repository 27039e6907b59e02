"""Some clients at once for some seconds; `tests.service.load` is the long form."""

from __future__ import annotations

from pathlib import Path

from tests.service.load import measure
from tests.service.running import running


def test_service_under_load_answers_all_clients_alike(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        measured = measure(service, clients=8, seconds=5)
        assert service.stop() in (0, -15)
    assert measured.errors == []
    assert len(measured.inferences) >= 8
    assert set(measured.digits) == {17}
    assert "postproc_batch_size_count" in measured.report() + measured.metrics

"""`anchored_output` against torchvision's Faster R-CNN and RetinaNet: what the benchmarks check, too."""

from __future__ import annotations

import pytest

from benchmarks.contest import OURS, Workload
from benchmarks.workloads import WORKLOADS, contestants
from tests.parity import peers

CASES = [work for work in WORKLOADS if work.kind in ("Faster R-CNN", "RetinaNet") and work.is_warm]


@pytest.mark.parametrize("work", CASES, ids=lambda work: f"{work.kind}, {work.case}")
def test_anchored_output_equals_torchvision(work: Workload) -> None:
    peers.load("torchvision.models.detection")
    runs = contestants(work, {OURS, "torchvision"}, most=4)  # which fails where results differ
    assert set(runs) == {OURS, "torchvision"}
    assert len(runs[OURS]().outputs[0].scores) > 10

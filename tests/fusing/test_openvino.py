"""Fused networks in OpenVINO, on its CPU: skipped where it is not installed.

Allowed differences: of the post-processing alone, without exponentials and on finite numbers, none. Of whole
networks the scores and boxes of `tests.fusing.networks`, since convolutions are summed in another order; the
same rows.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fusing.networks import (
    Fused,
    Rows,
    assert_same,
    demo_network,
    post_processing_alone,
    yolo_export,
)

openvino: Any = pytest.importorskip("openvino", reason="needs openvino")


def run(fused: Fused) -> Rows:
    core = openvino.Core()
    model = core.read_model(fused.model)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(dict(fused.feed))
    return {name: array for output, array in found.items() for name in output.get_names()}


@pytest.mark.parametrize("nms", ["loop", "rounds", "operator"])
def test_post_processing_gives_the_same_rows_in_openvino(nms: str) -> None:
    fused = post_processing_alone(nms)
    assert_same(fused, run(fused))


@pytest.mark.parametrize("name", ["yolo", "anchored", "direct"])
def test_demo_networks_find_the_same_in_openvino(name: str) -> None:
    fused = demo_network(name)
    assert_same(fused, run(fused))


def test_yolo_export_finds_the_same_in_openvino() -> None:
    fused = yolo_export()
    assert_same(fused, run(fused))

"""Fused networks in ONNX Runtime, at all levels of optimisation: the demo's three, and a YOLO export."""

from __future__ import annotations

import onnxruntime
import pytest

from tests.fusing.networks import (
    Fused,
    assert_same,
    demo_network,
    post_processing_alone,
    yolo_export,
)

LEVELS = onnxruntime.GraphOptimizationLevel


def check(fused: Fused, level: str = "ORT_ENABLE_ALL") -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(LEVELS, level)
    session = onnxruntime.InferenceSession(fused.model, options, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_outputs()]
    assert_same(fused, dict(zip(names, session.run(names, dict(fused.feed)), strict=True)))


@pytest.mark.parametrize(
    "level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"]
)
def test_fused_network_finds_what_the_kernels_find_at_every_level(level: str) -> None:
    check(demo_network("direct"), level)
    check(yolo_export(), level)


@pytest.mark.parametrize("name", ["yolo", "anchored", "direct"])
def test_demo_network_finds_what_the_kernels_find(name: str) -> None:
    check(demo_network(name))


@pytest.mark.parametrize("nms", ["loop", "rounds", "operator"])
def test_post_processing_alone_is_equal_bit_for_bit(nms: str) -> None:
    check(post_processing_alone(nms))

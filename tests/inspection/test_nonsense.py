"""Networks that recognise nothing leave no reading, whatever the shapes of their outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from postproc.inspection import inspect_model
from tests.inspection.networks import Network


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(Network().output("x", (1, 7, 13)), id="small table"),
        pytest.param(Network().output("x", (1, 64, 160, 160)).output("y", (1, 128, 80, 80)), id="features"),
        pytest.param(Network().output("depth", (1, 1, 640, 640)), id="depth"),
        pytest.param(Network({"ids": (1, 128)}).output("hidden", (1, 128, 768)), id="text"),
        pytest.param(Network().output("x", None), id="no shape"),
        pytest.param(Network().output("x", ()), id="a number"),
    ],
)
def test_inspect_nonsense_gives_no_proposal(network: Network, tmp_path: Path) -> None:
    assert inspect_model(network.save(tmp_path / "model.onnx")).proposals == ()

"""Random documents of all kinds on a device, which is the CPU: results are those of the kernels.

Scores of softmaxes may differ in a last bit (the kernels have them in float32, in another order of sums), and
then cases in which that decides are left out, as `tests.fusing.nearness` tells. So may corners of turned
boxes, which take sines and cosines, and of YOLOX, whose sides are exponentials.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor, Recognitions
from postproc.call_options import CallOptions
from postproc.errors import FusingError
from postproc.onnx_runner.device_graphs import DeviceGraphs, open_shapes
from postproc.onnx_runner.device_tensors import Device
from tests.fusing.nearness import is_near
from tests.kinds import KINDS
from tests.random_cases.builder import Case, random_case
from tests.strategies import uses_softmax

SEEDS = range(6)
EXACT = ("offsets", "labels", "regions", "predicted", "is_cut")
CLOSE = ("scores", "boxes", "keypoints", "polygons", "angles")
TOLERANCE = 1e-6


def on_device(post: PostProcessor, case: Case, call: dict[str, Any], batch: int) -> Recognitions:
    graphs = DeviceGraphs(post, Device("cpu"), candidates=128)
    tensors = {name: np.ascontiguousarray(case.tensors[name]) for name in post.tensor_names}
    shapes = open_shapes(tensors, batch, ())
    return graphs(
        tensors, shapes, batch, CallOptions.checked(**call, size_is_for_all=not post.uses_input_size)
    )


def assert_same(found: Recognitions, expected: Recognitions, is_exact: bool) -> None:
    for one, other in zip(found.outputs, expected.outputs, strict=True):
        assert type(one) is type(other)
        for name in EXACT + CLOSE:
            if hasattr(other, name):
                mine, theirs = getattr(one, name), getattr(other, name)
                assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), name
                if is_exact or name in EXACT:
                    np.testing.assert_array_equal(mine, theirs, err_msg=name)
                else:
                    np.testing.assert_allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("kind", [*KINDS, "several"])
def test_results_on_a_device_are_those_of_the_kernels(kind: str) -> None:
    compared = 0
    for seed in SEEDS:
        case = random_case(kind, seed)
        post = PostProcessor(case.spec, case.version)
        call = {name: case.options.get(name) for name in ("max_predictions", "input_size", "transforms")}
        call = {"show_discarded": False, "batch_size": None, **call}
        expected = post(case.tensors, **call)
        try:
            found = on_device(post, case, call, len(expected))
        except FusingError:  # which the core's own tests count, or an operator that this ONNX Runtime lacks
            continue
        has_softmax = any(map(uses_softmax, case.version["post_processings"]))
        if has_softmax and any(is_near(case, output) for output in range(len(expected.outputs))):
            continue
        assert_same(found, expected, not has_softmax and kind not in ("yolov8_obb", "yolox"))
        compared += 1
    if not compared:
        pytest.skip("no graph can express any of these documents, or tensors have to come to the host")

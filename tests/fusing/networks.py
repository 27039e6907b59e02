"""Fused networks for other runtimes, and how near their results have to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from postproc import Detections, PostProcessor, Yolov8Output
from postproc.demo import model_path, spec_path, version_path
from postproc.doctor.network import page
from postproc.fusing import FuseOptions, append, to_onnx
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from tests.inspection.exports.ultralytics import SIDE, table
from tests.onnx_runner.test_fused import post_processor, tables

# Convolutions, sigmoids and exponentials of another runtime differ in last bits, which a head makes larger.
SCORE_TOLERANCE = 2e-5
BOX_TOLERANCE = 2e-5

Rows = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Fused:
    """A fused network, what it is fed with, and what the kernels make of that.

    Parameters
    ----------
    name : str
    model : bytes
    feed : mapping of str to ndarray
    expected : Detections
    is_exact : bool
        Whether nothing in it is rounded otherwise elsewhere: the post-processing alone, without exponentials.
    """

    name: str
    model: bytes
    feed: Mapping[str, NDArray[Any]]
    expected: Detections
    is_exact: bool = False


def demo_network(name: str, nms: str = "loop") -> Fused:
    """Fuse one of the demo's three networks; it reads ten digits on each of two pages."""
    post = PostProcessor(spec_path(name), version_path(name))
    feed = {"image": np.concatenate([page(0), page(6)])}
    if name == "anchored":
        feed["im_info"] = np.tile(np.float32([240, 320, 1]), (2, 1))
    return _fused(f"demo, {name}", onnx.load(model_path(name)), post, feed, nms)


def yolo_export(nms: str = "loop") -> Fused:
    """Fuse a network with the outputs of an ultralytics export, of random weights: it finds dozens."""
    output = Yolov8Output(output_tensor="output0")
    post = PostProcessor.for_detection(
        [f"{row}" for row in range(80)], output, thresholds=0.95, nms_threshold=0.45
    )
    image = np.random.default_rng(2).random((1, 3, SIDE, SIDE), np.float32)
    return _fused("YOLO export", onnx.load_from_string(table()), post, {"images": image}, nms)


def post_processing_alone(nms: str = "loop") -> Fused:
    """Write a post-processing without activations and exponentials, with many ties and suppressions."""
    post = post_processor()
    given = {"output0": tables(3, seed=4, passing=0.3)}
    options = FuseOptions(candidates=512, nms=nms, rounds=16 if nms == "rounds" else None)  # type: ignore[arg-type]
    model = to_onnx(post, {"output0": ("batch", *given["output0"].shape[1:])}, options)
    (expected,) = post(given).outputs
    assert isinstance(expected, Detections)
    return Fused(f"post-processing, {nms}", model.SerializeToString(), given, expected, True)


def _fused(name: str, network: Any, post: PostProcessor, feed: dict[str, NDArray[Any]], nms: str) -> Fused:
    options = FuseOptions(candidates=256, nms=nms)  # type: ignore[arg-type]
    model = append(network, post, options)
    (expected,) = OnnxRunner(network, post, [CPU])(feed).outputs
    assert isinstance(expected, Detections)
    assert not expected.is_cut.any()
    assert len(expected.scores) >= 10
    return Fused(name, model.SerializeToString(), feed, expected)


def assert_same(fused: Fused, rows: Rows) -> None:
    """See that rows are the kernels': bit for bit where the network is exact, else all of them, and near."""
    padded = fused.expected.padded(rows["scores"].shape[1])
    assert rows["complete"].all()
    np.testing.assert_array_equal(rows["count"], padded.count)
    if fused.is_exact:
        for name in ("scores", "labels", "boxes"):
            np.testing.assert_array_equal(rows[name], getattr(padded, name), err_msg=name)
        return
    for image, count in enumerate(padded.count):
        assert (np.diff(rows["scores"][image]) <= 0).all()
        expected = fused.expected[image]
        mine = np.lexsort((rows["regions"][image, :count], rows["labels"][image, :count]))
        theirs = np.lexsort((expected.regions, expected.label_ids))
        for name, values in (("labels", expected.label_ids), ("regions", expected.regions)):
            np.testing.assert_array_equal(rows[name][image, mine], values[theirs], err_msg=name)
        for name, tolerance in (("scores", SCORE_TOLERANCE), ("boxes", BOX_TOLERANCE)):
            values = getattr(expected, name)[theirs]
            np.testing.assert_allclose(rows[name][image, mine], values, rtol=0, atol=tolerance, err_msg=name)

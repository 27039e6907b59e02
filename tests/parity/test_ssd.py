"""`ssd_output` against torchvision's SSD and against OpenVINO's (Caffe's) DetectionOutput."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.schema import EndToEndOutput, SsdOutput
from tests.parity import openvino_graphs, peers
from tests.parity.comparison import Rows, assert_same, near_ties, rows_of
from tests.parity.scenes import Size, scene

IOU_THRESHOLD = 0.45
MOST = 200
# Peers decode in float32: the corners of the smallest boxes differ by some of their last bits.
MARGIN = 1e-5
VARIANCES = (0.1, 0.1, 0.2, 0.2)

CASES = [
    pytest.param(labels, batch, size, id=f"{labels} labels, batch {batch}, {size[0]}x{size[1]}")
    for labels, batch, size in [
        (1, 6, (384, 640)),
        (2, 6, (640, 384)),
        (20, 3, (320, 320)),
        (20, 32, (96, 160)),
        (80, 6, (384, 640)),
        (365, 1, (192, 320)),
        (1203, 1, (192, 320)),
    ]
]


class Heads(NamedTuple):
    """Priors (N, 4), corners in pixels, offsets (B, N, 4) and logits (B, N, 1 + L)."""

    priors: NDArray[np.float32]
    offsets: NDArray[np.float32]
    logits: NDArray[np.float32]


def heads(labels: int, batch: int, size: Size, seed: int = 0) -> Heads:
    """Return what decodes to a scene without very small boxes."""
    made = scene(labels, batch, size, seed, on_quarters=False)
    targets = made.boxes.astype(np.float64)
    targets[..., 2:] = np.maximum(targets[..., 2:], 32)
    rng = np.random.default_rng(seed)
    priors = targets[0] * rng.uniform(0.9, 1.1, targets[0].shape)
    moves = (targets[..., :2] - priors[:, :2]) / priors[:, 2:]
    offsets = np.concatenate([moves, np.log(targets[..., 2:] / priors[:, 2:])], axis=2) / VARIANCES
    background = np.maximum(1 - made.scores.sum(axis=2, keepdims=True), 0.05)
    logits = np.log(np.concatenate([background, made.scores], axis=2))
    return Heads(*(one.astype(np.float32) for one in (peers.corners(priors), offsets, logits)))


def ours(
    priors: Any, offsets: Any, scores: Any, size: Size | None, threshold: float, pixels: Size, **given: Any
) -> list[Rows]:
    post = PostProcessor.for_detection(
        [str(row) for row in range(scores.shape[2] - 1)],
        SsdOutput(
            offsets_tensor="offsets",
            scores_tensor="scores",
            priors_tensor="priors",
            priors_format="xyxy",
            **given,
        ),
        thresholds=threshold,
        nms_threshold=IOU_THRESHOLD,
        input_size=size,
    )
    found = post({"priors": priors, "offsets": offsets, "scores": scores}, max_predictions=MOST)
    return rows_of(found, [pixels] * len(offsets))


@pytest.mark.parametrize("threshold", [0.01, 0.3])
@pytest.mark.parametrize(("labels", "batch", "size"), CASES)
def test_ssd_output_equals_torchvision(labels: int, batch: int, size: Size, threshold: float) -> None:
    made = heads(labels, batch, size)
    found = ours(*made, size, threshold, size, score_activation="softmax")

    torch, ssd = peers.load("torch"), peers.load("torchvision.models.detection.ssd")
    coder = peers.load("torchvision.models.detection._utils").BoxCoder((10.0, 10.0, 5.0, 5.0))
    network = SimpleNamespace(
        box_coder=coder,
        score_thresh=threshold,
        nms_thresh=IOU_THRESHOLD,
        detections_per_img=1 << 20,  # it counts boxes outside of the image, too: cut below
        topk_candidates=1 << 20,  # of a label, which ours does not limit
    )
    priors, offsets, logits = map(torch.from_numpy, made)
    theirs = ssd.SSD.postprocess_detections(
        network, {"bbox_regression": offsets, "cls_logits": logits}, [priors] * batch, [size] * batch
    )
    activated = logits.softmax(-1)[..., 1:].numpy()
    images = compared = 0
    for row, (one, image) in enumerate(zip(found, theirs, strict=True)):
        decoded = coder.decode_single(offsets[row], priors).numpy()
        listed = peers.candidates(decoded, activated[row], threshold)
        # Few boxes it shifts apart by coordinates, which rounds them: their Jaccard index is off by more.
        shift = np.float32(labels * max(size))
        margin = MARGIN if 4 * len(listed) > 4000 else max(MARGIN, float(np.spacing(shift)) / 4)
        if near_ties(peers.clipped(listed, size), IOU_THRESHOLD, margin, threshold):
            continue
        expected = Rows(image["labels"].numpy() - 1, image["scores"].numpy(), image["boxes"].numpy())
        expected = peers.clipped(expected, size).take(slice(MOST))
        assert assert_same(one, expected, MOST) <= 5
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.6 * batch
    assert compared > 0


@pytest.mark.parametrize("threshold", [0.01, 0.3])
@pytest.mark.parametrize(("labels", "batch", "size"), CASES)
def test_ssd_output_and_its_list_equal_openvino(
    labels: int, batch: int, size: Size, threshold: float
) -> None:
    made = heads(labels, batch, size, seed=1)
    priors = made.priors / np.array(size[::-1] * 2, np.float32)
    exponentials = np.exp(made.logits.astype(np.float64))
    scores = (exponentials / exponentials.sum(axis=2, keepdims=True)).astype(np.float32)
    count = len(priors)
    caffes = np.stack([priors.reshape(-1), np.tile(np.float32(VARIANCES), count)])[None]
    run = openvino_graphs.detection_output(batch, count, labels + 1, IOU_THRESHOLD, threshold)
    listed = run(made.offsets.reshape(batch, -1), scores.reshape(batch, -1), caffes)
    assert listed.shape[:2] == (1, 1)

    found = ours(caffes, made.offsets, scores, None, threshold, size)
    as_read = read_list(listed, labels, batch, threshold, size)
    torch = peers.load("torch")
    coder = peers.load("torchvision.models.detection._utils").BoxCoder((10.0, 10.0, 5.0, 5.0))
    ends = np.flatnonzero(listed[0, 0, :, 0] == -1)
    rows = listed[0, 0, : ends[0]] if len(ends) else listed[0, 0]
    images = compared = 0
    for image, (one, other) in enumerate(zip(found, as_read, strict=True)):
        theirs = rows[rows[:, 0] == image]
        theirs = theirs[np.argsort(-theirs[:, 2], kind="stable")]
        boxes = theirs[:, 3:] * np.array(size[::-1] * 2, np.float32)
        expected = peers.clipped(Rows(theirs[:, 1].astype(np.int64) - 1, theirs[:, 2], boxes), size)
        expected = expected.take(slice(MOST))
        assert assert_same(other, expected, MOST, score_tolerance=0) <= 5
        decoded = coder.decode_single(*map(torch.from_numpy, (made.offsets[image], made.priors))).numpy()
        decided = peers.clipped(peers.candidates(decoded, scores[image][:, 1:], threshold), size)
        if near_ties(decided, IOU_THRESHOLD, MARGIN):
            continue
        assert assert_same(one, expected, MOST, score_tolerance=0) <= 5
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.6 * batch
    assert compared > 0


def read_list(listed: Any, labels: int, batch: int, threshold: float, size: Size) -> list[Rows]:
    """Read OpenVINO's list as `end_to_end_output`; its classes count from the background, 0."""
    post = PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        EndToEndOutput(output_tensor="list", columns=("image", "class", "score", "box"), classes="ids"),
        thresholds=threshold,
        label_ids=list(range(1, labels + 1)),
    )
    found = post({"list": listed}, max_predictions=MOST, batch_size=batch)
    return rows_of(found, [size] * batch)

"""The same numbers from a Ray cluster as from one process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from postproc import PostProcessor, Recognitions, TensorError
from postproc.evaluation.collected import collect
from postproc.evaluation.detection import evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from postproc.evaluation.pixels import without_objects
from postproc.evaluation.predictions import predict_saved
from postproc.saved_tensors.files import open_stored, shared_files
from postproc.saved_tensors.predictions import Predicted
from postproc.saved_tensors.reading import TensorFile
from tests.evaluation.shaped import SHAPES, of_kind, shaped_truth
from tests.pipelines import IDS, LABELS, assert_same, post_processor, tensors_of
from tests.saved_tensors.tensor_files import image_of, write

pytest.importorskip("ray", reason="ray is not installed: the extra ray brings it")

import pyarrow as pa

from postproc.evaluation.ray_job import _Worker, connected, packed, predict_with_ray, unpacked

# Ray warns of what it deprecates in itself.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.cluster]

FILES, GROUPS, ROWS = 2, 4, 3
LEAST_STORE = 80_000_000  # bytes; Ray takes 75 MiB at least


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write tensors of 24 images, in eight row groups of two files."""
    folder = tmp_path_factory.mktemp("tensors")
    with pytest.MonkeyPatch.context() as patch:
        bytes_of_image = sum(tensor.nbytes for tensor in tensors(0).values())
        patch.setattr("postproc.saved_tensors.writing.GROUP_BYTES", ROWS * bytes_of_image)
        for file in range(FILES):
            numbers = [number for number in range(FILES * GROUPS * ROWS) if number % FILES == file]
            images = [image_of(f"{number}.png", tensors(number), transformed=False) for number in numbers]
            path = write(folder / f"part-{file}.parquet", images)
            assert TensorFile(path).group_rows == (ROWS,) * GROUPS
    return folder


def tensors(number: int) -> dict[str, Any]:
    return tensors_of("standard", images=1, seed=number)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start three workers on this machine; gives a folder that they know from their environment.

    Whatever else the machine does, and without a network: Ray listens on the loopback alone, kills no worker
    where memory gets short, and keeps its files in a folder that goes.
    """
    told = tmp_path_factory.mktemp("told")
    environment = {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "POSTPROC_TEST_FOLDER": str(told),
    }
    options = {"num_cpus": 3, "object_store_memory": LEAST_STORE, "_node_ip_address": "127.0.0.1"}
    # A short path, since it becomes that of sockets, which may have 107 characters.
    short = "/tmp" if os.path.isdir("/tmp") else None
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray", dir=short, ignore_cleanup_errors=True) as files,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        with connected("local", _temp_dir=files, **options):
            yield told


@pytest.fixture(scope="module")
def post() -> PostProcessor:
    return post_processor("standard")


@pytest.fixture(scope="module")
def truth(post: PostProcessor) -> GroundTruth:
    """Make a ground truth that many detections hit, some nearly, and some not."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(FILES * GROUPS * ROWS):
        images.append({"id": number, "file_name": f"{number}.png", "height": 30, "width": 40})
        found = post(tensors(number)).outputs[0]
        for row in rng.permutation(len(found.labels))[:8]:
            corners = found.to_pixels((30, 40))[row].astype(float) + rng.normal(0, 0.6, 4)  # type: ignore[union-attr]
            sides = np.maximum(corners[2:] - corners[:2], 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(found.label_ids[row]),
                    "bbox": [*corners[:2].tolist(), *sides.tolist()],
                    "area": float(sides.prod()),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in zip(IDS, LABELS, strict=True)]
    document = {"images": images, "categories": categories, "annotations": annotations}
    return GroundTruth.load(document, post.spec)


def by_name(parts: Iterator[Predicted]) -> dict[str, tuple[list[int], Any]]:
    return {
        name: (part.sizes[row].tolist(), part.recognitions[row])
        for part in parts
        for row, name in enumerate(part.names)
    }


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sorted(found) == sorted(expected)
    for name, (size, recognitions) in expected.items():
        assert found[name][0] == size
        assert_same(found[name][1], recognitions)


@pytest.mark.parametrize("kind", ["standard", "classification"])
def test_packed_results_are_unpacked_as_they_were(kind: str) -> None:
    post = post_processor(kind)
    found = post(tensors_of(kind), show_discarded=True)
    predicted = Predicted(["a", "b", "c"], np.array([[1, 2], [0, 0], [5, 6]]), found)
    read = unpacked(packed(predicted), post)
    assert read.names == predicted.names
    assert_array_equal(read.sizes, predicted.sizes)
    assert_same(read.recognitions, found)
    assert read.recognitions.outputs[0].table.thresholds == found.outputs[0].table.thresholds


def test_evaluation_with_ray_is_that_of_one_process_to_the_last_digit(
    folder: Path, post: PostProcessor, truth: GroundTruth, cluster: Path
) -> None:
    measuring = MeasuringPostProcessor(post.spec, post.version)
    one = evaluate_detections(truth, collect(truth, predict_saved([folder], measuring)))
    found = list(predict_with_ray([folder], measuring, workers=3))
    assert len(found) > 1
    assert len({name for part in found for name in part.names}) == FILES * GROUPS * ROWS
    several = evaluate_detections(truth, collect(truth, found[::-1]))
    assert several.to_dict() == one.to_dict()
    assert 0.02 < one.to_dict()["coco"]["AP"] < 0.9
    for name in ("image", "label", "score", "truth", "objects"):
        assert_array_equal(getattr(several.low_matches, name), getattr(one.low_matches, name), strict=True)
    assert_array_equal(several.coco.average_precision, one.coco.average_precision, strict=True)


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_are_packed_and_unpacked_as_they_were(kind: str) -> None:
    measuring, names, _, measured = of_kind(kind, 3)
    nothing = np.zeros(len(measured.labels), np.bool_)
    for found in (measured, measured[nothing]):
        predicted = Predicted(names, np.full((3, 2), 30), Recognitions((found, found)))
        read = unpacked(packed(predicted), measuring)
        assert_same(read.recognitions, predicted.recognitions)


@pytest.mark.parametrize("kind", SHAPES)
def test_evaluation_of_shapes_that_workers_send_is_that_of_one_process_to_the_last_digit(
    kind: str, tmp_path: Path
) -> None:
    check_shapes(kind, tmp_path, by_worker)


def test_evaluation_of_shapes_with_ray_is_that_of_one_process_to_the_last_digit(
    cluster: Path, tmp_path: Path
) -> None:
    check_shapes("yolov8_seg", tmp_path, predict_with_ray)


def by_worker(
    paths: list[Path], post: PostProcessor, *, measured_on: GroundTruth, **_: Any
) -> Iterator[Predicted]:
    """Do in this process what a worker does, but for Ray."""
    work = _Worker(post, without_objects(measured_on), False, 100)
    for place in shared_files(paths):
        for group in range(len(open_stored(place).group_rows)):
            table = work(pa.table({"place": [place], "group": [group]}))
            assert set(table.column("error").to_pylist()) == {None}
            yield unpacked(table, post)


def check_shapes(kind: str, tmp_path: Path, predict: Callable[..., Iterator[Predicted]]) -> None:
    measuring, names, found, measured = of_kind(kind, 5)
    images = [image_of(name, one, transformed=False) for name, one in zip(names, found, strict=True)]
    for part in range(2):  # the last image is none of the ground truth's
        write(tmp_path / f"part-{part}.parquet", images[part::2])
    truth = shaped_truth(measuring, names[:4], measured[:4])
    sigmas = [0.1] * measured.keypoints.shape[1] or None
    options: dict[str, Any] = {"yields": SHAPES[kind], "max_detections": 5, "sigmas": sigmas}
    one = evaluate_detections(truth, collect(truth, predict_saved([tmp_path], measuring)), **options)
    parts = list(predict([tmp_path], measuring, workers=2, measured_on=truth))
    assert len(parts) > 1
    assert {type(output) for part in parts for output in part.recognitions.outputs} == {MeasuredDetections}
    several = evaluate_detections(truth, collect(truth, parts[::-1]), **options)
    assert several.to_dict() == one.to_dict()
    assert several.collected.unknown == (names[4],)
    assert list(one.metrics) == [SHAPES[kind], "boxes"]
    assert 0.05 < one.to_dict()["coco"]["AP"] < 1
    assert one.metrics["boxes"].numbers["AP"] != one.coco.numbers["AP"]
    for ours, expected in zip(several.metrics.values(), one.metrics.values(), strict=True):
        assert_array_equal(ours.curves.precision, expected.curves.precision)
        assert_array_equal(ours.curves.scores, expected.curves.scores)


def test_ray_job_whose_worker_is_killed_gives_the_same(
    folder: Path, post: PostProcessor, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.evaluation.ray_workers import DyingOnce

    monkeypatch.setattr("postproc.evaluation.ray_job._Worker", DyingOnce)
    found = by_name(predict_with_ray([folder], post, workers=3))
    assert (cluster / "killed").exists()
    assert_equal(found, by_name(predict_saved([folder], post)))


def test_ray_job_reads_urls_and_takes_what_options_say(
    folder: Path, post: PostProcessor, cluster: Path
) -> None:
    options = {"show_discarded": True, "max_predictions": 7}
    found = by_name(predict_with_ray([folder.as_uri()], post, workers=1, **options))  # type: ignore[arg-type]
    assert_equal(found, by_name(predict_saved([folder], post, **options)))  # type: ignore[arg-type]


def test_ray_job_of_tensors_that_do_not_fit_is_an_error_that_names_the_file(
    folder: Path, post: PostProcessor, cluster: Path, tmp_path: Path
) -> None:
    broken = {**tensors(1), "scores": np.zeros((1, 40, 5), np.float32)}
    path = write(tmp_path / "part.parquet", [image_of("a.png", tensors(0)), image_of("b.png", broken)])
    with pytest.raises(TensorError, match=r"part\.parquet: image 'b\.png': .*'scores'"):
        list(predict_with_ray([path], post, workers=1))
    with pytest.raises(TensorError, match=r"table.*is missing"):
        list(predict_with_ray([folder], post_processor("yolov8"), workers=1))
    for missing in (tmp_path / "none.parquet", "nosuch://bucket/a.parquet", tmp_path.as_uri() + "/none"):
        with pytest.raises(TensorError, match=r"none|nosuch"):
            list(predict_with_ray([missing], post))

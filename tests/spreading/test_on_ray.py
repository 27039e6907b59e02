"""Work on a Ray cluster: the same numbers as from one process, in the same order, whoever dies."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from postproc import PostProcessor, RunnerError, TensorError
from postproc.evaluation import SavedTensors, Settings, calibrate, evaluate
from postproc.evaluation.collected import collect
from postproc.evaluation.detection import evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.predictions import InPixels
from postproc.saved_tensors.files import open_stored, shared_files
from postproc.saved_tensors.predictions import Predicted, predict_saved
from postproc.saved_tensors.reading import TensorFile
from postproc.spreading.tensors import GroupWorker, RowGroup, predict_on_ray
from tests.cli.offline import make_digits, outcome, upload
from tests.evaluation.shaped import SHAPES, of_kind, shaped_truth
from tests.pipelines import IDS, LABELS, assert_same, post_processor, tensors_of
from tests.s3 import s3_bucket
from tests.saved_tensors.tensor_files import image_of, write
from tests.service.waiting import wait_until
from tests.spreading.ray_workers import Squares, make_none

pytest.importorskip("ray", reason="ray is not installed: the extra ray brings it")

from postproc.spreading import pool
from postproc.spreading.cluster import RayCluster, connected, knock
from postproc.spreading.pool import Task, map_on_workers

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
def bucket() -> Iterator[str]:
    with s3_bucket() as url:
        yield url


@pytest.fixture(scope="module")
def cluster(bucket: str) -> Iterator[None]:
    """Start a cluster of two cores on this machine, whose workers know the bucket.

    Whatever else the machine does, and without a network: Ray listens on the loopback alone, kills no worker
    where memory gets short, and keeps its files in a folder that goes.
    """
    environment = {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
    }
    options = {"num_cpus": 2, "object_store_memory": LEAST_STORE, "_node_ip_address": "127.0.0.1"}
    # A short path, since it becomes that of sockets, which may have 107 characters.
    short = "/tmp" if os.path.isdir("/tmp") else None
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray", dir=short, ignore_cleanup_errors=True) as files,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        with connected("local", _temp_dir=files, **options):
            yield


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


def assert_equal(found: Iterable[Predicted], expected: Iterable[Predicted]) -> None:
    for part, of_one in zip(found, expected, strict=True):
        assert part.names == of_one.names
        assert_array_equal(part.sizes, of_one.sizes)
        assert_same(part.recognitions, of_one.recognitions)


# The tests are connected already. Most take one worker: each starts a process.
HERE = RayCluster("auto", workers=1)


def test_evaluation_with_ray_is_that_of_one_process_to_the_last_digit(
    folder: Path, post: PostProcessor, truth: GroundTruth, cluster: None
) -> None:
    spec, version = post.spec, post.version
    one = evaluate(SavedTensors(folder), truth, spec=spec, version=version).to_dict()
    assert evaluate(SavedTensors(folder, ray="auto"), truth, spec=spec, version=version).to_dict() == one
    assert 0.02 < one["coco"]["AP"] < 0.9
    settings = Settings(min_examples=1, folds=2, repeats=1)
    given: dict[str, Any] = {"spec": spec, "version": version, "settings": settings, "nms_grid": (0.2,)}
    plain = calibrate(SavedTensors(folder), truth, **given).to_dict()
    assert calibrate(SavedTensors(folder, ray=HERE), truth, **given).to_dict() == plain


@pytest.mark.parametrize("kind", SHAPES)
def test_evaluation_of_shapes_that_workers_send_is_that_of_one_process_to_the_last_digit(
    kind: str, tmp_path: Path
) -> None:
    check_shapes(kind, tmp_path, by_worker)


def test_evaluation_of_shapes_with_ray_is_that_of_one_process_to_the_last_digit(
    cluster: None, tmp_path: Path
) -> None:
    check_shapes("yolov8_seg", tmp_path, partial(predict_on_ray, cluster=HERE))


def by_worker(
    paths: list[Path], post: PostProcessor, *, finish: Callable[[Predicted], Predicted]
) -> Iterator[Predicted]:
    """Do in this process what a worker does, but for Ray."""
    work = GroupWorker(post, False, 100, finish)
    for place in shared_files(paths):
        for group in range(len(open_stored(place).group_rows)):
            yield pickle.loads(pickle.dumps(work(RowGroup(place, group, None)), 5))


def check_shapes(kind: str, tmp_path: Path, predict: Callable[..., Iterator[Predicted]]) -> None:
    measuring, names, found, measured = of_kind(kind, 5)
    images = [image_of(name, one, transformed=False) for name, one in zip(names, found, strict=True)]
    for part in range(2):  # the last image is none of the ground truth's
        write(tmp_path / f"part-{part}.parquet", images[part::2])
    truth = shaped_truth(measuring, names[:4], measured[:4])
    sigmas = [0.1] * measured.keypoints.shape[1] or None
    options: dict[str, Any] = {"yields": SHAPES[kind], "max_detections": 5, "sigmas": sigmas}
    one = evaluate_detections(truth, collect(truth, predict_saved([tmp_path], measuring)), **options)
    parts = list(predict([tmp_path], measuring, finish=InPixels.of(truth)))
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


def test_tensors_at_urls_come_in_order_with_what_options_say(
    folder: Path, post: PostProcessor, cluster: None
) -> None:
    options: dict[str, Any] = {"show_discarded": True, "max_predictions": 7}
    found = predict_on_ray([folder.as_uri()], post, HERE, **options)
    assert_equal(found, predict_saved([folder], post, **options))


def test_tensors_that_do_not_fit_are_an_error_that_names_the_file(
    folder: Path, post: PostProcessor, cluster: None, tmp_path: Path
) -> None:
    broken = {**tensors(1), "scores": np.zeros((1, 40, 5), np.float32)}
    path = write(tmp_path / "part.parquet", [image_of("a.png", tensors(0)), image_of("b.png", broken)])
    with pytest.raises(TensorError, match=r"part\.parquet: image 'b\.png': .*'scores'"):
        list(predict_on_ray([path], post, HERE))
    with pytest.raises(TensorError, match=r"table.*is missing"):
        list(predict_on_ray([folder], post_processor("yolov8"), HERE))
    for missing in (tmp_path / "none.parquet", "nosuch://bucket/a.parquet", tmp_path.as_uri() + "/none"):
        with pytest.raises(TensorError, match=r"none|nosuch"):
            list(predict_on_ray([missing], post, HERE))


def test_file_that_is_another_one_on_the_workers_machine_is_an_error(
    folder: Path, post: PostProcessor
) -> None:
    place = str(folder / "part-0.parquet")
    with pytest.raises(TensorError, match=r"part-0\.parquet: is another file on a machine of the Ray"):
        GroupWorker(post, False, 100, None)(RowGroup(place, 0, (os.stat(place).st_size, 0.0)))


def squares(folder: Path, *given: tuple[str, int], workers: int = 1) -> Iterator[int]:
    tasks = (Task(f"task {number}", partial(tuple, (how, number))) for how, number in given)
    return map_on_workers(partial(Squares, folder), tasks, RayCluster("auto", workers=workers))


def test_tasks_whose_workers_die_are_done_by_others_in_their_order(cluster: None, tmp_path: Path) -> None:
    given = [("die once" if number in (0, 5) else "square", number) for number in range(12)]
    assert list(squares(tmp_path, *given, workers=2)) == [number * number for number in range(12)]
    assert sorted(map(int, (tmp_path / "done").read_text().split())) == list(range(12))


def test_task_that_ends_each_of_its_workers_is_an_error_that_names_it(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postproc.spreading.pool.TRIES", 2)
    found = squares(tmp_path, ("square", 3), ("die", 4), ("square", 5))
    assert next(found) == 9
    with pytest.raises(RunnerError, match=r"^task 4: 2 workers of the Ray cluster died over it"):
        list(found)


def test_errors_of_workers_are_raised_as_they_are_and_what_they_log_is_logged(
    cluster: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(squares(tmp_path, ("warn", 2), ("warn", 2), ("warn", 3))) == [4, 4, 9]
    assert [record.getMessage() for record in caplog.records] == ["2 is large", "3 is large"]
    with pytest.raises(TensorError, match=r"^1 is no number to square$"):
        list(squares(tmp_path, ("fail", 1)))
    with pytest.raises(RunnerError, match=r"^task 1: a worker of the Ray cluster failed: KeyError: 1$"):
        list(squares(tmp_path, ("break", 1)))
    with pytest.raises(TensorError, match=r"^there is nothing to work with$"):
        list(map_on_workers(make_none, [Task("task", tuple)], HERE))


def test_no_more_tasks_are_begun_than_workers_and_the_window_take(cluster: None, tmp_path: Path) -> None:
    made: list[int] = []

    def make(number: int) -> tuple[str, int]:
        made.append(number)
        return "square", number

    tasks = (Task(f"{number}", partial(make, number)) for number in itertools.count())
    found = map_on_workers(partial(Squares, tmp_path), tasks, HERE)
    for number in range(4):
        assert next(found) == number * number
        assert len(made) <= number + 3
    found.close()  # type: ignore[attr-defined]


def test_address_where_nobody_listens_is_an_error_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for scheme in ("", "ray://"):
            with pytest.raises(ConnectionRefusedError):
                knock(f"{scheme}127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(ConnectionError, match="names no host"):
        knock("ray://")


def test_cluster_without_room_for_a_worker_is_an_error(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"no machine .* 1 cores and 2 GPUs of a worker; there are 2 cores"):
        list(map_on_workers(partial(Squares, tmp_path), [], RayCluster("auto", gpus=2)))


def test_head_that_is_gone_ends_the_work_before_ray_ends_the_process(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(address: str) -> None:
        raise ConnectionRefusedError(f"nobody at {address}")

    monkeypatch.setattr(pool, "knock", refuse)
    monkeypatch.setattr(pool, "_HEAD_SECONDS", 1)
    with pytest.raises(RunnerError, match=r"^the head of the Ray cluster at \S+:\d+ is gone: nobody at "):
        list(squares(tmp_path, ("sleep", 1)))


def test_interrupt_ends_the_workers(cluster: None, tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_until((tmp_path / "worker").exists, 30)
        os.kill(os.getpid(), signal.SIGINT)

    # Where tests run in the background of a shell, it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(squares(tmp_path, *(("sleep", number) for number in range(5))))
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    worker = (tmp_path / "worker").read_text()
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), 30)


def test_commands_with_ray_give_and_write_what_they_do_without(
    cluster: None, bucket: str, tmp_path: Path
) -> None:
    make_digits(tmp_path / "digits")
    upload(tmp_path / "digits", f"{bucket}/digits")
    in_store = ("evaluate", "calibrate", "dump", "evaluate tensors")
    plain = outcome(str(tmp_path / "digits"), str(tmp_path / "plain"), only=(*in_store, "run"))
    found = outcome(f"{bucket}/digits", f"{bucket}/out", "--ray", "auto", only=in_store)
    sent = outcome(str(tmp_path / "digits"), str(tmp_path / "sent"), "--ray", "auto", only=("run",))
    assert len(sent) == 4
    found |= sent
    assert sorted(found) == sorted(plain)
    for name, expected in plain.items():
        assert found[name] == expected, name

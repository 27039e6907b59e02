"""Engine: from images to outcomes, on the demo networks and on small ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import helper

from postproc import Classification, PostProcessor
from postproc.demo import DETECTORS, model_path, preprocessing_path, spec_path, version_path
from postproc.demo.pages import make_page
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from postproc.service.engine.engine import DELETED, UNLOADABLE, NetworkFiles, Outcome, Work
from postproc.service.engine.networks.calls import Answer
from postproc.service.engine.networks.process import NetworkProcess
from postproc.service.errors import ApiError, InputError, QueueFullError
from postproc.service.work import FAILED, STOPPED
from tests.models import network, passthrough
from tests.service.engine.engines import Service, averaging, demo, encoded, greys, shade, small
from tests.service.posts import GREY, Broken, Slow
from tests.service.waiting import wait_until


class Reused(NetworkProcess):
    """A process that serves engine after engine: it forgets its networks where it would end."""

    idle: ClassVar[defaultdict[tuple[Any, ...], list[Reused]]] = defaultdict(list)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._given = given

    @classmethod
    def take(cls, *given: Any) -> Reused:
        return cls.idle[given].pop() if cls.idle[given] else cls(*given)

    def close(self) -> None:
        """Wait for the next engine."""
        if self._at_work.locked():  # in the midst of a call
            super().close()
            return
        if self in self.idle[self._given]:  # closed before
            return
        for network_id in list(self.networks):
            self.forget(network_id)
        self.last = Answer()
        self.idle[self._given].append(self)


@pytest.fixture(scope="module", autouse=True)
def _reused_processes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("postproc.service.engine.engine.NetworkProcess", Reused.take)
        yield
    for processes in Reused.idle.values():
        for process in processes:
            NetworkProcess.close(process)


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    # All is submitted before the threads start, so that what can share a call does.
    service = Service(**getattr(request, "param", {}))
    yield service
    service.engine.stop()
    assert service.outcomes.empty()
    assert service.value("postproc_queue_length") == service.value("postproc_queue_bytes") == 0


# --- results


@pytest.mark.parametrize("name", DETECTORS)
def test_engine_gives_what_the_runner_gives_and_shares_calls(name: str, service: Service) -> None:
    post = PostProcessor(spec_path(name), version_path(name))
    post.warmup()  # or the process that runs networks compiles, which may take longer than a task has
    pages = [encoded(make_page(seed).image) for seed in range(5)]
    for task_id, page in enumerate(pages):
        service.submit(task_id, demo(name), post, [{"image": {"source": page}}], show_discarded=True)
    service.engine.start()
    outcomes = service.collect(5)
    runner, preprocessor = OnnxRunner(model_path(name), post, [CPU]), Preprocessor(preprocessing_path(name))
    for task_id, page in enumerate(pages):
        batch = preprocessor([page])
        expected = runner(batch.tensors, show_discarded=True, transforms=batch.transforms).to_dicts()[0]
        text = outcomes[task_id].data
        assert text is not None
        found = json.loads(text)
        labels, expected_labels = (item["outputs"][0]["labels"] for item in (found, expected))
        assert len(labels["predicted"]) == len(expected_labels["predicted"]) > 3
        for one, other in zip(labels["predicted"], expected_labels["predicted"], strict=True):
            assert (one["label_id"], one["label_name"]) == (other["label_id"], other["label_name"])
            assert type(one["score"]) is type(one["threshold"]) is float
            assert type(one["label_id"]) is int
            np.testing.assert_allclose(one["score"], other["score"], atol=1e-4)
            np.testing.assert_allclose(
                list(one["roi"]["bbox"].values()), list(other["roi"]["bbox"].values()), atol=1e-4
            )
    assert service.value("postproc_batch_size_count") == 1
    assert service.value("postproc_batch_size_sum") == 5
    for stage in ("decode", "prepare", "wait", "network", "post"):
        assert service.value("postproc_stage_seconds_count", stage=stage) >= 1


def test_engine_takes_integers_that_a_version_says_the_meaning_of(service: Service, tmp_path: Path) -> None:
    described = {"output_tensor": "steps", "quantization": {"steps": {"scale": 0.25, "zero_point": 16}}}
    post = PostProcessor.for_classification(["grey"], Classification.load(described), thresholds=0)
    steps = {"scale": np.float32(1 / 4), "zero": np.uint8(16)}
    nodes = [
        helper.make_node("ReduceMean", ["data"], ["mean"], axes=[2, 3]),
        helper.make_node("QuantizeLinear", ["mean", "scale", "zero"], ["integers"]),
        helper.make_node("Flatten", ["integers"], ["steps"]),
    ]
    content = network(
        nodes,
        {"data": (np.float32, ("N", 1, "H", "W"))},
        {"steps": (np.uint8, ("N", 1))},
        {name: np.asarray(value) for name, value in steps.items()},
    )
    files = small(tmp_path, content)
    for task_id, grey in enumerate((64, 128, 255)):
        service.submit(task_id, files, post, shade(grey))
    service.engine.start()
    assert greys(service.collect(3)) == {0: 0.25, 1: 0.5, 2: 1.0}


def test_engine_keeps_apart_what_differs(service: Service, tmp_path: Path) -> None:
    files, other = small(tmp_path, averaging()), small(tmp_path, averaging(), 2)
    service.submit(1, files, GREY, shade(255))
    service.submit(2, files, GREY, shade(51))
    service.submit(3, other, GREY, shade(255))
    service.submit(4, files, GREY, shade(255), key=2)
    service.submit(5, files, GREY, shade(255), max_predictions=1)
    service.submit(6, files, GREY, shade(255), show_discarded=True)
    service.submit(7, files, None, shade(255))
    service.engine.start()
    outcomes = service.collect(7)
    raw = outcomes.pop(7)
    assert greys(outcomes) == pytest.approx({1: 1, 2: 0.2, 3: 1, 4: 1, 5: 1, 6: 1})
    assert raw.data == '{"tensors":[{"name":"grey","shape":[1,1],"data":[[1.0]]}]}'
    assert service.value("postproc_batch_size_count") == 6
    assert service.value("postproc_sessions") == 2


@pytest.mark.parametrize("service", [{"max_batch": 3}], indirect=True)
def test_engine_batches_no_more_than_the_most(service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging())
    for task_id in range(7):
        service.submit(task_id, files, GREY, shade(51 + task_id))
    service.engine.start()
    assert greys(service.collect(7)) == pytest.approx({row: (51 + row) / 255 for row in range(7)})
    assert service.value("postproc_batch_size_count") == 3


@pytest.mark.parametrize("post", [GREY, None], ids=["version", "tensors"])
def test_engine_fixed_batch_axis_is_filled_up(post: Any, service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging(4, 4))
    for task_id in range(6):
        service.submit(task_id, files, post, shade(51 * task_id))
    service.engine.start()
    outcomes = service.collect(6)
    assert service.value("postproc_batch_size_count") == 1
    for task_id, outcome in outcomes.items():
        assert outcome.data is not None
        if post is None:
            [tensor] = json.loads(outcome.data)["tensors"]
            assert tensor["shape"] == [1, 1]
            assert tensor["data"][0][0] == pytest.approx(task_id / 5)


def test_engine_images_of_different_shapes_do_not_share_a_call(service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging(), resize_type="NETWORK", target_size="8")
    service.submit(1, files, GREY, shade(51, 8, 4))
    service.submit(2, files, GREY, shade(102, 4, 8))
    service.submit(3, files, GREY, shade(153, 16, 8))
    service.engine.start()
    assert greys(service.collect(3)) == pytest.approx({1: 0.2, 2: 0.4, 3: 0.6})
    assert service.value("postproc_batch_size_count") == 2


@pytest.mark.parametrize(
    ("field", "shape"), [("batched_output", ("N", 1, 2, 2)), ("batched_input", (1, 2, 2))]
)
def test_engine_network_without_batch_axis_runs_one_by_one(
    field: str, shape: tuple[int | str, ...], service: Service, tmp_path: Path
) -> None:
    axes = [axis for axis in range(len(shape)) if axis != len(shape) - 3]
    squeezed = network(
        [helper.make_node("ReduceMean", ["data"], ["grey"], axes=axes, keepdims=0)],
        {"data": (np.float32, shape)},
        {"grey": (np.float32, (1,))},
    )
    files = small(tmp_path, squeezed, **{field: False})
    for task_id in (1, 2):
        service.submit(task_id, files, GREY, shade(51 * task_id))
    service.submit(3, files, None, shade(51))
    service.engine.start()
    outcomes = service.collect(3)
    raw = outcomes.pop(3)
    assert greys(outcomes) == pytest.approx({1: 0.2, 2: 0.4})
    assert raw.data is not None
    assert json.loads(raw.data)["tensors"][0]["shape"] == [1]
    assert service.value("postproc_batch_size_count") == 3


# --- tensors


def test_engine_tensors_that_are_not_finite_are_null(service: Service, tmp_path: Path) -> None:
    logarithms = network(
        [helper.make_node("Log", ["data"], ["log"]), helper.make_node("Cast", ["data"], ["whole"], to=7)],
        {"data": (np.float32, ("N", 1, 2, 2))},
        {"log": (np.float32, ("N", 1, 2, 2)), "whole": (np.int64, ("N", 1, 2, 2))},
    )
    service.submit(1, small(tmp_path, logarithms), None, shade(0))
    service.engine.start()
    data = service.collect(1)[1].data
    assert data is not None
    assert json.loads(data)["tensors"] == [
        {"name": "log", "shape": [1, 1, 2, 2], "data": [[[[None, None], [None, None]]]]},
        {"name": "whole", "shape": [1, 1, 2, 2], "data": [[[[0, 0], [0, 0]]]]},
    ]


def test_engine_tensors_without_a_row_an_image_come_from_calls_of_their_own(
    service: Service, tmp_path: Path
) -> None:
    lit = network(  # a row for each pixel that is not black
        [
            helper.make_node("NonZero", ["data"], ["places"]),
            helper.make_node("Transpose", ["places"], ["rows"]),
        ],
        {"data": (np.float32, ("N", 1, 2, 2))},
        {"rows": (np.int64, ("K", 4))},
    )
    files = small(tmp_path, lit)
    for task_id, value in enumerate((0, 255, 0)):
        service.submit(task_id, files, None, shade(value))
    service.engine.start()
    shapes = {
        task_id: json.loads(outcome.data)["tensors"][0]["shape"]
        for task_id, outcome in service.collect(3).items()
        if outcome.data
    }
    assert shapes == {0: [0, 4], 1: [4, 4], 2: [0, 4]}
    for task_id in (3, 4):  # known by now
        service.submit(task_id, files, None, shade(255))
    service.collect(2)
    assert service.value("postproc_batch_size_count") == 3


@pytest.mark.parametrize("service", [{"max_result_bytes": 79}], indirect=True)
@pytest.mark.parametrize("together", [False, True])
def test_engine_result_beyond_the_limit_is_an_error(service: Service, tmp_path: Path, together: bool) -> None:
    copy = passthrough({"data": ("N", 1, "H", "W")}, {"out": "data"})
    for task_id, side in ((1, "2x2"), (2, "5x1")):
        files = small(tmp_path, copy, task_id, target_size=side)
        for twin in range(1 + together):
            service.submit(task_id + 10 * twin, files, None, shade(0))
    service.engine.start()
    outcomes = service.collect(2 + 2 * together)
    assert service.value("postproc_batch_size_count") == 2
    for task_id, outcome in outcomes.items():
        if task_id % 10 == 1:
            assert outcome.error is None
            assert outcome.data is not None
            assert len(outcome.data) == 79
        else:
            assert "hold 5 numbers, and a result has at most 79 bytes" in str(outcome.error)


# --- what goes wrong


def picky(folder: Path) -> NetworkFiles:
    """Save a network that fails on an image that is not black."""
    nodes = [
        helper.make_node("ReduceSum", ["data"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["row"], to=7),
        helper.make_node("Gather", ["table", "row"], ["zero"]),
        helper.make_node("Add", ["data", "zero"], ["out"]),
        helper.make_node("ReduceMax", ["out"], ["top"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["top", "one"], ["grey"]),
    ]
    constants = {"table": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}
    shape = ("N", 1, 2, 2)
    content = network(nodes, {"data": (np.float32, shape)}, {"grey": (np.float32, ("N", 1))}, constants)
    return small(folder, content)


def test_engine_bad_request_fails_alone(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = picky(tmp_path)
    for task_id, value in enumerate((0, 255, 0)):
        service.submit(task_id, files, GREY, shade(value))
    service.engine.start()
    outcomes = service.collect(3)
    error = outcomes.pop(1).error
    assert error is not None
    assert error.startswith("ONNX Runtime failed on the inputs 'data' float32 (1, 1, 2, 2)")
    assert str(tmp_path) not in error
    assert greys(outcomes) == {0: 1, 2: 1}
    assert "a batch of 3 failed; they run one by one" in caplog.text
    assert "Traceback" in caplog.text
    service.submit(4, files, GREY, shade(0))  # the thread is alive
    assert greys(service.collect(1)) == {4: 1}


def test_engine_network_that_takes_no_batches_runs_one_by_one_from_then_on(
    service: Service, tmp_path: Path
) -> None:
    # Its graph says nothing of it, but one of its nodes has a batch of one built in.
    fixed = network(
        [
            helper.make_node("Reshape", ["data", "shape"], ["flat"]),
            helper.make_node("ReduceMean", ["flat"], ["grey"], axes=[1]),
        ],
        {"data": (np.float32, ("N", 1, 2, 2))},
        {"grey": (np.float32, ("M", 1))},
        {"shape": np.array([1, 4], np.int64)},
    )
    files = small(tmp_path, fixed)
    for task_id in (1, 2):
        service.submit(task_id, files, GREY, shade(51 * task_id))
    service.engine.start()
    assert greys(service.collect(2)) == pytest.approx({1: 0.2, 2: 0.4})
    assert service.value("postproc_batch_size_count") == 1
    for task_id in (3, 4):
        service.submit(task_id, files, GREY, shade(51 * task_id))
    assert greys(service.collect(2)) == pytest.approx({3: 0.6, 4: 0.8})
    assert service.value("postproc_batch_size_count") == 3


def test_engine_fault_of_its_own_tells_no_internals(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.submit(1, small(tmp_path, averaging()), Broken(), shade(0))
    service.engine.start()
    assert service.collect(1)[1] == Outcome(1, None, FAILED)
    assert "secret" in caplog.text


def test_engine_tensor_that_the_version_needs_and_the_network_lacks_is_named(
    service: Service, tmp_path: Path
) -> None:
    post = PostProcessor.for_classification(["a"], Classification(output_tensor="scores"))
    service.submit(1, small(tmp_path, averaging()), post, shade(0))
    service.engine.start()
    assert "needs the tensor 'scores', which the model does not have" in str(service.collect(1)[1].error)


def test_engine_network_whose_files_are_gone_ends_in_error(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = small(tmp_path, averaging())
    for task_id in (1, 2):
        service.submit(task_id, files, GREY, shade(0))
    files.model.unlink()
    service.engine.start()
    assert {outcome.error for outcome in service.collect(2).values()} == {UNLOADABLE}
    assert "network 1 cannot be loaded" in caplog.text
    files.model.write_bytes(averaging())
    service.submit(3, files, GREY, shade(255))
    assert greys(service.collect(1)) == {3: 1}


def test_engine_preprocessing_whose_file_is_gone_is_told_at_once(service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging(), mean_file="mean.npy")
    np.save(files.folder / "mean.npy", np.zeros(1, np.float32))
    (files.folder / "mean.npy").unlink()
    with pytest.raises(InputError, match="upload the network again") as raised:
        service.prepare(files, shade(0))
    assert str(tmp_path) not in str(raised.value)


def test_engine_means_of_networks_are_bounded_in_bytes(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postproc.service.engine.preprocessors._MOST_MEANS", 100_000)
    for number in range(4):  # of 40,000 bytes each
        files = small(tmp_path, averaging(), number, mean_file="mean.npy", target_size="100x100")
        np.save(files.folder / "mean.npy", np.zeros((1, 100, 100), np.float32))
        service.engine.open(files, shade(0))
    kept = service.engine._preprocessors._kept
    assert [network_id for network_id, _ in kept] == [2, 3]
    assert sum(preprocessor.nbytes for preprocessor in kept.values()) == 80_000


def test_engine_request_of_a_network_that_is_deleted_meanwhile_is_a_404(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = small(tmp_path, averaging(), mean_file="mean.npy")
    np.save(files.folder / "mean.npy", np.zeros(1, np.float32))
    service.prepare(files, shade(0))
    service.engine.forget_network(files.id)
    (files.folder / "mean.npy").unlink()
    with pytest.raises(ApiError, match="no network 1") as raised:
        service.prepare(files, shade(0))
    assert raised.value.status == 404
    assert caplog.text == ""


def test_engine_wrong_input_is_told_at_once(service: Service, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 2"):
        service.prepare(small(tmp_path, averaging()), shade(0) * 2)


@pytest.mark.parametrize("service", [{"queue_length": 1}], indirect=True)
def test_engine_full_queue_refuses(service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging())
    inputs = service.prepare(files, shade(255))
    assert inputs.nbytes == 16
    ticket = service.engine.reserve(inputs, "one")
    with pytest.raises(QueueFullError):
        service.engine.reserve(inputs, "one")
    assert service.value("postproc_queue_length") == 1
    assert service.value("postproc_queue_bytes") == 16
    service.engine.start()
    service.engine.submit(1, Work(files, GREY, 1, inputs), ticket)
    assert greys(service.collect(1)) == {1: 1}


def test_engine_deleted_network_ends_its_waiting_tasks(service: Service, tmp_path: Path) -> None:
    files, other = small(tmp_path, averaging()), small(tmp_path, averaging(), 2)
    service.submit(1, files, GREY, shade(0))
    service.submit(2, other, GREY, shade(255))
    service.engine.forget_network(1)
    service.engine.start()
    outcomes = service.collect(2)
    assert outcomes.pop(1) == Outcome(1, None, DELETED)
    assert greys(outcomes) == {2: 1}


@pytest.mark.parametrize("are_gone", [True, False], ids=["files gone", "files there yet"])
def test_engine_task_that_comes_as_its_network_is_deleted_leaves_nothing_loaded(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture, are_gone: bool
) -> None:
    files = small(tmp_path, averaging())
    service.engine.forget_network(1)
    service.submit(1, files, GREY, shade(255))
    if are_gone:
        files.model.unlink()
    service.engine.start()
    outcomes = service.collect(1)
    if are_gone:
        assert outcomes == {1: Outcome(1, None, DELETED)}
    else:
        assert greys(outcomes) == {1: 1}
    service.engine.stop()  # the call's end is told after its result
    assert service.value("postproc_sessions") == 0
    assert caplog.text == ""


def test_engine_stop_tells_every_task_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postproc.service.engine.engine._DRAIN", 0.3)
    service, slow = Service(workers=1), Slow(tmp_path)
    service.engine.start()
    files = small(tmp_path, averaging())
    service.submit(1, files, slow, shade(255))
    wait_until((tmp_path / "started").exists, 30)
    service.submit(2, files, GREY, shade(255), key=2)
    service.engine.stop()
    assert {outcome.error for outcome in service.collect(2).values()} == {STOPPED}
    (tmp_path / "go").touch()
    for thread in service.engine._batcher._threads:
        thread.join(10)
        assert not thread.is_alive()
    assert service.outcomes.empty()


@pytest.mark.parametrize("service", [{"task_timeout": 3}], indirect=True)
def test_engine_task_whose_network_takes_too_long_ends_in_error_in_time(
    service: Service, tmp_path: Path
) -> None:
    slow = Slow(tmp_path)
    service.engine.start()
    files = small(tmp_path, averaging())
    service.submit(1, files, slow, shade(255))
    wait_until((tmp_path / "started").exists, 30)
    service.submit(2, files, GREY, shade(255), key=2)
    errors = {task_id: str(outcome.error) for task_id, outcome in service.collect(2).items()}
    assert "did not end in what was left of 3 s" in errors[1]
    assert "waited longer than 3 s for its turn" in errors[2]
    (tmp_path / "go").touch()
    service.submit(3, files, GREY, shade(255))  # what the call found is told to nobody
    assert greys(service.collect(1)) == {3: 1}


def test_engine_loads_a_network_once_for_all_versions(service: Service, tmp_path: Path) -> None:
    files = small(tmp_path, averaging())
    for task_id in range(6):
        service.submit(task_id, replace(files), GREY if task_id % 2 else None, shade(255), key=task_id % 4)
    service.engine.start()
    service.collect(6)
    assert service.value("postproc_session_loads_total", outcome="success") == 1

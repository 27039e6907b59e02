"""Check post-processing on an NVIDIA GPU: what doctor finds, fused and unfused runs, equality and times.

    python tools/gpu_check.py --output gpu.json

It takes a few minutes, less than six, needs the extras ``gpu`` and ``onnx``, and writes one JSON file,
anew after each check. It ends with 0 if all was right, 1 if not, and with 2 at once where there is no GPU.
Tensors of PyTorch or CuPy are bound without a copy where one of them is installed. ``--cpu`` runs all of it
on the CPU, to see that it works: its times say nothing of a GPU. It has not been run on a GPU so far.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import postproc
from postproc import Detections, ImageTransform, PostProcessor, Recognitions, Yolov8Output
from postproc.demo import model_path, spec_path, version_path
from postproc.disk import whole_file
from postproc.doctor.network import page
from postproc.errors import RunnerError
from postproc.onnx_runner import DevicePostProcessor, OnnxRunner
from postproc.onnx_runner.session import CPU, CUDA, open_session

SECONDS = 330  # of all; what does not fit is left out, and the report is not all right then
_GRACE = 20  # after which a check that is still at work is broken off, and the process with it
_TIMED_SECONDS, _TIMED_RUNS = 4.0, 200  # of one figure
_LABELS, _BOXES, _SIDE = 80, 8400, 640
_BATCHES = (1, 8)
_NEAR = 1e-3  # products of a GPU may have 10 bits: between two runs of a network's own numbers
_COLUMNS = ("offsets", "labels", "regions", "scores", "boxes", "is_cut")


def main() -> int:
    """Run all checks, print what they find, and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"))
    parser.add_argument("--cpu", action="store_true", help="run on the CPU, to see that the script works")
    arguments = parser.parse_args()
    started = time.perf_counter()
    provider = CPU if arguments.cpu else CUDA
    try:
        open_session(model_path("yolo"), [*dict.fromkeys([provider, CPU])])
    except RunnerError as error:
        print(f"nothing was checked, {provider} does not work here: {error}", file=sys.stderr)
        return 2
    report = Report(arguments.output, provider, started)
    pending = dict(checks(provider, started + SECONDS))
    watch = threading.Timer(started + SECONDS + _GRACE - time.perf_counter(), give_up, [report, pending])
    watch.daemon = True
    watch.start()
    for name, check in [*pending.items()]:
        if time.perf_counter() - started > SECONDS:
            result: dict[str, Any] = {"ok": False, "left_out": "no time left"}
        else:
            try:
                result = check()
            except Exception as error:  # whatever it is, the others are of use
                result = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        report.add(name, result)
        del pending[name]
    watch.cancel()
    return report.finish()


class Report:
    """What was found so far, on the disk after each check."""

    def __init__(self, path: Path, provider: str, started: float) -> None:
        self.path, self.started = path, started
        self.found: dict[str, Any] = {"postproc": postproc.__version__, "provider": provider, "ended": False}
        self.results: list[dict[str, Any]] = []

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Take the result of a check, print and write it."""
        self.results.append({"check": name, **result})
        self._write()
        print(f"{self._seconds:6.1f} s  {name}: {json.dumps(result)[:300]}", flush=True)

    def finish(self) -> int:
        """Say whether all was right; give the exit status."""
        self.found["ended"] = True
        is_right = self._write()
        print(f"{'all right' if is_right else 'NOT all right'}: {self.path}", flush=True)
        return 0 if is_right else 1

    @property
    def _seconds(self) -> float:
        return round(time.perf_counter() - self.started, 1)

    def _write(self) -> bool:
        is_right = self.found["ended"] and all(result.get("ok", True) for result in self.results)
        found = {**self.found, "results": self.results, "seconds": self._seconds, "ok": is_right}
        with whole_file(self.path) as path:
            path.write_text(json.dumps(found, indent=2))
        return is_right


def give_up(report: Report, pending: Iterable[str]) -> None:
    """End the process, whatever a check waits for: no call of a driver can be broken off from within."""
    for number, name in enumerate([*pending]):
        reason = "no time left" if number else "it did not end in time"
        report.add(name, {"ok": False, "left_out": reason})
    os._exit(report.finish())


def checks(provider: str, end: float) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Give all checks by name; the longest, which compiles all kernels, comes last and stops at `end`."""
    for name in ("yolo", "anchored", "direct"):
        yield f"demo network, {name}", lambda name=name: demo_network(name, provider)  # type: ignore[misc]
    for dtype in (np.float32, np.float16):
        for images in _BATCHES:
            yield (
                f"{np.dtype(dtype).name} table ({images}, {4 + _LABELS}, {_BOXES})",
                lambda images=images, dtype=dtype: large_table(images, dtype, provider),  # type: ignore[misc]
            )
    for library in ("torch", "cupy"):
        yield f"tensors of {library}", lambda library=library: tensors_of(library, provider)  # type: ignore[misc]
    yield "doctor", lambda: doctor(provider, end)


def doctor(provider: str, end: float) -> dict[str, Any]:
    """Run what ``postproc doctor`` runs, in a process of its own that stops when the time is over."""
    providers = [] if provider == CPU else [provider]
    code = (
        f"import json; from postproc.doctor import examine; print(json.dumps(examine({providers}).to_dict()))"
    )
    seconds = max(1.0, end - time.perf_counter())
    try:
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=seconds, check=True)
    except subprocess.TimeoutExpired:
        return {"ok": False, "left_out": f"it took more than the {seconds:.0f} s that were left"}
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def demo_network(name: str, provider: str) -> dict[str, Any]:
    """Run a network of the demo on pages of ten digits, fused and not."""
    post = PostProcessor(spec_path(name), version_path(name))
    feed = {"image": np.concatenate([page(shift) for shift in (0, 3, 6, 9)])}
    if name == "anchored":
        feed["im_info"] = np.tile(np.array([240, 320, 1], np.float32), (len(feed["image"]), 1))
    return compared(model_path(name), post, feed, provider, _NEAR)


def large_table(images: int, dtype: Any, provider: str) -> dict[str, Any]:
    """Run a network whose output is as large as a YOLO's at 640 x 640, and the same in any run."""
    feed = {"images": np.random.default_rng(0).random((images, 3, _SIDE, _SIDE), np.float32)}
    return compared(constant_network(dtype), large_post(), feed, provider, 0.0)


def large_post() -> PostProcessor:
    """Post-process a YOLO's table of 80 labels."""
    output = Yolov8Output(output_tensor="output0")
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(_LABELS)],
        output,
        thresholds=np.linspace(0.25, 0.6, _LABELS).tolist(),
        nms_threshold=0.5,
        input_size=[_SIDE, _SIDE],
    )


def table() -> NDArray[np.float32]:
    """Make the table of a street: fifty objects, of each a dozen boxes, and noise."""
    rng = np.random.default_rng(1)
    rows = np.empty((4 + _LABELS, _BOXES), np.float32)
    rows[:2] = rng.uniform(0, _SIDE, (2, _BOXES))
    rows[2:4] = rng.uniform(8, 200, (2, _BOXES))
    rows[4:] = rng.beta(1, 60, (_LABELS, _BOXES))
    for number in range(50):
        near = slice(12 * number, 12 * number + 12)
        rows[:4, near] = rows[:4, near][:, :1] + rng.normal(0, 4, (4, 12))
        rows[4 + rng.integers(_LABELS), near] = rng.uniform(0.3, 0.95, 12)
    return rows


def constant_network(dtype: Any) -> onnx.ModelProto:
    """Build a network of images in whose answer is `table` for each, computed on the device."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("ReduceMin", ["images"], ["least"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "shape"], ["each"]),
        helper.make_node("Cast", ["each"], ["typed"], to=kind),
        helper.make_node("Add", ["typed", "table"], ["output0"]),
    ]
    constants = {
        "zero": np.zeros(1, np.float32),
        "shape": np.array([-1, 1, 1]),
        "table": table()[np.newaxis].astype(dtype),
    }
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 3, _SIDE, _SIDE])],
        [helper.make_tensor_value_info("output0", kind, ["batch", 4 + _LABELS, _BOXES])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compared(
    model: Any, post: PostProcessor, feed: dict[str, NDArray[Any]], provider: str, tolerance: float
) -> dict[str, Any]:
    """Run a network with the kernels on the host and with its post-processing on the device."""
    providers = list(dict.fromkeys([provider, CPU]))
    images = next(iter(feed.values()))
    height, width = images.shape[2:]
    transforms = [ImageTransform.letterbox((height, width), (480 + row, 640)) for row in range(len(images))]
    runners = {
        "unfused": OnnxRunner(model, post, providers, fuse=False),
        "fused": OnnxRunner(model, post, providers, fuse=True),
    }
    for runner in runners.values():
        runner(feed, transforms=transforms)
    found = {name: runner(feed, transforms=transforms) for name, runner in runners.items()}
    problem = difference(found["fused"], found["unfused"], tolerance)
    network = runners["unfused"].network
    tensors = network(feed, post.tensor_names)
    size = (height, width) if post.uses_input_size else None
    times = {
        "network_and_copies_ms": milliseconds(lambda: network(feed, post.tensor_names)),
        "kernels_ms": milliseconds(lambda: post(tensors, input_size=size)),
        **{
            f"{name}_ms": milliseconds(lambda runner=runner: runner(feed)) for name, runner in runners.items()
        },  # type: ignore[misc]
    }
    nbytes = sum(array.nbytes for array in tensors.values())
    rows = len(found["fused"].outputs[0].scores)
    return {"ok": problem is None, "difference": problem, "rows": rows, "raw_bytes": nbytes, **times}


def tensors_of(library: str, provider: str) -> dict[str, Any]:
    """Post-process tensors that another library has on the device."""
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        return {"left_out": str(error)}
    device = "cpu" if provider == CPU else "cuda"
    if library == "cupy" and provider == CPU:
        return {"left_out": "CuPy has no tensors on a CPU"}
    post, rows = large_post(), np.stack([table()] * 4)
    on_device = module.asarray(rows, device=device) if library == "torch" else module.asarray(rows)
    run = DevicePostProcessor(post, {"output0": ("batch", 4 + _LABELS, _BOXES)}, device)
    problem = difference(run({"output0": on_device}), post({"output0": rows}), 0.0)
    copy = (lambda: on_device.cpu().numpy()) if library == "torch" else (lambda: on_device.get())
    return {
        "ok": problem is None,
        "difference": problem,
        "on_device_ms": milliseconds(lambda: run({"output0": on_device})),
        "copied_and_kernels_ms": milliseconds(lambda: post({"output0": copy()})),
    }


def difference(found: Recognitions, expected: Recognitions, tolerance: float) -> str | None:
    """Say how results differ; None if they are equal, or with a tolerance near."""
    for one, other in zip(found.outputs, expected.outputs, strict=True):
        assert isinstance(one, Detections)
        assert isinstance(other, Detections)
        for name in _COLUMNS:
            mine, theirs = getattr(one, name), getattr(other, name)
            if mine.shape != theirs.shape:
                return f"{name}: {mine.shape} instead of {theirs.shape}"
            furthest = float(np.abs(mine.astype(np.float64) - theirs).max(initial=0))
            if furthest > (tolerance if name in ("scores", "boxes") else 0):
                return f"{name}: differs by {furthest:g}"
    return None


def milliseconds(call: Callable[[], Any]) -> dict[str, float]:
    """Time a call that has been made before: the least and the median, in milliseconds."""
    times: list[float] = []
    started = time.perf_counter()
    call()
    while len(times) < 3 or (len(times) < _TIMED_RUNS and time.perf_counter() - started < _TIMED_SECONDS):
        before = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - before))
    return {"least": round(min(times), 3), "median": round(float(np.median(times)), 3)}


if __name__ == "__main__":
    sys.exit(main())

"""The pages by task: their commands and their code run in order, as they stand.

A network of a page is two files in turn: for `postproc inspect` a graph like the exporter's, with its names,
shapes, operators and metadata and with random weights; for all else one of the same inputs and outputs that
gives planted answers.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from tests.documents.pages import ROOT, blocks, run, run_commands
from tests.documents.test_python import ellipse
from tests.inspection.exports import classifiers, distances, queries, ultralytics
from tests.inspection.exports.finished import torchvision
from tests.inspection.exports.heads import keypoints_of
from tests.inspection.in_process import run_in_this_process
from tests.models import answering
from tests.models import network as network_of

TASKS = ROOT / "docs" / "tasks"
# Commands that are not run, by how they begin.
LEFT_OUT = {
    "optimum-cli export ": "needs optimum, and fetches weights",
    "yolo export ": "needs ultralytics, and fetches weights",
}
INPUT = (1, 3, 640, 640)
COCO = ("person", "bicycle", "car", *(f"thing {row}" for row in range(3, 80)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an image of 1280 x 720."""
    run_in_this_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((1280, 720)).save("street.jpg")
    return tmp_path


# What transformers writes beside DETR.
DETR_IMAGES = {
    "do_normalize": True,
    "do_pad": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "size": {"shortest_edge": 800, "longest_edge": 1333},
}


DOTA = ("plane", "ship", *(f"thing {row}" for row in range(2, 15)))


class Printed(logging.Handler):
    """Prints warnings, as Python does by itself where nobody listens."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(f"{record.getMessage()}\n")


class Network:
    """A file that is as an exporter's while it is inspected, and gives planted answers elsewhere."""

    def __init__(self, exported: bytes, answers: Mapping[str, NDArray[Any]], *image: Any) -> None:
        self.exported, self.answering = exported, answering(answers, *image)


def run_page(
    name: str,
    capsys: pytest.CaptureFixture[str],
    networks: Mapping[str, Network],
    ends_with: Mapping[str, int] | None = None,
    **names: Any,
) -> dict[str, Any]:
    """Run a page, whose code has these names; return the names that it leaves.

    `ends_with` has the exit codes of the commands that fail, by how their blocks begin.
    """
    page = TASKS / f"{name}.md"
    commands = {block.line for block in blocks(page, "sh")}
    for block in sorted([*blocks(page, "sh"), *blocks(page)], key=lambda block: block.line):
        is_inspected = "postproc inspect" in block.code
        for path, network in networks.items():
            Path(path).write_bytes(network.exported if is_inspected else network.answering)
        if block.line not in commands:
            needs = re.findall(r"^(?:from|import) (\w+)", block.code, re.MULTILINE)
            if all(importlib.util.find_spec(module) for module in needs):
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", module="supervision")  # it would rather have OpenCV
                    run(page, block, names, capsys)
        elif not block.code.startswith(tuple(LEFT_OUT)):
            codes = [code for start, code in (ends_with or {}).items() if block.code.startswith(start)]
            run_commands(page, block, *codes or [0])
    return names


def exported(
    labels: Sequence[str] = COCO, task: str = "detect", more: Mapping[str, Any] | None = None, **options: Any
) -> bytes:
    """A table as ultralytics exports it, with `more` metadata."""
    return ultralytics.table(len(labels), INPUT, metadata=given(labels, task, **more or {}), **options)


def given(labels: Sequence[str], task: str = "detect", side: int = 640, **more: Any) -> dict[str, str]:
    """The metadata of an export of ultralytics."""
    return ultralytics.metadata(task, labels, imgsz=[side, side], **more)


def table(columns: int, *rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """A table of 8,400 boxes of which the first are given: the parts of each, one after the other."""
    made = np.zeros((columns, 8400), np.float32)
    for number, parts in enumerate(rows):
        made[:, number] = np.concatenate([np.asarray(part, np.float32) for part in parts])
    return made


def of(label: int, score: float, labels: int) -> list[float]:
    """The scores of a box of one label."""
    return [score if row == label else 0.0 for row in range(labels)]


def finished_rows(answers: Mapping[str, NDArray[Any]], image: Sequence[int]) -> bytes:
    """A network without a batch axis, as torchvision's detectors are: the answers, whatever the image."""
    nodes = [helper.make_node("Identity", [f"its_{name}"], [name]) for name in answers]
    outputs = {name: (answer.dtype, ("rows", *answer.shape[1:])) for name, answer in answers.items()}
    constants = {f"its_{name}": answer for name, answer in answers.items()}
    return network_of(nodes, {"image": (np.float32, image)}, outputs, constants)


def test_page_of_yolo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person, again, car = [320, 320, 100, 200], [322, 320, 100, 200], [500, 400, 80, 40]
    answer = table(84, [person, of(0, 0.9, 80)], [again, of(0, 0.8, 80)], [car, of(2, 0.6, 80)])
    rows = np.zeros((300, 6), np.float32)
    networks = {
        "yolo11n.onnx": Network(exported(), {"output0": answer}, INPUT, "images"),
        "yolo26n.onnx": Network(
            ultralytics.chosen(
                80, shape=INPUT, **ultralytics.described(COCO, end2end=True, imgsz=[640, 640])
            ),
            {"output0": rows},
            INPUT,
            "images",
        ),
    }
    run_page("yolo", capsys, networks)
    assert len(list(Path("drawn").iterdir())) == 1


def test_page_of_detr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logits = np.tile(np.float32([0, 0, 0, 0, 5]), (100, 1))
    boxes = np.full((100, 4), 0.5, np.float32)
    logits[7], boxes[7] = [5, 0, 0, 0, 0], [0.5, 0.5, 0.25, 0.5]
    logits[8], boxes[8] = [0, 4, 0, 0, 0], [0.2, 0.4, 0.1, 0.2]
    answers = {"logits": logits, "pred_boxes": boxes}
    network = Network(queries.detr(5, softmax=True, opset=16, ir=8), answers, queries.OPTIMUM, "pixel_values")
    for name in ("detr", "alone"):
        Path(name).mkdir()
    config = queries.config(("cat", "dog", "bird", "horse"), "DetrForObjectDetection", "detr")
    for name, content in {**config, "preprocessor_config.json": DETR_IMAGES}.items():
        Path("detr", name).write_text(json.dumps(content))
    networks = {"detr/model.onnx": network, "alone/model.onnx": network}
    run_page("detr", capsys, networks, {"postproc inspect alone/model.onnx": 3})


def test_page_of_masks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person, car = (220, 220, 420, 420), (450, 290, 610, 410)
    answer = table(
        116,
        [(320, 320, 200, 200), of(0, 0.9, 80), of(0, 1, 32)],
        [(530, 350, 160, 120), of(2, 0.6, 80), of(1, 1, 32)],
    )
    prototypes = np.full((32, 160, 160), -1, np.float32)
    prototypes[:2] = [ellipse(person), ellipse(car)]
    seg = exported(task="segment", prototypes=True, declared=(1, 116, 8400))
    pasted = np.zeros((2, 1, 320, 320), np.float32)
    pasted[0, 0, 100:200, 100:200] = 0.9
    finished = {
        "boxes": np.float32([[100, 100, 200, 200], [0, 0, 50, 50]]),
        "labels": np.array([17, 3]),
        "scores": np.float32([0.8, 0.1]),
        "masks": pasted,
    }
    networks = {
        "yolo11n-seg.onnx": Network(seg, {"output0": answer, "output1": prototypes}, INPUT, "images"),
        "maskrcnn.onnx": Network(torchvision(("boxes", "labels", "scores"), extra="masks"), {}),
    }
    networks["maskrcnn.onnx"].answering = finished_rows(finished, (3, 320, 320))
    names = run_page("masks", capsys, networks)
    assert names["masks"].shape == (1, 720, 1280)  # of Mask R-CNN, which comes last


def test_page_of_poses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joints = np.float32([[300 + 3 * row, 220 + 10 * row, 0.9 if row < 11 else 0.2] for row in range(17)])
    answer = table(56, [(320, 320, 200, 300), [0.9], joints.ravel()])
    pose = exported(
        ("person",),
        "pose",
        {"kpt_shape": [17, 3]},
        declared=(1, 56, 8400),
        extra=lambda graph, grids: keypoints_of(graph, grids, 17, 3),
    )
    network = Network(pose, {"output0": answer}, INPUT, "images")
    run_page("poses", capsys, {"yolo11n-pose.onnx": network})


def test_page_of_oriented_boxes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = table(
        20,
        [(320, 320, 200, 100), of(1, 0.9, 15), [np.pi / 6]],
        [(325, 320, 200, 100), of(1, 0.8, 15), [np.pi / 6]],
        [(520, 250, 60, 60), of(0, 0.7, 15), [0]],
    )
    turned = ultralytics.oriented(15, 640, metadata=given(DOTA, "obb"))
    network = Network(turned, {"output0": answer}, INPUT, "images")
    run_page("oriented-boxes", capsys, {"yolo11n-obb.onnx": network})


def test_page_of_classifiers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("cat", "dog", "bird", "fish")
    image = (1, 3, 224, 224)
    classes = ultralytics.classify(4, metadata=given(names, "classify", 224))
    networks = {
        "yolo11n-cls.onnx": Network(
            classes, {"output0": np.float32([0.2, 0.7, 0.06, 0.04])}, image, "images"
        ),
        "resnet.onnx": Network(classifiers.logits(4), {"output": np.zeros(4, np.float32)}, image, "images"),
    }
    Path("names.txt").write_text("\n".join(names))
    printed = Printed()
    logging.getLogger("postproc").addHandler(printed)
    try:
        run_page("classifiers", capsys, networks, {"postproc inspect resnet.onnx --save resnet\n": 3})
    finally:
        logging.getLogger("postproc").removeHandler(printed)


class Interpreter:
    """Like TensorFlow Lite's: of one output, a table of a box in rows."""

    def get_output_details(self) -> list[dict[str, Any]]:
        scales, zero_points = np.array([1 / 256], np.float32), np.array([-128], np.int32)
        quantization = {"scales": scales, "zero_points": zero_points, "quantized_dimension": 0}
        return [{"index": 7, "quantization_parameters": quantization}]

    def get_tensor(self, index: int) -> NDArray[np.int8]:
        assert index == 7
        return np.array([[[0, 0, -64, 0, 100, -100]] * 3], np.int8)


def levels() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Distances and logits of the three levels of 320 x 320: two cells of one see the same car."""
    for side in (40, 20, 10):
        sides, logits = np.zeros((4, side, side), np.float32), np.full((3, side, side), -6.0, np.float32)
        if side == 20:
            for column, logit in ((9, 2.0), (10, 1.0)):
                sides[:, 10, column] = [column - 7.5, 2.5, 11.5 - column, 2.5]  # from its middle
                logits[2, 10, column] = logit
        yield sides, logits


def in_bins(sides: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of the 16 bins of distances that lie in the middle between two: high for both."""
    away = np.abs(sides[:, None] - np.arange(16, dtype=np.float32)[:, None, None])
    return np.where(away < 1, np.float32(12), 0).reshape(64, *sides.shape[1:])


def test_page_of_quantised_networks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = distances.last_layers(labels=3, apart=True, sigmoid=True, sums=True, activation="Relu")
    outputs, attributes, results, infos = [], [], {}, []
    for sides, logits in levels():
        scores = 1 / (1 + np.exp(-logits))
        parts = ((in_bins(sides), 0.1), (scores, 1 / 255), (scores.sum(axis=0, keepdims=True), 1 / 255))
        for values, scale in parts:
            outputs.append(np.clip(np.round(values / scale) - 128, -128, 127).astype(np.int8)[None])
            attributes.append(SimpleNamespace(scale=scale, zp=-128))
    for number in (0, 1):
        for level, parts_of_level in enumerate(levels()):
            name = f"yolo26n/conv{number}{level}"
            infos.append(SimpleNamespace(name=name, quant_info=SimpleNamespace(qp_scale=0.01, qp_zp=900.0)))
            integers = np.round(parts_of_level[number] / 0.01) + 900
            results[name] = integers.astype(np.uint16).transpose(1, 2, 0)[None]
    run_page(
        "quantised",
        capsys,
        {"yolov8n_rknn.onnx": Network(cut, {"out": np.zeros(1, np.float32)})},
        interpreter=Interpreter(),
        outputs=outputs,
        attributes=attributes,
        results=results,
        infos=infos,
        lists=[[], [], [np.float32([0.4, 0.4, 0.65, 0.6, 0.9])]],
    )


def test_each_page_is_run_here() -> None:
    """Those of the other half are run by test_tasks_measure.py."""
    run = re.findall(r'run_page\(\s*"([\w-]+)"', Path(__file__).read_text("utf-8"))
    assert set(run) == {"yolo", "detr", "masks", "poses", "oriented-boxes", "classifiers", "quantised"}
    starts = {
        start
        for name in run
        for block in blocks(TASKS / f"{name}.md", "sh")
        for start in LEFT_OUT
        if block.code.startswith(start)
    }
    assert starts == set(LEFT_OUT)

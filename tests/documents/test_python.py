"""What README and docs show in Python is run as it stands, and what they say it prints is compared.

The files that the pages speak of, such as `model.onnx` and `street.jpg`, are made in an empty folder first.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import REGISTRY

from postproc import (
    PostProcessor,
    Recognitions,
    SchemaError,
    SegmentedDetections,
    Yolov8Output,
    Yolov8SegOutput,
    decoding,
    kernels,
    onnx_runner,
    pipeline,
)
from postproc.fusing import append
from postproc.kernels.core import candidates
from tests.documents.pages import DOCS, README, ROOT, blocks, run
from tests.models import answering
from tests.reference.masks import decoded_rle
from tools import draw_way

PYTHON, EMBEDDING, FUSING, HOME, HOW, OWN, RESULTS = (
    ROOT / "docs" / f"{name}.md"
    for name in ("python", "embedding", "fusing", "index", "how-it-works", "own-network", "results")
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_documents(folder: Path, post: PostProcessor) -> None:
    (folder / "spec.json").write_text(json.dumps(post.spec.dump()))
    (folder / "version.json").write_text(json.dumps(post.version.dump()))


@pytest.mark.parametrize("page", [README, HOME], ids=["readme", "home"])
def test_first_example_prints_what_it_says(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks(page)
    assert block.output is not None
    run(page, block, {}, capsys)


def test_page_of_results_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks(RESULTS):
        assert block.output is not None
        run(RESULTS, block, names, capsys)


@pytest.mark.needs_numba
def test_page_on_how_it_works_packs_keys_as_the_kernels_do(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks(HOW)
    names: dict[str, Any] = {}
    run(HOW, block, names, capsys)
    order = names["label"] * names["boxes"] + names["box"]
    threshold, discard = np.float32(0.5), np.float32(0.025)
    assert names["key"] == candidates.pack.py_func(names["score"], order, threshold, discard)


def test_picture_of_the_way_is_what_its_script_draws() -> None:
    assert draw_way.PICTURE.read_text("utf-8") == draw_way.draw()


def test_page_of_an_own_network_runs_it_on_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    post = PostProcessor.for_detection(["cat", "dog"], Yolov8Output(output_tensor="output0"), thresholds=0.5)
    save_documents(folder, post)
    table = np.zeros((6, 8400), np.float32)
    table[:, 7] = [320, 320, 64, 128, 0.9, 0.2]
    (folder / "model.onnx").write_bytes(answering({"output0": table}, ("N", 3, 640, 640), "images"))
    names = {"images": np.zeros((2, 3, 640, 640), np.float32)}
    (block,) = blocks(OWN)
    run(OWN, block, names, capsys)
    found: Any = names["batch"]
    assert found.outputs[0].label_names == ["cat", "cat"]
    np.testing.assert_allclose(found.outputs[0].boxes, [[0.45, 0.4, 0.55, 0.6]] * 2, rtol=1e-6)


def ellipse(box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """Return a prototype of 160 x 160 for an input of 640 x 640: above 0 in the ellipse that a box holds."""
    x1, y1, x2, y2 = (side / 4 for side in box)
    y, x = np.mgrid[:160, :160] + 0.5
    away = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2
    return np.clip(1 - away, -1, 1).astype(np.float32)


def test_python_page_runs_from_image_to_coco(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # An image of 1280 x 720 is half as large in the input, 140 rows below its top.
    person, car = (200.0, 200.0, 440.0, 440.0), (450.0, 290.0, 620.0, 420.0)
    table = np.zeros((4 + 2 + 2, 8400), np.float32)
    for column, box, rest in ((5, person, [0.9, 0.1, 1, 0]), (9, car, [0.3, 0.6, 0, 1])):
        x1, y1, x2, y2 = box
        table[:, column] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *rest]
    prototypes = np.stack([ellipse(person), ellipse(car)])
    answers = {"output0": table, "output1": prototypes}
    (folder / "street-seg.onnx").write_bytes(answering(answers, ("N", 3, 640, 640), "images"))
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    photo = Image.fromarray(pixels).resize((1280, 720))
    (folder / "photos").mkdir()
    for path in ("street.jpg", "photos/a.jpg", "photos/b.jpg", "photos/c.jpg"):
        photo.save(folder / path)

    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="supervision")  # it says that it would rather have OpenCV
        for block in blocks(PYTHON):
            run(PYTHON, block, names, capsys)

    masks = names["masks"]
    assert isinstance(names["found"], SegmentedDetections)
    for row, area in enumerate((480 * 480, 340 * 260)):  # an ellipse is pi / 4 of its box
        assert masks[row].sum() == pytest.approx(np.pi / 4 * area, rel=0.01)
        np.testing.assert_array_equal(decoded_rle(names["encoded"][row]), masks[row])
    np.testing.assert_array_equal(names["detections"].mask, masks)
    with Image.open("drawn.jpg") as drawn:
        assert drawn.size == (1280, 720)
        change = np.abs(np.asarray(drawn).astype(int) - np.asarray(photo)).sum(axis=2)
    assert change[masks.any(axis=0)].mean() > 10 * change[:, 1250:].mean()
    photos = json.loads(Path("photos.json").read_text())
    assert [(result["image_id"], result["category_id"]) for result in photos] == [
        (image, label) for image in (1, 2, 3) for label in (0, 1)
    ]
    assert photos[0]["segmentation"] == names["encoded"][0]


@pytest.fixture
def served(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[dict[str, Any]]:
    """What the blocks of the embedding page define, run one after another."""
    output = Yolov8Output(output_tensor="output0")
    post = PostProcessor.for_detection(["cat", "dog"], output, thresholds=0.5, input_size=[640, 640])
    save_documents(folder, post)
    table = np.zeros((6, 8400), np.float32)
    table[:, 7] = [320, 320, 64, 128, 0.9, 0.2]
    (folder / "model.onnx").write_bytes(answering({"output0": table}, ("N", 3, 640, 640), "images"))
    preprocessing = {"inputs": [{"tensor_name": "images", "image": {"target_size": "640x640"}}]}
    (folder / "preprocessing.json").write_text(json.dumps(preprocessing))
    names: dict[str, Any] = {"__name__": "page", "tensors": {"output0": table[None]}}
    for block in blocks(EMBEDDING):
        run(EMBEDDING, block, names, capsys)
    yield names
    for metric in ("SECONDS", "FOUND"):
        REGISTRY.unregister(names[metric])


def labels_of(results: Any) -> list[str]:
    return [row["label_name"] for row in results[0]["outputs"][0]["labels"]["predicted"]]


def test_embedding_page_recognises_in_a_coroutine_and_in_a_thread(served: dict[str, Any]) -> None:
    Image.new("RGB", (64, 64)).save("image.png")

    async def both() -> list[Any]:
        return [await served["boxes_of"](served["tensors"]), await served["recognised"]("image.png")]

    assert [labels_of(results) for results in asyncio.run(both())] == [["cat"], ["cat"]]


def test_embedding_page_measures_calls_and_counts_what_they_find(served: dict[str, Any]) -> None:
    for _ in range(2):
        served["measured"](served["tensors"])
    assert REGISTRY.get_sample_value("postprocessing_seconds_count") == 2
    assert REGISTRY.get_sample_value("detections_total", {"label": "cat"}) == 2
    assert REGISTRY.get_sample_value("detections_total", {"label": "dog"}) is None


def test_embedding_page_reloads_a_version_and_keeps_the_last_that_is_whole(
    served: dict[str, Any], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    current, path = served["current"], folder / "version.json"
    first = current.post
    current.refresh()
    assert current.post is first
    document = json.loads(path.read_text())

    def replace(text: str, stamp: int) -> None:
        path.write_text(text)
        os.utime(path, ns=(stamp, stamp))
        current.refresh()

    document["post_processings"][0]["detection"]["thresholds"] = [0.95, 0.95]
    replace(json.dumps(document), 1)
    second = current.post
    assert second is not first
    assert labels_of(first(served["tensors"]).to_dicts()) == ["cat"]
    assert labels_of(second(served["tensors"]).to_dicts()) == []
    for _ in range(2):
        replace("{", 2)
        assert current.post is second
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("page", "ERROR")
    assert "version.json is not taken, the last one stays" in record.getMessage()
    with pytest.raises(SchemaError):
        served["Current"]("spec.json", path)


def test_embedding_page_answers_every_fault(served: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (64, 64)).save("image.png")
    status, results = served["answer"]("image.png")
    assert (status, labels_of(results)) == (200, ["cat"])
    status, said = served["answer"](b"no image")
    assert status == 422
    assert "image" in said["error"]
    assert not caplog.records
    served["runner"].post = PostProcessor.for_detection(["cat"], Yolov8Output(output_tensor="output0"))
    assert served["answer"]("image.png")[0] == 500
    assert caplog.records[0].getMessage().startswith("TensorError: ")


def test_fusing_page_runs_fused_networks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    post = fused_network_of_the_page(folder)
    masked = fused_network_with_masks(folder)
    rows = np.zeros((1, 6, 84), np.float32)
    for block in blocks(FUSING):
        run(FUSING, block, names, capsys)
        if "post" in names and not Path("fused.onnx").exists():
            model = append(onnx.load("model.onnx"), post)
            Path("fused.onnx").write_bytes(model.SerializeToString())
    (found,) = masked.outputs
    assert isinstance(found, SegmentedDetections)
    assert names["masks"].sum(axis=(1, 2)).tolist() == [pytest.approx(np.pi / 4 * 24 * 32 / 16, rel=0.1)] * 2
    np.testing.assert_array_equal(names["masks"], found[0].masks((16, 16)))
    assert [(label, score) for label, score, _ in names["rows"]] == [(0, np.float32(0.9))]
    assert names["labels"][:, 0].tolist() == [0, 0]
    assert len(names["on_device"]({"output0": rows}).outputs[0].scores) == 0


def fused_network_of_the_page(folder: Path) -> PostProcessor:
    """Save the network that the page speaks of; it finds a cat in every image."""
    table = np.zeros((6, 84), np.float32)
    table[:, 7] = [32, 32, 16, 16, 0.9, 0.2]
    (folder / "model.onnx").write_bytes(answering({"output0": table}, ("N", 3, 64, 64), "images"))
    return PostProcessor.for_detection(["cat", "dog"], Yolov8Output(output_tensor="output0"), thresholds=0.5)


def fused_network_with_masks(folder: Path) -> Recognitions:
    """Save a fused network of two ellipses, and give what the kernels find."""
    boxes = (2.0, 4.0, 26.0, 36.0), (31.0, 27.0, 55.0, 59.0)
    y, x = np.mgrid[:16, :16] * 4 + 2
    table, prototypes = np.zeros((7, 84), np.float32), np.zeros((2, 16, 16), np.float32)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        table[:4, number] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        table[4, number], table[5 + number, number] = 0.9 - 0.1 * number, 2
        prototypes[number] = 1 - ((2 * x - x1 - x2) / (x2 - x1)) ** 2 - ((2 * y - y1 - y2) / (y2 - y1)) ** 2
    output = Yolov8SegOutput(output_tensor="output0", prototypes_tensor="output1")
    post = PostProcessor.for_detection(["cat"], output, thresholds=0.5)
    network = answering({"output0": table, "output1": prototypes}, ("N", 3, 64, 64), "images")
    fused = append(onnx.load_from_string(network), post)
    (folder / "fused-seg.onnx").write_bytes(fused.SerializeToString())
    return post({"output0": table[None], "output1": prototypes[None]}, input_size=(64, 64))


def test_pages_with_python_are_those_that_are_run_here_and_others_by_tests_of_their_own() -> None:
    # tests/spreading/test_on_ray.py makes the calls of ray.md on a cluster, test_errors.py those of
    # errors.md; folders have tests of their own.
    assert [page.name for page in DOCS if blocks(page) and page.parent == ROOT / "docs"] == [
        "embedding.md",
        "errors.md",
        "fusing.md",
        "how-it-works.md",
        "index.md",
        "own-network.md",
        "python.md",
        "ray.md",
        "results.md",
    ]


def test_loggers_of_the_embedding_page_are_there() -> None:
    names = re.findall(r"^\| `(postproc[.\w]*)` \|", EMBEDDING.read_text(), re.MULTILINE)
    assert len(names) >= 4
    packages = [pipeline, decoding, onnx_runner, kernels]
    modules = [
        importlib.import_module(module.name)
        for package in packages
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    assert set(names) == {module.logger.name for module in modules if hasattr(module, "logger")}

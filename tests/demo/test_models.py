from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from postproc import Classifications, Detections, PostprocError, PostProcessor
from postproc.demo import DETECTORS, MODELS, model_path, preprocessing_path, spec_path, version_path
from postproc.demo.pages import DigitPage, crop_digit, make_page
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.ops import box_iou

PAGES = 40


@pytest.fixture(scope="module")
def pages() -> list[DigitPage]:
    return [make_page(seed, held_out=True) for seed in range(PAGES)]


def runner_of(name: str) -> OnnxRunner:
    post = PostProcessor(spec_path(name).read_text(), version_path(name).read_text())
    return OnnxRunner(model_path(name), post, providers=["CPUExecutionProvider"])


def detect(name: str, pages: list[DigitPage]) -> Detections:
    batch = Preprocessor(preprocessing_path(name))([page.image for page in pages])
    (detections,) = runner_of(name)(batch.tensors, transforms=batch.transforms).outputs
    assert isinstance(detections, Detections)
    return detections


def matches(detections: Detections, page: DigitPage) -> int:
    """Count the digits found on a page: right label, Jaccard index of 0.5, one detection each."""
    boxes = detections.to_pixels(page.image.shape[:2])
    names = np.array(detections.label_names, dtype=str)
    free = (names[:, None] == page.labels.astype(str)) & (box_iou(boxes, page.boxes) >= 0.5)
    count = 0
    for row in range(len(boxes)):
        if free[row].any():
            free[:, free[row].argmax()] = False
            count += 1
    return count


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_finds_digits_that_it_never_saw(name: str, pages: list[DigitPage]) -> None:
    detections = detect(name, pages)
    found = sum(matches(detections[row], page) for row, page in enumerate(pages))
    written = sum(len(page.labels) for page in pages)
    assert written > 400
    assert found / written >= 0.9
    assert found / len(detections.labels) >= 0.9


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_finds_the_same_in_a_batch_as_alone(name: str, pages: list[DigitPage]) -> None:
    together, alone = detect(name, pages[:3])[1], detect(name, pages[1:2])[0]
    np.testing.assert_array_equal(together.label_ids, alone.label_ids)
    np.testing.assert_allclose(together.boxes, alone.boxes, atol=1e-4)


def test_classifier_names_digits_that_it_never_saw(pages: list[DigitPage]) -> None:
    crops = [crop_digit(page.image, box) for page in pages for box in page.boxes]
    tensors = Preprocessor(preprocessing_path("classifier"))(crops).tensors
    (guesses,) = runner_of("classifier")(tensors, max_predictions=1).outputs
    assert isinstance(guesses, Classifications)
    said = [row.label_names[0] if len(row.labels) else "" for row in (guesses[i] for i in range(len(crops)))]
    labels = np.concatenate([page.labels for page in pages])
    assert np.mean(np.array(said) == labels.astype(str)) >= 0.95


@pytest.mark.parametrize("name", MODELS)
def test_documents_label_ids_are_not_rows(name: str) -> None:
    (output,) = json.loads(spec_path(name).read_text())["outputs"]
    labels = output["labels"]["labels"]
    assert [label["name"] for label in labels] == [str(digit) for digit in range(10)]
    assert all(label["id"] != row for row, label in enumerate(labels))


@pytest.mark.parametrize("name", MODELS)
def test_model_is_small_and_runs_on_the_oldest_supported_runtime(name: str) -> None:
    assert model_path(name).stat().st_size < 700_000
    model = onnx.load(model_path(name))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 8
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    for value in [*model.graph.input, *model.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param, f"{value.name}: its batch axis is fixed"


@pytest.mark.parametrize("name", MODELS)
def test_model_tells_nothing_of_the_machine_it_was_trained_on(name: str) -> None:
    model = onnx.load(model_path(name))
    assert not model.metadata_props
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    content = model_path(name).read_bytes()
    assert not any(trace in content for trace in (b".py", b"/home/", b"/work/", b"/root/", b"site-packages"))


@pytest.mark.parametrize("find", [model_path, version_path, preprocessing_path, spec_path])
def test_paths_of_an_unknown_name_raise(find: object) -> None:
    assert callable(find)
    with pytest.raises(PostprocError, match=r"one of yolo, anchored, direct, classifier; got 'yolo9'"):
        find("yolo9")

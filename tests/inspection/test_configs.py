"""What transformers keeps beside a network: config.json and preprocessor_config.json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc.errors import InspectionError
from postproc.images import Preprocessor
from postproc.inspection import Inspection, inspect_model
from postproc.inspection.configs import config_beside, image_style_beside, labels_of_config
from postproc.inspection.graph import Graph
from postproc.inspection.image_inputs import preprocessing_for
from postproc.inspection.labels import labels_of_file
from postproc.inspection.presets import SQUASH
from tests.inspection.networks import SOFTMAX, Network, ultralytics

CLASSIFIER = Network({"pixel_values": ("batch", 3, "height", "width")}).output("logits", (1, 3), SOFTMAX)
NAMES = {"0": "cat", "1": "dog", "2": "owl"}
IMAGENET: dict[str, Any] = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
VIT: dict[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_processor_type": "ViTImageProcessor",
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 192},
    **IMAGENET,
}


def inspected(folder: Path, network: Network = CLASSIFIER, **files: Any) -> Inspection:
    """Inspect a network beside which files lie: texts as they are, other values as JSON."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text)
    return inspect_model(network.save(folder / "model.onnx"))


def image_of(inspection: Inspection) -> dict[str, Any]:
    preprocessing = inspection.proposals[0].preprocessing
    assert preprocessing is not None
    image = preprocessing.inputs[0].image
    assert image is not None
    return image.dump()


# --- config.json


def test_config_beside_the_network_names_its_labels(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, config={"model_type": "vit", "id2label": NAMES})
    labels = inspection.graph.labels
    assert labels is not None
    assert (labels.names, labels.source) == (("cat", "dog", "owl"), "config.json beside the network")
    assert inspection.graph.config_labels is labels
    assert inspection.graph.notes == ()
    outputs = inspection.proposals[0].spec.outputs
    assert [label.name for label in outputs[0].labels.labels] == ["cat", "dog", "owl"]


def test_config_above_a_folder_called_onnx_names_its_labels(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": NAMES}))
    for folder, source in (("onnx", "config.json in the folder above the network's"), ("other", None)):
        labels = inspected(tmp_path / folder).graph.labels
        assert (None if labels is None else labels.source) == source


def test_config_names_of_coco_keep_their_rows(tmp_path: Path) -> None:
    rows = {str(row): "N/A" if row in (0, 12, 26) else f"thing {row}" for row in range(91)}
    inspection = inspected(tmp_path, config={"id2label": {**rows}})
    labels = inspection.graph.labels
    assert labels is not None
    assert (len(labels), labels.names[12], labels.names[13]) == (91, "N/A", "thing 13")
    del rows["12"]
    labels = inspected(tmp_path, config={"id2label": rows}).graph.labels
    assert labels is not None
    assert (len(labels), labels.names[12], labels.names[13]) == (91, "label 12", "thing 13")


def test_labels_of_a_config_given_by_hand(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["X"], "id2label": NAMES}))
    assert labels_of_file(tmp_path / "config.json").names == ("cat", "dog", "owl")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["X"]}))
    with pytest.raises(InspectionError, match=r'config.json names no labels; .*\{"id2label": '):
        labels_of_file(tmp_path / "config.json")


def test_metadata_wins_over_the_config_and_it_is_said(tmp_path: Path) -> None:
    network = Network(metadata={"names": "['cat', 'dog']"}).output("logits", (1, 2), SOFTMAX)
    graph = inspected(tmp_path, network, config={"id2label": NAMES}).graph
    assert graph.labels is not None
    assert graph.config_labels is not None
    assert (graph.labels.names, graph.config_labels.names) == (("cat", "dog"), ("cat", "dog", "owl"))
    assert graph.notes == (
        '"names" in the metadata and config.json beside the network name different labels, 2 and 3: the '
        "former are used",
    )
    same = inspected(tmp_path, network, config={"id2label": {"0": "cat", "1": "dog"}})
    assert same.graph.notes == ()


def test_labels_of_the_caller_win_over_the_config_and_it_is_said(tmp_path: Path) -> None:
    inspected(tmp_path, config={"id2label": NAMES})
    graph = inspect_model(tmp_path / "model.onnx", labels=["a", "b", "c"]).graph
    assert graph.labels is not None
    assert graph.labels.names == ("a", "b", "c")
    assert graph.notes == (
        "the caller and config.json beside the network name different labels, 3 and 3: the former are used",
    )


@pytest.mark.parametrize("config", [{}, {"id2label": None}, {"names": ["a"]}], ids=str)
def test_config_that_names_no_labels_is_passed_over(config: dict[str, Any], tmp_path: Path) -> None:
    graph = inspected(tmp_path, config=config).graph
    assert (graph.labels, graph.notes) == (None, ())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param("{", "config.json beside the network cannot be read: config.json is not JSON", id="cut"),
        pytest.param("[" * 100_000, "config.json beside the network cannot be read", id="deep"),
        pytest.param('{"a": 1, "a": 2}', 'the key "a" is given twice', id="repeated"),
        pytest.param([], "expected an object, got list", id="list"),
        pytest.param({"id2label": ["cat"]}, 'id2label: expected an object {"0": "cat", ', id="names"),
        pytest.param({"id2label": {"0": None}}, "id2label: expected an object", id="null"),
        pytest.param({"id2label": {"cat": 0}}, "id2label: expected an object", id="label2id"),
        pytest.param({"id2label": {"0": "x" * 1001}}, "id2label: expected an object", id="long"),
    ],
)
def test_config_that_is_broken_is_a_note(config: Any, message: str, tmp_path: Path) -> None:
    inspection = inspected(tmp_path, config=config)
    (note,) = inspection.graph.notes
    assert message in note
    assert note.endswith("; it is not used")
    assert inspection.graph.labels is None
    assert inspection.proposals
    with pytest.raises(InspectionError):
        labels_of_config(config_beside(tmp_path / "model.onnx"))


def test_config_that_is_a_folder_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    assert "cannot be read" in inspected(tmp_path).graph.notes[0]


# --- preprocessor_config.json


def test_preprocessor_config_tells_how_images_are_prepared(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, preprocessor_config=VIT)
    assert (inspection.graph.input_size, inspection.graph.size_source) == ((224, 192), "config")
    assert image_of(inspection) == {
        "dimension_order": "NCHW",
        "resize_type": "SQUASH",
        "target_size": "192x224",
        "color_channels": "RGB",
        "pixel_scaling": 1.0,
        "mean": IMAGENET["image_mean"],
        "std": IMAGENET["image_std"],
        "data_type": "FLOAT32",
    }
    assert not any("guessed" in check or "assumed" in check for check in inspection.proposals[0].checks)


def test_preprocessor_config_gives_the_numbers_that_transformers_computes(tmp_path: Path) -> None:
    config = {**VIT, "rescale_factor": 0.00784313725490196, "image_mean": [1.0] * 3, "image_std": 0.5}
    inspection = inspected(tmp_path, preprocessor_config=config)
    preprocessing = inspection.proposals[0].preprocessing
    assert preprocessing is not None
    tensor = Preprocessor(preprocessing)([np.full((20, 20, 3), 51, np.uint8)]).tensors["pixel_values"]
    np.testing.assert_allclose(tensor, (51 * 2 / 255 - 1) / 0.5, rtol=1e-6)


def test_size_of_the_file_or_the_caller_goes_before_the_config(tmp_path: Path) -> None:
    fixed = Network({"pixel_values": (1, 3, 64, 96)}).output("logits", (1, 3), SOFTMAX)
    inspection = inspected(tmp_path, fixed, preprocessor_config=VIT)
    assert inspection.graph.input_size == (64, 96)
    assert image_of(inspection)["target_size"] == "96x64"
    inspected(tmp_path)
    graph = inspect_model(tmp_path / "model.onnx", size=(32, 48)).graph
    assert (graph.input_size, graph.size_source) == ((32, 48), "given")


@pytest.mark.parametrize(
    ("config", "resize_type", "size"),
    [
        pytest.param({"size": 224}, "SQUASH", (224, 224), id="one number"),
        pytest.param({"do_pad": True}, "SQUASH", (224, 192), id="pads to the largest of a batch"),
        pytest.param({"do_center_crop": False, "crop_size": 9}, "SQUASH", (224, 192), id="no crop"),
        pytest.param(
            {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": 224, "do_pad": True},
            *("CROP", (224, 224)),
            id="centre",
        ),
        pytest.param(
            {"size": 224, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
            *("CROP", (224, 224)),
            id="centre of older versions",
        ),
    ],
)
def test_resizing_that_a_preprocessing_expresses_has_no_check(
    config: dict[str, Any], resize_type: str, size: tuple[int, int], tmp_path: Path
) -> None:
    inspected(tmp_path, preprocessor_config={**VIT, **config})
    style = image_style_beside(tmp_path / "model.onnx")
    assert style is not None
    assert (style.fields["resize_type"], style.size, style.checks) == (resize_type, size, ())


@pytest.mark.parametrize(
    ("config", "size", "said"),
    [
        pytest.param(
            {"size": {"shortest_edge": 800, "longest_edge": 1333}, "do_pad": True},
            *((800, 800), '"size": {"shortest_edge": 800, "longest_edge": 1333}, "do_pad": true'),
            id="DETR",
        ),
        pytest.param({"size": 800, "max_size": 1333}, (800, 800), '"max_size": 1333', id="older DETR"),
        pytest.param(
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224},
            *((224, 224), '"shortest_edge": 256'),
            id="larger than the crop",
        ),
        pytest.param(
            {"size": {"shortest_edge": 224, "longest_edge": 300}, "do_center_crop": True, "crop_size": 224},
            *((224, 224), '"longest_edge": 300'),
            id="longest side too",
        ),
        pytest.param({"size": 224, "crop_pct": 0.875}, (224, 224), '"crop_pct": 0.875', id="ConvNeXT"),
        pytest.param({"size": {"longest_edge": 512}}, (640, 640), '"longest_edge": 512', id="longest"),
        pytest.param(
            {"do_pad": True, "pad_size": {"height": 640, "width": 640}},
            *((224, 192), '"pad_size": {'),
            id="padding",
        ),
        pytest.param({"do_resize": False}, (224, 192), '"do_resize": false', id="none"),
        pytest.param(
            {"size": None, "do_resize": None}, (640, 640), "of which nothing is said", id="not said"
        ),
        pytest.param({"resample": 3}, (224, 192), "its filter is bicubic", id="filter"),
    ],
)
def test_resizing_that_no_preprocessing_expresses_is_a_check(
    config: dict[str, Any], size: tuple[int, int], said: str, tmp_path: Path
) -> None:
    inspection = inspected(tmp_path, preprocessor_config={**VIT, **config})
    assert inspection.graph.input_size == size
    (check,) = [check for check in inspection.proposals[0].checks if "preprocessor_config" in check]
    assert said in check
    assert image_of(inspection)["mean"] == IMAGENET["image_mean"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"do_normalize": False}, {"pixel_scaling": 1.0}, id="no mean"),
        pytest.param(
            {"do_rescale": False, "do_normalize": False}, {"pixel_scaling": 255}, id="pixels as they are"
        ),
        pytest.param(
            {"do_flip_channel_order": True, "do_normalize": False}, {"color_channels": "BGR"}, id="BGR"
        ),
    ],
)
def test_values_of_pixels_are_those_of_the_config(
    config: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    image = image_of(inspected(tmp_path, preprocessor_config={**VIT, **config}))
    assert image.items() >= expected.items()
    assert "mean" not in image


def test_config_of_sounds_says_nothing_of_images(tmp_path: Path) -> None:
    config = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "feature_size": 1}
    graph = inspected(tmp_path, preprocessor_config=config).graph
    assert (graph.image_style, graph.notes) == (None, ())


def test_config_does_not_change_the_letterbox_of_ultralytics(tmp_path: Path) -> None:
    network = Network(metadata=ultralytics()).output("output0", (1, 84, 8400), "decoded+sigmoid")
    assert image_of(inspected(tmp_path, network, preprocessor_config=VIT))["resize_type"] == "FILL"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param("{", "cannot be read", id="cut"),
        pytest.param({**VIT, "image_mean": [0.5, 0.5]}, "image_mean: expected three numbers", id="two"),
        pytest.param({**VIT, "image_mean": ["a"] * 3}, "image_mean: expected three numbers", id="texts"),
        pytest.param({**VIT, "image_std": [1, 0, 1]}, "image_std: expected three numbers above 0", id="zero"),
        pytest.param({**VIT, "image_std": None}, "do_normalize without image_std", id="missing"),
        pytest.param(
            {**VIT, "rescale_factor": -1}, "rescale_factor: expected a number above 0", id="below 0"
        ),
        pytest.param({**VIT, "rescale_factor": True}, "rescale_factor: expected a number", id="truth"),
        pytest.param(
            json.dumps({**VIT, "rescale_factor": 10**400}), "rescale_factor: expected a number", id="huge"
        ),
        pytest.param(json.dumps({**VIT, "rescale_factor": float("nan")}), "rescale_factor: exp", id="NaN"),
        pytest.param({**VIT, "size": "224"}, 'expected sides from 1 to 10000 pixels, got "224"', id="text"),
        pytest.param({**VIT, "size": [224, 224]}, "expected sides", id="sides"),
        pytest.param({**VIT, "size": {"height": 0, "width": 5}}, "expected sides", id="no side"),
        pytest.param({**VIT, "size": 10**6}, "expected sides", id="too large"),
        pytest.param({**VIT, "include_top": True}, "include_top is an option", id="EfficientNet"),
    ],
)
def test_preprocessor_config_that_is_broken_or_unknown_is_a_note(
    config: Any, message: str, tmp_path: Path
) -> None:
    inspection = inspected(tmp_path, preprocessor_config=config)
    (note,) = inspection.graph.notes
    assert note.startswith("preprocessor_config.json beside the network")
    assert message in note
    assert inspection.graph.image_style is None
    assert any("guessed" in check for check in inspection.proposals[0].checks)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph]:
    """Give a network of a fixed size, and the folder where it lies."""
    folder = tmp_path_factory.mktemp("fixed")
    network = Network({"pixel_values": (1, 3, 9, 9)}).output("logits", (1, 3), SOFTMAX)
    return folder, inspected(folder, network).graph


_sides = st.just(224) | st.none() | st.integers(1, 2000)
_sizes = _sides | st.dictionaries(st.sampled_from(["height", "width", "shortest_edge"]), _sides)
_wrong = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(_sides)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_pad"), st.booleans()),
    **dict.fromkeys(("size", "crop_size", "pad_size"), _sizes),
    **dict.fromkeys(("image_mean", "image_std"), st.lists(st.floats(0.1, 1), min_size=3, max_size=3)),
    "rescale_factor": st.floats(0.001, 1),
    "resample": st.integers(0, 5),
}


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a config of an image processor, in which at most one field is wrong."""
    config = draw(st.fixed_dictionaries({}, optional=_FIELDS))
    return {**config, **draw(st.just({}) | st.dictionaries(st.sampled_from([*_FIELDS]), _wrong, max_size=1))}


@given(configs())
def test_preprocessor_config_of_any_content_is_a_style_or_an_inspection_error(
    fixed: tuple[Path, Graph], config: dict[str, Any]
) -> None:
    folder, graph = fixed
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    try:
        style = image_style_beside(folder / "model.onnx")
    except InspectionError:
        return
    if style is None:
        return
    preprocessing, checks = preprocessing_for(replace(graph, image_style=style), SQUASH, style.size or (9, 9))
    assert preprocessing is not None
    assert checks == list(style.checks)

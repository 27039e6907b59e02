"""Vectors of scores and of features, and outputs that no kind expresses: what run and operators say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from postproc.inspection.evidence import Part
from postproc.inspection.nodes import Node
from postproc.inspection.recognisers.classifiers import classifiers
from postproc.inspection.recognisers.maps import maps
from postproc.inspection.recognisers.others import chosen_indices, keypoints, texts
from postproc.inspection.recognisers.scored_boxes import scored_boxes
from postproc.inspection.recognisers.vectors import cascades, hidden_states, vectors
from tests.inspection.observing import (
    CHOOSING,
    SIDE,
    conclusion,
    observed,
    only,
)

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(0, 3, (1, 7)).astype(np.float32)
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum()
TAGS = 1 / (1 + np.exp(-LOGITS))
SOFTMAX, SIGMOID, LAYER, LOG = (
    (Node(name, ("a",), ("y",)),) for name in ("Softmax", "Sigmoid", "Gemm", "LogSoftmax")
)


@pytest.mark.parametrize(
    ("values", "nodes", "activation", "is_exclusive"),
    [
        (SHARES, SOFTMAX, "none", True),
        (SHARES, (), "none", True),
        (TAGS, SIGMOID, "none", False),
        (TAGS, (), "none", False),
        (LOGITS, LAYER, "softmax", True),
        (np.log(SHARES), LOG, "softmax", True),
        (np.abs(LOGITS) / 20, LAYER, "softmax", True),  # as small by chance as probabilities are
    ],
    ids=["softmax", "adds up to 1", "sigmoid", "each in [0, 1]", "logits", "logarithms", "small logits"],
)
def test_classifier_scores_need_what_run_and_operators_say(
    values: Any, nodes: Any, activation: str, is_exclusive: bool
) -> None:
    reading = only(observed({"y": values}, nodes, labels=7), classifiers)
    ((output, count, exclusive),) = reading.meaning.outputs  # type: ignore[union-attr]
    assert (output.score_activation, count, exclusive) == (activation, 7, is_exclusive)
    assert reading.certainty > 0


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"architectures": ["ViTForImageClassification"]}, "softmax"),
        (
            {
                "architectures": ["ViTForImageClassification"],
                "problem_type": "multi_label_classification",
            },
            "sigmoid",
        ),
    ],
)
def test_classifier_of_transformers_is_what_its_config_says(
    config: Mapping[str, Any], activation: str
) -> None:
    reading = only(observed({"logits": LOGITS}, config=config), classifiers)
    assert reading.values[Part.ACTIVATION] == activation


def test_classifier_of_numbers_that_nothing_explains_is_possible_at_most() -> None:
    values = RNG.normal(0, 3, (1, 107)).astype(np.float32)
    best = conclusion(observed({"y": values}, LAYER), classifiers, vectors).best
    assert max(reading.certainty for reading in best) == 0


def test_classifier_of_imagenet_is_known_by_how_many_labels_it_has() -> None:
    values = RNG.normal(0, 3, (1, 1000)).astype(np.float32)
    reading = only(observed({"y": values}, LAYER), classifiers, vectors)
    assert reading.values[Part.ACTIVATION] == "softmax"
    assert reading.certainty > 0


UNIT = RNG.normal(0, 1, (1, 96))
UNIT /= np.linalg.norm(UNIT)


@pytest.mark.parametrize(
    ("name", "values"),
    [("y", RNG.normal(0, 3, (1, 512))), ("y", UNIT), ("embedding", RNG.normal(0, 3, (1, 107)))],
    ids=["width", "length", "name"],
)
def test_embeddings_are_named_by_width_length_and_name(name: str, values: Any) -> None:
    nodes = (Node("Gemm", ("a",), (name,)),)
    left = conclusion(observed({name: values}, nodes), classifiers, vectors).best
    assert left[0].meaning is None or any(reading.meaning is None for reading in left)


@pytest.mark.parametrize(
    ("recognise", "outputs", "image", "says"),
    [
        (cascades, {"a": LOGITS[:, :4], "b": SHARES[:, :2]}, (1, 3, 24, 24), "MTCNN"),
        (cascades, {"a": np.ones((1, 4, 9, 9)), "b": np.ones((1, 2, 9, 9))}, (1, 3, 28, 28), "MTCNN"),
        (maps, {"y": np.ones((1, 21, 80, 80))}, (1, 3, SIDE, SIDE), "segmentation"),
        (maps, {"y": np.ones((1, SIDE, SIDE))}, (1, 3, SIDE, SIDE), "depth"),
        (maps, {"y": np.ones((1, 80, 80, 5))}, (1, SIDE, SIDE, 3), "segmentation"),
        (keypoints, {"y": np.ones((1, 1, 17, 3))}, (1, 3, 192, 192), "keypoints"),
        (keypoints, {"a": np.ones((1, 17, 384)), "b": np.ones((1, 17, 512))}, (1, 3, 256, 192), "simcc"),
        (texts, {"y": np.ones((1, 40, 97))}, (1, 3, 48, 320), "character"),
        (hidden_states, {"a": np.ones((1, 196, 96)), "b": np.ones((1, 96))}, (1, 3, 224, 224), "hidden"),
    ],
)
def test_outputs_that_no_kind_expresses_are_named(
    recognise: Any, outputs: Any, image: Any, says: str
) -> None:
    (reading,) = recognise(observed(outputs, image=image))
    assert reading.meaning is None
    assert says in reading.advice


@pytest.mark.parametrize(
    ("recognise", "outputs", "image"),
    [
        (cascades, {"a": LOGITS[:, :4], "b": SHARES[:, :3]}, (1, 3, 24, 24)),
        (maps, {"y": np.ones((1, 255, 40, 40))}, (1, 3, SIDE, SIDE)),
        (maps, {"y": np.ones((1, 21, 80, 80)), "z": np.ones((1, 7))}, (1, 3, SIDE, SIDE)),
        (keypoints, {"y": np.ones((1, 2, 17, 3))}, (1, 3, 192, 192)),
        (texts, {"y": np.ones((1, 2100, 84))}, (1, 3, SIDE, SIDE)),
        (hidden_states, {"a": np.ones((1, 196, 96)), "b": np.ones((1, 95))}, (1, 3, 224, 224)),
        (scored_boxes, {"dets": np.ones((1, 100, 5))}, (1, 3, SIDE, SIDE)),
    ],
)
def test_outputs_that_are_nearly_so_are_not_named_so(recognise: Any, outputs: Any, image: Any) -> None:
    assert not list(recognise(observed(outputs, image=image)))


def test_indices_of_nms_are_named_by_the_operator_that_gives_them() -> None:
    outputs = {"y": np.zeros((5, 3), np.int64), "boxes": np.ones((1, 30, 4))}
    (reading,) = chosen_indices(observed(outputs, CHOOSING))
    assert "standard_output" in reading.advice
    assert not list(chosen_indices(observed(outputs)))

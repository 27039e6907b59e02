"""What a post-processor logs of scores that are no probabilities: once, and never of ordinary ones."""

from __future__ import annotations

import logging
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import (
    Classification,
    DistanceOutput,
    EndToEndOutput,
    PostProcessor,
    TensorError,
    Yolov8ObbOutput,
    Yolov8Output,
    Yolov8PoseOutput,
)
from tests import kinds
from tests.pipelines import KINDS, LABELS, OUTPUTS, Tensors, post_processor, tensors_of

# The tensor of each kind that holds what are to be probabilities, and where in it the first label's are.
SCORES: dict[str, tuple[str, Any]] = {
    "classification": ("scores", np.s_[:, 0]),
    **{name: kind.scores for name, kind in kinds.KINDS.items() if kind.scores is not None},
}


@pytest.fixture
def signs(caplog: pytest.LogCaptureFixture) -> Any:
    """The warnings about scores so far."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if record.name == "postproc.signs"]


def with_scores(kind: str, change: Any) -> tuple[str, Tensors]:
    """Tensors of a kind whose scores are changed."""
    name, place = SCORES[kind]
    tensors = tensors_of(kind)
    tensors[name][place] = change(tensors[name][place])
    return name, tensors


def test_every_kind_but_those_of_logits_is_in_these_tests() -> None:
    of_logits = {kind for kind, output in OUTPUTS.items() if output.makes_probabilities}
    assert set(KINDS) - set(SCORES) == of_logits == {"yolo", "yolov3"}


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_scores_are_not_logged(kind: str, signs: Any) -> None:
    post = post_processor(kind)
    for seed in range(3):
        post(tensors_of(kind, seed=seed), show_discarded=True)
    assert signs() == []


@pytest.mark.parametrize("nms_method", ["hard", "soft", "weighted"])
@pytest.mark.parametrize("kind", SCORES)
def test_scores_above_1_are_logged_once(kind: str, nms_method: str, signs: Any) -> None:
    if nms_method != "hard" and (kind not in OUTPUTS or nms_method not in OUTPUTS[kind].nms_methods):
        pytest.skip("has no other way")
    decision = {} if kind == "classification" else {"nms_method": nms_method, "nms_threshold": 0.5}
    post = post_processor(kind, **decision)
    post(tensors_of(kind))  # the first call's scores are as they should be
    name, tensors = with_scores(kind, lambda scores: scores * 12 + 2)
    for _ in range(2):
        post(tensors)
    (message,) = signs()
    highest = max(output.scores.max() for output in post(tensors).outputs)
    assert f"scores in tensor {name!r} reach up to {highest:.4g}; probabilities are 0 to 1" in message
    assert "(q - zero_point) * scale" in message
    own = "classification" if kind == "classification" else f"{kind}_output"
    assert f"may be of another kind than {own}" in message


@pytest.mark.parametrize("kind", SCORES)
def test_scores_below_0_of_the_first_call_are_logged_once(kind: str, signs: Any) -> None:
    post = post_processor(kind)
    name, tensors = with_scores(kind, lambda scores: scores * 8 - 6)
    for _ in range(2):
        post(tensors)
    (message,) = signs()
    assert f"scores in tensor {name!r} reach from -" in message
    if kind.startswith("yolov") or kind == "end_to_end":
        assert f"{kind}_output takes probabilities: export the network with its sigmoid" in message
    else:
        assert "If they are logits, declare score_activation;" in message


@pytest.mark.parametrize("kind", SCORES)
def test_scores_are_looked_at_in_the_first_call_only(
    kind: str, signs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = post_processor(kind)
    post(tensors_of(kind))
    monkeypatch.setattr("postproc.pipeline.signs.ScoreSigns.look", lambda *_: pytest.fail("looked again"))
    post(with_scores(kind, lambda scores: scores - 6)[1])
    assert signs() == []


@pytest.mark.parametrize("score_activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("kind", ["anchored", "direct", "standard", "ssd", "classification", "yolox"])
def test_logits_that_are_declared_are_not_logged(kind: str, score_activation: str, signs: Any) -> None:
    _, tensors = with_scores(kind, lambda scores: scores * 80 - 40)
    if kind == "classification":
        classification = Classification(output_tensor="scores", score_activation=score_activation)
        post = PostProcessor.for_classification(LABELS, classification)
    else:
        if kind == "yolox" and score_activation == "softmax":
            pytest.skip("has no softmax")
        if kind == "direct":
            tensors = {
                name: tensor[:, :, None] if tensor.ndim == 2 else tensor for name, tensor in tensors.items()
            }
        output: Any = type(OUTPUTS[kind])(**{**OUTPUTS[kind].dump(), "score_activation": score_activation})
        post = PostProcessor.for_detection(LABELS, output, thresholds=0.4, input_size=[20, 32])
    post(tensors, show_discarded=True)
    assert signs() == []


def classified(*scores: list[float], **options: Any) -> PostProcessor:
    """A post-processor that has been called with scores of the labels a and b."""
    post = PostProcessor.for_classification(["a", "b"], Classification(output_tensor="o"), **options)
    post({"o": np.array(scores, np.float32)})
    return post


@pytest.mark.parametrize(
    "scores",
    [
        [1.0, 0.0],
        [256 / 255, 0.0],
        [0.5, -1 / 255],
        [np.nan, 0.5],
        [np.inf, 0.5],
        [-np.inf, 0.5],
        [np.nan, np.nan],
    ],
    ids=str,
)
def test_rounding_and_what_is_not_finite_are_not_logged(scores: list[float], signs: Any) -> None:
    classified(scores)
    assert signs() == []


@pytest.mark.parametrize("masked", [np.nan, -np.inf, np.inf])
def test_scores_below_0_are_seen_beside_what_is_not_finite(masked: float, signs: Any) -> None:
    classified([masked, -3.0], [0.5, 2.0])
    (message,) = signs()
    assert "reach from -3 to 2;" in message


@pytest.mark.parametrize("kind", ["direct", "end_to_end"])
def test_lists_filled_up_with_scores_of_minus_1_are_not_logged(kind: str, signs: Any) -> None:
    name, place = SCORES[kind]
    tensors = tensors_of(kind)
    tensors[name][place][:, 20:] = -1
    post_processor(kind)(tensors)
    assert signs() == []


def test_rows_beyond_the_count_of_a_list_are_not_looked_at(signs: Any) -> None:
    output: Any = type(OUTPUTS["end_to_end"])(output_tensor="rows", count_tensor="count")
    tensors = {**tensors_of("end_to_end"), "count": np.array([20, 0, 40])}
    tensors["rows"][0, 20:], tensors["rows"][1] = -7, 1e9
    PostProcessor.for_detection(LABELS, output, thresholds=0.4)(tensors)
    assert signs() == []


def test_images_without_anything_leave_the_look_to_a_later_call(signs: Any) -> None:
    post = classified([0.0, 0.0])
    post({"o": np.empty((0, 2), np.float32)})
    post({"o": np.array([[-5.0, 0.5]], np.float32)})
    assert len(signs()) == 1


def test_images_without_anything_are_not_looked_at_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    post = classified([0.0, 0.0])
    for _ in range(9):
        post({"o": np.zeros((1, 2), np.float32)})
    monkeypatch.setattr("postproc.pipeline.signs.ScoreSigns.look", lambda *_: pytest.fail("looked again"))
    post({"o": np.zeros((1, 2), np.float32)})


@pytest.mark.parametrize("kind", ["classification", "yolov8", "end_to_end"])
def test_a_warm_up_leaves_the_look_to_the_first_call(kind: str, signs: Any) -> None:
    post = post_processor(kind)
    for _ in range(20):
        post.warmup()
    post(with_scores(kind, lambda scores: scores - 6)[1])
    assert len(signs()) == 1


def test_a_post_processor_that_was_pickled_does_not_say_it_again(signs: Any) -> None:
    post = classified([-5.0, 0.5])
    pickle.loads(pickle.dumps(post))({"o": np.array([[7.0, 0.5]], np.float32)})
    assert len(signs()) == 1


def test_several_threads_say_it_once(signs: Any) -> None:
    post = post_processor("yolov8", num_threads=2)
    _, tensors = with_scores("yolov8", lambda scores: scores * 8 + 2)
    threads = [threading.Thread(target=post, args=(tensors,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signs()) == 1


def finished_rows(rows: int = 300, seed: int = 0) -> NDArray[np.float32]:
    """Rows cx, cy, w, h, score, class, angle, best first, the last of them empty."""
    rng = np.random.default_rng(seed)
    count = rows // 10
    table = np.zeros((1, rows, 7), np.float32)
    table[0, :count, :4] = rng.uniform(20, 200, (count, 4))
    table[0, :count, 4] = np.sort(rng.uniform(0.01, 0.99, count))[::-1]
    table[0, :count, 5] = rng.integers(0, 2, count)
    table[0, :count, 6] = rng.uniform(-1, 1, count)
    return table


def read_as_obb(table: NDArray[np.float32], labels: int = 2) -> None:
    output = Yolov8ObbOutput(output_tensor="o")
    names = ["ship", "plane", "car"][:labels]
    PostProcessor.for_detection(names, output, thresholds=0.25, input_size=[320, 320])({"o": table})


@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_classes_of_finished_rows_that_are_read_as_scores_are_logged(
    seed: int, is_planar: bool, signs: Any
) -> None:
    table = finished_rows(seed=seed)
    read_as_obb(np.ascontiguousarray(table.swapaxes(1, 2)) if is_planar else table)
    (message,) = signs()
    assert "tensor 'o': what is read as scores of the label 'plane' are whole numbers" in message
    assert "of another kind than yolov8_obb_output?" in message


def test_classes_of_finished_upright_rows_that_are_read_as_scores_are_logged(signs: Any) -> None:
    output = Yolov8Output(output_tensor="o")
    post = PostProcessor.for_detection(["ship", "plane"], output, thresholds=0.25, input_size=[320, 320])
    post({"o": finished_rows()[:, :, :6]})
    assert len(signs()) == 1


def sigmoid_table(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """A table of two labels as networks write it: hardly a score is 0 or 1."""
    rng = np.random.default_rng(seed)
    table = rng.uniform(20, 200, (1, rows, 7)).astype(np.float32)
    table[0, :, 4:6] = 1 / (1 + np.exp(-rng.normal(-6, 4, (rows, 2))))
    return table


def changed(table: NDArray[np.float32], label: int, values: Any) -> NDArray[np.float32]:
    table[0, :, 4 + label] = values
    return table


ORDINARY = {
    "a network's": sigmoid_table(8400),
    "tiny": finished_rows(40),
    "a label that is never seen": changed(sigmoid_table(300), 1, 0),
    "one-hot": changed(changed(finished_rows(), 0, np.arange(300) % 2), 1, (np.arange(300) + 1) % 2),
    "saturated in some rows": changed(sigmoid_table(300), 1, np.r_[np.ones(20), np.full(280, 1e-7)]),
    "one label only where the other is 0": changed(
        changed(finished_rows(), 0, np.r_[0.7, np.zeros(299)]), 1, np.r_[0, 1, np.zeros(298)]
    ),
    "half precision": sigmoid_table(8400).astype(np.float16).astype(np.float32),
    "8 bits": changed(
        changed(finished_rows(), 0, np.round(sigmoid_table(300)[0, :, 4] * 256) / 256),
        1,
        np.round(sigmoid_table(300)[0, :, 5] * 256) / 256,
    ),
}


@pytest.mark.parametrize("table", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_tables_are_not_taken_for_finished_rows(table: NDArray[np.float32], signs: Any) -> None:
    read_as_obb(table)
    assert signs() == []


def test_one_hot_scores_beside_an_objectness_are_not_taken_for_finished_rows(signs: Any) -> None:
    tensors = tensors_of("yolov5")
    tensors["table"][:, :, 5:] = np.eye(3)[np.random.default_rng(0).integers(0, 3, (3, 40))]
    post_processor("yolov5")(tensors)
    assert signs() == []


def finished(columns: str, kept: int = 30, seed: int = 0) -> NDArray[np.float32]:
    """Rows as of YOLO26 end to end in 320 x 320 pixels, best first, whose last are empty, of such columns."""
    rng = np.random.default_rng(seed)
    low, size = rng.uniform(20, 200, (300, 2)), rng.uniform(20, 100, (300, 2))
    points = low[:, None] + rng.uniform(0, 1, (300, 16, 2)) * size[:, None]
    seen = rng.uniform(0, 1, (300, 16, 1))
    made = {
        "image": np.zeros((300, 1)),
        "box": np.concatenate([low, low + size], axis=1),
        "cxcywh": np.concatenate([low + size / 2, size], axis=1),
        "score": np.sort(rng.uniform(0.3, 0.99, (300, 1)), axis=0)[::-1],
        "class": rng.integers(0, 2, (300, 1)),
        "angle": rng.uniform(-0.7, 2.3, (300, 1)),
        "degrees": rng.uniform(-90, 90, (300, 1)),
        "16 x 2 points": points.reshape(300, 32),
        "16 x 3 points": np.concatenate([points, seen], axis=2).reshape(300, 48),
        "32 coefficients": rng.normal(0, 1, (300, 32)),
    }
    table = np.concatenate([made[name] for name in columns.split(", ")], axis=1)
    table[kept:] = 0
    return table[None].astype(np.float32)


PROTOTYPES = np.ones((1, 32, 80, 80), np.float32)
ROWS_OF = {
    "boxes": ("box, score, class", {}),
    "oriented": ("cxcywh, score, class, angle", {"box_format": "cxcywh"}),
    "poses": ("box, score, class, 16 x 2 points", {"keypoints": 16, "dimensions": 2}),
    "poses with scores": ("box, score, class, 16 x 3 points", {"keypoints": 16}),
    "masks": ("box, score, class, 32 coefficients", {"prototypes_tensor": "p"}),
}
COLUMN_OF = {"cxcywh": "box", "16 x 2 points": "keypoints", "16 x 3 points": "keypoints"}


def read_as(columns: tuple[str, ...], table: NDArray[np.float32], labels: int = 2, **fields: Any) -> None:
    output = EndToEndOutput(output_tensor="o", columns=columns, **fields)
    post = PostProcessor.for_detection(
        ["ship", "plane"][:labels], output, thresholds=0.25, input_size=[320] * 2
    )
    for _ in range(2):
        post({"o": table, "p": PROTOTYPES})


@pytest.mark.parametrize("kept", [0, 1, 30, 300])
@pytest.mark.parametrize("rows", ROWS_OF)
def test_finished_rows_that_are_what_is_declared_are_not_logged(rows: str, kept: int, signs: Any) -> None:
    held, fields = ROWS_OF[rows]
    columns = [COLUMN_OF.get(name, name.removeprefix("32 ")) for name in held.split(", ")]
    read_as(tuple(columns), finished(held, kept), **fields)
    assert signs() == []


WRONG: dict[str, tuple[str, tuple[str, ...], dict[str, Any], str]] = {
    "oriented rows with class and score exchanged": (
        "cxcywh, score, class, angle",
        ("box", "class", "score", "angle"),
        {"box_format": "cxcywh"},
        "where a class is read, which is a whole number",
    ),
    "oriented rows with angle and class exchanged": (
        "cxcywh, score, class, angle",
        ("box", "score", "angle", "class"),
        {"box_format": "cxcywh"},
        "where a class is read, which is a whole number",
    ),
    "boxes with class and score exchanged": (
        "box, score, class",
        ("box", "class", "score"),
        {},
        "where a class is read, which is a whole number",
    ),
    "a list of images as oriented rows": (
        "image, box, class, score",
        ("box", "score", "class", "angle"),
        {"box_format": "cxcywh"},
        "reach up to",
    ),
    "a list of images, score first, as oriented rows": (
        "image, box, score, class",
        ("box", "score", "class", "angle"),
        {"box_format": "cxcywh"},
        "where a class is read, which is a whole number",
    ),
    "degrees": (
        "cxcywh, score, class, degrees",
        ("box", "score", "class", "angle"),
        {"box_format": "cxcywh"},
        "where angles in radians are read",
    ),
    "coefficients as keypoints": (
        "box, score, class, 32 coefficients",
        ("box", "score", "class", "keypoints"),
        {"keypoints": 16, "dimensions": 2},
        "keypoints in tensor 'o' are far from their boxes",
    ),
    "points of x and y with a score": (
        "box, score, class, 16 x 3 points",
        ("box", "score", "class", "keypoints"),
        {"keypoints": 24, "dimensions": 2},
        "keypoints in tensor 'o' are far from their boxes",
    ),
    "points of x and y as if they had a score": (
        "box, score, class, 16 x 3 points",
        ("box", "score", "keypoints", "class"),
        {"keypoints": 16},
        "where a class is read, which is a whole number",
    ),
}


@pytest.mark.parametrize(("held", "columns", "fields", "text"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("labels", [1, 2])
def test_finished_rows_of_another_kind_than_declared_are_logged_once(
    held: str, columns: tuple[str, ...], fields: dict[str, Any], text: str, labels: int, signs: Any
) -> None:
    read_as(columns, finished(held), labels, **fields)
    (message,) = signs()
    assert text in message
    assert "another kind than end_to_end_output" in message


def test_oriented_rows_as_a_list_of_images_are_an_error() -> None:
    with pytest.raises(TensorError, match=r"its image is .*; expected a whole number"):
        read_as(("image", "box", "score", "class"), finished("cxcywh, score, class, angle"))


@pytest.mark.parametrize(("held", "keypoints"), [("16 x 3 points", 16), ("16 x 2 points", 10)])
def test_finished_poses_that_are_read_as_a_table_of_two_labels_are_logged(
    held: str, keypoints: int, signs: Any
) -> None:
    table = finished(f"box, score, class, {held}")[:, :, : 6 + 3 * keypoints]
    output = Yolov8PoseOutput(
        output_tensor="o", keypoints=keypoints, box_format="xyxy", layout="channels_last"
    )
    post = PostProcessor.for_detection(["ship", "plane"], output, thresholds=0.25, input_size=[320, 320])
    post({"o": table})
    (message,) = signs()
    assert "what is read as scores of the label 'plane' are whole numbers" in message


def test_poses_of_two_dimensions_that_are_read_as_three_are_logged(signs: Any) -> None:
    table = finished("box, score, class, 16 x 2 points")[:, :, : 6 + 30]
    read_as(("box", "score", "class", "keypoints"), table, keypoints=10)
    (message,) = signs()
    assert "keypoints in tensor 'o' have a third number of up to" in message
    assert "declare dimensions 2" in message


def test_keypoints_of_few_boxes_leave_the_look_to_later_calls(signs: Any) -> None:
    held = "box, score, class, 32 coefficients"
    output = EndToEndOutput(
        output_tensor="o", columns=("box", "score", "class", "keypoints"), keypoints=16, dimensions=2
    )
    post = PostProcessor.for_detection(["ship", "plane"], output, thresholds=0.25, input_size=[320, 320])
    post({"o": finished(held, 0)})
    post({"o": finished(held, 2)})
    assert signs() == []
    post({"o": finished(held, 4)})
    assert len(signs()) == 1


def test_a_class_that_is_no_whole_number_is_logged_even_after_another_sign(signs: Any) -> None:
    output = EndToEndOutput(output_tensor="o")
    post = PostProcessor.for_detection(["ship", "plane"], output, thresholds=0.25, input_size=[320, 320])
    table = finished("box, score, class")
    table[0, 0, 4] = 3
    post({"o": table})
    table[0, 0, 5] = 0.25
    for _ in range(2):
        post({"o": table})
    assert [message.partition(" ")[0] for message in signs()] == ["scores", "tensor"]
    assert "'o' holds 0.25 where a class is read" in signs()[1]


def test_classes_of_rows_beyond_the_count_are_not_looked_at(signs: Any) -> None:
    output = EndToEndOutput(output_tensor="o", count_tensor="n")
    table = finished("box, score, class")
    table[0, 30:, 5] = 0.5
    post = PostProcessor.for_detection(["ship", "plane"], output, thresholds=0.25, input_size=[320, 320])
    post({"o": table, "n": np.array([30])})
    assert signs() == []


def test_far_keypoints_are_said_to_be_in_their_own_tensor(signs: Any) -> None:
    output = DistanceOutput(
        scores_tensors=("scores",),
        distances_tensors=("distances",),
        landmarks_tensors=("landmarks",),
        keypoints=2,
        strides=(8,),
        layout="channels_last",
    )
    post = PostProcessor.for_detection(["face"], output, thresholds=0.5, input_size=(32, 32))
    shape = (1, 4, 4)
    tensors = {
        "scores": np.full((*shape, 1), 0.9, np.float32),
        "distances": np.full((*shape, 4), 0.4, np.float32),
        "landmarks": np.full((*shape, 4), 90, np.float32),
    }
    post(tensors)
    (message,) = signs()
    assert message.startswith("keypoints in tensor 'landmarks' are far from their boxes")

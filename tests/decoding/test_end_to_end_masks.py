"""`end_to_end_output` with masks as probabilities: pasted into boxes, or over the whole input."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import EndToEndOutput, ImageTransform, PastedDetections, PostProcessor, TensorError
from tests.reference.masks import decoded_rle, frame_of, is_inside, pasted_at, sums_at

HEIGHT, WIDTH = 40, 80
LABELS = ["cat", "dog", "owl"]
SEPARATE = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}


def post(labels: list[str] = LABELS, **fields: Any) -> PostProcessor:
    fields = {**({} if "output_tensor" in fields else SEPARATE), "masks_tensor": "masks", **fields}
    output = EndToEndOutput.load(fields)
    return PostProcessor.for_detection(labels, output, thresholds=0.5, input_size=[HEIGHT, WIDTH])


def rows(boxes: Any, masks: Any, classes: Any = 0) -> dict[str, Any]:
    """Return the tensors of one image, without a batch axis."""
    boxes = np.array(boxes, np.float32)
    return {
        "boxes": boxes,
        "scores": np.linspace(0.9, 0.6, len(boxes)).astype(np.float32),
        "classes": np.broadcast_to(np.array(classes, np.int64), len(boxes)),
        "masks": np.asarray(masks, np.float32),
    }


def found(tensors: dict[str, Any], options: Any = None, **fields: Any) -> PastedDetections:
    detections = post(**fields)(tensors, **(options or {})).outputs[0]
    assert type(detections) is PastedDetections
    return detections


def random_rows(rng: np.random.Generator, count: int, side: int) -> dict[str, Any]:
    centres, sizes = rng.uniform(-0.1, 1.1, (count, 2)), rng.uniform(0.01, 0.6, (count, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1) * ([WIDTH, HEIGHT] * 2)
    whole = rng.random(count) < 0.3
    boxes[whole] = np.round(boxes[whole])
    return rows(boxes, rng.random((count, 1, side, side)))


def assert_masks(masks: NDArray[np.bool_], values: list[NDArray[Any]]) -> None:
    for mask, value in zip(masks, values, strict=True):
        sure = ~(np.abs(value) < 1e-5)
        assert_array_equal(mask[sure], value[sure] > 0)


@pytest.mark.parametrize("seed", range(20))
def test_pasted_masks_of_random_boxes_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = random_rows(rng, 12, int(rng.integers(1, 9)))
    detections = found(tensors)
    assert len(detections.labels) > 6  # boxes outside of the image are none
    for size in ((HEIGHT, WIDTH), (7, 150), (1, 1)):
        masks = detections.masks(size)
        expected = []
        for row in range(len(detections.labels)):
            box = tensors["boxes"][detections.regions[row]].astype(np.float64)
            scaled = box / ([WIDTH, HEIGHT] * 2) * ([size[1], size[0]] * 2)
            values, has = pasted_at(tensors["masks"][detections.regions[row], 0], scaled, *size)
            expected.append(np.where(has, values, -1))
        assert_masks(masks, expected)
        assert_array_equal([decoded_rle(mask) for mask in detections.to_rle(size)], masks)
    assert detections.masks((HEIGHT, WIDTH)).any()


@pytest.mark.parametrize("seed", range(8))
def test_masks_that_cover_the_input_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = {**random_rows(rng, 5, 4), "masks": rng.random((5, 1, 10, 20), np.float32)}
    transform = ImageTransform.letterbox((HEIGHT, WIDTH), (20, 20))
    for chosen in (None, transform):
        options = {} if chosen is None else {"transforms": [chosen]}
        detections = found(tensors, options, masks_cover="image")
        size = (9, 14)
        masks = detections.masks(size)
        frame = frame_of((HEIGHT, WIDTH), chosen)
        grids = tensors["masks"][detections.regions, 0]
        assert_masks(masks, [sums_at(np.ones(1), grid[None] - 0.5, frame, *size) for grid in grids])
        assert_array_equal([decoded_rle(mask) for mask in detections.to_rle(size)], masks)


def test_masks_of_the_input_in_its_own_size_are_what_is_above_a_half() -> None:
    masks = np.random.default_rng(0).random((2, 1, HEIGHT, WIDTH), np.float32)
    detections = found(rows([[0, 0, 10, 10], [5, 5, 20, 20]], masks), masks_cover="image")
    assert_array_equal(detections.masks((HEIGHT, WIDTH)), masks[:, 0] > 0.5, strict=True)


@pytest.mark.parametrize("form", ["(N, m, m)", "(N, L, m, m)", "(1, N, 1, m, m)", "(1, N, m, m)"])
def test_masks_of_any_form_are_those_of_the_rows(form: str) -> None:
    tensors = random_rows(np.random.default_rng(3), 6, 5)
    expected = found(tensors).masks((HEIGHT, WIDTH))
    masks = tensors["masks"]
    if form == "(N, m, m)":
        given = {**tensors, "masks": masks[:, 0]}
    elif form == "(N, L, m, m)":
        classes = np.array([0, 1, 2, 2, 1, 0])
        by_label = np.zeros((6, 3, 5, 5), np.float32)
        by_label[np.arange(6), classes] = masks[:, 0]
        given = {**tensors, "masks": by_label, "classes": classes}
    else:
        given = {name: tensor[None] for name, tensor in tensors.items()}
        if form == "(1, N, m, m)":
            given["masks"] = masks[None, :, 0]
    assert_array_equal(found(given).masks((HEIGHT, WIDTH)), expected)


def test_masks_without_a_batch_axis_go_with_rows_of_one_image() -> None:
    tensors = random_rows(np.random.default_rng(3), 6, 5)
    given = {name: tensor if name == "masks" else tensor[None] for name, tensor in tensors.items()}
    size = (HEIGHT, WIDTH)
    assert_array_equal(found(given).masks(size), found(tensors).masks(size))


def test_masks_follow_rows_that_name_their_images_or_are_counted() -> None:
    rng = np.random.default_rng(5)
    one, other = random_rows(rng, 4, 5), random_rows(rng, 3, 5)
    size = (HEIGHT, WIDTH)
    expected = [found(one).masks(size), found(other).masks(size)]
    tables = [
        np.column_stack([t["boxes"], t["scores"], t["classes"]]).astype(np.float32) for t in (one, other)
    ]
    masks = np.concatenate([one["masks"], other["masks"]])
    images = np.repeat([0, 1], [4, 3])
    order = rng.permutation(7)
    table = np.column_stack([images, np.concatenate(tables)])[order]
    named = {"rows": table.astype(np.float32), "masks": masks[order]}
    columns = ["image", "box", "score", "class"]
    counted = {"rows": np.concatenate(tables), "masks": masks, "count": np.array([4, 3])}
    padded = {
        "rows": np.stack([tables[0], np.pad(tables[1], ((0, 1), (0, 0)))]),
        "masks": np.stack([one["masks"], np.pad(other["masks"], ((0, 1), (0, 0), (0, 0), (0, 0)))]),
        "count": np.array([4, 3]),
    }
    for tensors, fields in (
        (named, {"columns": columns}),
        (counted, {"count_tensor": "count"}),
        (padded, {"count_tensor": "count"}),
    ):
        detections = found(tensors, output_tensor="rows", **fields)
        assert len(detections) == 2
        for image in range(2):
            assert_array_equal(detections[image].masks(size), expected[image])


def test_masks_of_unclipped_boxes_are_pasted_into_the_whole_box() -> None:
    # The left half of the box lies outside of the image: the right half of its mask is seen.
    mask = np.zeros((1, 1, 4, 4))
    mask[..., 2:] = 1
    detections = found(rows([[-40, 0, 40, 40]], mask))
    assert_array_equal(detections.boxes, [[0, 0, 0.5, 1]])
    assert detections.masks((HEIGHT, WIDTH))[0, 5:35, 2:38].all()
    ((ring,),) = detections.mask_polygons()
    assert_allclose(np.unique(ring, axis=0), [[0, 0], [0, 1], [0.5, 0], [0.5, 1]], atol=1e-6)


@pytest.mark.parametrize("cover", ["box", "image"])
def test_outlines_follow_the_cells_above_a_half(cover: str) -> None:
    rng = np.random.default_rng(2)
    tensors = rows([[10, 5, 50, 30], [-10, -10, 30, 20]], rng.random((2, 1, 6, 6)))
    detections = found(tensors, masks_cover=cover)
    for row, rings in enumerate(detections.mask_polygons()):
        x1, y1, x2, y2 = (0, 0, WIDTH, HEIGHT) if cover == "image" else tensors["boxes"][row]
        for (y, x), value in np.ndenumerate(tensors["masks"][row, 0]):
            place = (x1 + (x + 0.5) / 6 * (x2 - x1)) / WIDTH, (y1 + (y + 0.5) / 6 * (y2 - y1)) / HEIGHT
            if min(place) > 0 and max(place) < 1:
                assert is_inside(rings, *place) == (value > 0.5)
        assert all(ring.min() >= 0 and ring.max() <= 1 for ring in rings)


@pytest.mark.parametrize("cover", ["box", "image"])
def test_pasted_detections_index_join_and_leave_in_every_form(cover: str) -> None:
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(1)
    tensors = {name: np.stack([a, a]) for name, a in random_rows(rng, 5, 4).items()}
    tensors["masks"][1] = 1 - tensors["masks"][1]
    whole = found(tensors, {"show_discarded": True}, masks_cover=cover)
    sizes = [(9, 8), (7, 6)]
    encoded = whole.to_rle(sizes)
    joined = PastedDetections.concatenate([whole[0], whole[1:]])
    for same in (joined, whole[:], pickle.loads(pickle.dumps(whole))):
        assert same.to_rle(sizes) == encoded
    assert whole[1].to_rle(sizes[1]) == encoded[whole.offsets[1] :]
    mask = whole.scores > 0.7
    assert whole[mask].to_rle(sizes) == [one for one, kept in zip(encoded, mask, strict=True) if kept]
    numbers = np.array([6, 1, 1])
    assert whole.take(numbers).to_rle(sizes) == [encoded[row] for row in sorted(numbers.tolist())]
    assert whole[:0].to_rle((4, 4)) == whole[:0].mask_polygons() == []
    coco = whole.to_coco([1, 2], sizes)
    assert [one["segmentation"] for one in coco] == encoded
    dicts = json.loads(json.dumps(whole.to_dicts(), allow_nan=False))
    assert len(dicts[0]["predicted"][0]["roi"]["polygons"]) == len(whole.mask_polygons()[0])
    table = whole.to_arrow(["a", "b"], sizes)
    assert table.column("mask").to_pylist() == [one["counts"] for one in encoded]


def test_pasted_detections_hold_the_probabilities_themselves() -> None:
    tensors = random_rows(np.random.default_rng(1), 5, 4)
    assert np.shares_memory(found(tensors).probabilities[0], tensors["masks"])


HOSTILE = {
    "outside": [[200, 0, 240, 40], [-100, -100, -50, -50]],
    "tiny": [[5.2, 5.2, 5.3, 5.3], [7, 7, 7, 7]],
    "huge": [[-1e9, -1e9, 1e9, 1e9], [-1e30, 0, 1e30, 40], [3e38, 3e38, 3.4e38, 3.4e38]],
    "flipped": [[50, 30, 10, 5]],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_boxes_are_no_crash(name: str) -> None:
    boxes = HOSTILE[name]
    detections = found(rows(boxes, np.ones((len(boxes), 1, 5, 5))))
    masks = detections.masks((HEIGHT, WIDTH))
    for mask, encoded in zip(masks, detections.to_rle((HEIGHT, WIDTH)), strict=True):
        assert_array_equal(decoded_rle(encoded), mask)
    assert len(detections.mask_polygons()) == len(masks)
    if name in ("outside", "flipped"):  # no boxes at all
        assert not len(masks)
    elif name == "huge":
        assert masks[0].all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_probability_that_is_not_finite_is_no_crash(bad: float) -> None:
    detections = found(rows([[0, 0, 80, 40]], np.full((1, 1, 3, 3), bad)))
    masks = detections.masks((HEIGHT, WIDTH))
    assert_array_equal([decoded_rle(mask) for mask in detections.to_rle((HEIGHT, WIDTH))], masks)
    json.dumps(detections.to_dicts(), allow_nan=False)
    assert masks.any() == (bad == np.inf)


def test_no_rows_have_no_masks() -> None:
    detections = found(rows(np.empty((0, 4)), np.empty((0, 1, 28, 28))))
    assert detections.masks((4, 4)).shape == (0, 4, 4)
    assert detections.to_rle((4, 4)) == detections.mask_polygons() == []


ERRORS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "pasted_already": (
        np.zeros((2, 1, HEIGHT, WIDTH)),
        {},
        r"\(2, 1, 40, 80\), masks of 40 x 80; expected m x m, to be pasted into boxes; if they cover the "
        'whole input, declare masks_cover: "image"',
    ),
    "channels": (
        np.zeros((2, 4, 28, 28)),
        {},
        r"\(2, 4, 28, 28\); expected \(2, 1, m, m\) or \(2, 3, m, m\) or \(2, m, m\)",
    ),
    "rows": (np.zeros((3, 1, 28, 28)), {}, r"\(3, 1, 28, 28\); expected \(2, 1, m, m\)"),
    "empty": (np.zeros((2, 1, 0, 0)), {}, r"expected \(2, 1, m, m\)"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_masks_of_another_shape_are_a_tensor_error(name: str) -> None:
    masks, fields, text = ERRORS[name]
    with pytest.raises(TensorError, match=text):
        found(rows([[0, 0, 1, 1]] * 2, masks), **fields)


def test_square_masks_as_large_as_the_input_are_a_tensor_error() -> None:
    with pytest.raises(TensorError, match=r"64 x 64, the size of the network's input.*masks_cover"):
        found(rows([[0, 0, 1, 1]], np.zeros((1, 1, 64, 64))), {"input_size": (64, 64)})


def test_missing_masks_are_a_tensor_error() -> None:
    tensors = rows([[0, 0, 1, 1]], np.zeros((1, 1, 4, 4)))
    del tensors["masks"]
    with pytest.raises(TensorError, match="tensor 'masks' is missing"):
        found(tensors)


def test_empty_masks_are_left_out_where_that_is_asked_for() -> None:
    masks = np.stack([np.full((1, 4, 4), value) for value in (0.9, 0.1, 0.6)])
    # The last box lies between two pixels, but the pasted one reaches over them.
    tensors = rows([[0, 0, 20, 20], [0, 0, 40, 40], [30.1, 30.1, 30.2, 30.2]], masks)
    assert found(tensors).regions.tolist() == [0, 1, 2]
    kept = found(tensors, keep_empty_masks=False)
    assert kept.regions.tolist() == [0, 2]
    assert kept.offsets.tolist() == [0, 2]
    assert kept.masks((HEIGHT, WIDTH)).any(axis=(1, 2)).all()


def test_keep_empty_masks_false_needs_the_size_of_the_input() -> None:
    output = EndToEndOutput.load({**SEPARATE, "masks_tensor": "masks", "keep_empty_masks": False})
    made = PostProcessor.for_detection(LABELS, output, thresholds=0.5)
    tensors = rows([[0, 0, 20, 20]], np.ones((1, 1, 4, 4)))
    with pytest.raises(TensorError, match="without the size of the network's input"):
        made(tensors)
    assert len(made(tensors, input_size=(HEIGHT, WIDTH)).outputs[0].labels) == 1

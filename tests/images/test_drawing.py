"""Drawn pictures: what lies where, in which colour, and that nothing makes them fail."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFont

from postproc.errors import ImageError, TensorError
from postproc.images.drawing import draw_classifications, draw_detections, draw_outputs, label_color

GREY = np.full((480, 640, 3), 128, np.uint8)


def classifications(
    names: Sequence[str], *, labels: Any = None, scores: Any = None, predicted: Any = None
) -> SimpleNamespace:
    count = len(names)
    return SimpleNamespace(
        label_names=tuple(names),
        labels=np.array(range(count) if labels is None else labels, np.int64),
        scores=np.array([0.5] * count if scores is None else scores, np.float32),
        predicted=np.array([True] * count if predicted is None else predicted, np.bool_),
    )


def detections(boxes: Any, names: Sequence[str] | None = None, **rows: Any) -> SimpleNamespace:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    if names is None:
        names = [f"label {row}" for row in range(len(corners))]
    result = classifications(names, **rows)
    result.boxes = corners
    return result


def drawn(image: Any, *outputs: Any, **options: Any) -> NDArray[np.uint8]:
    return np.asarray(draw_outputs(image, outputs, **options))


def where(picture: NDArray[np.uint8], row: int) -> NDArray[np.bool_]:
    """Return which pixels have the colour of a label."""
    return np.asarray((picture == label_color(row)).all(axis=-1))


def test_predicted_box_is_outlined_in_its_labels_colour() -> None:
    # A picture of 640 x 480 has lines of 2 pixels.
    picture = drawn(GREY, detections([[0.25, 0.5, 0.75, 0.75]], labels=[4]))
    assert picture.shape == GREY.shape
    colored = where(picture, 4)
    assert colored[240:360, 160:162].all()
    assert colored[240:360, 478:480].all()
    assert colored[240:242, 160:480].all()
    assert colored[358:360, 160:480].all()
    assert not colored[242:358, 162:478].any()
    changed = (picture != 128).any(axis=-1)
    assert not changed[360:].any()
    assert not changed[:, :160].any()
    assert not changed[:, 480:].any()


def test_tag_lies_above_the_box_filled_with_its_colour() -> None:
    colored = where(drawn(GREY, detections([[0.25, 0.5, 0.75, 0.75]])), 0)
    tag = colored[220:240, 160:200]
    assert tag.mean() > 0.5
    assert not colored[:215].any()


@pytest.mark.parametrize(
    "box",
    [[0, 0, 1, 1], [0, 0, 0.01, 0.01], [0.99, 0, 1, 0.02], [0.98, 0.99, 1, 1], [0, 0.97, 0.03, 1]],
    ids=["whole", "top-left", "top-right", "bottom-right", "bottom-left"],
)
def test_tag_of_a_box_at_the_border_stays_inside_the_picture(box: list[float]) -> None:
    free = where(drawn(GREY, detections([[0.3, 0.5, 0.31, 0.51]])), 0).sum()
    at_border = where(drawn(GREY, detections([box])), 0).sum()
    outline = 2 * 2 * (640 + 480) if box == [0, 0, 1, 1] else 0
    # The tag's filled area is the same wherever it lies, whole and uncut.
    assert at_border >= 0.9 * (free + outline)


def test_tags_of_equal_boxes_do_not_hide_each_other() -> None:
    alone = where(drawn(GREY, detections([[0.4, 0.4, 0.6, 0.6]])), 0).sum()
    boxes = [[0.4, 0.4, 0.6, 0.6]] * 4
    picture = drawn(GREY, detections(boxes))
    outline = 2 * 2 * (128 + 96)
    for row in range(4):
        assert where(picture, row).sum() >= 0.9 * (alone - outline)


def test_first_of_equal_boxes_lies_on_top_and_discarded_ones_below() -> None:
    boxes = [[0.4, 0.4, 0.6, 0.6]] * 3
    picture = drawn(GREY, detections(boxes, predicted=[False, True, True]))
    assert where(picture, 1)[220:280, 256:258].all()


def test_discarded_box_is_thin_and_dashed() -> None:
    box = [[0.25, 0.5, 0.75, 0.75]]
    dashed = where(drawn(GREY, detections(box, predicted=[False])), 0)
    solid = where(drawn(GREY, detections(box)), 0)
    edge = dashed[250:350, 160]
    assert 0.3 < edge.mean() < 0.7
    assert not dashed[250:350, 161].any()
    assert solid[250:350, 160:162].all()


@pytest.mark.parametrize(("side", "width"), [(480, 2), (1440, 6), (2880, 12)])
def test_lines_scale_with_the_image(side: int, width: int) -> None:
    colored = where(drawn(np.zeros((side, side, 3), np.uint8), detections([[0.25, 0.25, 0.75, 0.75]])), 0)
    assert colored[side // 2, : side // 2].sum() == width


def test_text_scales_with_the_image() -> None:
    box = [[0.5, 0.5, 0.501, 0.501]]
    areas = [where(drawn(np.zeros((s, s, 3), np.uint8), detections(box)), 0).sum() for s in (600, 1800)]
    assert areas[1] == pytest.approx(9 * areas[0], rel=0.2)


def test_label_names_and_scores_change_what_is_written() -> None:
    box = [[0.25, 0.5, 0.75, 0.75]]
    pictures = [
        drawn(GREY, detections(box, [name], scores=[score])).tobytes()
        for name, score in [("cat", 0.91), ("dog", 0.91), ("cat", 0.92)]
    ]
    assert len(set(pictures)) == 3


def test_label_color_of_many_labels_is_distinct() -> None:
    colors = [label_color(row) for row in range(300)]
    assert len(set(colors)) == 300
    assert all(0 <= channel <= 255 for color in colors for channel in color)


def test_no_outputs_and_no_rows_leave_the_image_as_it_was() -> None:
    assert (drawn(GREY) == 128).all()
    assert (drawn(GREY, detections([]), classifications([])) == 128).all()


def test_drawing_does_not_modify_its_input() -> None:
    image = Image.fromarray(GREY)
    assert draw_detections(image, detections([[0, 0, 1, 1]])) is not image
    assert image.tobytes() == GREY.tobytes()


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((20, 10), {}, (480, 240)),
        ((30, 49), {}, (300, 490)),
        ((480, 1), {}, (480, 1)),
        ((100, 700), {}, (100, 700)),
        ((20, 10), {"min_side": 1}, (20, 10)),
        ((20, 10), {"min_side": 50}, (60, 30)),
    ],
    ids=str,
)
def test_small_image_is_enlarged_by_a_whole_factor(
    size: tuple[int, int], options: Any, expected: tuple[int, int]
) -> None:
    assert drawn(np.zeros(size, np.uint8), detections([[0, 0, 1, 1]]), **options).shape == (*expected, 3)


@pytest.mark.parametrize("min_side", [1, 480])
@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (2, 3), (7, 5)], ids=str)
def test_image_of_any_size_can_be_drawn_on(size: tuple[int, int], min_side: int) -> None:
    boxes = [[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], [1, 1, 1, 1], [0, 0, 0, 0], [-3, -2, 5, 7]]
    found = detections(boxes, predicted=[True, True, True, False, False])
    listed = classifications(["a name that is much too long for this picture"] * 9)
    picture = draw_outputs(np.zeros(size, np.uint8), [found, listed], min_side=min_side)
    assert picture.mode == "RGB"


NAMES = {
    "empty": "",
    "chinese": "猫",
    "arabic": "قطة",
    "emoji": "🐈\N{ZERO WIDTH JOINER}⬛",
    "combining": "e\u0301\u0301\u0301",
    "lines": "a\nb\r\nc\td",
    "controls": "\0\x1b[31m\u202e",
    "surrogate": "\ud800",
    "long": "word " * 100_000,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_label_name_can_be_drawn(name: str) -> None:
    draw_outputs(GREY, [detections([[0.1, 0.1, 0.2, 0.2]], [name]), classifications([name])])


@pytest.mark.parametrize(
    "gap", ["\0", "\n", "\t \r\n", "\u202e", "\ud800", "\N{ZERO WIDTH SPACE}"], ids=ascii
)
def test_characters_that_do_not_print_are_drawn_as_a_space(gap: str) -> None:
    box = [[0.1, 0.1, 0.2, 0.2]]
    np.testing.assert_array_equal(
        drawn(GREY, detections(box, [f"one{gap}two"])), drawn(GREY, detections(box, ["one two"]))
    )


def test_long_name_is_shortened_and_its_score_stays() -> None:
    box = [[0.1, 0.5, 0.2, 0.6]]
    pictures = [drawn(GREY, detections(box, ["W" * 150], scores=[score])) for score in (0.11, 0.99)]
    assert (pictures[0] != pictures[1]).any()
    tag = where(pictures[0], 0)
    assert tag.any(axis=0).sum() <= 320, "a tag takes at most half of the picture's width"


def test_classifications_are_listed_in_the_upper_left_corner() -> None:
    picture = np.asarray(draw_classifications(GREY, classifications(["cat", "dog"], predicted=[True, False])))
    changed = (picture != 128).any(axis=-1)
    assert changed[0, 0]
    assert not changed[60:].any()
    assert not changed[:, 120:].any()
    assert where(picture, 0).sum() > 2 * where(picture, 1).sum() > 0, "a filled chip and an open one"


def test_more_classifications_than_fit_are_counted() -> None:
    names = [f"label {row}" for row in range(1000)]
    picture = drawn(GREY, classifications(names))
    assert where(picture, 0).any()
    assert where(picture, 20).any()
    assert not where(picture, 40).any()


def test_tags_and_the_list_do_not_hide_each_other() -> None:
    listed = classifications(["first", "second"], labels=[7, 8])
    alone = drawn(GREY, listed)
    both = drawn(GREY, detections([[0, 0, 0.05, 0.3]]), listed)
    panel = (alone != 128).any(axis=-1)
    np.testing.assert_array_equal(both[panel], alone[panel])
    # Not above the box, nor inside at its top, but below.
    assert where(both, 0)[144:170, :60].mean() > 0.4


def test_thousands_of_boxes_are_drawn() -> None:
    starts, sizes = np.random.default_rng(0).random((2, 3000, 2)) / 2
    boxes = np.concatenate([starts, starts + sizes], axis=1)
    draw_detections(GREY, detections(boxes))


def test_font_from_a_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = ImageFont.load_default(12)
    assert isinstance(bundled, ImageFont.FreeTypeFont)
    assert isinstance(bundled.path, BytesIO)
    (tmp_path / "letters.ttf").write_bytes(bundled.path.getvalue())
    monkeypatch.delattr(ImageFont, "load_default")
    assert where(drawn(GREY, detections([[0.1, 0.5, 0.2, 0.6]]), font=tmp_path / "letters.ttf"), 0).any()


def test_font_that_cannot_be_read_is_an_error_that_names_it() -> None:
    with pytest.raises(ImageError, match=r"font 'missing\.ttf': cannot be read"):
        draw_detections(GREY, detections([]), font="missing.ttf")


def test_image_that_cannot_be_read_is_an_error_that_names_it() -> None:
    with pytest.raises(ImageError, match=r"image 'missing\.png'"):
        draw_detections("missing.png", detections([]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"boxes": np.zeros((2, 5))},
            r"boxes: expected finite numbers of shape \(K, 4\), got shape \(2, 5\)",
        ),
        ({"boxes": np.zeros(4)}, "boxes: expected"),
        ({"boxes": np.full((2, 4), np.nan)}, "boxes: expected finite"),
        ({"boxes": np.zeros((3, 4))}, "expected one length for all rows .*'boxes': 3"),
        ({"scores": np.zeros(1)}, "expected one length .*'scores': 1"),
        ({"label_names": ("a", "b", "c")}, "expected one length .*'label_names': 3"),
    ],
    ids=["columns", "rank", "nan", "boxes", "scores", "names"],
)
def test_arrays_that_do_not_belong_together_are_an_error(change: dict[str, Any], message: str) -> None:
    found = detections([[0, 0, 1, 1]] * 2)
    vars(found).update(change)
    with pytest.raises(TensorError, match=message):
        draw_detections(GREY, found)


def test_keypoints_are_dots_in_their_labels_colour() -> None:
    found = detections([[0.25, 0.25, 0.75, 0.75]])
    found.keypoints = np.array([[[0.5, 0.5, 0.9], [0.4, 0.5, 0.2], [0, 0, 0], [1.5, 0.5, 1]]], np.float32)
    colored = where(drawn(GREY, found), 0)
    assert colored[240, 320]
    assert 12 < colored[232:249, 312:329].sum() < 100
    hollow = colored[232:249, 248:265]
    assert not colored[240, 256]
    assert hollow.any()
    assert not colored[:10, :10].any()


def test_keypoints_of_a_discarded_box_and_of_two_numbers_are_drawn() -> None:
    found = detections([[0.25, 0.25, 0.75, 0.75]] * 2, labels=[3, 4], predicted=[True, False])
    found.keypoints = np.array([[[0.4, 0.5]], [[0.6, 0.5]]], np.float32)
    picture = drawn(GREY, found)
    assert where(picture, 3)[240, 256]
    assert not where(picture, 4)[240, 384]
    assert where(picture, 4)[232:249, 376:393].any()


def pose(*points: list[float], skeleton: list[tuple[int, int]], **rows: Any) -> SimpleNamespace:
    found = detections([[0, 0, 1, 1]], labels=[3], **rows)
    found.keypoints, found.skeleton = np.array([points], np.float32), skeleton
    return found


def test_keypoints_of_a_skeleton_are_joined_with_a_rim_that_sets_them_off() -> None:
    # Of 640 x 480: from (128, 240) to (512, 240), with dots of radius 4.
    picture = drawn(GREY, pose([0.2, 0.5, 0.9], [0.8, 0.5, 0.9], [0.5, 0.9, 0.9], skeleton=[(2, 1)]))
    limb = where(picture, 3)[230:251, 140:500]
    assert (limb.sum(axis=0) == 2).all(), "a line of two pixels all the way"
    (rows,) = np.nonzero(limb[:, 0])
    rim = picture[[230 + rows[0] - 1, 230 + rows[-1] + 1], 140:500]
    assert (rim == 0).all(), "black beside a light colour"
    assert not where(picture, 3)[260:420, 10:630].any(), "the third point is joined with none"
    lone = drawn(GREY, pose([0.2, 0.5, 0.9], [0.8, 0.5, 0.9], skeleton=[]))
    assert not where(lone, 3)[200:280, 140:500].any()


@pytest.mark.parametrize(
    "other",
    [[0.8, 0.5, 0.5], [1.2, 0.5, 0.9], [0, 0, 0], [-0.1, 0.5, 0.9], [3e38, -3e38, 1]],
    ids=["not-sure", "outside", "not-there", "left-of-it", "far-outside"],
)
def test_keypoint_that_is_not_visible_or_outside_is_not_joined(other: list[float]) -> None:
    picture = drawn(GREY, pose([0.2, 0.5, 0.9], other, skeleton=[(1, 2)]))
    assert where(picture, 3)[240, 128]
    assert (picture[20:460, 140:500] == 128).all()


def test_limbs_of_points_without_scores_and_of_discarded_poses_are_drawn() -> None:
    points = [0.2, 0.5], [0.8, 0.5]
    picture = drawn(GREY, pose(*points, skeleton=[(1, 2)]))
    assert (where(picture, 3)[230:251, 140:500].sum(axis=0) == 2).all()
    thin = drawn(GREY, pose(*points, skeleton=[(1, 2)], predicted=[False]))[230:251, 140:500]
    assert (where(thin, 3).sum(axis=0) == 1).all()
    assert not (thin == 0).any(), "no rim"


@pytest.mark.parametrize("limb", [(0, 1), (1, 3)], ids=str)
def test_skeleton_of_points_that_are_not_there_is_a_tensor_error(limb: tuple[int, int]) -> None:
    with pytest.raises(TensorError, match=r"skeleton: expected pairs of keypoints' numbers, 1 to 2, got \["):
        drawn(GREY, pose([0.2, 0.5], [0.8, 0.5], skeleton=[limb]))


@pytest.mark.parametrize("shape", [(1, 2), (2, 4, 3), (1, 4, 4)], ids=str)
def test_keypoints_of_a_wrong_shape_are_a_tensor_error(shape: tuple[int, ...]) -> None:
    found = detections([[0.25, 0.25, 0.75, 0.75]])
    found.keypoints = np.zeros(shape, np.float32)
    with pytest.raises(TensorError, match="keypoints: expected shape"):
        drawn(GREY, found)


def test_oriented_box_is_drawn_along_its_sides() -> None:
    found = detections([[0.25, 0.25, 0.75, 0.75]] * 2, labels=[3, 4], predicted=[True, False])
    diamond = [[0.5, 0.25], [0.75, 0.5], [0.5, 0.75], [0.25, 0.5]]
    found.polygons = np.array([diamond, diamond], np.float32)
    found.polygons[1] = found.polygons[1] * 0.5 + 0.25
    picture = drawn(GREY, found)
    solid, dashed = where(picture, 3), where(picture, 4)
    assert solid[179:182, 239:242].any()
    assert solid[230:250, 158:164].any()
    assert not solid[80:200, 160:200].any()  # the corner of the upright box, and above it
    assert solid[100:118, 285:355].mean() > 0.3  # the tag, above the highest corner
    assert 50 < dashed[240:296, 230:410].sum() < 110  # of 160 pixels along the lower sides


def test_oriented_box_that_reaches_far_outside_is_drawn() -> None:
    found = detections([[0, 0, 1, 1]])
    found.polygons = np.array([[[3e38, 0.5], [0.5, -3e38], [-3e38, 0.5], [0.5, 3e38]]], np.float32)
    drawn(GREY, found)
    found.polygons = np.full((1, 4, 2), np.nan, np.float32)
    with pytest.raises(TensorError, match="polygons: expected finite numbers"):
        drawn(GREY, found)


class Segmented(SimpleNamespace):
    """Detections whose masks are the left halves of their boxes."""

    def __getitem__(self, rows: NDArray[np.bool_]) -> Segmented:
        return Segmented(boxes=self.boxes[rows])

    def masks(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        height, width = size
        assert len(self.boxes) == 1
        found = np.zeros((1, height, width), np.bool_)
        x1, y1, x2, y2 = self.boxes[0] * [width, height, width, height]
        found[0, int(y1) : int(y2), int(x1) : int((x1 + x2) / 2)] = True
        return found


def test_masks_tint_what_they_cover_and_discarded_ones_less() -> None:
    boxes = [[0.125, 0.25, 0.375, 0.75], [0.625, 0.25, 0.875, 0.75]]
    found = Segmented(**vars(detections(boxes, labels=[1, 1], predicted=[True, False])))
    picture = drawn(GREY, found).astype(int)
    for column, strength in ((100, 0.45), (420, 0.2)):
        expected = 128 + strength * (np.array(label_color(1)) - 128)
        np.testing.assert_allclose(picture[240, column], expected, atol=2)
        assert (picture[240, column + 80] == 128).all()

"""The geometry of v0.7's four resize types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc.errors import TensorError
from postproc.transforms import ImageTransform

side = st.one_of(st.integers(1, 50), st.integers(1, 10**6))
size = st.tuples(side, side)


@pytest.mark.parametrize(
    ("made", "input_size", "resized", "offset"),
    [
        # 100 wide, 50 high into 40 wide, 60 high.
        (ImageTransform.squash((60, 40), (50, 100)), (60, 40), (60, 40), (0, 0)),
        (ImageTransform.crop((60, 40), (50, 100)), (60, 40), (60, 120), (-40, 0)),
        (ImageTransform.fill((60, 40), (50, 100)), (60, 40), (20, 40), (0, 20)),
        (ImageTransform.fill((60, 40), (50, 100), "top_left"), (60, 40), (20, 40), (0, 0)),
        (ImageTransform.network((60, 40), (50, 100)), (20, 40), (20, 40), (0, 0)),
        # The image is higher than the target: the other side binds.
        (ImageTransform.crop((60, 40), (100, 50)), (60, 40), (80, 40), (0, -10)),
        (ImageTransform.fill((60, 40), (100, 50)), (60, 40), (60, 30), (5, 0)),
        (ImageTransform.network((60, 40), (100, 50)), (60, 30), (60, 30), (0, 0)),
        # 2 x 1 into 5: a height of 2.5 rounds up to 3, and the odd pixel of padding goes below.
        (ImageTransform.network((5, 5), (1, 2)), (3, 5), (3, 5), (0, 0)),
        (ImageTransform.fill((6, 5), (1, 2)), (6, 5), (3, 5), (0, 1)),
        # 3 x 4 into 4 x 4, cut: a height of 5.33 rounds down; the odd pixel is cut off at the top.
        (ImageTransform.crop((4, 4), (4, 3)), (4, 4), (5, 4), (0, -1)),
        # Too thin to be seen: one pixel stays.
        (ImageTransform.network((10, 10), (1, 1000)), (1, 10), (1, 10), (0, 0)),
        (ImageTransform.fill((10, 10), (1000, 1)), (10, 10), (10, 1), (4, 0)),
        # Small images are enlarged too.
        (ImageTransform.fill((8, 8), (1, 2)), (8, 8), (4, 8), (0, 2)),
    ],
    ids=[
        *("squash", "crop-wide", "fill-wide", "fill-top-left", "network-wide", "crop-high", "fill-high"),
        *(
            "network-high",
            "network-half-up",
            "fill-half-up",
            "crop-odd",
            "network-thin",
            "fill-thin",
            "enlarged",
        ),
    ],
)
def test_transform_of_each_resize_type_equals_hand_computed(
    made: ImageTransform, input_size: tuple[int, int], resized: tuple[int, int], offset: tuple[int, int]
) -> None:
    height, width = made.image_size
    assert made.input_size == input_size
    assert made.resized_size == resized
    assert made.scale == (resized[1] / width, resized[0] / height)
    assert made.offset == offset


@given(target=size, image=size)
def test_crop_any_sizes_covers_the_input(target: tuple[int, int], image: tuple[int, int]) -> None:
    made = ImageTransform.crop(target, image)
    assert made.input_size == target
    for axis in (0, 1):
        start = made.offset[1 - axis]
        hidden = made.resized_size[axis] - target[axis]
        assert hidden >= 0
        assert -start == (hidden + 1) // 2
    assert any(made.resized_size[axis] == target[axis] for axis in (0, 1))


@given(target=size, image=size)
def test_fill_any_sizes_stays_within_the_input(target: tuple[int, int], image: tuple[int, int]) -> None:
    made = ImageTransform.fill(target, image)
    assert made.input_size == target
    for axis in (0, 1):
        spare = target[axis] - made.resized_size[axis]
        assert spare >= 0
        assert made.offset[1 - axis] == spare // 2
    assert any(made.resized_size[axis] == target[axis] for axis in (0, 1))


@given(target=size, image=size)
def test_network_any_sizes_is_fill_without_padding(target: tuple[int, int], image: tuple[int, int]) -> None:
    made, filled = ImageTransform.network(target, image), ImageTransform.fill(target, image)
    assert made.input_size == made.resized_size == filled.resized_size
    assert made.scale == filled.scale
    assert made.offset == (0, 0)


def test_transform_of_numpy_numbers_and_lists_equals_plain_one_and_is_hashable() -> None:
    plain = ImageTransform((0.5, 2.0), (1.0, -3.0), (10, 20), (5, 40))
    other: Any = ImageTransform(
        np.array([0.5, 2.0], np.float32),  # type: ignore[arg-type]
        [1, -3],  # type: ignore[arg-type]
        np.array([10, 20]),  # type: ignore[arg-type]
        [np.int64(5), np.uint8(40)],  # type: ignore[arg-type]
    )
    assert other == plain
    assert hash(other) == hash(plain)
    assert repr(other) == repr(plain)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", (0.0, 1.0)),
        ("scale", (1.0, -1.0)),
        ("scale", (1.0, float("nan"))),
        ("scale", (1.0,)),
        ("scale", 1.0),
        ("scale", (None, 1.0)),
        ("offset", (float("inf"), 0.0)),
        ("offset", (0.0, 0.0, 0.0)),
        ("input_size", (0, 10)),
        ("input_size", (10.5, 10)),
        ("image_size", (10, -1)),
        ("image_size", "ab"),
    ],
    ids=str,
)
def test_transform_bad_value_is_an_error_that_names_the_field(field: str, value: Any) -> None:
    values: dict[str, Any] = {
        "scale": (1.0, 1.0),
        "offset": (0.0, 0.0),
        "input_size": (10, 10),
        "image_size": (10, 10),
    }
    with pytest.raises(TensorError, match=rf"^ImageTransform\.{field} must be two .*; got "):
        ImageTransform(**{**values, field: value})


@pytest.mark.parametrize("value", [(10**5000, 1), [1] * 10_000, "1" * 10_000], ids=["digits", "list", "text"])
def test_transform_of_huge_values_is_an_error_of_some_characters(value: Any) -> None:
    with pytest.raises(TensorError, match=r"ImageTransform\.\w+ must be two") as caught:
        ImageTransform(value, (0, 0), (1, 1), (1, 1))
    assert len(str(caught.value)) < 300


def test_transform_that_scales_the_image_beyond_numbers_is_an_error() -> None:
    with pytest.raises(TensorError, match="scale must keep the image finite"):
        ImageTransform((1e308, 1), (0, 0), (1, 1), (1, 10))


@pytest.mark.parametrize("make", ["squash", "crop", "fill", "letterbox", "network"])
@pytest.mark.parametrize("sizes", [((0, 1), (1, 1)), ((1, 1), (1, 0)), ((1, 1), (1, 1.5))], ids=str)
def test_transform_constructors_bad_size_is_an_error(make: str, sizes: Any) -> None:
    with pytest.raises(TensorError, match="must be two positive integers"):
        getattr(ImageTransform, make)(*sizes)


@pytest.mark.parametrize("make", ["fill", "letterbox"])
def test_fill_unknown_align_is_an_error_that_names_the_constructor(make: str) -> None:
    with pytest.raises(TensorError, match=rf"{make}: align must be 'center' or 'top_left'; got 'left'"):
        getattr(ImageTransform, make)((1, 1), (1, 1), "left")

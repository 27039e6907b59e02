"""Draw recognitions onto the image that they were found in."""

from __future__ import annotations

import bisect
import colorsys
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from postproc.installing import install

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise ImportError(f"postproc.images.drawing needs Pillow: {install('images')}") from error

from postproc.errors import ImageError, TensorError
from postproc.images.loading import ImageSource, load_image

Color = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside
Mask = Callable[[], NDArray[np.bool_]]  # which pixels it covers, made when it is drawn
Point = tuple[float, float]  # x, y in pixels

# Far apart on light and dark pictures, the most different ones first; later rows take spread hues.
_PALETTE: tuple[Color, ...] = (
    (230, 25, 75),
    (0, 110, 220),
    (40, 160, 60),
    (245, 130, 48),
    (145, 30, 180),
    (255, 225, 25),
    (0, 190, 200),
    (240, 50, 230),
    (150, 90, 30),
    (130, 220, 30),
    (128, 0, 0),
    (0, 0, 140),
    (250, 170, 190),
    (110, 110, 0),
    (190, 160, 255),
    (0, 100, 90),
)
_WHITE, _BLACK, _PANEL, _FAINT = (255, 255, 255), (0, 0, 0), (28, 28, 32), (195, 195, 200)
_LONGEST_TEXT = 200  # characters, more than a tag shows: names of any length cost the same


class DrawableClassifications(Protocol):
    """The classifications of one image: one row per label."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores, (K,)."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Rows of the spec's labels, (K,); each has a colour of its own."""

    @property
    def label_names(self) -> Iterable[str]:
        """Names of the labels, one per row."""

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether each row is predicted, or discarded, (K,)."""


class DrawableDetections(DrawableClassifications, Protocol):
    """The detections of one image: one row per box.

    They may also have the ``keypoints`` and ``skeleton`` of `KeypointDetections`, the ``polygons`` of
    `OrientedDetections` or the ``masks`` of `SegmentedDetections`.
    """

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Boxes xmin, ymin, xmax, ymax in [0, 1] of the image, (K, 4)."""


def draw_outputs(
    image: ImageSource,
    outputs: Sequence[DrawableDetections | DrawableClassifications],
    *,
    min_side: int = 480,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw all that was recognised in an image.

    Predicted boxes are drawn with solid lines, discarded ones with thin dashes below them; each
    carries its label's name and the score. Oriented boxes are drawn as such, and masks tint what they
    cover. Keypoints are dots, hollow where they score 0.5 or less; the others are joined as the skeleton
    says. Classifications are listed in the upper left corner. A label has the same colour in every picture.

    Parameters
    ----------
    image : path, bytes, PIL.Image.Image or ndarray
        The original image, as `load_image` takes it; it is not modified.
    outputs : sequence
        The `Detections` and `Classifications` of this one image.
    min_side : int
        An image whose longer side is shorter is enlarged by a whole factor, or no text would fit;
        1 leaves every image at its size.
    font : path, optional
        A TrueType or OpenType font. Pillow's own, the default, has Latin letters only, and shows
        boxes in the place of others.

    Returns
    -------
    PIL.Image.Image
        A new RGB image.

    Raises
    ------
    ImageError
        If the image or the font cannot be read.
    TensorError
        If the arrays of an output do not belong together, or a box is not finite.
    """
    canvas = _Canvas(load_image(image), min_side, font)
    listed: list[_Row] = []
    boxed: list[_Boxed] = []
    for output in outputs:
        if _has_boxes(output):
            boxed += _boxed(output, canvas.image.size)
        else:
            listed += _rows(output)
    canvas.draw(boxed, listed)
    return canvas.image


def draw_detections(
    image: ImageSource,
    detections: DrawableDetections,
    *,
    min_side: int = 480,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw the detections of one image: see `draw_outputs`."""
    return draw_outputs(image, [detections], min_side=min_side, font=font)


def draw_classifications(
    image: ImageSource,
    classifications: DrawableClassifications,
    *,
    min_side: int = 480,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """List the classifications of one image in its upper left corner: see `draw_outputs`."""
    return draw_outputs(image, [classifications], min_side=min_side, font=font)


def label_color(row: int) -> Color:
    """Return the colour of a label, by its row in the spec: always the same, and distinct from others'."""
    if row < len(_PALETTE):
        return _PALETTE[row]
    hue = row * 0.6180339887498949 % 1  # the golden ratio: any run of rows is spread over all hues
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.55, 0.75)[row % 3], (0.95, 0.85, 0.6)[row % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


class _Row(NamedTuple):
    name: str
    score: str
    color: Color
    predicted: bool


class _Boxed(NamedTuple):
    row: _Row
    box: Box
    corners: list[Point]  # of an oriented box; none of an upright one
    dots: list[tuple[Point, bool]]  # keypoints, and whether they are visible
    limbs: list[tuple[Point, Point]]  # visible keypoints that are joined
    mask: Mask | None


class _Panel(NamedTuple):
    rows: list[_Row]
    texts: list[str]  # one a row, and perhaps one that counts the rows left out
    box: Box


class _Canvas:
    """A copy of an image, with lines and letters of a size that suits it."""

    def __init__(self, image: Image.Image, min_side: int, font: str | os.PathLike[str] | None) -> None:
        factor = max(1, math.ceil(min_side / max(image.size)))
        size = image.width * factor, image.height * factor
        self.image = image.resize(size, Image.Resampling.BICUBIC)
        self._draw = ImageDraw.Draw(self.image)
        side = min(sum(size) / 2, 6 * min(size))  # a long and thin image has no room for large letters
        self._line = max(1, round(side / 240))
        self._thin = max(1, self._line // 2)
        self._font = _load_font(font, max(12, round(side / 42)))
        ascent, descent = self._font.getmetrics()
        self._margin = max(2, round(ascent / 5))
        self._tag_height = ascent + descent

    def draw(self, boxed: list[_Boxed], listed: list[_Row]) -> None:
        """Draw boxes, then their tags where they hide no other text, then the list; first rows on top."""
        panel = self._panel(listed)
        taken = np.zeros((self.image.height, self.image.width), np.bool_)
        taken[_slices(panel.box)] = True
        ranked = sorted(boxed, key=lambda item: not item.row.predicted)
        for item in reversed(ranked):
            if item.mask is not None:
                self._tint(item.mask(), item.row.color, 0.45 if item.row.predicted else 0.2)
        for item in reversed(ranked):
            row = item.row
            if item.corners:
                self._outline_polygon(item.corners, row.color, row.predicted)
            elif row.predicted:
                self._outline(item.box, row.color, self._line)
            else:
                self._dash(item.box, row.color)
        for item in reversed(ranked):
            self._join(item.limbs, item.row)
            for point, is_visible in item.dots:
                self._dot(point, item.row.color, item.row.predicted and is_visible)
        tags: list[tuple[_Row, str, Box]] = []
        for item in ranked:
            row, box = item.row, item.box
            text = self._fitted(row, max(self.image.width // 2, box[2] - box[0]) - 2 * self._margin)
            width = math.ceil(self._font.getlength(text)) + 2 * self._margin
            spots = self._spots(box, width)
            spot = next((spot for spot in spots if not taken[_slices(spot)].any()), spots[0])
            taken[_slices(spot)] = True
            tags.append((row, text, spot))
        for row, text, spot in reversed(tags):
            self._tag(row, text, spot)
        self._list(panel)

    def _panel(self, rows: list[_Row]) -> _Panel:
        """Lay out a list of rows in the upper left corner, as many as there is room for."""
        height, margin = self._tag_height, self._margin
        room = max(1, (self.image.height - 2 * margin) // height)
        shown = rows if len(rows) <= room else rows[: max(1, room - 1)]
        texts = [self._fitted(row, self.image.width - 3 * margin - height) for row in shown]
        if len(shown) < len(rows):
            texts.append(f"and {len(rows) - len(shown)} more")
        if not texts:
            return _Panel([], [], (0, 0, 0, 0))
        width = math.ceil(max(self._font.getlength(text) for text in texts)) + 3 * margin + height
        return _Panel(shown, texts, (0, 0, width, len(texts) * height + 2 * margin))

    def _list(self, panel: _Panel) -> None:
        height, margin = self._tag_height, self._margin
        self._fill(panel.box, _PANEL)
        for line, text in enumerate(panel.texts):
            top = margin + line * height
            row = panel.rows[line] if line < len(panel.rows) else None
            if row is not None:
                chip = margin * 2, top + margin, height, top + height - margin
                self._fill(chip, row.color)
                if not row.predicted:
                    rim = self._thin
                    self._fill((chip[0] + rim, chip[1] + rim, chip[2] - rim, chip[3] - rim), _PANEL)
            color = _WHITE if row is not None and row.predicted else _FAINT
            self._draw.text((height + margin, top), text, color, self._font)

    def _fitted(self, row: _Row, width: float) -> str:
        """Return the name, shortened where the width asks for it, and the score."""

        def fits(name: str) -> bool:
            return self._font.getlength(f"{name} {row.score}") <= width

        if fits(row.name):
            return f"{row.name} {row.score}".lstrip()
        kept = bisect.bisect_left(range(len(row.name)), True, key=lambda end: not fits(f"{row.name[:end]}…"))
        return f"{row.name[: kept - 1]}… {row.score}" if kept > 1 else row.score

    def _spots(self, box: Box, width: int) -> list[Box]:
        """Return where a tag may lie, best place first, each moved into the picture."""
        left, top, right, bottom = box
        height = self._tag_height
        corners = [
            (left, top - height),  # above
            (right - width, top - height),
            (left, bottom),  # below
            (right - width, bottom),
            (left, top),  # inside
            (right - width, top),
            (left, bottom - height),
            (right - width, bottom - height),
            (right, top),  # beside
            (left - width, top),
        ]
        inside = []
        for x, y in corners:
            x = max(0, min(x, self.image.width - width))
            y = max(0, min(y, self.image.height - height))
            inside.append((x, y, x + width, y + height))
        return inside

    def _tag(self, row: _Row, text: str, spot: Box) -> None:
        self._fill(spot, row.color if row.predicted else _PANEL)
        if row.predicted:
            color = _BLACK if _is_light(row.color) else _WHITE
        else:
            color = _FAINT
            self._outline(spot, row.color, self._thin)
        self._draw.text((spot[0] + self._margin, spot[1]), text, color, self._font)

    def _outline(self, box: Box, color: Color, width: int) -> None:
        self._draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=color, width=width)

    def _fill(self, box: Box, color: Color) -> None:
        if box[0] < box[2] and box[1] < box[3]:
            self._draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=color)

    def _tint(self, mask: NDArray[np.bool_], color: Color, strength: float) -> None:
        opacity = Image.fromarray(mask.astype(np.uint8) * round(255 * strength))
        self.image.paste(color, (0, 0), opacity)

    def _outline_polygon(self, corners: list[Point], color: Color, predicted: bool) -> None:
        """Draw the sides of a polygon: solid, or as thin dashes."""
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            if predicted:
                self._draw.line((start, end), fill=color, width=self._line)
                continue
            parts = max(1, round(math.dist(start, end) / (4 * self._thin)))
            steps = np.linspace(start, end, parts + 1).tolist()
            for left, right in zip(steps[:-1:2], steps[1::2], strict=True):
                self._draw.line((*left, *right), fill=color, width=self._thin)
        if predicted:  # what wide lines leave open where they meet
            radius = (self._line - 1) / 2
            for x, y in corners:
                self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def _join(self, limbs: list[tuple[Point, Point]], row: _Row) -> None:
        """Draw the limbs of a pose; those of a predicted one with the rim of its dots around them all."""
        strokes = [(row.color, self._line if row.predicted else self._thin)]
        if row.predicted:
            strokes.insert(0, (_rim(row.color), self._line + 2 * self._thin))
        for color, width in strokes:
            for limb in limbs:
                self._draw.line(limb, fill=color, width=width)

    def _dot(self, point: Point, color: Color, filled: bool) -> None:
        """Draw a dot with a rim that sets it off from a picture of its colour."""
        radius = 1.5 * self._line + 1
        x, y = point
        around = x - radius, y - radius, x + radius, y + radius
        if filled:
            self._draw.ellipse(around, fill=color, outline=_rim(color), width=self._thin)
        else:
            self._draw.ellipse(around, outline=color, width=self._thin)

    def _dash(self, box: Box, color: Color) -> None:
        left, top, right, bottom = box
        width, dash = self._thin, 4 * self._thin
        for x in range(left, right, 2 * dash):
            for y in (top, max(top, bottom - width)):
                self._fill((x, y, min(x + dash, right), min(y + width, bottom)), color)
        for y in range(top, bottom, 2 * dash):
            for x in (left, max(left, right - width)):
                self._fill((x, y, min(x + width, right), min(y + dash, bottom)), color)


def _boxed(output: DrawableDetections, size: tuple[int, int]) -> list[_Boxed]:
    boxes = _pixel_boxes(output.boxes, size)
    rows = _rows(output, len(boxes))
    corners = _corners(getattr(output, "polygons", None), len(boxes), size)
    poses = _poses(getattr(output, "keypoints", None), getattr(output, "skeleton", ()), len(boxes), size)
    masks = [_mask(output, row, size) for row in range(len(boxes))]
    return [
        _Boxed(row, box, sides, dots, limbs, mask)
        for row, box, sides, (dots, limbs), mask in zip(rows, boxes, corners, poses, masks, strict=True)
    ]


def _mask(output: Any, row: int, size: tuple[int, int]) -> Mask | None:
    """Return how to make the mask of a row: one at a time, since many of a large picture take much memory."""
    if not hasattr(output, "masks"):
        return None

    def mask() -> NDArray[np.bool_]:
        only = np.arange(len(output.labels)) == row
        found: NDArray[np.bool_] = output[only].masks((size[1], size[0]))[0]
        return found

    return mask


def _corners(polygons: object, rows: int, size: tuple[int, int]) -> list[list[Point]]:
    """Return the corners of each row's oriented box; those far outside are moved nearer."""
    if polygons is None:
        return [[]] * rows
    points = np.asarray(polygons, np.float64)
    if points.shape != (rows, 4, 2) or not np.isfinite(points).all():
        raise TensorError(f"polygons: expected finite numbers of shape ({rows}, 4, 2), got {points.shape}")
    pixels = np.clip(points, -4, 5) * size - 0.5
    return [[(x, y) for x, y in row] for row in pixels.tolist()]


def _poses(
    keypoints: object, skeleton: Iterable[tuple[int, int]], rows: int, size: tuple[int, int]
) -> list[tuple[list[tuple[Point, bool]], list[tuple[Point, Point]]]]:
    """Return the dots and limbs of each row, of keypoints in the picture; all zeros are none."""
    if keypoints is None:
        return [([], [])] * rows
    points = np.asarray(keypoints, np.float64)
    if points.ndim != 3 or len(points) != rows or points.shape[2] not in (2, 3):
        raise TensorError(f"keypoints: expected shape ({rows}, P, 2) or ({rows}, P, 3), got {points.shape}")
    limbs, count = list(skeleton), points.shape[1]
    if not all(1 <= number <= count for limb in limbs for number in limb):
        raise TensorError(f"skeleton: expected pairs of keypoints' numbers, 1 to {count}, got {limbs}")
    inside = ((points[:, :, :2] >= 0) & (points[:, :, :2] <= 1)).all(axis=2)
    shown = np.logical_and(inside, points.any(axis=2))
    visible = points[:, :, 2] > 0.5 if points.shape[2] == 3 else np.ones(points.shape[:2], np.bool_)
    poses = []
    for row in range(rows):
        pixels: list[Point] = [(x, y) for x, y in (points[row, :, :2] * size).tolist()]
        is_visible, is_joined = visible[row].tolist(), (shown[row] & visible[row]).tolist()
        dots = [(pixels[point], is_visible[point]) for point in np.flatnonzero(shown[row]).tolist()]
        lines = [
            (pixels[first - 1], pixels[second - 1])
            for first, second in limbs
            if is_joined[first - 1] and is_joined[second - 1]
        ]
        poses.append((dots, lines))
    return poses


def _rows(output: DrawableClassifications, boxes: int | None = None) -> list[_Row]:
    names, labels = list(output.label_names), np.asarray(output.labels)
    scores, predicted = np.asarray(output.scores), np.asarray(output.predicted)
    counts = {
        "label_names": len(names),
        "labels": len(labels),
        "scores": len(scores),
        "predicted": len(predicted),
    }
    if boxes is not None:
        counts["boxes"] = boxes
    if len(set(counts.values())) > 1:
        raise TensorError(f"expected one length for all rows of an output, got {counts}")
    return [
        _Row(_printable(name), f"{score:.2f}", label_color(int(label)), bool(present))
        for name, score, label, present in zip(names, scores, labels, predicted, strict=True)
    ]


def _printable(name: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in name[:_LONGEST_TEXT])
    return " ".join(shown.split())


def _pixel_boxes(boxes: NDArray[np.float32], size: tuple[int, int]) -> list[Box]:
    """Return whole-pixel boxes of at least one pixel, inside the picture."""
    corners = np.asarray(boxes, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
        raise TensorError(f"boxes: expected finite numbers of shape (K, 4), got shape {corners.shape}")
    limits = np.array(size * 2)
    pixels = np.floor(np.clip(corners, 0, 1) * limits + 0.5).astype(np.int64)
    pixels[:, :2] = np.minimum(pixels[:, :2], limits[:2] - 1)
    pixels[:, 2:] = np.maximum(pixels[:, 2:], pixels[:, :2] + 1)
    return [(left, top, right, bottom) for left, top, right, bottom in pixels.tolist()]


def _has_boxes(output: DrawableDetections | DrawableClassifications) -> TypeGuard[DrawableDetections]:
    return hasattr(output, "boxes")


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])


def _rim(color: Color) -> Color:
    return _BLACK if _is_light(color) else _WHITE


def _is_light(color: Color) -> bool:
    red, green, blue = color
    return 0.299 * red + 0.587 * green + 0.114 * blue > 145


def _load_font(font: str | os.PathLike[str] | None, size: int) -> ImageFont.FreeTypeFont:
    if font is not None:
        try:
            return ImageFont.truetype(os.fspath(font), size)
        except OSError as error:
            raise ImageError(f"font {os.fspath(font)!r}: cannot be read ({error})") from error
    bundled = ImageFont.load_default(size)
    if isinstance(bundled, ImageFont.FreeTypeFont):
        return bundled
    raise ImageError("drawing text needs Pillow built with FreeType, as its wheels on PyPI are")

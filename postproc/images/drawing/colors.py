"""Colours: of each label its own, and what can be read on it."""

from __future__ import annotations

import colorsys

Color = tuple[int, int, int]

WHITE, BLACK, PANEL, FAINT = (255, 255, 255), (0, 0, 0), (28, 28, 32), (195, 195, 200)

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


def label_color(row: int) -> Color:
    """Return the colour of a label, by its row in the spec: always the same, and distinct from others'."""
    if row < len(_PALETTE):
        return _PALETTE[row]
    hue = row * 0.6180339887498949 % 1  # the golden ratio: any run of rows is spread over all hues
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.55, 0.75)[row % 3], (0.95, 0.85, 0.6)[row % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


def contrast(color: Color) -> Color:
    """Return black or white, whichever is seen on a colour."""
    red, green, blue = color
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 145 else WHITE

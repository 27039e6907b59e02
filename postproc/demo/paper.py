"""Paper: its tint, its ruling and the marks that life leaves on it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ruling = Literal["blank", "lines", "grid"]
RULINGS: tuple[Ruling, ...] = ("blank", "lines", "lines", "grid")

_TINTS = ((0.98, 0.98, 0.97), (0.97, 0.95, 0.90), (0.98, 0.96, 0.80), (0.93, 0.95, 0.97), (0.90, 0.87, 0.80))


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> NDArray[np.float32]:
    """Return noise of about unit spread whose blotches are a page's width over ``cells`` wide."""
    coarse = rng.normal(0, 1, (max(2, round(cells * height / width)), cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def blank_page(
    rng: np.random.Generator, height: int, width: int, ruling: Ruling, pitch: int, first_line: int
) -> NDArray[np.float32]:
    """Make an empty sheet as a scanner sees it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses tint, light, stains, creases.
    height, width : int
        In pixels.
    ruling : {"blank", "lines", "grid"}
        What is printed on the sheet.
    pitch, first_line : int
        Distance of the ruled lines and where the first one lies, in pixels from the top.

    Returns
    -------
    (height, width, 3) float32
        RGB in [0, 1].
    """
    page = np.empty((height, width, 3), np.float32)
    page[:] = _TINTS[rng.integers(len(_TINTS))]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    _rule(page, rng, ruling, pitch, first_line)
    direction = rng.uniform(0, 2 * math.pi)
    across = (x / width - 0.5) * math.cos(direction) + (y / height - 0.5) * math.sin(direction)
    light = 1 + rng.uniform(0.02, 0.16) * across + 0.012 * smooth_noise(rng, height, width, 5)
    if rng.random() < 0.4:
        _fold(light, rng, x, y)
    page *= np.minimum(light, 1.05)[..., None]
    if rng.random() < 0.35:
        _coffee_ring(page, rng, x, y)
    for _ in range(rng.integers(0, 4)):
        _stain(page, rng)
    return page


def _rule(
    page: NDArray[np.float32], rng: np.random.Generator, ruling: Ruling, pitch: int, first_line: int
) -> None:
    """Print the ruling: pale blue lines or squares, at times a red margin."""
    strength = rng.uniform(0.25, 0.6)
    blue = 1 - strength * np.array((0.55, 0.3, 0.1), np.float32)
    if ruling == "lines":
        page[first_line::pitch] *= blue
        if rng.random() < 0.6:
            margin = int(rng.integers(40, 64))
            page[:, margin : margin + 2] *= 1 - strength * np.array((0.1, 0.5, 0.45), np.float32)
    elif ruling == "grid":
        square = max(8, pitch // 2)
        page[first_line % square :: square] *= blue
        page[:, int(rng.integers(square)) :: square] *= blue


def _fold(
    light: NDArray[np.float32], rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]
) -> None:
    """Shade the two sides of a crease, which runs across the sheet or down it."""
    along, position = (y, x) if rng.random() < 0.5 else (x, y)
    crease = rng.uniform(0.25, 0.75) * position.max() + rng.normal(0, 0.02) * along
    distance = position - crease
    depth = rng.uniform(0.03, 0.09)
    light -= depth * np.exp(-np.abs(distance) / 1.5)
    light += depth * 0.6 * np.sign(distance) * np.exp(-np.abs(distance) / 25)


def _coffee_ring(
    page: NDArray[np.float32], rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]
) -> None:
    """Leave the ring of a cup, darkest at its rim and thin on one side."""
    height, width = x.shape
    dx, dy = x - rng.uniform(0, width), y - rng.uniform(0, height)
    radius, angle = rng.uniform(0.1, 0.2) * width, np.arctan2(dy, dx)
    distance = np.hypot(dx, dy) - radius * (1 + 0.01 * np.sin(3 * angle))
    rim = np.exp(-np.abs(distance) / 2.5) + 0.25 * (distance < 0)
    rim *= 0.65 + 0.35 * np.sin(angle + rng.uniform(0, 2 * math.pi))
    page *= 1 - rng.uniform(0.15, 0.4) * rim[..., None] * np.array((0.35, 0.55, 0.8), np.float32)


def _stain(page: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Leave a soft blot with an uneven outline, from a speck to a hand's breadth."""
    height, width = page.shape[:2]
    radius = rng.choice([2.5, 6.0, 18.0, 45.0]) * rng.uniform(0.6, 1.4)
    top, left = (int(rng.uniform(-radius, size - radius)) for size in (height, width))
    side = int(4 * radius)
    region = page[max(0, top) : top + side, max(0, left) : left + side]
    y, x = np.mgrid[max(0, top) : min(height, top + side), max(0, left) : min(width, left + side)]
    dy, dx = y - (top + side / 2), x - (left + side / 2)
    angle = np.arctan2(dy, dx)
    first, second = rng.uniform(0, 2 * math.pi, 2)
    outline = radius * (1 + 0.2 * np.sin(2 * angle + first) + 0.1 * np.sin(5 * angle + second))
    inside = 1 / (1 + np.exp(np.clip((np.hypot(dx, dy) - outline) / (1 + 0.08 * radius), -30, 30)))
    tint = np.array((0.4, 0.5, 0.7) if rng.random() < 0.7 else (0.7, 0.65, 0.5))
    strength = rng.uniform(0.1, 0.25) if radius > 10 else rng.uniform(0.3, 0.9)
    region *= (1 - strength * inside[..., None] * tint).astype(np.float32)

"""An input of a request as it was sent: its fields read, and its image not yet.

The models of `http.request_models` describe the same for the OpenAPI document, and do not read it: here
numbers and flags may come as texts, a source as bytes, and each message says what its field takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postproc.service.engine.regions import Region
from postproc.service.errors import InputError

FEWEST_POINTS, MOST_POINTS = 3, 1000

_IMAGE_FIELDS = ("source", "bbox", "polygon", "crop_uniform_background")
_MISSING = "required field is missing; add it"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An input whose fields are checked.

    Parameters
    ----------
    path : str
        Of the image, ``inputs[0].image``.
    source : object
        As it was sent.
    region : Region or None
        The part that is asked about.
    """

    path: str
    source: Any
    region: Region | None


def read_input(path: str, item: Any) -> ImageInput:
    """Read ``{"image": {"source", "bbox", "polygon", "crop_uniform_background"}}``.

    Raises
    ------
    InputError
        If a field is not as the contract says; names it.
    """
    if not isinstance(item, Mapping):
        raise InputError(path, "expected an object with an image")
    if "video" in item:
        raise InputError(f"{path}.video", "videos are not supported; send single frames as images")
    _check_names(path, item, ("image",))
    image, path = item.get("image"), f"{path}.image"
    if image is None:
        raise InputError(path, _MISSING)
    if not isinstance(image, Mapping):
        raise InputError(path, "expected an object with a source")
    _check_names(path, image, _IMAGE_FIELDS)
    source = image.get("source")
    if source is None:
        raise InputError(f"{path}.source", _MISSING)
    return ImageInput(path, source, _read_region(path, image))


def _read_region(path: str, image: Mapping[str, Any]) -> Region | None:
    """Read the part of an image.

    A polygon stands for the box around it; with ``crop_uniform_background`` the rest of that box is made
    white. Without a polygon there is nothing to make white.
    """
    uniform = _flag(f"{path}.crop_uniform_background", image.get("crop_uniform_background", False))
    bbox, polygon = image.get("bbox"), image.get("polygon")
    if bbox is not None and polygon is not None:
        raise InputError(f"{path}.polygon", "expected either bbox or polygon, got both; leave one out")
    if bbox is not None:
        return Region(_read_box(f"{path}.bbox", bbox))
    if polygon is None:
        return None
    points = _read_points(f"{path}.polygon", polygon)
    columns, rows = zip(*points, strict=True)
    box = min(columns), min(rows), max(columns), max(rows)
    if box[0] == box[2] or box[1] == box[3]:
        raise InputError(f"{path}.polygon", "expected points around an area, got points on one line")
    return Region(box, tuple(points) if uniform else ())


def _read_box(path: str, bbox: Any) -> tuple[float, float, float, float]:
    values = _fields(path, bbox, _CORNERS)
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if values[low] >= values[high]:
            raise InputError(
                f"{path}.{high}", f"expected more than {low}, {values[low]:g}, got {values[high]:g}"
            )
    return values["xmin"], values["ymin"], values["xmax"], values["ymax"]


def _read_points(path: str, polygon: Any) -> list[tuple[float, float]]:
    if not isinstance(polygon, (list, tuple)):
        raise InputError(path, f"expected a list of points {{x, y}}, got {_kind(polygon)}")
    if not FEWEST_POINTS <= len(polygon) <= MOST_POINTS:
        raise InputError(path, f"expected {FEWEST_POINTS} to {MOST_POINTS} points, got {len(polygon)}")
    points = [_fields(f"{path}[{row}]", point, ("x", "y")) for row, point in enumerate(polygon)]
    return [(point["x"], point["y"]) for point in points]


def _fields(path: str, value: Any, names: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise InputError(path, f"expected an object with {', '.join(names)}, got {_kind(value)}")
    _check_names(path, value, names)
    for name in names:
        if name not in value:
            raise InputError(f"{path}.{name}", _MISSING)
    return {name: _part(f"{path}.{name}", value[name]) for name in names}


def _check_names(path: str, value: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in value:
        if name not in names:
            raise InputError(f"{path}.{name}", f"unknown field; expected {', '.join(names)}")


def _part(path: str, value: Any) -> float:
    """Read a number from 0 to 1, which a form sends as text."""
    expected = "expected a number from 0 to 1"
    if isinstance(value, str):
        if len(value) > 64 or not _NUMBER.fullmatch(value.strip()):
            raise InputError(path, f"{expected}, got the text {value[:64]!r}")
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(path, f"{expected}, got {_kind(value)}")
    if not 0 <= value <= 1:  # not-a-number fails too
        raise InputError(path, f"{expected}, got {str(value)[:64]}")
    return float(value)


def _flag(path: str, value: Any) -> bool:
    texts = {"true": True, "false": False}  # as a form sends it, in Python's spelling or JSON's
    if isinstance(value, str) and value.lower() in texts:
        return texts[value.lower()]
    if not isinstance(value, bool):
        raise InputError(path, f"expected true or false, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "text", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)

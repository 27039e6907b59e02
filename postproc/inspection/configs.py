"""What transformers keeps beside a network: the names of its labels, and how images are prepared."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc.errors import InspectionError, SchemaError
from postproc.inspection.labels import LabelNames, labels_of_value
from postproc.inspection.presets import ImageStyle
from postproc.schema.limits import MOST_PIXELS
from postproc.schema.parsing import parse_json, read_file
from postproc.schema.problems import describe

_CONFIG, _IMAGES = "config.json", "preprocessor_config.json"

# An image processor writes one of them; those of sounds and texts, in files of the same name, write none.
_OF_IMAGES = ("do_resize", "do_rescale", "image_mean")
_RESIZING = (
    *("do_resize", "size", "max_size", "do_center_crop", "crop_size", "crop_pct"),
    *("do_pad", "pad_size", "size_divisor"),
)
_LONGEST_SIDE = math.isqrt(MOST_PIXELS)
_LARGEST = 1e6  # of numbers
_BILINEAR = 2
_RESAMPLING = {0: "nearest", 1: "Lanczos", _BILINEAR: "bilinear", 3: "bicubic", 4: "box", 5: "Hamming"}


@dataclass(frozen=True)
class Config:
    """A JSON file that transformers writes beside a network.

    Parameters
    ----------
    fields : mapping
        Its object, without the fields that are null.
    source : str
        Which file it is, for people to read.
    """

    fields: dict[str, Any]
    source: str


def config_beside(network: str | os.PathLike[str]) -> Config | None:
    """Read a ``config.json`` beside a network, None where there is no such file.

    Raises
    ------
    InspectionError
        If the file cannot be read.
    """
    return _read(network, _CONFIG)


def labels_of_config(config: Config | None) -> LabelNames | None:
    """Read the names of labels (``id2label``) in a ``config.json``, None where it is not transformers'.

    Raises
    ------
    InspectionError
        If they are no names of labels.
    """
    if config is None or config.fields.get("id2label") is None:
        return None
    labels = labels_of_value(config.fields, config.source)
    if labels is None:
        raise InspectionError(f'{config.source}: id2label: expected an object {{"0": "cat", "1": "dog"}}')
    return labels


def image_style_beside(network: str | os.PathLike[str]) -> ImageStyle | None:
    """Read how images are prepared from a ``preprocessor_config.json`` beside a network.

    Returns
    -------
    ImageStyle or None
        Its ``checks`` say what of the file no preprocessing expresses. None where there is no such file,
        or it does not speak of images.

    Raises
    ------
    InspectionError
        If the file cannot be read, or leaves open what values pixels get.
    """
    found = _read(network, _IMAGES)
    if found is None or not any(key in found.fields for key in _OF_IMAGES):
        return None
    config, source = found.fields, found.source
    fields, size, checks = _resizing(config, source)
    fields["color_channels"] = "BGR" if config.get("do_flip_channel_order") else "RGB"
    fields |= _values(config, source)
    resample = config.get("resample", _BILINEAR)
    if resample != _BILINEAR:
        name = _RESAMPLING.get(resample) if isinstance(resample, int) else None
        checks.append(
            f"{source}: its filter is {name or describe(resample)}, and images are resized bilinearly"
        )
    return ImageStyle(fields, source, size=size, checks=tuple(checks))


def _read(network: str | os.PathLike[str], name: str) -> Config | None:
    folder = Path(network).absolute().parent
    places = [(folder, "beside the network")]
    if folder.name == "onnx":  # as transformers.js lays its repositories out
        places.append((folder.parent, "in the folder above the network's"))
    for place, where in places:
        source = f"{name} {where}"
        try:
            value = parse_json(read_file(str(place / name)), name)
        except FileNotFoundError:
            continue
        except (SchemaError, OSError, RecursionError) as error:
            raise InspectionError(f"{source} cannot be read: {error}") from None
        if not isinstance(value, dict):
            raise InspectionError(f"{source}: expected an object, got {type(value).__name__}")
        return Config({key: item for key, item in value.items() if item is not None}, source)
    return None


def _values(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Give what values pixels get: ``(pixel * rescale_factor - image_mean) / image_std``."""
    unknown = [key for key in ("rescale_offset", "offset", "include_top") if config.get(key)]
    if unknown:
        raise InspectionError(f"{source}: {unknown[0]} is an option that postproc does not know")
    factor = _number(config, "rescale_factor", source) if "rescale_factor" in config else 1 / 255
    scaling = 255 * factor if config.get("do_rescale", True) else 255
    fields: dict[str, Any] = {"pixel_scaling": round(scaling, 6) or scaling}
    if config.get("do_normalize", "image_mean" in config):
        missing = [key for key in ("image_mean", "image_std") if key not in config]
        if missing:
            raise InspectionError(f"{source}: do_normalize without {missing[0]}, whose default is not known")
        fields["mean"] = _per_channel(config, "image_mean", source)
        fields["std"] = _per_channel(config, "image_std", source, is_positive=True)
    return fields


def _resizing(
    config: dict[str, Any], source: str
) -> tuple[dict[str, Any], tuple[int, int] | None, list[str]]:
    """Give the resizing that is nearest to a file's, the input's size, and what is not the same."""
    size = config.get("size", {})
    crop = _rectangle(config.get("crop_size"), source) if config.get("do_center_crop") else None
    shortest = size.get("shortest_edge") if isinstance(size, dict) else None
    if isinstance(size, int) and ("max_size" in config or crop is not None or "crop_pct" in config):
        shortest = size  # as older versions wrote it
    square = _rectangle(shortest, source)
    whole = None if square is not None else _rectangle(size, source)
    fields = {"resize_type": "SQUASH" if crop in (None, whole) else "CROP"}
    shown = crop or whole or square
    is_bounded = "max_size" in config or (isinstance(size, dict) and "longest_edge" in size)
    if whole is not None:
        fits = crop in (None, whole)
    else:  # the shortest side fits, and the centre is kept
        fits = square is not None and crop == square and not is_bounded
    pads = config.get("do_pad") and _rectangle(config.get("pad_size"), source) not in (None, shown)
    if fits and not pads and config.get("do_resize", True):
        return fields, shown, []
    said = {key: config[key] for key in _RESIZING if key in config}
    what = (
        f"what no resize_type does, {describe(said, 300)}" if said else "resizing, of which nothing is said"
    )
    return fields, shown, [f"{source}: {fields['resize_type']} stands for {what}"]


def _rectangle(value: Any, source: str) -> tuple[int, int] | None:
    """Read a size, one number or ``{"height", "width"}``; None for a size of another form."""
    sides = [value.get("height"), value.get("width")] if isinstance(value, dict) else [value, value]
    height, width = (_side(side, source) for side in sides)
    return None if height is None or width is None else (height, width)


def _side(value: Any, source: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 < value <= _LONGEST_SIDE:
        raise InspectionError(
            f"{source}: expected sides from 1 to {_LONGEST_SIDE} pixels, got {describe(value)}"
        )
    return value


def _number(config: dict[str, Any], key: str, source: str) -> float:
    value = config[key]
    if not _is_number(value, 0):
        raise InspectionError(f"{source}: {key}: expected a number above 0, got {describe(value)}")
    return float(value)


def _per_channel(config: dict[str, Any], key: str, source: str, is_positive: bool = False) -> list[float]:
    """Read three numbers, or one for all channels."""
    given = config[key]
    numbers = given if isinstance(given, list) else [given]
    lowest = 0 if is_positive else -_LARGEST
    if len(numbers) not in (1, 3) or not all(_is_number(number, lowest) for number in numbers):
        what = "numbers above 0" if is_positive else "numbers"
        raise InspectionError(
            f"{source}: {key}: expected three {what}, one per channel, got {describe(given)}"
        )
    return numbers * 3 if len(numbers) == 1 else numbers


def _is_number(value: Any, lowest: float) -> bool:
    """Tell whether a value is a number above the lowest, and no truth value."""
    return type(value) in (int, float) and lowest < value <= _LARGEST

"""What speaks for a reading of a network's outputs, where that is from, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Source(Enum):
    """Where evidence is from; what two of them say agrees by more than chance."""

    METADATA = "metadata"
    NAMES = "names"
    SHAPES = "shapes"
    OPERATORS = "operators"
    LABELS = "labels"
    CONFIG = "config.json"
    RUN = "run"


class Part(Enum):
    """A part of a reading, which is right or wrong by itself."""

    KIND = "kind"
    COLUMNS = "columns"
    ACTIVATION = "activation"
    BACKGROUND = "background"
    BOX_FORMAT = "box format"
    UNITS = "units"
    FACTORS = "factors of offsets"
    ANCHORS = "anchors"
    DISTANCES = "activation of distances"
    CELL_OFFSET = "place of a cell"
    CONFIDENCE = "confidence"
    LABEL_OFFSET = "label offset"
    PREPROCESSING = "preprocessing"


# How images are prepared aside, which no output tells.
PARTS_OF_ANSWERS = tuple(part for part in Part if part is not Part.PREPROCESSING)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding.

    Parameters
    ----------
    source : Source
        Where it is from.
    text : str
        What was found, for people to read.
    parts : frozenset of Part
        What it speaks for, or against.
    is_against : bool
        Whether what was found cannot be where the reading is right.
    """

    source: Source
    text: str
    parts: frozenset[Part]
    is_against: bool = False


def speaks_for(source: Source, text: str, *parts: Part) -> Evidence:
    """Give evidence for some parts of a reading."""
    return Evidence(source, text, frozenset(parts))


def speaks_against(source: Source, text: str, *parts: Part) -> Evidence:
    """Give evidence that contradicts a reading."""
    return Evidence(source, text, frozenset(parts), is_against=True)

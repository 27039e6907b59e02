"""A choice of ``postproc evaluate`` and ``postproc calibrate``, in a file that loads nothing."""

from __future__ import annotations

from enum import Enum


class Categories(str, Enum):
    """What categories of a ground truth are told by."""

    AUTO = "auto"
    IDS = "ids"
    NAMES = "names"

"""The least that a process with numpy and pydantic does: import both, build a model of three fields."""

import sys

import numpy as np  # noqa: F401
from pydantic import BaseModel

if sys.argv[1:] == ["numba"]:
    import numba  # noqa: F401


class Least(BaseModel):
    """Three fields."""

    number: int
    text: str
    share: float

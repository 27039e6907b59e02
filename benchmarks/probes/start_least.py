"""The least that a process with numba and pydantic does: import both, run one cached kernel of a line."""

import sys
import time

import numba
from pydantic import BaseModel  # noqa: F401


@numba.njit(cache=True)
def add_one(value):  # type: ignore[no-untyped-def]
    return value + 1.0


add_one(1.0)
moment = time.monotonic()
sys.stdout.write(repr(moment))

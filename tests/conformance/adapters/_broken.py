"""A library that breaks in each way there is; for the tests of the runner."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import numpy as np

from tests.conformance.adapters import Answer, NotOfferedError

DISTRIBUTIONS = ("numpy",)


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    if not len(boxes):
        os.kill(os.getpid(), signal.SIGKILL)
    if np.isnan(scores).any():
        raise ValueError("a score\nis not a number")
    if (np.diff(scores) == 0).any():
        raise NotOfferedError("equal scores")
    sys.stdout.write("libraries print\n")
    return {"kept": np.array([0])}

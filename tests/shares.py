"""How many random cases a test draws: all of them in the suite, a share where CI runs it once more."""

from __future__ import annotations

import os

from hypothesis import settings

_SHARE = int(os.environ.get("POSTPROC_TEST_SHARE", "1"))


def share(count: int) -> int:
    """Return how many of so many cases are drawn: one of POSTPROC_TEST_SHARE, if that is set."""
    return max(1, count // _SHARE)


def examples(most: int) -> settings:
    """Return Hypothesis' settings for so many examples, or for a share of them."""
    return settings(max_examples=share(most))

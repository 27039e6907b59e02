"""Latencies in constant memory."""

from __future__ import annotations

from math import log2

_STEPS = 64  # per octave: a bucket is 1.1 % wide
_OCTAVES = 36  # from 1 ns to a minute


class Histogram:
    """Counts of durations in buckets of a logarithmic scale."""

    def __init__(self) -> None:
        self._counts = [0] * (_STEPS * _OCTAVES)
        self.count = 0
        self.highest = 0

    def add(self, nanoseconds: int) -> None:
        """Count a duration."""
        bucket = int(_STEPS * log2(max(nanoseconds, 1)))
        self._counts[min(bucket, len(self._counts) - 1)] += 1
        self.count += 1
        self.highest = max(self.highest, nanoseconds)

    def percentile(self, percent: float) -> float:
        """Return the upper edge in nanoseconds of the bucket that holds a percentile, at most the highest."""
        left = percent / 100 * self.count
        for bucket, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return float(min(2 ** ((bucket + 1) / _STEPS), self.highest))
        return float(self.highest)

    def summary(self) -> dict[str, float]:
        """Return the count, and the percentiles in microseconds."""
        percents = {f"p{percent:g}": self.percentile(percent) / 1000 for percent in (50, 90, 99, 99.9)}
        return {"calls": self.count, **percents, "max": self.highest / 1000}

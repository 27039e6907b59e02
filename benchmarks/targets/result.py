"""A target, what was measured, and whether that is enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One ratio, or one absolute figure, against its limit.

    Parameters
    ----------
    name : str
        What was measured; the same in every run, so that runs can be compared.
    value, limit : float
    at_least : bool
        Whether the value must reach the limit; it must not exceed it otherwise.
    detail : str
        The times that the value was made from.
    """

    name: str
    value: float
    limit: float
    at_least: bool = False
    detail: str = ""

    def reaches(self, slack: float = 1.0) -> bool:
        """Whether the limit is reached, or missed by no more than a factor `slack`."""
        if self.at_least:
            return self.value * slack >= self.limit
        return self.value <= self.limit * slack

    def is_worse_than(self, earlier: Result, tolerance: float) -> bool:
        """Whether the value is worse than an earlier one by more than a factor `tolerance`.

        Far within its limit, by the same factor twice, nothing is: small figures are noise.
        """
        if self.reaches(tolerance**-2):
            return False
        if self.at_least:
            return self.value * tolerance < earlier.value
        return self.value > earlier.value * tolerance

    def better_of(self, other: Result) -> Result:
        """Return the one of two measurements of one target that is nearer to it."""
        return self if (self.value > other.value) == self.at_least else other

    def row(self, slack: float = 1.0) -> str:
        """Describe the result in a line."""
        sign = ">=" if self.at_least else "<="
        verdict = "ok" if self.reaches() else "near" if self.reaches(slack) else "MISSED"
        return f"{verdict:6} {self.value:9.3f}  {sign} {self.limit:7.3f}  {self.name}  ({self.detail})"

    def dump(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def readable(seconds: float) -> str:
    """Write a time for people."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"

"""Resident memory of this process, and whether it stays flat."""

from __future__ import annotations

import os
from pathlib import Path

# Arenas of the allocator come and go; a leak of 100 bytes a call is 75 MB in the rest of a million.
TOLERANCE = 8 * 2**20


def resident() -> int:
    """Return the resident memory in bytes; 0 where the system does not tell (it is Linux that does)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * int(os.sysconf("SC_PAGE_SIZE"))


class Watch:
    """Resident memory at equal intervals of a run whose length is known."""

    def __init__(self) -> None:
        self.samples: list[int] = []

    def look(self, done: float) -> None:
        """Take a sample for each twentieth of the run that has passed: `done` goes from 0 to 1."""
        while len(self.samples) <= 20 * done:
            self.samples.append(resident())

    def growth(self) -> int:
        """Bytes from the end of the first quarter, when everything has been used, to the end."""
        return self.samples[-1] - self.samples[len(self.samples) // 4]

    def summary(self) -> dict[str, int | list[int]]:
        """Return the figures in bytes."""
        return {"samples": self.samples, "growth": self.growth(), "tolerance": TOLERANCE}

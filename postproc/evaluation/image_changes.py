"""What got better and worse from one evaluation to another, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from postproc.evaluation.groups import Integers
from postproc.evaluation.paired import Pairing


@dataclass(frozen=True, eq=False, slots=True)
class ImageChanges:
    """Changes at the versions' own thresholds, one entry an image.

    Parameters
    ----------
    names : tuple of str
    gained, lost : (I,) int64
        Objects that b finds and a does not, and the other way around.
    wrong_a, wrong_b : (I,) int64
        False positives of both.
    pairing : Pairing
    """

    names: tuple[str, ...]
    gained: Integers
    lost: Integers
    wrong_a: Integers
    wrong_b: Integers
    pairing: Pairing

    @classmethod
    def of(cls, pairing: Pairing) -> ImageChanges:
        """Count the changes of each image."""
        truth, rows = pairing.a.truth, pairing.a.collected.truth.images.tolist()
        return cls(
            tuple(truth.names[row] for row in rows),
            pairing.gained_by_image(),
            pairing.lost_by_image(),
            *pairing.false_positives,
            pairing,
        )

    @property
    def net(self) -> Integers:
        """How much better b is: objects gained, less those lost, and false positives less."""
        return self.gained - self.lost - (self.wrong_b - self.wrong_a)

    def better(self, most: int) -> list[int]:
        """Rows of the images that got better by most."""
        return self._largest(self.net, most)

    def worse(self, most: int) -> list[int]:
        """Rows of the images that got worse by most."""
        return self._largest(-self.net, most)

    def _largest(self, by: Integers, most: int) -> list[int]:
        total = self.gained + self.lost + abs(self.wrong_b - self.wrong_a)
        order = np.lexsort([np.arange(len(by)), -total, -by])[:most]
        return [row for row in order.tolist() if by[row] > 0]

    def tell(self, row: int) -> str:
        """Say what changed on an image."""
        said = []
        if self.gained[row]:
            said.append(f"{self.gained[row]} more found")
        if self.lost[row]:
            said.append(f"{self.lost[row]} no longer found")
        false = int(self.wrong_b[row] - self.wrong_a[row])
        if false:
            said.append(f"{abs(false)} {'more' if false > 0 else 'fewer'} wrong")
        return ", ".join(said) or "no change"

    def to_list(self) -> list[dict[str, Any]]:
        """Images that changed, ready for JSON, in their order."""
        changed = (self.gained > 0) | (self.lost > 0) | (self.wrong_a != self.wrong_b)
        return [
            {
                "image": self.names[row],
                "gained": int(self.gained[row]),
                "lost": int(self.lost[row]),
                "wrong": [int(self.wrong_a[row]), int(self.wrong_b[row])],
            }
            for row in np.flatnonzero(changed).tolist()
        ]

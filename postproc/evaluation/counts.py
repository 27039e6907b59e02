"""True and false positives and negatives of a label, or of all, and the shares that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ConfusionCounts:
    """What was found of one label, or of all: counts, and the shares that follow from them.

    Parameters
    ----------
    objects : int
        Objects of the ground truth that count.
    true_positives : int
        Detections that take an object.
    false_positives : int
        Detections that take none.
    ignored : int
        Detections in a crowd, which count as neither.
    """

    objects: int
    true_positives: int
    false_positives: int
    ignored: int = 0

    # Older names.
    right = property(attrgetter("true_positives"))
    wrong = property(attrgetter("false_positives"))
    missed = property(attrgetter("false_negatives"))

    @classmethod
    def of_labels(cls, *counts: NDArray[Any]) -> list[ConfusionCounts]:
        """Give those of each label from arrays of counts, (L,) each, in the order of the parameters."""
        return [cls(*map(int, row)) for row in zip(*counts, strict=True)]

    @classmethod
    def total(cls, parts: Sequence[ConfusionCounts]) -> ConfusionCounts:
        """Sum those of several labels."""
        return cls(*(sum(getattr(part, field.name) for part in parts) for field in fields(cls)))

    @property
    def false_negatives(self) -> int:
        """Objects that no detection takes."""
        return self.objects - self.true_positives

    @property
    def precision(self) -> float | None:
        """Share of the detections that take an object; None without any."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else None

    @property
    def recall(self) -> float | None:
        """Share of the objects that are found; None without any."""
        return self.true_positives / self.objects if self.objects else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without any object, 0 if nothing right is found."""
        found = self.true_positives + self.false_positives
        return 2 * self.true_positives / (self.objects + found) if self.objects else None

    def to_dict(self) -> dict[str, Any]:
        """Give counts and shares, ready for JSON."""
        return {
            "objects": self.objects,
            "right": self.true_positives,
            "wrong": self.false_positives,
            "missed": self.false_negatives,
            "ignored": self.ignored,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }

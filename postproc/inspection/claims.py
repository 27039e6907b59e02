"""Claims: evidence that speaks for whichever readings say the same of a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.readings import Reading


@dataclass(frozen=True)
class Claim:
    """What was found, and what it says of some parts.

    Parameters
    ----------
    source : Source
        Where it is from.
    text : str
        What was found, for people to read.
    says : mapping of Part to str
        The values of the parts that it speaks for.
    """

    source: Source
    text: str
    says: Mapping[Part, str]

    def about(self, values: Mapping[Part, str]) -> Iterator[Evidence]:
        """Yield evidence for those of the values that it says too."""
        parts = [part for part, value in self.says.items() if values.get(part) == value]
        if parts:
            yield speaks_for(self.source, self.text, *parts)


def with_claims(reading: Reading, claims: Iterable[Claim]) -> Reading:
    """Give the same reading with what claims say for it."""
    return reading.with_evidence(item for claim in claims for item in claim.about(reading.values))

"""Readings: what the outputs of a network may mean, and which of them the evidence leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_against
from postproc.inspection.meanings import Classifies, Detects
from postproc.inspection.observed import Observed
from postproc.inspection.roles.label_count import is_unheard_of


class Certainty(IntEnum):
    """How sure a reading is: nothing, one source or several independent ones speak for each of its parts."""

    POSSIBLE = 0
    LIKELY = 1
    CERTAIN = 2


class Role(Protocol):
    """What some numbers of an output are in a reading; it knows what to expect of such numbers."""

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators, the names and the run say for and against it."""


@dataclass(frozen=True)
class Reading:
    """One way to read a network's outputs.

    Parameters
    ----------
    network : str
        The networks that have such outputs.
    meaning : Detects, Classifies or None
        What the documents have to say; None where no kind of output expresses it.
    evidence : tuple of Evidence
        What speaks for it and against it.
    roles : tuple of Role
        What the numbers of the outputs are, for `weighed` to examine.
    values : mapping of Part to str
        What it says of each part; by default what its meaning says.
    advice : str
        Where no kind expresses it: what it is and what would help.
    checks : tuple of str
        What was guessed, or should be looked at.
    without : frozenset of Part
        Parts that make no difference, so that nothing has to speak for them.
    contested : frozenset of Part
        Parts of which another reading that is left says something else.
    """

    network: str
    meaning: Detects | Classifies | None
    evidence: tuple[Evidence, ...] = ()
    roles: tuple[Role, ...] = ()
    values: Mapping[Part, str] = field(default_factory=dict)
    advice: str = ""
    checks: tuple[str, ...] = ()
    without: frozenset[Part] = frozenset()
    contested: frozenset[Part] = frozenset()

    def __post_init__(self) -> None:
        meant = {Part.KIND: self.network} if self.meaning is None else self.meaning.values
        values = {part: value for part, value in {**meant, **self.values}.items() if part not in self.without}
        object.__setattr__(self, "values", values)

    def evidence_for(self, part: Part) -> tuple[Evidence, ...]:
        """Give what speaks for a part; preparing images follows from the network, unless it is a guess."""
        if part is Part.PREPROCESSING and self.meaning is not None and not self.meaning.image.is_guess:
            part = Part.KIND
        return tuple(item for item in self.evidence if part in item.parts and not item.is_against)

    def sources(self, part: Part) -> frozenset[Source]:
        """Give the sources that speak for a part."""
        return frozenset(item.source for item in self.evidence_for(part))

    def certainty_of(self, part: Part) -> Certainty:
        """Tell how sure a part is: one that is contested is possible at most, whatever speaks for it."""
        most = Certainty.POSSIBLE if part in self.contested else Certainty.CERTAIN
        return Certainty(min(len(self.sources(part)), most))

    @property
    def certainty(self) -> Certainty:
        """How sure the least sure part is; how images are prepared aside, which no output tells."""
        return min(self.certainty_of(part) for part in self.values if part in PARTS_OF_ANSWERS)

    def is_unfounded(self, part: Part) -> bool:
        """Tell whether answers hang on a part that nothing speaks for."""
        return part in PARTS_OF_ANSWERS and not self.sources(part)

    @property
    def contradictions(self) -> tuple[Evidence, ...]:
        """What speaks against it."""
        return tuple(item for item in self.evidence if item.is_against)

    def with_evidence(self, evidence: Iterable[Evidence]) -> Reading:
        """Give the same reading with further evidence."""
        return replace(self, evidence=tuple(dict.fromkeys((*self.evidence, *evidence))))

    def with_checks(self, checks: Iterable[str]) -> Reading:
        """Give the same reading with further checks."""
        return replace(self, checks=(*self.checks, *checks))


@dataclass(frozen=True)
class Conclusion:
    """What is left of the readings of a network.

    Parameters
    ----------
    best : tuple of Reading
        Those that no other one beats, the most certain first, one for each answer: if they are several,
        nothing decides.
    beaten : tuple of Reading
        Those that would fit too, but for which less speaks.
    refuted : tuple of Reading
        Those that something speaks against.
    """

    best: tuple[Reading, ...]
    beaten: tuple[Reading, ...]
    refuted: tuple[Reading, ...]


def concluded(readings: Iterable[Reading], observed: Observed) -> Conclusion:
    """Weigh readings: refute those that something contradicts, and find those that the most speaks for."""
    weighed = [reading.with_evidence(_examined(reading, observed)) for reading in _distinct(readings)]
    if observed.graph.labels is None:
        weighed = [_without_offset(reading) for reading in weighed]
    weighed = list(_without_unheard_counts(weighed, observed))
    refuted = tuple(reading for reading in weighed if reading.contradictions)
    left = [reading for reading in weighed if not reading.contradictions]
    left.sort(key=lambda reading: (-reading.certainty, -_support(reading)))
    best: dict[str, Reading] = {}
    for one in left:
        if not any(_beats(other, one) for other in left):
            best.setdefault(_answers(one, observed), one)
    beaten = tuple(one for one in left if one not in best.values())
    said = [one.values for one in best.values()]
    contested = frozenset(part for part in Part if len({values.get(part) for values in said}) > 1)
    return Conclusion(
        tuple(replace(one, contested=contested) for one in best.values()),
        beaten,
        refuted,
    )


def _without_offset(reading: Reading) -> Reading:
    """Leave out from where classes count, where labels have no names: each is called by its number then."""
    if reading.meaning is None or not reading.meaning.calls_by_number:
        return reading
    return replace(reading, without=frozenset({Part.LABEL_OFFSET}))


def _answers(reading: Reading, observed: Observed) -> str:
    if reading.meaning is None:
        return reading.advice
    return reading.meaning.answers(is_named=observed.graph.labels is not None)


def _examined(reading: Reading, observed: Observed) -> Iterator[Evidence]:
    for role in reading.roles:
        yield from role.examined(observed)


def _distinct(readings: Iterable[Reading]) -> Sequence[Reading]:
    """Join readings that mean the same, however they were arrived at."""
    joined: dict[object, Reading] = {}
    for reading in readings:
        key = (
            reading.advice if reading.meaning is None else reading.meaning.key,
            reading.values.get(Part.KIND),
        )
        same = joined.get(key)
        joined[key] = reading if same is None else same.with_evidence(reading.evidence)
    return list(joined.values())


def _without_unheard_counts(readings: Sequence[Reading], observed: Observed) -> Iterator[Reading]:
    """Refute counts of labels that nobody has heard of, where the same columns are explained otherwise."""
    counts = [_unheard_count(reading, observed) for reading in readings]
    explained = [
        reading
        for reading, count in zip(readings, counts, strict=True)
        if not reading.contradictions and count is None and reading.certainty
    ]
    for reading, count in zip(readings, counts, strict=True):
        if explained and count is not None:
            text = (
                f"{count} labels are a count that nobody has heard of, and {explained[0].network} explains "
                "the columns"
            )
            reading = reading.with_evidence([speaks_against(Source.LABELS, text, Part.COLUMNS)])
        yield reading


def _unheard_count(reading: Reading, observed: Observed) -> int | None:
    count = reading.meaning.labels if isinstance(reading.meaning, Detects) else None
    is_unheard = count is not None and observed.graph.labels is None and is_unheard_of(count)
    return count if is_unheard else None


def _support(reading: Reading) -> int:
    return sum(len(reading.sources(part)) for part in reading.values)


def _beats(one: Reading, other: Reading) -> bool:
    """Tell whether more speaks for one reading than for an uncertain other one, wherever they differ."""
    if one is other or other.certainty is Certainty.CERTAIN:
        return False
    shared = [part for part in PARTS_OF_ANSWERS if part in one.values and part in other.values]
    differing = [part for part in shared if one.values[part] != other.values[part]]
    ahead = [len(one.sources(part)) - len(other.sources(part)) for part in differing]
    return bool(ahead) and min(ahead) >= 0 and max(ahead) > 0

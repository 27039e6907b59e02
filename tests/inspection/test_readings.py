"""How readings are weighed: what speaks against one removes it, and more sources for one beat another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Graph
from postproc.inspection.labels import LabelNames
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.presets import FINISHED, SQUASH
from postproc.inspection.provenance import Operators
from postproc.inspection.readings import Certainty, Conclusion, Reading, concluded
from postproc.schema import EndToEndOutput, StandardOutput
from postproc.schema.outputs import BoxFormat

GRAPH = Graph("net", "", (), (), {}, {}, Operators((), frozenset(), {}, {}), None, "assumed")
EVERYTHING = tuple(part for part in Part if part is not Part.PREPROCESSING)


@dataclass(frozen=True)
class Finds:
    """A role that always finds the same."""

    evidence: Evidence

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        yield self.evidence


def reading(
    *evidence: Evidence, box_format: BoxFormat = "xyxy", labels: int = 2, finds: Evidence | None = None
) -> Reading:
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", box_format=box_format)
    roles = () if finds is None else (Finds(finds),)
    return Reading(box_format, Detects(output, labels, FINISHED, SQUASH), evidence, roles)


def conclude(*readings: Reading, graph: Graph = GRAPH) -> Conclusion:
    return concluded(readings, Observed(graph))


def by(source: Source, *parts: Part) -> Evidence:
    return speaks_for(source, f"{source.value} says so", *(parts or EVERYTHING))


def test_reading_is_as_sure_as_its_least_sure_part() -> None:
    every = by(Source.METADATA)
    assert reading().certainty is Certainty.POSSIBLE
    assert reading(every).certainty is Certainty.LIKELY
    but_units = [part for part in EVERYTHING if part is not Part.UNITS]
    assert reading(every, by(Source.RUN, *but_units)).certainty is Certainty.LIKELY
    assert reading(every, by(Source.RUN)).certainty is Certainty.CERTAIN


def test_reading_two_findings_of_one_source_are_no_two_sources() -> None:
    twice = (by(Source.RUN), speaks_for(Source.RUN, "another look", *EVERYTHING))
    assert reading(*twice).certainty is Certainty.LIKELY


def test_conclusion_what_speaks_against_a_reading_removes_it_whatever_speaks_for_it() -> None:
    against = speaks_against(Source.RUN, "a probability of 3", Part.ACTIVATION)
    found = conclude(
        reading(by(Source.METADATA), by(Source.NAMES), finds=against), reading(box_format="cxcywh")
    )
    assert [item.network for item in found.refuted] == ["xyxy"]
    assert [item.network for item in found.best] == ["cxcywh"]


def test_conclusion_more_sources_where_readings_differ_beat_fewer() -> None:
    found = conclude(
        reading(by(Source.SHAPES)), reading(by(Source.SHAPES), by(Source.RUN), box_format="cxcywh")
    )
    assert [item.network for item in found.best] == ["cxcywh"]
    assert [item.network for item in found.beaten] == ["xyxy"]


def test_conclusion_what_speaks_for_a_part_that_readings_share_beats_none() -> None:
    found = conclude(
        reading(by(Source.SHAPES), by(Source.RUN, Part.ACTIVATION)),
        reading(by(Source.SHAPES), box_format="cxcywh"),
    )
    assert [item.network for item in found.best] == ["xyxy", "cxcywh"]


def test_conclusion_ahead_in_one_part_and_behind_in_another_decides_nothing() -> None:
    found = conclude(
        reading(by(Source.NAMES, Part.BOX_FORMAT)),
        reading(by(Source.LABELS, Part.COLUMNS), box_format="cxcywh", labels=3),
    )
    assert len(found.best) == 2


def test_conclusion_same_meaning_found_twice_is_one_reading_with_both_findings() -> None:
    (one,) = conclude(reading(by(Source.NAMES)), reading(by(Source.SHAPES))).best
    assert one.sources(Part.KIND) == {Source.NAMES, Source.SHAPES}


@pytest.mark.parametrize(("names", "left"), [(None, [80]), (("name",) * 107, [107, 80])])
def test_conclusion_labels_nobody_has_heard_of_are_none_where_another_reading_explains_the_columns(
    names: tuple[str, ...] | None, left: list[int]
) -> None:
    graph = GRAPH.with_labels(None if names is None else LabelNames(names, "the caller"))
    odd = reading(by(Source.SHAPES), by(Source.RUN), labels=107)
    common = reading(by(Source.SHAPES), box_format="cxcywh", labels=80)
    found = conclude(odd, common, graph=graph)
    labels = [
        item.meaning.labels for item in (*found.best, *found.beaten) if isinstance(item.meaning, Detects)
    ]
    assert labels == left


def test_conclusion_labels_nobody_has_heard_of_stay_where_nothing_else_explains_the_columns() -> None:
    (one,) = conclude(reading(by(Source.SHAPES), labels=107)).best
    assert isinstance(one.meaning, Detects)
    assert one.meaning.labels == 107


def test_reading_without_a_kind_competes_with_those_that_have_one() -> None:
    unknown = Reading("NanoDet", None, (by(Source.SHAPES), by(Source.RUN)), advice="export it with decoding")
    found = conclude(unknown, reading(by(Source.SHAPES)))
    assert found.best == (unknown,)


@pytest.mark.parametrize(("names", "count"), [(None, 1), (("cat", "dog"), 2)])
def test_conclusion_readings_that_give_each_class_the_same_id_are_one_answer(
    names: tuple[str, ...] | None, count: int
) -> None:
    graph = GRAPH.with_labels(None if names is None else LabelNames(names, "the caller"))
    tensors = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
    rows = Reading("rows", Detects(EndToEndOutput(**tensors), None, FINISHED, SQUASH))
    ids = Reading(
        "ids", Detects(EndToEndOutput(**tensors, classes="ids"), None, FINISHED, SQUASH, first_id=1)
    )
    assert len(conclude(rows, ids, graph=graph).best) == count

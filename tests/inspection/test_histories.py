"""Sizes that a graph computes, and what each column of an output went through, without a run."""

from __future__ import annotations

from pathlib import Path

from postproc.inspection.observed import Columns
from tests.inspection.columns_of_layers import CELLS, observed_columns

BOX = Columns("table", 2, 0, 4)


def test_inspect_sizes_that_a_graph_computes_follow_from_its_input(tmp_path: Path) -> None:
    graph = observed_columns(tmp_path, [(4, []), (3, ["Sigmoid"])]).graph
    assert graph.outputs[0].shape == (1, CELLS, 7)


def test_histories_of_columns_stop_at_the_last_layer(tmp_path: Path) -> None:
    observed = observed_columns(tmp_path, [(2, ["Add", "Mul"]), (2, ["Exp"]), (3, ["Sigmoid"])])
    each = observed.histories(Columns("table", 2))
    assert each is not None
    assert [each[row] for row in (0, 2, 6)] == [{"Add", "Mul", "Conv"}, {"Exp", "Conv"}, {"Sigmoid", "Conv"}]
    assert observed.sources(Columns("table", 2, 0, 2)) == {"Mul"}


def test_histories_join_what_all_operands_went_through(tmp_path: Path) -> None:
    observed = observed_columns(tmp_path, [(4, []), (1, [])])
    assert observed.histories(BOX) == ({"Conv"},) * 4


def test_parts_of_a_concat_are_counted_through_what_moves_numbers(tmp_path: Path) -> None:
    links = observed_columns(tmp_path, [(4, []), (1, ["Sigmoid"]), (7, ["Sigmoid"])]).graph.links
    assert links.joined("table") == (4, 1, 7)
    assert links.joined("grid") == ()

"""Parts of pages that are made from something else are what is made of it today."""

from __future__ import annotations

import pytest

from benchmarks import report
from tests.documents.pages import README
from tools.markers import part, with_part


def test_readme_has_a_row_of_each_table_of_the_page_on_speed() -> None:
    tables = part(report.PAGE.read_text("utf-8"), report.TABLES)
    assert part(README.read_text("utf-8"), report.SUMMARY) == report.summary(tables)
    assert {*report.PEERS} - {*report.TYPICAL} == {"narrow numbers"}  # beside which is our own float32


def test_page_is_rewritten_between_its_markers_only() -> None:
    text = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n"
    new = with_part(text, "a", "new\n")
    assert new == "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n"
    assert part(new, "a") == "new\n"


def test_page_without_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected the markers <!-- a --> and <!-- /a -->"):
        part("text", "a")

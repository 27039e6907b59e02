"""What commands say of their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from postproc.cli.app import app


def _names(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, one in getattr(command, "commands", {}).items():
        yield from _names(one, (*path, name))


@pytest.mark.parametrize("names", list(_names(typer.main.get_command(app))), ids=" ".join)
def test_help_shows_what_options_take_and_no_types_of_python(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert re.findall(r"<\w+( range|\[.*?\])?>|\b(TEXT|INTEGER|FLOAT|BOOLEAN)\b", result.output) == []

"""The page of the commands, from what their help says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from text import cell, code, escaped, table

from postproc.cli.app import app


def page() -> str:
    """Return the Markdown of the page."""
    command = typer.main.get_command(app)
    with command.make_context("postproc", [], resilient_parsing=True) as context:
        parts = list(_sections(command, context, 2))
    return "\n".join(["# Commands", escaped(command.help or "") + "\n", *parts])


def _sections(group: Any, context: Any, depth: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        with command.make_context(name, [], parent=context, resilient_parsing=True) as inner:
            yield _section(command, inner, depth)
            if hasattr(command, "list_commands"):
                yield from _sections(command, inner, depth + 1)


def _section(command: Any, context: Any, depth: int) -> str:
    usage = command.get_usage(context).partition(" ")[2].strip()
    text = (
        f"{'#' * depth} {context.command_path}\n\n```text\n{usage}\n```\n\n{escaped(command.help or '')}\n\n"
    )
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [(code(" ".join(told[0].split())), cell(told[1])) for told in records if told]
    text += table(("option", "what it does"), rows)
    if command.epilog:
        text += f"\n{escaped(command.epilog)}\n"
    return text

"""How ``postproc doctor`` shows its report."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

from postproc.doctor import Finding, Report, Section, Status

# Words and not only colours, since both a pipe and NO_COLOR take these away.
_MARKS = {
    Status.NOTE: ("", ""),
    Status.OK: ("ok", "green"),
    Status.WARNING: ("warn", "yellow"),
    Status.FAILED: ("FAIL", "bold red"),
}
_NAMES = 15  # columns of the names, where none of a section is longer


def show_report(report: Report, console: Console) -> None:
    """Print a report, one section after the other, and what it comes to."""
    for section in report.sections:
        _show(section, console)
    console.print(_conclusion(report), soft_wrap=True)


def _show(section: Section, console: Console) -> None:
    _print(console, Text(section.title, style="bold"))
    width = max([_NAMES, *(len(finding.name) for finding in section.findings)])
    for finding in section.findings:
        mark, style = _MARKS[finding.status]
        lines = _lines(finding, console.width - width - 8)
        head = Text.assemble((f"{mark:4}", style), f"  {finding.name:{width}}  ", lines[0])
        _print(console, head)
        for line in lines[1:]:
            _print(console, Text(" " * (width + 8)).append(line))
    _print(console, Text())


def _lines(finding: Finding, width: int) -> list[Text]:
    """Wrap a finding's text between words: a path stays whole, to be copied."""
    lines = list(map(Text, _wrapped(finding.text, width)))
    if finding.advice and finding.status in (Status.WARNING, Status.FAILED):
        label, *rest = _wrapped(f"What to do: {finding.advice}", width)
        first = Text(label)
        first.stylize("bold", 0, len("What to do:"))
        lines += [first, *map(Text, rest)]
    return lines or [Text()]


def _wrapped(text: str, width: int) -> list[str]:
    wrapped = textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return wrapped or [""]


def _print(console: Console, text: Text) -> None:
    text.rstrip()
    console.print(text, soft_wrap=True)


def _conclusion(report: Report) -> Text:
    failed, warnings = report.count(Status.FAILED), report.count(Status.WARNING)
    if failed:
        parts = [Text(f"{failed} check{'s' * (failed > 1)} failed", style="bold red")]
    else:
        parts = [Text("all checks passed", style="green")]
    if warnings:
        parts.append(Text(f"{warnings} warning{'s' * (warnings > 1)}", style="yellow"))
    return Text(", ").join(parts)

"""What a comparison comes to, as tables for a terminal (extra ``cli``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from postproc.evaluation.pages import signed
from postproc.evaluation.tables import MOST_SHOWN
from postproc.installing import install

try:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise ImportError(f"tables need an extra: {install('cli')} ({error})") from error

if TYPE_CHECKING:
    from postproc.evaluation.comparison import Comparison, Difference

_MOST_IMAGES = 5


def comparison_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """Give the differences as tables, and the images that changed most."""
    numbers = [
        (f"{measured} {name}".replace("_", " "), difference)
        for measured, of_metric in comparison.metrics.items()
        for name, difference in of_metric.items()
    ]
    counts = [("F1" if name == "f1" else name, value) for name, value in comparison.counts.items()]
    yield _table(comparison, "number", [*numbers, *counts])
    names = comparison.a.detections.table.names
    labels = [(names[row], label) for row, label in enumerate(comparison.labels) if label.value is not None]
    labels.sort(key=lambda item: (not item[1].is_clear, -abs(item[1].value or 0)))
    table = _table(comparison, f"{next(iter(comparison.metrics))} AP of label", labels[:MOST_SHOWN])
    if len(labels) > MOST_SHOWN:
        table.caption = f"{len(labels) - MOST_SHOWN} more labels: --json writes all"
    yield table
    changes = comparison.changes
    for title, rows in (("better", changes.better(_MOST_IMAGES)), ("worse", changes.worse(_MOST_IMAGES))):
        if rows:
            told = "; ".join(f"{changes.names[row]} ({changes.tell(row)})" for row in rows)
            yield Text(f"Images that got {title} most: {told}")
    for remark in comparison.remarks():
        yield Text(f"{remark[0].upper()}{remark[1:]}.")


def _table(comparison: Comparison, heading: str, rows: Iterable[tuple[str, Difference]]) -> Table:
    table = Table(title=f"Difference: {comparison.names[1]} less {comparison.names[0]}")
    table.add_column(heading, max_width=24, no_wrap=True, overflow="ellipsis")
    for name in (*comparison.names, "difference", "95 % interval"):
        table.add_column(Text(name), justify="right", no_wrap=True, overflow="ellipsis")
    for name, difference in rows:
        interval = "-" if difference.low is None else f"{signed(difference.low)} to {signed(difference.high)}"
        shares = ("-" if share is None else f"{share:.3f}" for share in (difference.a, difference.b))
        style = "bold" if difference.is_clear else ""
        table.add_row(Text(name), *shares, signed(difference.value), interval, style=style)
    return table

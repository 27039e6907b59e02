"""The tables of metrics in docs/operations.md: ``python -m tools.metrics_page`` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from postproc.service.metrics import METRICS, REPLICA_METRICS, Metric
from tools.markers import write_parts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"


def parts() -> dict[str, str]:
    """Return the made parts of the page, by the names of their markers."""
    return {"metrics": _table(METRICS), "replica metrics": _table(REPLICA_METRICS)}


def _table(metrics: Mapping[str, Metric]) -> str:
    rows = (
        (f"`{name}{'_total' if metric.kind == 'counter' else ''}`", metric.kind, _labels(metric), metric.text)
        for name, metric in metrics.items()
    )
    lines = [("metric", "kind", "labels", ""), ("---",) * 4, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _labels(metric: Metric) -> str:
    told = (
        f"`{label}`" + (f": {', '.join(f'`{value}`' for value in values)}" if values else "")
        for label, values in metric.labels.items()
    )
    return "; ".join(told)


def main() -> None:
    """Write the page's parts."""
    write_parts(PAGE, parts())


if __name__ == "__main__":
    main()

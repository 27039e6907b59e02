"""Charts of a report, as SVG: numbers only, so that nothing in them needs escaping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 220, 160  # of the whole chart
_LEFT, _TOP, _RIGHT, _BOTTOM = 30, 18, 212, 138  # of what lies between its axes
_INTERVAL_WIDTH, _INTERVAL_HEIGHT = 200, 28
_BINS = 25
_MOST_POINTS = 200


def precision_recall_chart(
    precision: NDArray[np.float64],
    recall: NDArray[np.float64],
    operating_point: tuple[float | None, float | None],
) -> str:
    """Draw the curve, with a dot at the precision and recall of the version's own threshold."""
    parts = [_axes("recall", "precision", [(str(tick), tick) for tick in (0, 0.5, 1)])]
    if len(recall):
        kept = _thinned(recall)
        points = " ".join(f"{_x(recall[row]):.1f},{_y(precision[row]):.1f}" for row in kept)
        first = f"{_x(0):.1f},{_y(precision[0]):.1f}"
        parts.append(f'<polyline class="curve" points="{first} {points}"/>')
    precision_there, recall_there = operating_point
    if precision_there is not None and recall_there is not None:
        parts.append(
            f'<circle class="point" cx="{_x(recall_there):.1f}" cy="{_y(precision_there):.1f}" r="4"/>'
        )
    return _svg(parts)


def metric_chart(recalls: NDArray[np.float64], precisions: dict[str, NDArray[np.float64]]) -> str:
    """Draw the mean precision of labels by recall, a curve each; the first is the heaviest."""
    parts = [_axes("recall", "precision", [(str(tick), tick) for tick in (0, 0.5, 1)])]
    for number, values in enumerate(precisions.values()):
        points = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(recalls, values, strict=True))
        parts.append(f'<polyline class="curve nr{number}" points="{points}"/>')
    return _svg(parts)


def score_chart(
    true_positives: NDArray[np.float32], false_positives: NDArray[np.float32], threshold: float | None
) -> str:
    """Draw how many true and false positives have which score, on a logarithmic scale, and any threshold."""
    edges = np.linspace(0, 1, _BINS + 1)
    counts = [np.histogram(np.clip(scores, 0, 1), edges)[0] for scores in (true_positives, false_positives)]
    most = max(int(count.max()) for count in counts)
    ticks = [10**power for power in range(8) if power == 0 or 10**power <= most]
    top = np.log1p(max(most, 1) * 1.1)
    heights = [(f"{tick:,}", float(np.log1p(tick) / top)) for tick in ticks]
    parts = [_axes("score", "count", heights)]
    width = (_RIGHT - _LEFT) / _BINS
    for kind, count, shift in (("right", counts[0], 0.0), ("wrong", counts[1], width / 2)):
        for row in np.flatnonzero(count).tolist():
            y = _y(float(np.log1p(count[row]) / top))
            parts.append(
                f'<rect class="{kind}" x="{_LEFT + row * width + shift:.1f}" y="{y:.1f}" '
                f'width="{width / 2:.1f}" height="{_BOTTOM - y:.1f}"/>'
            )
    if threshold is not None:
        x = _x(threshold)
        parts.append(f'<line class="threshold" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_BOTTOM}"/>')
    return _svg(parts)


def interval_chart(value: float | None, low: float | None, high: float | None, scale: float) -> str:
    """Draw a difference and its interval on a line from ``-scale`` to `scale`; hollow without an interval."""
    middle, reach = _INTERVAL_WIDTH / 2, _INTERVAL_WIDTH / 2 - 5
    parts = [f'<line class="axes" x1="{middle}" y1="0" x2="{middle}" y2="{_INTERVAL_HEIGHT}"/>']
    y = _INTERVAL_HEIGHT / 2

    def x(number: float) -> str:
        return f"{middle + reach * min(max(number / scale, -1), 1):.1f}"

    if value is not None:
        kind = (
            "unclear" if low is None or high is None or low <= 0 <= high else "right" if low > 0 else "wrong"
        )
        if low is not None and high is not None:
            parts.append(f'<line class="{kind}" x1="{x(low)}" y1="{y}" x2="{x(high)}" y2="{y}"/>')
        hollow = " hollow" if low is None else ""
        parts.append(f'<circle class="{kind}{hollow}" cx="{x(value)}" cy="{y}" r="3.5"/>')
    size = f"0 0 {_INTERVAL_WIDTH} {_INTERVAL_HEIGHT}"
    return f'<svg class="interval" viewBox="{size}" role="img">{"".join(parts)}</svg>'


def _axes(across: str, up: str, heights: list[tuple[str, float]]) -> str:
    parts = []
    for text, height in heights:
        y = _y(height)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{text}</text>')
    for text, place in (("0", 0.0), (across, 0.5), ("1", 1.0)):
        parts.append(f'<text x="{_x(place):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="2" y="8">{up}</text>')
    parts.append(f'<path class="axes" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"/>')
    return "".join(parts)


def _svg(parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _x(share: float) -> float:
    return float(_LEFT + share * (_RIGHT - _LEFT))


def _y(share: float) -> float:
    return float(_BOTTOM - share * (_BOTTOM - _TOP))


def _thinned(recall: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows to draw: the first and the last of every small step of recall, and the very last."""
    steps = np.floor(recall * _MOST_POINTS)
    changes = np.flatnonzero(np.diff(steps))
    return np.unique(np.concatenate([[0], changes, changes + 1, [len(recall) - 1]]))

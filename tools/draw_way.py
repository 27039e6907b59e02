"""Draw the way of a tensor, the picture of docs/how-it-works.md: ``python tools/draw_way.py``.

One SVG for light and dark pages: it asks for the colours that the page around it has.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "assets" / "way-of-a-tensor.svg"
WIDTH = 700
_LEFT, _RIGHT = 90, 610
_LINE = 21
_STYLE = """
  svg { color-scheme: light dark; }
  .paper { fill: #ffffff; } .call { fill: #e8eaf6; stroke: #5c6bc0; }
  .step { fill: #f7f7f9; stroke: #9aa0ad; } .call ~ .inner { fill: #ffffff; stroke: #5c6bc0; }
  text { font-family: system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #24292f; }
  .title { font-size: 17px; font-weight: 600; } .text { font-size: 15px; fill: #4b535d; }
  .way { fill: none; stroke: #5f6672; stroke-width: 1.8; } .head { fill: #5f6672; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #1e2129; } .call { fill: #262b3d; stroke: #7986cb; }
    .step { fill: #2a2e38; stroke: #767d8b; } .call ~ .inner { fill: #1e2129; stroke: #7986cb; }
    text { fill: #e4e6eb; } .text { fill: #b4bac5; }
    .way { stroke: #a3aab8; } .head { fill: #a3aab8; }
  }
"""
# A step: its title, and lines that say what happens. Those of _CALL are one compiled call.
_BEFORE = [
    ("The network's tensors", ["arrays by name: float32, float64, halves, integers"]),
    ("Gate", ["contiguous numbers, or a TensorError that names the tensor", "postproc/tensors.py"]),
    (
        "Decoder",
        ["shapes checked; one typed structure says what lies where", "postproc/decoding/"],
    ),
    ("Workers", ["images shared between num_threads threads", "postproc/pipeline/workers.py"]),
]
_CALL = [
    ("Scan", ["strides of 512 bytes against the limits of their labels"]),
    ("Keys in a collector", ["one 64-bit number a candidate; full: the better half stays"]),
    ("Decode", ["corners of the best, 128 at first, then more"]),
    ("Suppress", ["against kept boxes of the same label, 16 at a time"]),
    ("Place and clip", ["relative to the image; up to max_predictions"]),
]
_AFTER = [
    ("Detections", ["arrays over the whole batch: boxes, scores, labels, offsets"]),
    ("JSON, COCO, Arrow, supervision", ["made when they are asked for"]),
]


def draw() -> str:
    """Return the picture."""
    parts: list[str] = []
    bottom = _column(parts, _BEFORE, 20, "step")
    top = bottom + 34
    inside: list[str] = []
    end = _column(inside, _CALL, top + 44, "inner")
    size = f'width="{WIDTH - 40}" height="{end - top + 18}" rx="10"'
    parts.append(f'<rect class="call" x="20" y="{top}" {size}/>')
    _arrow(parts, bottom, top + 44)
    parts.append(_text("one compiled call, no GIL", 36, top + 27, "title", "start"))
    parts += inside
    _loops(parts, top + 44)
    _arrow(parts, end, end + 52)
    height = _column(parts, _AFTER, end + 52, "step") + 20
    head = (
        '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="head" d="M0,0 L10,5 L0,10 z"/></marker>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>The way of a tensor</title>\n<style>{_STYLE}</style>\n<defs>{head}</defs>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="10"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _height(lines: list[str]) -> int:
    return 34 + _LINE * len(lines)


def _column(parts: list[str], steps: list[tuple[str, list[str]]], top: int, kind: str) -> int:
    """Draw steps one below the other, and arrows between them; return where the last one ends."""
    for index, (title, lines) in enumerate(steps):
        if index:
            _arrow(parts, top, top + 26)
            top += 26
        height = _height(lines)
        size = f'width="{_RIGHT - _LEFT}" height="{height}" rx="6"'
        parts.append(f'<rect class="step {kind}" x="{_LEFT}" y="{top}" {size}/>')
        parts.append(_text(title, WIDTH // 2, top + 24, "title"))
        parts += [
            _text(line, WIDTH // 2, top + 24 + _LINE * (row + 1), "text") for row, line in enumerate(lines)
        ]
        top += height
    return top


def _loops(parts: list[str], top: int) -> None:
    """Draw the two ways back: of limits from the collector, and of images that want more candidates."""
    tops = [top]
    for _, lines in _CALL:
        tops.append(tops[-1] + _height(lines) + 26)
    middles = [begin + _height(lines) // 2 for begin, (_, lines) in zip(tops, _CALL, strict=False)]
    right, left = _RIGHT + 34, _LEFT - 34
    parts.append(_way(f"M{_RIGHT},{middles[1]} H{right} V{middles[0]} H{_RIGHT + 2}"))
    parts.append(_aside("limits rise", right + 18, (middles[0] + middles[1]) // 2))
    parts.append(_way(f"M{_LEFT},{middles[4]} H{left} V{middles[0]} H{_LEFT - 2}"))
    parts.append(
        _aside("too few are left: again, below the last key", left - 10, (middles[0] + middles[4]) // 2)
    )


def _aside(words: str, x: int, y: int) -> str:
    return (
        f'<text class="text" text-anchor="middle" transform="translate({x} {y}) rotate(-90)">{words}</text>'
    )


def _arrow(parts: list[str], top: int, bottom: int) -> None:
    parts.append(_way(f"M{WIDTH // 2},{top} V{bottom - 1}"))


def _way(path: str) -> str:
    return f'<path class="way" d="{path}" marker-end="url(#head)"/>'


def _text(words: str, x: int, y: int, kind: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words, quote=False)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")

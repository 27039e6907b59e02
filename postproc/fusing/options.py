"""How post-processing is written into a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from postproc.errors import FusingError

LOWEST_OPSET = 13  # axes of Squeeze, Unsqueeze and ReduceSum are inputs from here on
MOST_CANDIDATES = 1_000_000  # of which no table of each with each fits into memory, and rows barely do
_DEFAULT_PREDICTIONS = 100


@dataclass(frozen=True)
class FuseOptions:
    """How post-processing is written into a graph.

    Parameters
    ----------
    candidates : int
        The best of an image that are compared with each other, K: the graph's work grows with its square.
        TensorRT's TopK takes up to 3,840, and 1,024 up to TensorRT 8.6.
    max_predictions : int, optional
        Rows of an image, P. Left out: 100 as of a call, or `candidates` where those are fewer.
    nms : {"loop", "rounds", "operator"}
        Suppression as a fixed point in ``Loop``, in so many `rounds` without loops, or by ONNX's
        ``NonMaxSuppression``.
    rounds : int, optional
        With `nms` "rounds" only: how many.
    pixels : bool
        Boxes in pixels of the network's input, not in [0, 1].
    placement : {"size", "input"}
        Boxes are divided by the size of the network's input; or an input ``placement`` (B, 2, 4) float64
        holds for x and y of each image factor, offset, scale and size d: ``((x * f - o) / s) / d``.
    thresholds : {"constants", "input"}
        Those of the version, or an input ``thresholds`` (L,) float32, one a label in the order of the spec.
    opset : int
        Of the ONNX standard, of a graph of its own; behind a network the network's, if that is 13 or later.
    precision : {"float32", "float64"}
        In which activations, and boxes that take more than one step, are computed before they are rounded to
        float32: float64 as the kernels do it, where a runtime has it.

    Raises
    ------
    FusingError
        If a value is out of range.
    """

    candidates: int = 1024
    max_predictions: int | None = None
    nms: Literal["loop", "rounds", "operator"] = "loop"
    rounds: int | None = None
    pixels: bool = False
    placement: Literal["size", "input"] = "size"
    thresholds: Literal["constants", "input"] = "constants"
    opset: int = 17
    precision: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value, choices = getattr(self, name), get_args(kind)
            if choices and str in map(type, choices):
                _check(value in choices, name, f"one of {', '.join(choices)}", value)
        for name in ("candidates", "max_predictions", "rounds"):
            value = getattr(self, name)
            is_needed = name == "candidates" or (name == "rounds" and self.nms == "rounds")
            is_number = _is_positive(value) and value <= MOST_CANDIDATES
            expected = f"1 to {MOST_CANDIDATES:,}" + (' with nms="rounds"' if name == "rounds" else "")
            _check(is_number or (value is None and not is_needed), name, expected, value)
        _check(
            self.nms == "rounds" or self.rounds is None, "rounds", 'none without nms="rounds"', self.rounds
        )
        _check(
            _is_positive(self.opset) and self.opset >= LOWEST_OPSET,
            "opset",
            f"{LOWEST_OPSET} or more",
            self.opset,
        )
        _check(type(self.pixels) is bool, "pixels", "true or false", self.pixels)
        rows = self.max_predictions
        _check(rows is None or rows <= self.candidates, "max_predictions", "no more than candidates", rows)
        _check(
            not (self.pixels and self.placement == "input"),
            "pixels",
            'false with placement="input", which places boxes in images',
            True,
        )

    @property
    def rows(self) -> int:
        """Rows of an image in the graph's outputs."""
        if self.max_predictions is None:
            return min(_DEFAULT_PREDICTIONS, self.candidates)
        return self.max_predictions


def _is_positive(value: Any) -> bool:
    return type(value) is int and value >= 1


def _check(holds: bool, name: str, expected: str, found: Any) -> None:
    if not holds:
        raise FusingError(f"{name}: expected {expected}, got {found!r}")

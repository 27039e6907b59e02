"""What one seed stands for: a case, how its documents and arrays are passed, and what is compared."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.array_forms import FORMS
from tests.kinds import KINDS
from tests.random_cases.builder import ALL, Case, CaseBuilder
from tests.random_cases.numbers import Json
from tests.strategies import uses_softmax

ALL_KINDS = (*ALL, "several", "any")
SOFTLESS = (*(name for name, kind in KINDS.items() if not kind.takes_soft_nms), "several", "any")
GRIDS = ("yolo", "yolov3")

# One case in so many is large; each has so many rows. The reference compares pairs one by one, in Python.
LARGE_EVERY = 150
ROWS = {"hard": (300, 1500, 3000), "weighted": (300, 1000), "soft": (200,)}
MOST_ROWS = {"yolov8_obb": 60, "several": 600, "any": 300, "yolov8_seg": 600}
TILES = {"hard": (5, 12), "weighted": (5, 10), "soft": (3,)}
LARGE_INPUT = (400, 512)  # of YOLOX: of stride 8, 3,200 cells


@dataclass(eq=False)
class Drawn:
    """A case of a seed, with all that the seed decides."""

    kind: str
    seed: int
    case: Case
    batch: int
    large: bool
    as_text: bool  # documents as JSON text
    forms: dict[str, str] = field(default_factory=dict)  # of tensors, by name

    @property
    def name(self) -> str:
        """What stands for the case on a command line."""
        return f"{self.kind}:{self.seed}"

    def documents(self) -> tuple[Any, Any]:
        """Return the spec and the version as they are passed."""
        both = self.case.spec, self.case.version
        return tuple(map(json.dumps, both)) if self.as_text else both  # type: ignore[return-value]

    def tensors(self) -> dict[str, Any]:
        """Return the tensors in the forms in which they are passed."""
        return {
            name: FORMS[self.forms[name]](tensor.copy()) if name in self.forms else tensor
            for name, tensor in self.case.tensors.items()
        }


def draw(kind: str, seed: int) -> Drawn:
    """Return the case that a kind and a seed stand for."""
    rng = np.random.default_rng([ALL_KINDS.index(kind), seed])
    method = "hard"
    if kind != "classification" and rng.random() < 0.4:
        method = str(rng.choice(["weighted"] if kind in SOFTLESS else ["soft", "weighted"]))
    rows, large = None, bool(rng.integers(LARGE_EVERY) == 0)
    if large:
        rows = min(int(rng.choice(ROWS[method])), MOST_ROWS.get(kind, 3000))
    builder = CaseBuilder(rng, lambda *values: values[rng.integers(len(values))], rows, method)
    case = builder.case(kind)
    if large and kind in GRIDS:
        case = _tiled(case, int(rng.choice(TILES[method])))
    if large and kind == "yolox":
        case = _of_a_large_input(case)
    forms = {
        name: str(rng.choice(list(FORMS)))
        for name, tensor in case.tensors.items()
        if tensor.size and rng.random() < 0.4
    }
    return Drawn(kind, seed, case, builder.batch, large, bool(rng.random() < 0.3), forms)


def _output_of(case: Case) -> tuple[Json, Json]:
    """Return the only post-processing, and its output."""
    (post,) = case.version["post_processings"]
    return post, next(output for name, output in post["detection"].items() if name.endswith("_output"))


def _of_a_large_input(case: Case) -> Case:
    """Repeat the cells of a YOLOX, as many as a large input has, if the call says the size."""
    post, output = _output_of(case)
    if "normalize_wrt_tensor" in post["detection"] or case.options["input_size"] is None:
        return case
    if "output_tensor" not in output:
        return case
    ((name, table),) = case.tensors.items()
    first = output.get("layout", "auto") == "channels_first" or (
        "layout" not in output and table.shape[-1] != 5 + len(case.spec["outputs"][0]["labels"]["labels"])
    )
    axis = -1 if first else -2
    height, width = LARGE_INPUT
    cells = sum((height // stride) * (width // stride) for stride in output.get("strides", (8, 16, 32)))
    repeated = table.take(np.arange(cells) % table.shape[axis], axis)
    return replace(case, tensors={name: repeated}, options={**case.options, "input_size": LARGE_INPUT})


def _tiled(case: Case, times: int) -> Case:
    """Repeat the cells of grids along both sides: thousands of candidates."""
    post, output = _output_of(case)
    layout = output.get("layout", "auto")
    noise = np.random.default_rng(0)
    tensors = {}
    for name, tensor in case.tensors.items():
        if "/grid" not in name:
            tensors[name] = tensor
            continue
        if layout == "auto" and (tensor.ndim < 5 or "yolov3_output" in post["detection"]):
            return case
        axes = (-2, -1) if layout == "channels_first" else (-3, -2)
        if tensor.ndim == 5 and layout != "anchors_first":
            axes = (1, 2)
        repeats = np.ones(tensor.ndim, int)
        repeats[list(axes)] = times
        tiled = np.tile(tensor, repeats)
        if not uses_softmax(post):  # whose ties are safe while they are exact
            with np.errstate(invalid="ignore"):
                tiled = (tiled + noise.normal(0, 0.05, tiled.shape)).astype(tensor.dtype)
        tensors[name] = tiled
    return replace(case, tensors=tensors)

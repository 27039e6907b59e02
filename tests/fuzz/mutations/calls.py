"""Calls with options that are out of range, or do not agree with the tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from postproc import ImageTransform, TensorError
from tests.fuzz.mutations.documents import one_of
from tests.fuzz.mutations.registry import Broken, Registry, Rng
from tests.fuzz.mutations.rules import outputs

REGISTRY = Registry(TensorError)

TRANSFORM = ImageTransform((1.0, 1.0), (0.0, 0.0), (40, 56), (30, 30))


def lists_name_their_images(broken: Broken) -> bool:
    """Say whether the call tells how many images there are, so that any number of them is right."""
    listed = any("image" in output.get("columns", ()) for _, output in outputs(broken, "end_to_end"))
    return listed and len(broken.spec["outputs"]) == 1


@REGISTRY.add
def max_predictions(broken: Broken, rng: Rng) -> Broken | None:
    wrong = [-1, 1.0, "5", None, True, math.inf, math.nan, np.float32(3), [3], -(10**30), 2.5, np.int64(-1)]
    broken.options["max_predictions"] = one_of(rng, wrong)
    return broken.names("max_predictions")


@REGISTRY.add
def batch_size(broken: Broken, rng: Rng) -> Broken | None:
    wrong: list[Any] = [-1, 1.0, "5", True, math.nan, [3], np.int64(-1)]
    if not lists_name_their_images(broken):
        wrong += [broken.drawn.batch + 1, 10**30, broken.drawn.batch + 1]
    broken.options["batch_size"] = one_of(rng, wrong)
    return broken.names("batch_size")


@REGISTRY.add
def input_size(broken: Broken, rng: Rng) -> Broken | None:
    wrong = [5, [5], [5, 5, 5], "ab", [[1, 2]], object(), {}, [0, 5], [5, -1], [math.nan, 5], [5, math.inf]]
    wrong += [[None, 5], ["5", "x"], np.zeros((2, 2)), [5, 1j], [], math.nan, [10**400, 5]]
    broken.options["input_size"] = one_of(rng, wrong)
    return broken.names("input_size")


@REGISTRY.add
def transforms_that_are_none(broken: Broken, rng: Rng) -> Broken | None:
    count = broken.drawn.batch
    wrong: list[Any] = [TRANSFORM, 5, object(), [None] * (count or 1), [(1.0, 1.0)] * (count or 1), "ab"]
    wrong += [[TRANSFORM] * count + [None]]
    broken.options["transforms"] = one_of(rng, wrong)
    return broken.names("transforms")


@REGISTRY.add
def count_of_transforms(broken: Broken, rng: Rng) -> Broken | None:
    if lists_name_their_images(broken):
        return None
    batch = broken.drawn.batch
    broken.options["batch_size"] = None
    counts = [count for count in (0, batch - 1, batch + 1, 2 * batch + 1) if count not in (batch, -1)]
    broken.options["transforms"] = [TRANSFORM] * int(one_of(rng, counts))
    return broken.names("transform")


@REGISTRY.add
def no_mapping(broken: Broken, rng: Rng) -> Broken | None:
    wrong = [None, list(broken.tensors)]
    wrong += [
        list(broken.tensors.values()),
        set(broken.tensors),
        5,
        "ab",
        np.zeros(3),
    ]
    broken.tensors = one_of(rng, wrong)
    return broken.names("tensors must be a mapping")

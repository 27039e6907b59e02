"""Documents broken field by field: a value of another type or out of range, a field too many or too few."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_origin

from postproc import Detection, SchemaError, TensorError
from postproc.schema import Labels
from tests.fuzz.mutations.registry import Broken, Registry, Rng

REGISTRY = Registry(SchemaError)

OUTPUTS = Detection.alternatives
REQUIRED = {
    "labels": ("labels", "exclusive", "roi"),
    "classification": ("output_tensor",),
    **{
        kind: tuple(name for name, field in output.model_fields.items() if field.is_required())
        for kind, output in OUTPUTS.items()
    },
}
FIELDS = {
    name: field.annotation
    for document in (Labels, Detection, *OUTPUTS.values())
    for name, field in document.model_fields.items()
}
CHOICES = [name for name, kind in FIELDS.items() if get_origin(kind) is Literal]
NAMES = [name for name in FIELDS if name.endswith("_tensor") and name != "normalize_wrt_tensor"]

NOT_FINITE = (math.nan, math.inf, -math.inf)
UNIT = (-1e-9, 1.0000001, 10, -1, 10**400, 1e308)
POSITIVE = (0, 0.0, -1, -1e-300, -0.0)
COUNTS = (0, -1, 2**31, 10**30, 1.0, 2.5)
OUT_OF_RANGE: dict[str, tuple[Any, ...]] = {
    "thresholds": (*UNIT, *NOT_FINITE),
    "nms_threshold": (*UNIT, *NOT_FINITE),
    "nms_thresholds": (*UNIT, *NOT_FINITE),
    "discard_threshold": (*UNIT, *NOT_FINITE),
    "anchors": (*POSITIVE, *NOT_FINITE),
    "offsets_scale": (*POSITIVE, *NOT_FINITE),
    "scale_x_y": (*POSITIVE, *NOT_FINITE),
    "soft_sigma": (*POSITIVE, *NOT_FINITE),
    "priors": NOT_FINITE,
    "input_size": (*COUNTS, *NOT_FINITE),
    "strides": (*COUNTS, *NOT_FINITE),
    "keypoints": (*COUNTS, *NOT_FINITE),
    "dimensions": (0, 1, 4, 2.5, math.nan),
    "anchor_masks": (-1, 2**31, 1.0, 0.5, math.nan),
    "scale": (*POSITIVE, *NOT_FINITE, 1e-46, 1e39),
    "zero_point": (-(2**15) - 1, 2**16, 10**30, 1.0, 2.5, math.nan),
    "id": (2**63, -(2**63) - 1, 1.0, 0.5, 10**400, math.nan),
}


class Place(NamedTuple):
    """Where a value lies in a document."""

    parent: Any
    key: Any
    steps: tuple[Any, ...]

    @property
    def value(self) -> Any:
        return self.parent[self.key]

    @property
    def path(self) -> str:
        return path_of(self.steps)

    @property
    def field(self) -> str:
        """Name of the field that the value is, or is in a list of."""
        return next((step for step in reversed(self.steps) if isinstance(step, str)), "")


def path_of(steps: tuple[Any, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def places(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[Place]:
    """Yield every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield Place(value, key, (*steps, key))
        yield from places(item, (*steps, key))


def one_of(rng: Rng, choices: Any) -> Any:
    """Choose one of some values, of which there may be none."""
    choices = list(choices)
    return choices[rng.integers(len(choices))] if choices else None


def document_of(broken: Broken, rng: Rng) -> Any:
    return broken.version if rng.random() < 0.7 else broken.spec


@REGISTRY.add
def wrong_type(broken: Broken, rng: Rng) -> Broken | None:
    place = one_of(rng, places(document_of(broken, rng)))
    value = place.value
    others: list[Any] = [{"x": 1}, [["x"]], b"bytes", object(), {1, 2}]
    if not isinstance(value, str):
        others.append("text")
    if isinstance(value, (str, list, dict)) and place.field != "thresholds":  # one number is for all labels
        others += [0, 1.5]
    if not isinstance(value, bool):
        others.append(True)
    place.parent[place.key] = one_of(rng, others)
    return broken.names(place.path)


@REGISTRY.add
def out_of_range(broken: Broken, rng: Rng) -> Broken | None:
    document = document_of(broken, rng)
    numbers = (
        place
        for place in places(document)
        if isinstance(place.value, (int, float)) and place.field in OUT_OF_RANGE
    )
    place = one_of(rng, numbers)
    if place is None:
        return None
    place.parent[place.key] = one_of(rng, OUT_OF_RANGE[place.field])
    return broken.names(place.path)


@REGISTRY.add
def unknown_choice(broken: Broken, rng: Rng) -> Broken | None:
    place = one_of(rng, (place for place in places([broken.spec, broken.version]) if place.key in CHOICES))
    place.parent[place.key] = one_of(rng, ["", "XYXY", "None", f"{place.value} ", "ids,rows"])
    return broken.names(path_of(place.steps[1:]))


@REGISTRY.add
def missing_field(broken: Broken, rng: Rng) -> Broken | None:
    found = [
        (place, name)
        for place in places([broken.spec, broken.version])
        if isinstance(place.value, dict)
        for name in REQUIRED.get(place.field, ())
        if name in place.value
    ]
    found += [
        (place, name)
        for place in places([broken.spec])
        if place.field == "labels" and isinstance(place.value, dict) and "name" in place.value
        for name in ("id", "name")
    ]
    place, name = one_of(rng, found)
    if rng.random() < 0.2:
        place.value[name] = None
    else:
        del place.value[name]
    return broken.names(path_of((*place.steps[1:], name)))


@REGISTRY.add
def unknown_field(broken: Broken, rng: Rng) -> Broken | None:
    objects = (place for place in places([broken.spec, broken.version]) if isinstance(place.value, dict))
    place = one_of(rng, (place for place in objects if len(place.steps) > 1))
    name = str(one_of(rng, ["treshold", "nms_treshold", "x", "", "a b", "Labels", "é", "0"]))
    place.value[name] = one_of(rng, [0, None, [], "text", {}])
    return broken.names(path_of(place.steps[1:]))


@REGISTRY.add
def key_that_is_no_text(broken: Broken, rng: Rng) -> Broken | None:
    objects = (place for place in places([broken.spec, broken.version]) if isinstance(place.value, dict))
    place = one_of(rng, (place for place in objects if len(place.steps) > 1))
    place.value[one_of(rng, [0, None, 1.5, b"id", (1, 2)])] = 1
    return broken.names(path_of(place.steps[1:]))


@REGISTRY.add
def empty_name(broken: Broken, rng: Rng) -> Broken | None:
    place = one_of(rng, (place for place in places(broken.version) if place.key in NAMES))
    if place is None:
        return None
    place.parent[place.key] = ""
    return broken.names(place.path)


@REGISTRY.add
def empty_list(broken: Broken, rng: Rng) -> Broken | None:
    place = one_of(
        rng, (place for place in places([broken.spec, broken.version]) if isinstance(place.value, list))
    )
    place.parent[place.key] = []
    return broken.names(path_of(place.steps[1:]))


@REGISTRY.may_be_valid(TensorError)
def value_of_another_field(broken: Broken, rng: Rng) -> Broken | None:
    """Two values change places: of any JSON, what is no document is a `SchemaError`."""
    both = [place for place in places([broken.spec, broken.version]) if len(place.steps) > 1]
    one, other = one_of(rng, both), one_of(rng, both)
    if one.steps[: len(other.steps)] == other.steps or other.steps[: len(one.steps)] == one.steps:
        return None
    one.parent[one.key], other.parent[other.key] = other.value, one.value
    broken.compare = False
    return broken

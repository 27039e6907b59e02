"""Valid documents, broken at random."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.schema.documents import ACCEPTED

SEEDS: list[dict[str, Any]] = [document for _, document in ACCEPTED.values()]

_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1.5, 1e308, -1e-308, 1e-45, float("inf"), float("nan")),
    *(2**31, 2**31 - 1, 2**63, -(2**63) - 1, 10**308, 10**400, 10**639, 10**640, 10**5000),
    *("", "a", " ", ".", "..", "\0", "\ud800", "é", "\U0001f600", "data.1", "1x1", "999999x999999", "0x1"),
    *("x" * 999, "x" * 1001, "none", "NaN", "a" * 65, "../m.npy", "/m.npy", "C:m.npy", "m.npy", "con.npy"),
    *([], {}, [[]], [0], [1, 2], [0.5, 0.5, 0.5, 0.5], {"": 0}, {"\ud800": 1}, {"x" * 1001: 1}, ["a", "a"]),
]


def mutated(document: Any, rng: random.Random) -> Any:
    """Return a copy of a JSON value in which a few things are replaced, dropped, doubled, nested or moved."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        places = list(_places(document))
        if not places:
            return rng.choice(_ODD)
        parent, key = rng.choice(places)
        _mutate(parent, key, places, rng)
    return document


def as_text(document: Any, rng: random.Random) -> str:
    """Write a JSON value, with its odd numbers as texts spell them."""
    try:
        text = json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 1]))
    except ValueError:  # an integer that Python does not write
        return '{"id": ' + "9" * 5000 + "}"
    if rng.random() < 0.1:
        text = text.replace("Infinity", "1e999")
    if rng.random() < 0.1:
        start = rng.randrange(len(text) + 1)
        text = (
            text[:start]
            + rng.choice(['"', "{", "[" * 70, "\ufeff", "\0", ",", "1e5", ""])
            + text[start + 1 :]
        )
    return text


def as_bytes(text: str, rng: random.Random) -> bytes:
    """Encode a text in one of the ways that JSON comes in, sometimes with a byte too many."""
    encoding = rng.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
    data = text.encode(encoding, "surrogatepass")
    if rng.random() < 0.1:
        start = rng.randrange(len(data) + 1)
        data = data[:start] + rng.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xfe\xff"]) + data[start:]
    return data


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield value, key
        yield from _places(item)


def _mutate(parent: Any, key: Any, places: list[tuple[Any, Any]], rng: random.Random) -> None:
    item = parent[key]
    match rng.randrange(9):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[rng.choice([f"{key}s", key[:-1], "task_id", "", "x y", "\ud800", "a" * 1001])] = item
        case 1:
            parent.insert(key, item)
        case 2:
            parent[key] = [item]
        case 3:
            parent[key] = [item] * rng.choice([0, 2, 3, 60, 200])
        case 4:
            parent[key] = {rng.choice(["a", "labels", "detection", "classification"]): item}
        case 5:
            other, name = rng.choice(places)
            parent[key] = copy.deepcopy(other[name])
        case 6 if isinstance(item, (int, float)):
            parent[key] = rng.choice([-item, item * 1000, float(item) if abs(item) < 1e300 else 0, item + 1])
        case 7 if isinstance(item, str):
            parent[key] = rng.choice([item.upper(), item + "x", item * 200, f"{item}.1", item[:-1]])
        case _:
            parent[key] = copy.deepcopy(rng.choice(_ODD))

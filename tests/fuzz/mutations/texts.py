"""JSON texts that are broken, and things that are no document at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from postproc import SchemaError, TensorError
from tests.fuzz.mutations.documents import one_of, path_of, places
from tests.fuzz.mutations.registry import Broken, Registry, Rng

REGISTRY = Registry(SchemaError)


def placed(broken: Broken, rng: Rng, change: Any) -> Broken:
    """Put what a function makes of the JSON text of one of the documents in its place."""
    name = one_of(rng, ["spec", "version"])
    setattr(broken, name, change(json.dumps(getattr(broken, name))))
    broken.compare = False
    return broken


@REGISTRY.add
def repeated_key(broken: Broken, rng: Rng) -> Broken | None:
    """An object gives one of its keys again, as text that no dict can hold."""
    name = one_of(rng, ["spec", "version"])
    document = getattr(broken, name)
    place = one_of(rng, (place for place in places(document) if isinstance(place.parent, dict)))
    marker = "the key again"
    place.parent[marker] = place.value
    text = json.dumps(document).replace(json.dumps(marker), json.dumps(place.key))
    setattr(broken, name, one_of(rng, [text, text.encode(), text.encode("utf-16")]))
    if len(place.steps) == 1:
        return broken.says(f'the key "{place.key}" is given twice')
    return broken.names(path_of(place.steps[:-1]))


@REGISTRY.add
def truncated_text(broken: Broken, rng: Rng) -> Broken | None:
    placed(broken, rng, lambda text: text[: rng.integers(1, len(text))])
    return broken.says("the text is not JSON")


@REGISTRY.add
def more_after_the_text(broken: Broken, rng: Rng) -> Broken | None:
    more = one_of(rng, ["}", "{}", ",", "x", "\x00", "//", "NaN"])
    return placed(broken, rng, lambda text: text + more).says("the text is not JSON")


@REGISTRY.add
def wrong_encoding(broken: Broken, rng: Rng) -> Broken | None:
    def change(text: str) -> bytes:
        at = int(rng.integers(1, len(text)))
        return text[:at].encode() + bytes(rng.choice([0xFF, 0xC0, 0x80], 2).tolist()) + text[at:].encode()

    return placed(broken, rng, change).says("the text is not JSON")


@REGISTRY.add
def nested_too_deeply(broken: Broken, rng: Rng) -> Broken | None:
    opening, closing = one_of(rng, [('{"a":', "}"), ("[", "]")])
    depth = int(one_of(rng, [5_000, 100_000]))
    value = opening * depth + "1" + closing * depth
    return placed(broken, rng, lambda text: f'{text[:-1]}, "more": {value}}}').says("nested too deeply")


@REGISTRY.add
def no_document(broken: Broken, rng: Rng) -> Broken | None:
    wrong = [None, 5, True, 1.5, [], [1], (), {1}, object(), "", "[]", "null", "5", b"", b"[]", b"null"]
    wrong += ["no such file.json", Path("no such file"), Path("."), "\x00", "a" * 5000, bytearray(b"{}"), {}]
    value = one_of(rng, wrong)
    return placed(broken, rng, lambda text: value)


@REGISTRY.may_be_valid(TensorError)
def garbled_text(broken: Broken, rng: Rng) -> Broken | None:
    """Bytes are dropped, doubled or replaced. It may still be a document, of other tensors."""

    def change(text: str) -> str | bytes:
        data = bytearray(text.encode())
        for _ in range(int(one_of(rng, [1, 2, 5]))):
            at = int(rng.integers(len(data)))
            data[at : at + 1] = one_of(
                rng, [b"", data[at : at + 1] * 2, bytes([rng.integers(256)]), b"9", b"-"]
            )
        return bytes(data) if rng.random() < 0.5 else data.decode(errors="replace")

    return placed(broken, rng, change)


@REGISTRY.add
def swapped_documents(broken: Broken, rng: Rng) -> Broken | None:
    """Each is given for the other, or one for both: resources keep fields that they do not know."""
    pairs = [(broken.version, broken.spec), (broken.spec, broken.spec), (broken.version, broken.version)]
    broken.spec, broken.version = one_of(rng, pairs)
    return broken.names("outputs", "post_processings")

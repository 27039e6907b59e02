"""Inputs for `target` without a fuzzer, and the mutations that a fuzzer may use."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from tests.fuzz_documents.mutation import SEEDS, as_bytes, as_text, mutated
from tests.fuzz_documents.target import KINDS, check, check_bytes
from tests.schema.documents import ACCEPTED

# Post-processings are read as parts of a version.
DOCUMENTS = [
    (kind, document) if kind in KINDS else (KINDS[1], {"post_processings": [document]})
    for kind, document in ACCEPTED.values()
]


def check_one(seed: int) -> bool:
    """Check one mutated document in one of its forms, the same for the same seed. True if accepted."""
    rng = random.Random(seed)
    kind, document = rng.choice(DOCUMENTS)
    changed = mutated(document, rng)
    if rng.random() < 0.02:
        kind = rng.choice(KINDS)
    form = rng.randrange(4)
    if form == 0 and isinstance(changed, dict):
        return check(kind, changed)
    text = as_text(changed, rng)
    if form == 1 and text.startswith("{"):
        return check(kind, text)
    if form == 2:
        return check_bytes(bytes([rng.randrange(9)]) + text.encode("utf-8", "surrogatepass"))
    return check(kind, as_bytes(text, rng))


def seed_inputs() -> Iterator[bytes]:
    """Yield valid documents as inputs of `target.check_bytes`, each in its three forms."""
    for kind, document in DOCUMENTS:
        for form in range(3):
            yield bytes([form * 3 + KINDS.index(kind)]) + json.dumps(document).encode()


def mutated_input(data: bytes, rng: random.Random) -> bytes:
    """Mutate an input of `target.check_bytes` as a document, if it is one."""
    try:
        document = json.loads(data[1:])
        text = as_text(mutated(document, rng), rng)
    except (ValueError, RecursionError, TypeError, AttributeError):
        text = as_text(mutated(rng.choice(SEEDS), rng), rng)
    return data[:1] + text.encode("utf-8", "surrogatepass")

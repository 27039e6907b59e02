"""All cases there are, one module a subject."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.make import (
    boxes,
    classifications,
    decoding,
    degenerate,
    labels,
    letterboxes,
    masks,
    merging,
    numbers,
    oriented,
    pipelines,
    suppression,
)
from tests.conformance.make.writing import Draft

SUBJECTS = (
    suppression,
    decoding,
    degenerate,
    labels,
    boxes,
    letterboxes,
    merging,
    oriented,
    masks,
    pipelines,
    numbers,
    classifications,
)


def all_drafts() -> Iterator[Draft]:
    for subject in SUBJECTS:
        yield from subject.drafts()


def all_files() -> dict[str, bytes]:
    """Return the content of every file by its path below ``cases/``."""
    files: dict[str, bytes] = {}
    for draft in all_drafts():
        made = draft.files()
        assert not files.keys() & made.keys(), f"two cases are called {draft.id}"
        files |= made
    return files

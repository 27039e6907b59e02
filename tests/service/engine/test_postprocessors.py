"""The post-processors that a service keeps."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from postproc.service.engine import postprocessors
from postproc.service.engine.postprocessors import PostProcessors
from tests.service.objects import LABELS, POST_PROCESSINGS


def documents(name: str) -> tuple[list[Any], list[Any]]:
    """Make the documents of a version of a spec whose second label has this name."""
    labels = {"roi": "BBOX", "exclusive": True, "labels": [LABELS[0], {"id": 1, "name": name}]}
    return [{"labels": labels}], POST_PROCESSINGS


@pytest.mark.parametrize(
    ("long", "limit", "most", "kept"),
    [
        (2, 9999, 256, {1, 2, 3, 4}),
        (900, 1500, 256, {3, 4}),
        (900, 100, 256, {4}),
        (2, 9999, 3, {2, 3, 4}),
    ],
)
def test_post_processors_are_kept_as_far_as_their_documents_are_small(
    monkeypatch: pytest.MonkeyPatch, long: int, limit: int, most: int, kept: set[int]
) -> None:
    monkeypatch.setattr(postprocessors, "_KEPT_BYTES", limit)
    monkeypatch.setattr(postprocessors, "_KEPT", most)
    posts = PostProcessors()
    first = {
        number: posts.of(number, partial(documents, "x" * (long if number == 2 else 3)))
        for number in range(1, 5)
    }
    assert set(posts._kept) == kept
    for number in kept:
        assert posts.of(number, pytest.fail) is first[number]

"""The post-processors that a service keeps."""

from __future__ import annotations

import pytest

from postproc.service.engine import postprocessors
from postproc.service.engine.postprocessors import PostProcessors
from postproc.service.store.tables import Network, Spec, Version
from postproc.service.store.versions import WholeVersion
from tests.service.objects import LABELS, POST_PROCESSINGS


def whole(number: int, name: str = "dog") -> WholeVersion:
    """Make a version of a spec whose second label has this name."""
    labels = {"roi": "BBOX", "exclusive": True, "labels": [LABELS[0], {"id": 1, "name": name}]}
    version = Version(id=number, post_processings=POST_PROCESSINGS)
    return WholeVersion(version, Spec(outputs=[{"labels": labels}]), Network())


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
    versions = {number: whole(number, "x" * (long if number == 2 else 3)) for number in range(1, 5)}
    first = {number: posts.of(version) for number, version in versions.items()}
    assert set(posts._kept) == kept
    for number in kept:
        assert posts.of(versions[number]) is first[number]

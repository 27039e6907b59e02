from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import update

from postproc.pipeline import PostProcessor
from postproc.service.engine.warming import Warmer
from postproc.service.store.tables import Version
from tests.service.objects import make_version
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until


class Post:
    """A post-processor whose kernels take as long as a test likes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun, self.may_end = threading.Event(), threading.Event()

    def warmup(self) -> None:
        self.begun.set()
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error


def add(warmer: Warmer, post: Post) -> None:
    warmer.add([cast(PostProcessor, post)])


def test_warmer_is_idle_when_all_kernels_are_there() -> None:
    warmer = Warmer()
    warmer.start()
    posts = [Post(), Post()]
    for post in posts:
        add(warmer, post)
    assert posts[0].begun.wait(10)
    posts[0].may_end.set()
    assert posts[1].begun.wait(10)
    assert not warmer.is_idle
    posts[1].may_end.set()
    wait_until(lambda: warmer.is_idle)
    warmer.stop()


def test_warmer_goes_on_after_a_failure_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    warmer = Warmer()
    warmer.start()
    bad, good = Post(ValueError("no such kernel")), Post()
    for post in (bad, good):
        post.may_end.set()
        add(warmer, post)
    wait_until(lambda: warmer.is_idle)
    assert good.begun.is_set()
    assert "no such kernel" in caplog.text
    warmer.stop()


def test_warmer_stop_does_not_wait_and_begins_nothing_more() -> None:
    warmer = Warmer()
    warmer.start()
    first, second = Post(), Post()
    add(warmer, first)
    add(warmer, second)
    assert first.begun.wait(10)
    warmer.stop()
    first.may_end.set()
    warmer._thread.join(10)
    assert not warmer._thread.is_alive()
    assert not second.begun.is_set()


def test_warmer_takes_post_processors_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    warmer = Warmer()
    warmer.start()
    posts = [Post(), Post()]
    given = []

    def read() -> Iterator[PostProcessor]:
        for post in posts:
            given.append(post)
            yield cast(PostProcessor, post)
        raise OSError("the database is gone")

    warmer.add(read())
    last = Post()
    add(warmer, last)
    assert posts[0].begun.wait(10)
    assert given == posts[:1]
    posts[0].may_end.set()
    assert posts[1].begun.wait(10)
    assert not warmer.is_idle
    posts[1].may_end.set()
    assert last.begun.wait(10)
    assert "the database is gone" in caplog.text
    last.may_end.set()
    wait_until(lambda: warmer.is_idle)
    warmer.stop()


def test_warmer_stop_reads_nothing_more() -> None:
    warmer = Warmer()
    warmer.start()
    first, second = Post(), Post()
    warmer.add(cast(PostProcessor, post) for post in (first, second))
    assert first.begun.wait(10)
    warmer.stop()
    first.may_end.set()
    warmer._thread.join(10)
    assert not warmer._thread.is_alive()
    assert not second.begun.is_set()


def test_start_warms_stored_versions_up_and_passes_over_a_broken_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as service:
        assert len(service.engine.warmed) == len(service.services.public)
        versions = [make_version(service.client)["id"] for _ in range(3)]
        with service.services.database.writing() as session:
            session.execute(
                update(Version).where(Version.id == versions[1]).values(post_processings=[{"x": 1}])
            )
    with serving(tmp_path) as service:
        stored = service.engine.warmed[len(service.services.public) :]
        assert [post.tensor_names for post in stored] == 2 * [("boxes:0", "scores", "classes:0")]
        assert service.client.get(f"/recognition/versions/{versions[0]}").status_code == 200
    assert f"version {versions[1]} cannot be read" in caplog.text


def test_stored_versions_are_not_read_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as service:
        make_version(service.client)
        make_version(service.client)
        stored = service.services._stored()
        assert next(stored) is not None
        late = service.services._stored()
    monkeypatch.setattr(service.services, "versions", None)
    assert list(stored) == list(late) == []


def test_create_version_warms_its_kernels_up(service: Serving) -> None:
    already = len(service.engine.warmed)
    assert already >= len(service.services.public)
    make_version(service.client)
    assert [post.tensor_names for post in service.engine.warmed[already:]] == [
        ("boxes:0", "scores", "classes:0")
    ]
    assert service.client.get(f"{service.host}/healthz").json()["kernels"] == "ready"

from __future__ import annotations

import threading
from typing import cast

import pytest

from postproc.pipeline import PostProcessor
from postproc.service.warming import Warmer
from tests.service.objects import make_version
from tests.service.serving import Serving
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
    warmer.add(cast(PostProcessor, post))


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


def test_create_version_warms_its_kernels_up(service: Serving) -> None:
    already = len(service.engine.warmed)
    assert already >= len(service.services.public)
    make_version(service.client)
    assert [post.tensor_names for post in service.engine.warmed[already:]] == [
        ("boxes:0", "scores", "classes:0")
    ]
    assert service.client.get(f"{service.host}/healthz").json()["kernels"] == "ready"

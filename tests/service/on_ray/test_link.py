"""The link to Ray: its process is killed, hangs, or finds no cluster; and its parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

from postproc.errors import PostprocError
from postproc.service.engine.networks.calls import LostError, NetworkCall, NetworkModel
from postproc.service.on_ray import link as module
from postproc.service.on_ray import making
from postproc.service.on_ray.link import Link
from postproc.service.on_ray.messages import LinkOrder, NetworkSource
from postproc.service.on_ray.remote import RemoteCaller
from tests.service.cluster.processes import born
from tests.service.on_ray.replicas import settings_of
from tests.service.waiting import wait_until

DRIVER = "tests.service.on_ray.light_driver"


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    monkeypatch.setattr(module, "_SILENCE", 8.0)
    monkeypatch.setattr(module, "_PATIENCE", 60.0)
    made = Link(order_of(tmp_path), 2, DRIVER)
    made.start()
    yield made
    made.stop()


def order_of(folder: Path) -> LinkOrder:
    return LinkOrder.of(settings_of(folder, ray=str(folder)))


def pid_of(link: Link) -> int:
    driver = link._driver
    assert driver is not None
    return driver._process.pid


class Call(threading.Thread):
    """A call of a link, from a thread."""

    def __init__(self, link: Link, row: int = 0, seconds: float = 60.0) -> None:
        super().__init__(daemon=True)
        self._caller = RemoteCaller(link, row, NetworkSource.of, seconds, lambda _: None, lambda: None)
        self.given: list[Any] = []
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        call = NetworkCall(NetworkModel("name", Path(), 1, True, True), None, {}, ())
        parts = {"data": [np.full((1, 3, 2, 2), row, np.float32) for row in (1, 2)]}
        try:
            self._caller.run(call, parts, lambda *result: self.given.append(result))
        except BaseException as error:
            self.error = error

    def text(self) -> str:
        self.join(60)
        assert self.error is None
        return str(self.given[0][1])


def test_calls_outlive_the_process_of_the_link(
    link: Link, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "it has other settings, says the test" in caplog.get_records("setup")[0].getMessage()
    calls = [Call(link, row) for row in range(2)]
    wait_until((tmp_path / "called").exists, 30)
    (tmp_path / "away").touch()
    os.kill(pid_of(link), signal.SIGKILL)
    wait_until(lambda: link.is_away)
    assert link.seconds >= 1
    wait_until(lambda: "still lost: no Ray cluster, says the test" in caplog.text, 30)
    (tmp_path / "away").unlink()
    (tmp_path / "go").touch()
    assert [call.text() for call in calls] == ["float32 (2, 3, 2, 2) 2"] * 2  # at the next process
    assert not link.is_away
    link.forget(7)
    wait_until((tmp_path / "forget").exists, 30)
    wait_until(lambda: (tmp_path / "forget").read_text() == "[7]")
    assert "its process ended: signal SIGKILL; networks are away" in caplog.text
    assert "the link to Ray is back" in caplog.text


def test_process_that_hangs_is_replaced_and_calls_end_in_their_time(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(pid_of(link), signal.SIGSTOP)
    (tmp_path / "go").touch()
    assert Call(link).text()  # by the next process
    assert "said nothing for 8 s" in caplog.text
    monkeypatch.setattr("postproc.service.on_ray.remote._GRACE", 0.2)
    os.kill(pid_of(link), signal.SIGSTOP)
    call = Call(link, seconds=0.3)
    call.join(60)
    assert isinstance(call.error, LostError)


def test_calls_that_find_no_process_for_long_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    link = Link(order_of(tmp_path), 1)
    link._lost_at = time.monotonic()
    call = Call(link)
    call.join(60)
    assert isinstance(call.error, LostError)


def test_much_that_a_process_writes_hides_nothing_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MINUTE", 0.05)
    monkeypatch.setattr(module, "_MOST_LINES", 3)

    def lines() -> Iterator[bytes]:
        for number in range(100):
            yield f"dump {number}\n".encode()
        time.sleep(0.1)
        yield b"later\n"

    texts = list(module._few(lines()))
    assert texts[:3] == ["dump 0", "dump 1", "dump 2"]
    assert texts[-1] == "later"
    assert len(texts) < 50


def test_process_ends_with_its_parent_and_is_of_no_terminal(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from tests.service.on_ray.test_link import DRIVER, Link, order_of, pid_of\n"
        f"link = Link(order_of(Path({str(tmp_path)!r})), 1, DRIVER)\nlink.start()\n"
        "print(pid_of(link), flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert os.getsid(pid) == pid
        parent.kill()
    wait_until(lambda: born(pid) is None)


def test_front_end_imports_no_ray() -> None:
    program = "import sys, postproc.service.on_ray.engine; print([n for n in sys.modules if n == 'ray'])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    link = Link(LinkOrder.of(settings_of(tmp_path, ray="127.0.0.1:1")), 1)
    with pytest.raises(PostprocError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        link.start()


# --- the application that is there


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "local", "", "127.0.0.1"])
def test_address_of_a_client_or_of_no_cluster_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = LinkOrder.of(settings_of(tmp_path, ray=address))
    monkeypatch.setattr(making.ray, "init", lambda *_, **__: pytest.fail("it asks Ray"))
    with pytest.raises(PostprocError, match=r"expected auto or HOST:PORT.*has to be a node"):
        making.connected(order)


def test_application_of_another_release_is_refused(tmp_path: Path) -> None:
    order = order_of(tmp_path)
    with pytest.raises(PostprocError, match=r"runs release 0\.0\.1 of postproc, .* give another --ray-app"):
        making._differences(order, {"release": "0.0.1", "settings": {}})


def test_other_settings_of_an_application_are_named(tmp_path: Path) -> None:
    order = order_of(tmp_path)
    settings = {**order.replicas.model_dump(mode="json"), "ray_gpus": 0.5, "providers": None}
    about = {"release": making.__version__, "settings": settings}
    gpus, providers = sorted(making._differences(order, about), key=len)
    assert "made with ray_gpus = 0.5, and not with 0.0" in gpus
    assert "made with providers = None, and not with ['CPUExecutionProvider']" in providers

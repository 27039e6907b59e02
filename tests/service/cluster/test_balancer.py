"""HAProxy takes what docs/scaling.md has for it, and does what the page says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.documents.pages import blocks
from tests.ports import free_port
from tests.service.cluster.balancer import HAPROXY, OWN, PAGE, balancer
from tests.service.cluster.processes import Program
from tests.service.waiting import wait_until

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed: apt-get install haproxy")


class Front(BaseHTTPRequestHandler):
    """A front end that is ready, and ends under each request for ``/ends``."""

    def do_GET(self) -> None:
        if self.path != "/ends":
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def front() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def running(program: Program, told: str) -> Iterator[None]:
    program.start()
    try:
        wait_until(lambda: told in program.log.read_text())
        yield
    finally:
        program.kill()


def ask(program: Program, path: str) -> httpx.Response:
    """Ask by a connection of its own: one that has carried others is closed where a front end ends."""
    return httpx.get(f"{program.url}{path}", trust_env=False, timeout=10)


def test_page_has_no_line_that_haproxy_warns_of(tmp_path: Path) -> None:
    (block,) = blocks(PAGE, "haproxy")
    (tmp_path / "haproxy.cfg").write_text(block.code)
    checked = subprocess.run(
        [str(HAPROXY), "-c", "-f", "haproxy.cfg"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr, checked.stderr


def test_requests_go_to_a_front_end_that_is_ready_and_else_come_again(front: int, tmp_path: Path) -> None:
    before = balancer([free_port(), front], tmp_path)
    with running(before, "DOWN"):
        assert [ask(before, "/v0.7/tasks").status_code for _ in range(4)] == [200] * 4
        assert ask(before, "/metrics").status_code == 403
        ended = ask(before, "/ends")
    before = balancer([free_port()], tmp_path)
    with running(before, "has no server"):
        none = ask(before, "/v0.7/tasks")
    for own, status in ((ended, 502), (none, 503)):
        assert own.status_code == status
        assert own.headers["Retry-After"] == "1"
        assert OWN in own.headers

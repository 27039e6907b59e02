"""Ids of requests through a proxy, as docs/operations.md configures it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.running import ROOT
from tests.service.serving import Serving
from tests.service.waiting import wait_until

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


@pytest.fixture(scope="module")
def proxy(service: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An haproxy in front of a service, with the page's lines."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    (lines,) = re.findall(r"^```\n(unique-id-format .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    path: Path = tmp_path_factory.mktemp("proxy") / "haproxy.cfg"
    path.write_text(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
        f"frontend front\n  bind 127.0.0.1:{port}\n  default_backend back\n"
        + "".join(f"  {line}\n" for line in lines.splitlines())
        + f"backend back\n  server one {service.host.removeprefix('http://')}\n"
    )
    process = subprocess.Popen([program, "-db", "-f", str(path)])
    try:
        wait_until(lambda: _listens(port), 10)
        yield f"http://127.0.0.1:{port}/v0.7/networks"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("of-the-client", "of-the-client"),
        (None, "[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),  # haproxy's
        ("not valid", "[0-9a-f]{32}"),  # the service's
    ],
)
def test_id_goes_through_a_proxy(proxy: str, service: Serving, given: str | None, expected: str) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    answer = httpx.get(proxy, headers={**service.client.headers, **headers}, trust_env=False)
    assert answer.status_code == 200
    assert re.fullmatch(expected, answer.headers["X-Request-ID"])


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0

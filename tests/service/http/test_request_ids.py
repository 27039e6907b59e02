"""Ids of requests through a proxy, as docs/operations.md configures it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.ports import free_port
from tests.service.cluster.balancer import HAPROXY
from tests.service.cluster.processes import Program
from tests.service.running import ROOT
from tests.service.serving import Serving

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


@pytest.fixture(scope="module")
def proxy(service: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An haproxy in front of a service, with the page's lines."""
    if HAPROXY is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    (lines,) = re.findall(r"^```\n(unique-id-format .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    port, folder = free_port(), tmp_path_factory.mktemp("proxy")
    path = folder / "haproxy.cfg"
    path.write_text(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
        f"frontend front\n  bind 127.0.0.1:{port}\n  default_backend back\n"
        + "".join(f"  {line}\n" for line in lines.splitlines())
        + f"backend back\n  server one {service.host.removeprefix('http://')}\n"
    )
    program = Program([HAPROXY, "-db", "-f", str(path)], port, folder / "haproxy.log")
    try:
        program.start()
        yield f"{program.url}/v0.7/networks"
    finally:
        program.kill()


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

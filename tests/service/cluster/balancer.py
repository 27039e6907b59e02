"""HAProxy before front ends."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.documents.pages import ROOT, blocks
from tests.ports import free_port
from tests.service.cluster.processes import Program

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin")
# What HAProxy answers by itself has this header; what front ends answer passes as it is.
OWN = "X-Balancer"
PAGE = ROOT / "docs" / "scaling.md"


def balancer(ports: Sequence[int], folder: Path) -> Program:
    """Make a load balancer of front ends that listen on these ports.

    It is configured as docs/scaling.md has it.
    """
    if HAPROXY is None:
        sys.exit("HAProxy is not installed: apt-get install haproxy")
    port, path = free_port(), folder / "haproxy.cfg"
    path.write_text(configuration(port, ports))
    return Program([HAPROXY, "-db", "-f", str(path)], port, folder / "haproxy.log")


def configuration(port: int, ports: Sequence[int]) -> str:
    """Return the configuration of the page for these ports, whose own answers have a header more."""
    (block,) = blocks(PAGE, "haproxy")
    text = re.sub(r"^ *server .*\n", "", block.code, flags=re.MULTILINE)
    text = text.replace("bind :80\n", f"bind 127.0.0.1:{port}\n")
    text = text.replace("hdr Retry-After 1\n", f"hdr Retry-After 1 hdr {OWN} own\n")
    return text + "".join(f"    server front{row} 127.0.0.1:{number}\n" for row, number in enumerate(ports))

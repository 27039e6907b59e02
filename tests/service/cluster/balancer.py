"""HAProxy before front ends."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.service.cluster.processes import Program, free_port

# What HAProxy answers by itself has this header; what front ends answer passes as it is.
OWN = "X-Balancer"
_CONFIGURATION = """\
global
    tune.bufsize 65536
defaults
    mode http
    timeout connect 2s
    timeout client 150s
    timeout server 150s
    timeout queue 5s
    retries 2
    retry-on conn-failure
    option redispatch
    http-error status 503 content-type text/plain string {none} hdr Retry-After 1 hdr {own} 503
    http-error status 502 content-type text/plain string {ended} hdr Retry-After 1 hdr {own} 502

frontend postproc
    bind 127.0.0.1:{port}
    default_backend front_ends

backend front_ends
    balance leastconn
    option httpchk GET /readyz
    default-server check inter 1s fall 2 rise 1
{servers}
"""


def balancer(ports: Sequence[int], folder: Path) -> Program:
    """Make a load balancer of front ends that listen on these ports.

    It asks each for ``/readyz``. A request is tried at another one only where no connection was made: a POST
    that was sent is sent once.
    """
    found = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        sys.exit("HAProxy is not installed: apt-get install haproxy")
    port, path = free_port(), folder / "haproxy.cfg"
    servers = "\n".join(f"    server front{row} 127.0.0.1:{number}" for row, number in enumerate(ports))
    texts = {"none": '"no front end is ready"', "ended": '"a front end ended meanwhile"'}
    path.write_text(_CONFIGURATION.format(own=OWN, port=port, servers=servers, **texts))
    return Program([found, "-db", "-f", str(path)], port, folder / "haproxy.log")

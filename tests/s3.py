"""What stands for S3 in tests: moto, over HTTP on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest


def use_s3(patch: pytest.MonkeyPatch, url: str) -> None:
    """Have the environment tell this process, and those that it starts, of what stands for S3."""
    given = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }
    for name, value in given.items():
        patch.setenv(name, value)


@contextmanager
def s3_bucket() -> Iterator[str]:
    """Give the URL of an empty bucket, which the environment tells this process and its children of."""
    pytest.importorskip("obstore")
    pytest.importorskip("flask_cors")
    moto = pytest.importorskip("moto.server")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # What it holds is the process's, and stays from a server before.
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    try:
        with pytest.MonkeyPatch.context() as patch:
            use_s3(patch, f"http://{host}:{port}")
            boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bucket")
            yield "s3://bucket"
    finally:
        server.stop()

"""``python -m tests.service.cluster.s3 PORT FOLDER``: stands for S3, and keeps objects when it is killed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.test import Client

BUCKET = "bucket"
_WRITES = "PUT", "POST", "DELETE"
# moto looks at no signature, but shows nobody's objects to those who have none.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request"}


class Kept:
    """moto's S3, which has objects in memory, with a folder that has them too before a write is answered.

    Parameters
    ----------
    folder : Path
        Of the objects, each a file whose name is its key, quoted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._client = Client(self._moto)
        self._client.put(f"/{BUCKET}", headers=SIGNED)
        for path in folder.glob("*"):
            self._client.put(f"/{BUCKET}/{unquote(path.name)}", data=path.read_bytes(), headers=SIGNED)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        answer = list(self._moto(environ, start_response))
        bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        if environ["REQUEST_METHOD"] in _WRITES and bucket == BUCKET and key:
            self._keep(key)
        return answer

    def _keep(self, key: str) -> None:
        path = self._folder / quote(key, safe="")
        found = self._client.get(f"/{BUCKET}/{key}", headers=SIGNED)
        if found.status_code == 200:
            written = self._folder.with_name(uuid4().hex)  # writes of several threads come at once
            written.write_bytes(found.data)
            written.rename(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Kept(Path(sys.argv[2])), threaded=True)

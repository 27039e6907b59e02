"""A client that takes little processor: its requests are bytes made once, on a connection that is kept."""

from __future__ import annotations

import select
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Form:
    """A body of multipart/form-data, and its type."""

    content: bytes
    kind: str

    @classmethod
    def of(cls, files: Mapping[str, bytes], fields: Mapping[str, str] | None = None) -> Form:
        """Make one of files and fields by their names."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="'
        parts = [f'{head}{name}"\r\n\r\n{text}\r\n'.encode() for name, text in (fields or {}).items()]
        for name, content in files.items():
            parts += [f'{head}{name}"; filename="{name}"\r\n\r\n'.encode(), content, b"\r\n"]
        return cls(b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}")


class Wire:
    """A connection to a service, opened again where it was closed between two requests.

    Parameters
    ----------
    host : str
        URL of the service.
    key : str
        API key of every request.
    seconds : float
        Longest silence of the service.
    """

    def __init__(self, host: str, key: str, seconds: float = 60) -> None:
        address = urlsplit(host)
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=seconds)
        self._headers = {"X-API-KEY": key}

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: Form | bytes | None = None) -> tuple[int, bytes]:
        """Send a request, and return the status and the body of its answer.

        Raises
        ------
        OSError, HTTPException
            If there is no answer.
        """
        connection = self._connection
        if connection.sock is not None and _is_closed(connection.sock):
            connection.close()
        headers = self._headers
        if body is not None:
            kind = body.kind if isinstance(body, Form) else "application/json"
            headers = {**headers, "Content-Type": kind}
        content = body.content if isinstance(body, Form) else body
        try:
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            connection.close()
            raise


def _is_closed(sock: Any) -> bool:
    """Tell whether the service has closed a connection that waits: nothing else is to come on it."""
    waiting = select.poll()  # not select, which knows no file descriptor beyond 1023
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(0))

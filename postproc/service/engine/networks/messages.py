"""Messages of a process that runs networks: a line of JSON, and behind it the texts of results.

They are no pickles: a network that took its process over must not reach further by what is read of it.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

Results: TypeAlias = "list[tuple[int, str | None, str | None]]"
"""Of each request: its row in the call, the result as JSON text of ASCII characters, or an error."""


def stop_byte(call: int) -> bytes:
    """Return what has a call end early, by its number since the process began."""
    return bytes([call % 256])


def packed(head: dict[str, object], results: Results) -> bytes:
    """Write a message."""
    rows = [(row, None if text is None else len(text), error) for row, text, error in results]
    line = json.dumps({**head, "results": rows}).encode()
    return b"\n".join((line, "".join(text for _, text, _ in results if text is not None).encode("ascii")))


def unpacked(message: bytes) -> tuple[dict[str, Any], Results]:
    """Read a message."""
    line, _, _ = message.partition(b"\n")
    head = json.loads(line)
    results: Results = []
    start = len(line) + 1
    for row, size, error in head.pop("results"):
        text = None if size is None else message[start : start + size].decode("ascii")
        results.append((row, text, error))
        start += size or 0
    return head, results

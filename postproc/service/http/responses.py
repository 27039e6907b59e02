"""How answers are written."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse


class Json(JSONResponse):
    """JSON of an object."""

    def render(self, content: Any) -> bytes:
        """Write the body."""
        return encoded(json_text(content))


def json_text(content: Any) -> str:
    """Write an object as answers have it."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def encoded(text: str) -> bytes:
    """Encode a text; what is not whole of it (it came as half a surrogate pair) becomes a question mark."""
    return text.encode("utf-8", "replace")

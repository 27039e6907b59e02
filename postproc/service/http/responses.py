"""How answers are written, and what the OpenAPI document says of bodies and errors."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

from postproc.service.http.answers import Error

_MEANINGS = {
    400: "What was sent is wrong; the body names the field.",
    401: "No valid key in X-API-KEY.",
    403: "This is public, and cannot be changed.",
    404: "There is no such object, or it is another tenant's.",
    408: "The body came too slowly.",
    409: "Not as things are now.",
    413: "The body is too large.",
    415: "The body has another content type.",
    503: "Too many requests wait: send this one again after the time in Retry-After.",
    507: "The disk of the service is full.",
}
_BODY = (400, 408, 413, 415, 507)


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


def errors(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of a route's errors; all may answer 400, 401 and 503."""
    numbers = {400, 401, 503, *statuses, *(_BODY if body else ())}
    return {number: {"model": Error, "description": _MEANINGS[number]} for number in sorted(numbers)}


def takes(**kinds: str | dict[str, Any]) -> dict[str, Any]:
    """Return what the OpenAPI document says of a route's body: a schema for ``json``, ``form``, or both."""
    types = {"json": "application/json", "form": "multipart/form-data"}
    content = {
        types[kind]: {
            "schema": {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
        }
        for kind, schema in kinds.items()
    }
    return {"requestBody": {"required": True, "content": content}}

"""The security headers of every answer: what a browser may do with it."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]


def policy(*further: str) -> str:
    """Return a content security policy: what an answer shows or runs comes from this service alone."""
    return "; ".join(
        [
            "default-src 'self'",
            "img-src 'self' blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "object-src 'none'",
            *further,
        ]
    )


POLICY = "Content-Security-Policy"
_HEADERS = {
    # By Trusted Types, no text becomes HTML, whatever a label is called.
    POLICY: policy("require-trusted-types-for 'script'", "trusted-types 'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_RAW = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


def secured(headers: Iterable[Header]) -> list[Header]:
    """Return the headers of an answer with those of all answers; what it says itself stays."""
    own = list(headers)
    known = {name.lower() for name, _ in own}
    return [*own, *(header for header in _RAW if header[0] not in known)]


class SecurityHeaders:
    """Gives every answer of an application the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": secured(message.get("headers", ()))}
            await send(message)

        await self._app(scope, receive, send_secured)

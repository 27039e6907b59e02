"""JSON bodies: what is refused, and with which path."""

from __future__ import annotations

from typing import Any

import pytest

from postproc.service.errors import ApiError
from postproc.service.http.bodies import json_object


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe\x00", "the body is not JSON"),
        (b"[]", "expected a JSON object"),
        (b'"x"', "expected a JSON object"),
        (b'{"a": 1, "a": 2}', "given twice"),
        (b'{"a": {"b": [0, NaN]}}', r"a\.b\[1\]: expected a finite number"),
        (b'{"a": -Infinity}', "a: expected a finite number"),
        (b'{"a": 1e400}', "a: expected a finite number"),
        (b'{"a": "\\u0000"}', "a: expected text without null characters"),
        (b'{"a\\u0000": 1}', "expected text without null characters"),
        (b'{"a": ["\\ud800"]}', r"a\[0\]: expected whole surrogate pairs"),
        (b'{"\\udfff": 1}', "expected whole surrogate pairs"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "at most 64 levels"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "at most 64 levels"),
        (b'{"a": ' + b"[" * 1_100_000, "at most 1,000,000 values"),
        (b'{"a": ' + b"9" * 5000 + b"}", "at most 640 digits"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_json_that_cannot_be_kept_is_a_400(text: bytes, message: str) -> None:
    with pytest.raises(ApiError, match=message) as raised:
        json_object(text)
    assert raised.value.status == 400


@pytest.mark.parametrize("value", ["é", "\U0001f600", "", 1, 2.5, None, True, [[]], {"": {}}, 10**100])
def test_json_of_every_kind_is_read(value: Any) -> None:
    import json

    assert json_object(json.dumps({"a": value}).encode()) == {"a": value}

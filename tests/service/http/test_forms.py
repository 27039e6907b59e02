"""Multipart bodies, as the vendor's client and others send them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pytest

from postproc.service.errors import ApiError
from postproc.service.http.forms import FormReader, boundary_of, nested, split_name

BOUNDARY = b"B"


def part(headers: str, content: bytes) -> bytes:
    return b"--B\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def field(name: str, content: bytes, more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"{more}', content)


def read(body: bytes, block: int = 1 << 20, max_text: int = 1000, max_files: int = 1000) -> FormReader:
    form = FormReader(BOUNDARY, BytesIO, max_text, max_files)
    for start in range(0, len(body), block):
        form.feed(body[start : start + block])
    form.finish()
    return form


def contents(form: FormReader) -> list[tuple[str, bytes]]:
    found = []
    for item in form.files:
        item.file.seek(0)
        found.append((item.name, item.file.read()))
    return found


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_form_is_read_in_blocks_of_any_size(block: int) -> None:
    body = (
        field("show_discarded", b"True")
        + field("inputs[0]image.source", b"\x00\r\n--B\xff", '; filename="tiny.png"')
        + field("inputs[0]image.bbox.xmin", b"0.1", "\r\nContent-Type: application/json")
        + b"--B--\r\n"
    )
    form = read(body, block)
    assert form.fields == [("show_discarded", "True"), ("inputs[0]image.bbox.xmin", "0.1")]
    assert contents(form) == [("inputs[0]image.source", b"\x00\r\n--B\xff")]


def test_form_part_without_filename_is_a_field_whatever_its_type() -> None:
    form = read(field("a", b"x", "\r\nContent-Type: image/png") + b"--B--")
    assert (form.fields, form.files) == ([("a", "x")], [])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "cut off"),
        (field("a", b"x"), "cut off"),
        (field("a", b"x")[:-4], "cut off"),
        (b"nonsense", "not multipart"),
        (part("Content-Disposition: form-data", b"x") + b"--B--", "has no name"),
        (part("X: y", b"x") + b"--B--", "has no name"),
        (field("a", b"\xff") + b"--B--", "a: expected text in UTF-8"),
        (field("a", b"x\0") + b"--B--", "null characters"),
        (part("X: " + "y" * 20_000, b"x") + b"--B--", "header"),
    ],
    ids=["empty", "unended", "in-a-part", "nonsense", "nameless", "undisposed", "binary", "null", "headers"],
)
def test_form_that_is_broken_is_a_400(body: bytes, message: str) -> None:
    with pytest.raises(ApiError, match=message) as raised:
        read(body)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        field("a", b"x" * 60) + field("b", b"x" * 60),
        field("a", b"x" * 60, '; filename="f"') + field("b", b"x" * 60, '; filename="f"'),
    ],
    ids=["fields", "files"],
)
def test_form_beyond_its_limits_is_a_413(body: bytes) -> None:
    read(body + b"--B--", max_text=120, max_files=120)
    with pytest.raises(ApiError, match="at most 119 bytes") as raised:
        read(body + b"--B--", max_text=119, max_files=119)
    assert raised.value.status == 413


def test_form_of_too_many_parts_is_a_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postproc.service.http.forms.MAX_PARTS", 3)
    with pytest.raises(ApiError, match="at most 3 parts") as raised:
        read(field("a", b"x") * 4 + b"--B--")
    assert raised.value.status == 413


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("name", ("name",)),
        ("preprocessing.inputs[0]image.mean[2]", ("preprocessing", "inputs", 0, "image", "mean", 2)),
        ("inputs[0].image.source", ("inputs", 0, "image", "source")),
        ("a[0][1]b", ("a", 0, 1, "b")),
        ("metadata.with space", ("metadata", "with space")),
    ],
)
def test_split_name_reads_flattened_names(name: str, path: Sequence[Any]) -> None:
    assert split_name(name) == tuple(path)


@pytest.mark.parametrize(
    "name", ["", ".a", "[0]", "a..b", "a[", "a[x]", "a[-1]", "a]", "a.", "a[999999]", "a.b" * 40]
)
def test_split_name_of_no_such_name_is_a_400(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        split_name(name)
    assert raised.value.status == 400


def test_nested_puts_lists_and_objects_together_in_any_order() -> None:
    parts = [("a[1]b", 2), ("c.d", 3), ("a[0]b", 1), ("e[0][0]", 4), ("c.f[0]", 5)]
    assert nested(parts) == {"a": [{"b": 1}, {"b": 2}], "c": {"d": 3, "f": [5]}, "e": [[4]]}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("a", 1), ("a", 2)], "a: is given twice"),
        ([("a", 1), ("a.b", 2)], r"a\.b: contradicts"),
        ([("a.b", 1), ("a", 2)], "a: is given twice"),
        ([("a[0]", 1), ("a.b", 2)], r"a\.b: contradicts"),
        ([("a[0]", 1), ("a[2]", 2)], r"a\[1\]: is missing"),
        ([("a[99999]", 1)], r"a\[0\]: is missing"),
    ],
)
def test_nested_parts_that_do_not_fit_are_a_400(parts: list[tuple[str, Any]], message: str) -> None:
    with pytest.raises(ApiError, match=message) as raised:
        nested(parts)
    assert raised.value.status == 400


def test_boundary_is_read_with_and_without_quotes() -> None:
    assert boundary_of('multipart/form-data; boundary="x y"') == b"x y"
    assert boundary_of("multipart/form-data; charset=utf-8; boundary=x") == b"x"
    with pytest.raises(ApiError, match="with a boundary"):
        boundary_of("multipart/form-data")

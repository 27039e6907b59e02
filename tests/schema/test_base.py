from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from postproc.errors import PostprocError, SchemaError, SchemaProblem
from postproc.schema import (
    Classification,
    Detection,
    Label,
    PostProcessing,
    Preprocessing,
    RecognitionSpec,
    RecognitionVersion,
)
from tests.schema.documents import ACCEPTED, CLASSIFICATION, DETECTION, PREPROCESSING, SPEC

accepted = pytest.mark.parametrize(("kind", "document"), ACCEPTED.values(), ids=ACCEPTED)


def same_json(found: Any, expected: Any) -> bool:
    """Whether two documents have the same content, 1 and 1.0 and true told apart."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


@accepted
def test_load_valid_document_dumps_as_it_was_read(kind: type[Any], document: dict[str, Any]) -> None:
    for source in (document, json.dumps(document), json.dumps(document).encode()):
        loaded = kind.load(source)
        assert same_json(loaded.dump(), document)
        assert same_json(json.loads(loaded.dump_json()), document)


@accepted
def test_load_of_a_dump_is_equal_and_loses_nothing(kind: type[Any], document: dict[str, Any]) -> None:
    loaded = kind.load(document)
    assert kind.load(loaded.dump()) == loaded
    filled = loaded.dump(defaults=True)
    assert same_json(kind.load(filled).dump(), filled)
    assert same_json(kind.load(filled).dump(defaults=True), filled)


@accepted
def test_document_survives_pickle_and_copy(kind: type[Any], document: dict[str, Any]) -> None:
    loaded = kind.load(document)
    for twin in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert twin == loaded
        assert same_json(twin.dump(), document)


@accepted
def test_document_holds_lists_as_tuples_and_is_hashable(kind: type[Any], document: dict[str, Any]) -> None:
    loaded = kind.load(document)
    for name in type(loaded).model_fields:
        assert not isinstance(getattr(loaded, name), list)
    if kind is not RecognitionSpec:  # its metadata is a dict
        assert hash(loaded) == hash(kind.load(document))


def test_document_field_cannot_be_set() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Label(id=1, name="cat").name = "dog"


@pytest.mark.parametrize("indent", [None, 2])
def test_dump_json_is_the_dump_as_text(indent: int | None) -> None:
    spec = RecognitionSpec.load({**SPEC, "name": "Größe"})
    assert spec.dump_json(indent=indent) == json.dumps(spec.dump(), indent=indent)
    assert json.loads(spec.dump_json(defaults=True)) == spec.dump(defaults=True)


def test_dump_defaults_fills_in_what_was_left_out() -> None:
    assert RecognitionSpec.load(SPEC).dump(defaults=True) == {
        **SPEC,
        "name": "",
        "description": "",
        "metadata": {},
    }


def test_dump_is_a_copy() -> None:
    spec = RecognitionSpec.load({**SPEC, "metadata": {"a": {"b": [1]}}})
    spec.dump()["metadata"]["a"]["b"].append(2)
    assert spec.dump()["metadata"] == {"a": {"b": [1]}}


class BytesPath(os.PathLike[bytes]):
    """What `os.scandir` yields for a folder named in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "dict": lambda path: PREPROCESSING,
    "mapping": lambda path: MappingProxyType(PREPROCESSING),
    "document": lambda path: Preprocessing.load(PREPROCESSING),
    "text": lambda path: json.dumps(PREPROCESSING),
    "text_with_blanks": lambda path: f"\n\t {json.dumps(PREPROCESSING)}\n",
    "text_with_byte_order_mark": lambda path: f"\ufeff{json.dumps(PREPROCESSING)}",
    "bytes": lambda path: json.dumps(PREPROCESSING).encode(),
    "bytes_utf16": lambda path: json.dumps(PREPROCESSING).encode("utf-16"),
    "bytes_with_byte_order_mark": lambda path: json.dumps(PREPROCESSING).encode("utf-8-sig"),
    "path": lambda path: path,
    "path_text": str,
    "path_of_bytes": BytesPath,
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_load_source_of_each_kind_is_read(source: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(PREPROCESSING))
    assert Preprocessing.load(source(path)) == Preprocessing.load(PREPROCESSING)


def test_load_documents_inside_a_dict_are_taken() -> None:
    post_processing = PostProcessing(classification=Classification(output_tensor="prob"))
    version = RecognitionVersion.load({"post_processings": [post_processing]})
    assert version.dump() == {"post_processings": [{"classification": CLASSIFICATION}]}


def test_load_tuples_inside_a_dict_are_lists() -> None:
    assert Classification.load({**CLASSIFICATION, "thresholds": (0.1, 0.2)}).thresholds == (0.1, 0.2)


UNREADABLE: dict[str, tuple[Any, str]] = {
    "list": ([1], "expected a dict, JSON text or the path of a JSON file, got [1]"),
    "null": (None, "expected a dict, JSON text or the path of a JSON file, got null"),
    "document_of_another_kind": (
        Label(id=1, name="cat"),
        "expected an object, got a value of type Label",
    ),
    "missing_file": (
        "no/such/file.json",
        'cannot read the file "no/such/file.json": No such file or directory; '
        "JSON text would start with '{'",
    ),
    "missing_path": (
        Path("no/such/file.json"),
        'cannot read the file "no/such/file.json": No such file or directory',
    ),
    "json_list_text": (
        "[1, 2]",
        "cannot read the file \"[1, 2]\": No such file or directory; JSON text would start with '{'",
    ),
    "json_list_bytes": (b"[1, 2]", "expected an object, got [1, 2]"),
    "empty_bytes": (b"", "the text is not JSON: Expecting value: line 1 column 1 (char 0)"),
    "cut_off": ('{"outputs": [', "the text is not JSON: Expecting value: line 1 column 14 (char 13)"),
    "bytes_not_text": (
        b'{"\xff"}',
        "the text is not JSON: 'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
    ),
    "too_deep": ('{"a":' * 200_000, "the document is nested too deeply: expected at most 64 levels"),
}


@pytest.mark.parametrize(("source", "expected"), UNREADABLE.values(), ids=UNREADABLE)
def test_load_unreadable_source_says_why(source: Any, expected: str, problems_of: Any) -> None:
    assert problems_of(RecognitionSpec, source) == [expected]


def test_load_folder_names_it(tmp_path: Path, problems_of: Any) -> None:
    (line,) = problems_of(RecognitionSpec, tmp_path)
    assert line.startswith(f"cannot read the file {json.dumps(str(tmp_path))}: ")


def test_load_path_that_no_system_has_names_it(problems_of: Any) -> None:
    (line,) = problems_of(RecognitionSpec, "a\0b")
    assert line.startswith('cannot read the file "a\\u0000b": ')


def test_load_file_that_is_not_json_names_it(tmp_path: Path, problems_of: Any) -> None:
    path = tmp_path / "spec.json"
    path.write_text("{")
    (line,) = problems_of(RecognitionSpec, path)
    assert line.startswith(f"{path} is not JSON: Expecting property name")


def test_load_cyclic_dict_is_a_schema_error(problems_of: Any) -> None:
    metadata: dict[str, Any] = {}
    metadata["again"] = metadata
    assert problems_of(RecognitionSpec, {**SPEC, "metadata": metadata}) == [
        "the document is nested too deeply: expected at most 64 levels"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"id": 1, "name": "", "id": 1}', ['the key "id" is given twice in this object; keep one']),
        (
            '{"post_processings": [{"classification": {"output_tensor": "a", "output_tensor": "b"}}]}',
            [
                'post_processings[0].classification: the key "output_tensor" is given twice in this object; '
                "keep one"
            ],
        ),
        (
            '{"a": {"x": 1, "x": 1}, "b": [0, {"y": 1, "y": 2}]}',
            [
                'a: the key "x" is given twice in this object; keep one',
                'b[1]: the key "y" is given twice in this object; keep one',
            ],
        ),
    ],
    ids=["at_the_top", "inside", "several"],
)
def test_load_repeated_key_names_its_object(text: str, expected: list[str], problems_of: Any) -> None:
    assert problems_of(RecognitionVersion, text) == expected


@pytest.mark.parametrize(
    ("number", "found"),
    [("NaN", "NaN"), ("-Infinity", "-Infinity"), ("1e999", "Infinity")],
    ids=["nan", "infinity", "overflow"],
)
def test_load_text_with_a_number_that_is_not_finite_names_its_path(
    number: str, found: str, problems_of: Any
) -> None:
    text = f'{{"classification": {{"output_tensor": "a", "thresholds": [{number}]}}}}'
    (line,) = problems_of(PostProcessing, text)
    assert line == f"classification.thresholds[0]: expected a number from 0 to 1, got {found}"


def test_load_text_with_a_number_of_5000_digits_is_a_schema_error(problems_of: Any) -> None:
    assert len(problems_of(RecognitionVersion, f'{{"spec_name": {"1" * 5000}}}')) == 1


def test_schema_error_is_a_postproc_error_with_its_problems() -> None:
    with pytest.raises(SchemaError) as caught:
        PostProcessing.load({"detection": {**DETECTION, "nms_threshold": 2, "nms_thresholds": 1}})
    error = caught.value
    assert isinstance(error, PostprocError)
    assert isinstance(error, ValueError)
    assert error.errors == (
        SchemaProblem("detection.nms_threshold", "expected a number from 0 to 1, got 2"),
        SchemaProblem("detection.nms_thresholds", "expected a list, got 1"),
    )
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.errors, str(twin)) == (error.errors, str(error))


def test_schema_error_of_a_text_is_about_the_whole_document() -> None:
    error = SchemaError("the document is empty")
    assert str(error) == "the document is empty"
    assert error.errors == (SchemaProblem("", "the document is empty"),)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Detection(nms_threshold=2, **DETECTION),
        lambda: Detection.model_validate({**DETECTION, "nms_threshold": 2}),
        lambda: Detection.model_validate_json(json.dumps({**DETECTION, "nms_threshold": 2})),
    ],
    ids=["constructor", "model_validate", "model_validate_json"],
)
def test_pydantic_methods_raise_pydantic_errors_with_the_same_words(build: Callable[[], Any]) -> None:
    with pytest.raises(ValidationError, match=r"nms_threshold\n  expected a number from 0 to 1, got 2"):
        build()


def test_pydantic_json_method_reads_the_same_document() -> None:
    for kind, document in ACCEPTED.values():
        assert kind.model_validate_json(json.dumps(document)) == kind.load(document)


def test_long_value_is_shortened_in_the_message(problems_of: Any) -> None:
    document: Mapping[str, Any] = {**DETECTION, "nms_thresholds": "x" * 10_000}
    (line,) = problems_of(Detection, document)
    assert line == f'nms_thresholds: expected a list, got "{"x" * 56}...'

"""What must hold for any document: it is accepted and comes back as read, or it is a `SchemaError`."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from postproc import PostProcessor
from postproc.errors import SchemaError
from postproc.images import Preprocessor
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion, check_pair
from postproc.schema.limits import MOST_PROBLEMS

KINDS: tuple[type[Any], ...] = (RecognitionSpec, RecognitionVersion, Preprocessing)
LONGEST_MESSAGE = 5_000

_STEP = re.compile(r'\.?(\w+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')
_EMPTY_FOLDER = Path(tempfile.gettempdir()) / "postproc-no-such-folder"
_PAIRED = RecognitionSpec.load(
    {"id": 1, "outputs": [{"labels": {"labels": [{"id": 0, "name": "a"}], "exclusive": True, "roi": "BBOX"}}]}
)


def check_bytes(data: bytes) -> bool:
    """Check one input of a fuzzer: a byte that says how the rest, JSON text, is given. True if accepted."""
    choice = data[0] if data else 0
    kind, form, content = KINDS[choice % 3], choice // 3 % 3, data[1:]
    if form == 0:
        return check(kind, content)
    text = content.decode("utf-8", "surrogateescape" if form == 1 else "replace")
    if form == 1:
        return check(kind, "{" + text.lstrip("\ufeff \t\r\n").removeprefix("{"))  # else it is a path
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return check(kind, value) if isinstance(value, dict) else False


def check(kind: type[Any], source: Any) -> bool:
    """Read a document, and assert what must hold; True if it is accepted."""
    try:
        document = kind.load(source)
    except SchemaError as error:
        check_error(error, _value_of(source))
        return False
    read = _value_of(source)
    dumped = document.dump()
    assert _canonical(dumped) == _canonical(read), (source, dumped)
    assert kind.load(dumped) == document
    assert kind.load(document.dump_json()) == document
    filled = document.dump(defaults=True)
    assert _canonical(kind.load(filled).dump()) == _canonical(filled)
    _use(document)
    return True


def check_error(error: SchemaError, value: Any) -> None:
    """Assert that an error can be printed, is short, and names places that there are."""
    assert str(error).encode()
    assert 1 <= len(error.errors) <= MOST_PROBLEMS + 1
    for problem in error.errors:
        assert len(problem.message) <= LONGEST_MESSAGE, problem.message[:200]
        if value is not None:
            assert resolves(problem.path, value, problem.message), f"{problem.path[:500]}: {problem.message}"


def resolves(path: str, value: Any, message: str) -> bool:
    """Whether a JSON path leads to a value, or to the place of the one that is said to be missing."""
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            return False
        name, row, quoted = step.groups()
        key = int(row) if row is not None else name if name is not None else json.loads(quoted)
        position = step.end()
        if isinstance(key, str) and isinstance(value, dict):
            if key not in value:
                return position == len(path)
            value = value[key]
        elif isinstance(key, int) and isinstance(value, list) and key < len(value):
            value = value[key]
        else:
            return False
    return True


def _use(document: Any) -> None:
    """Do with an accepted document what its users do, as far as no tensors are needed."""
    try:
        if isinstance(document, RecognitionSpec):
            version = RecognitionVersion.load(
                {"post_processings": [{"classification": {"output_tensor": "a"}}]}
            )
            PostProcessor(document, version)
        elif isinstance(document, RecognitionVersion):
            if document.post_processings is not None:
                PostProcessor(_spec_for(document), document)
            check_pair(_PAIRED, document)
        else:
            Preprocessor(document, _EMPTY_FOLDER)
    except SchemaError as error:
        check_error(error, None)


def _spec_for(version: Any) -> RecognitionSpec:
    outputs = []
    for item in version.post_processings:
        lists = (getattr(item.task, field, None) for field in ("thresholds", "nms_thresholds"))
        count = max([len(values) for values in lists if isinstance(values, tuple)], default=1) or 1
        labels = [{"id": row, "name": f"label {row}"} for row in range(count)]
        roi = "BBOX" if item.kind == "detection" else "NONE"
        outputs.append({"labels": {"labels": labels, "exclusive": True, "roi": roi}})
    return RecognitionSpec.load({"id": version.spec_id, "outputs": outputs})


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _value_of(source: Any) -> Any:
    """Return what a source holds, None if it is no JSON object; without the library's own parsing."""
    if isinstance(source, dict):
        return source
    try:
        text = source.decode(json.detect_encoding(source)) if isinstance(source, bytes) else source
        value = json.loads(text.lstrip("\ufeff"), parse_int=lambda digits: int(digits[:641]))
    except (ValueError, RecursionError):
        return None
    return value

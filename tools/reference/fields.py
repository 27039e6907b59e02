"""The page of the documents' fields, from their JSON Schemas."""

from __future__ import annotations

import json
from typing import Any

from text import cell, code, escaped, table

from postproc import Preprocessing, RecognitionSpec, RecognitionVersion

DOCUMENTS = (RecognitionSpec, RecognitionVersion, Preprocessing)
_EXTENSION = "An extension of v0.7."
_INTRODUCTION = """\
# Documents

A *spec* says what is recognised, a *version* how a network's tensors become it, and a *preprocessing* how
images become the network's inputs. Fields marked + are extensions of v0.7. What is required has to be given;
what has a dash for its default is then absent. Made from the JSON Schemas that
`RecognitionVersion.json_schema()` and those of the others return.
"""


def page() -> str:
    """Return the Markdown of the page: a section an object, the outermost of a document first."""
    return _INTRODUCTION + "".join(_document(model.json_schema()) for model in DOCUMENTS)


def _document(schema: dict[str, Any]) -> str:
    definitions = schema.get("$defs", {})
    names = list(dict.fromkeys(_references({name: schema[name] for name in schema if name != "$defs"})))
    for name in names:  # grows: what an object refers to comes behind those of the one before
        names += [other for other in dict.fromkeys(_references(definitions[name])) if other not in names]
    parts = [_section(schema, 2), *(_section(definitions[name], 3) for name in names)]
    return "".join(parts)


def _references(schema: Any) -> list[str]:
    """Return the names of the objects that a schema refers to, in their order."""
    if isinstance(schema, dict):
        own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in _references(value)]
    return [name for value in schema for name in _references(value)] if isinstance(schema, list) else []


def _section(schema: dict[str, Any], depth: int) -> str:
    required = schema.get("required", ())
    rows = [
        (_name(name, field), kind_of(field), _default(name, field, required), _described(field))
        for name, field in schema["properties"].items()
    ]
    described = escaped(schema.get("description", "")).replace(_EXTENSION, f"*{_EXTENSION}*")
    title = f"\n{'#' * depth} {schema['title']}\n\n{described}\n\n"
    return title + table(("field", "kind", "default", "what it is"), rows)


def _name(name: str, field: dict[str, Any]) -> str:
    return f"`{name}` +" if _EXTENSION in field.get("description", "") else f"`{name}`"


def _described(field: dict[str, Any]) -> str:
    text = cell(field.get("description", "").replace(_EXTENSION, ""))
    return f"{text} Set by a service." if field.get("readOnly") else text


def _default(name: str, field: dict[str, Any], required: list[str]) -> str:
    if name in required:
        return "required"
    if field.get("default") is None:
        return "-"
    return code(json.dumps(field["default"], ensure_ascii=False))


def kind_of(schema: dict[str, Any]) -> str:
    """Return what a value may be, in words; null, which stands for a field that is left out, is not told."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        kinds = [kind_of(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    return _KINDS.get(schema.get("type", ""), lambda _: "any")(schema)


def _array(schema: dict[str, Any]) -> str:
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = f"{least} " if least == most and least is not None else ""
    return f"list of {count}{kind_of(items)}"


def _object(schema: dict[str, Any]) -> str:
    values = schema.get("additionalProperties")
    return f"object of {kind_of(values)}" if isinstance(values, dict) and values else "object"


def _number(schema: dict[str, Any]) -> str:
    kind = "integer" if schema["type"] == "integer" else "number"
    bounds = [
        f"{words} {schema[key]:,}"
        for key, words in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
        if key in schema and abs(schema[key]) < 2**31 - 1
    ]
    return " ".join([kind, *bounds])


_KINDS = {
    "array": _array,
    "object": _object,
    "integer": _number,
    "number": _number,
    "string": lambda _: "text",
    "boolean": lambda _: "`true` or `false`",
}

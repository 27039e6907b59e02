"""Models that are built when they are first used: a process pays for the kinds that its documents have.

The modules of models go without ``from __future__ import annotations``: pydantic would compile the text of
each field's type once more, for its class and for each that inherits from it. It was a ninth of the time of
an import.
"""

from __future__ import annotations

import os
import threading
from inspect import Signature
from typing import Any

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

BUILDING = threading.RLock()
"""Held while a model is built: two threads at once would take it apart (pydantic 2.8)."""

# A child of a fork has no other thread that would release it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=BUILDING.acquire, after_in_parent=BUILDING.release, after_in_child=BUILDING.release
    )

_MODEL = "postproc_model"


class BuiltOnUse:
    """Leaves the annotated model out of those that name it, until a document has an object in its place.

    All kinds of outputs together take as long to build as pydantic to import.
    """

    def __get_pydantic_core_schema__(
        self, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def validate(value: object, info: ValidationInfo) -> Any:
            return source.__pydantic_validator__.validate_python(value, context=info.context)

        return core_schema.with_info_plain_validator_function(
            validate,
            metadata={_MODEL: source},
            serialization=core_schema.wrap_serializer_function_ser_schema(
                _dumped, schema=core_schema.any_schema()
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        model = schema["metadata"][_MODEL]
        model.model_rebuild()
        # Within another, for its own place among the definitions.
        return handler(core_schema.definitions_schema(model.__pydantic_core_schema__, []))


def _dumped(value: object, handler: SerializerFunctionWrapHandler) -> object:
    if isinstance(value, BaseModel):  # one that was unpickled may be of a class that nothing has used yet
        type(value).model_rebuild()
    return handler(value)


class SignatureOnUse:
    """Signature of a model's constructor, which takes its own place when the model is built."""

    def __get__(self, instance: object, owner: type[BaseModel]) -> Signature:
        if instance is None and owner.model_rebuild():
            return owner.__signature__
        raise AttributeError("__signature__")

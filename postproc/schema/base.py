"""What all documents share: strict reading, rules with paths, and dumping as it was read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from postproc.errors import SchemaError
from postproc.schema.deferring import BUILDING, BuiltOnUse, SignatureOnUse
from postproc.schema.limits import MOST_FIELDS
from postproc.schema.parsing import parse_json, read_source
from postproc.schema.problems import Location, explained, first_of, problem, schema_error
from postproc.schema.sizes import TOO_DEEP, check_size, name_problem

if TYPE_CHECKING:
    from pydantic.functional_validators import ModelWrapValidatorHandler
    from pydantic_core import InitErrorDetails
    from typing_extensions import Self

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Document(BaseModel):
    """A JSON object of v0.7: frozen, strict, with finite numbers and lists held as tuples.

    `load` raises `SchemaError`; pydantic's own methods raise `pydantic.ValidationError` with the
    same paths and messages.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = SignatureOnUse()  # type: ignore[assignment]

    @classmethod
    def model_rebuild(cls, **options: Any) -> bool | None:
        """Build what validates and dumps documents of this class, if it is not built: as pydantic's."""
        with BUILDING:
            # Names are looked up where the class stands, not in whichever frame is first to use it.
            names = vars(sys.modules[cls.__module__])
            return super().model_rebuild(**{"_types_namespace": names, **options})

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield the location and the message of each broken rule that spans several fields."""
        return iter(())

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        """Yield messages about which fields are given, whatever they hold."""
        return iter(())

    @model_validator(mode="wrap")
    @classmethod
    def _validate_rules(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return handler(data)
        problems: list[InitErrorDetails] = []
        if isinstance(data, dict):
            problems = [problem(message, data) for message in cls._group_problems(data)]
            if unknown := data.keys() - cls.model_fields.keys():
                refused, bad_names = cls._bad_names(data, unknown)
                problems += bad_names
                data = {name: value for name, value in data.items() if name not in refused}
        try:
            document = handler(data)
        except ValidationError as error:
            problems = [*explained(error, cls.model_fields), *problems]
        else:
            if not problems:
                found = (problem(message, data, location) for location, message in document.rules())
                problems = first_of(found, partial(problem, found=data))
            if not problems:
                return document
        listed = first_of(problems, partial(problem, found=data))
        raise ValidationError.from_exception_data(cls.__name__, listed) from None

    @classmethod
    def _bad_names(cls, data: dict[Any, Any], unknown: Set[Any]) -> tuple[Set[Any], list[InitErrorDetails]]:
        """Return the unknown fields that must not be looked at, and why."""
        if len(unknown) > MOST_FIELDS:
            message = f"expected at most {MOST_FIELDS:,} fields that the schema does not know"
            return unknown, [problem(f"{message}, got {len(unknown):,}", data)]
        bad = {name: message for name in unknown if isinstance(name, str) and (message := name_problem(name))}
        return bad.keys(), [problem(bad[name], data) for name in sorted(bad)]

    @classmethod
    def load(cls, source: Self | Mapping[str, Any] | str | bytes | os.PathLike[str]) -> Self:
        """Read a document.

        Parameters
        ----------
        source : dict, str, bytes, path or document
            A dict; JSON text (bytes, or a text whose first non-blank character is ``{``); the path
            of a JSON file (any other text, or a `os.PathLike`); or a document of this class, which
            comes back as it is.

        Returns
        -------
        The document. `dump` gives back what was read.

        Raises
        ------
        SchemaError
            If the file cannot be read, the text is not JSON or repeats a key, or the document
            breaks a rule or a limit of `postproc.schema.limits`. Lists the problems, 50 at most, with
            their JSON paths.

        Examples
        --------
        >>> from postproc.schema import Classification
        >>> Classification.load('{"output_tensor": "prob", "thresholds": [0.5, 0.9]}').thresholds
        (0.5, 0.9)
        >>> Classification.load({"output_tensor": "prob", "thresholds": [0.5, 90]})
        Traceback (most recent call last):
        postproc.errors.SchemaError: thresholds[1]: expected a number from 0 to 1, got 90
        """
        try:
            if isinstance(source, Document):
                return cls.model_validate(source)
            if isinstance(source, Mapping):
                document = dict(source)
                check_size(document)
                return cls.model_validate(document)
            return cls.model_validate(parse_json(*read_source(source)))
        except ValidationError as error:
            raise schema_error(error) from None
        except RecursionError:
            raise SchemaError(TOO_DEEP) from None

    def dump(self, *, defaults: bool = False) -> dict[str, Any]:
        """Return the document as a JSON-ready dict.

        Parameters
        ----------
        defaults : bool
            False gives what was read. True fills in the default of every field that was left out
            and has one.
        """
        return {
            name: _plain(value, defaults)
            for name, value in self
            if name not in type(self).model_fields
            or name in self.model_fields_set
            or (defaults and value is not None)
        }

    def dump_json(self, *, defaults: bool = False, indent: int | None = None) -> str:
        """Return the document as JSON text; arguments as in `dump` and `json.dumps`."""
        return json.dumps(self.dump(defaults=defaults), indent=indent, allow_nan=False)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of this kind of document."""
        return {"$schema": _DIALECT, **cls.model_json_schema()}


class Configuration(Document):
    """A document that says how to compute: an unknown field is an error, since a typo must not pass."""

    model_config = ConfigDict(extra="forbid")


class Alternative(Configuration):
    """A member of an exactly-one-of group: see `Choice`."""


A = TypeVar("A", bound=Alternative)
OneOf = Annotated[A, BuiltOnUse()] | None
"""The type of a member's field."""


def _require_one(schema: dict[str, Any], model: type[Choice]) -> None:
    schema["oneOf"] = [
        {"required": [name], "properties": {name: {"type": "object"}}} for name in model.alternatives
    ]
    for name in model.alternatives:  # the model has one, which pydantic does not see
        schema["properties"][name].pop("title", None)


class Choice(Configuration):
    """An object of which exactly one alternative must be given.

    The group is made of the fields whose type is `OneOf` an `Alternative` (or that, or None, which builds it
    with the group), so declaring such a field is all it takes to add a member.
    """

    model_config = ConfigDict(json_schema_extra=_require_one)

    alternatives: ClassVar[Mapping[str, type[Alternative]]] = {}
    """The members of the group: the type of each, by its field."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.alternatives = {
            name: member
            for name, field in cls.model_fields.items()
            for member in (getattr(option, "__origin__", option) for option in get_args(field.annotation))
            if isinstance(member, type(Alternative)) and issubclass(member, Alternative)
        }

    @classmethod
    def _group_problems(cls, data: Mapping[str, Any]) -> Iterator[str]:
        yield from one_of(cls.alternatives, data)

    @classmethod
    def kind_of(cls, alternative: Alternative) -> str:
        """Return the name of the field that takes such an alternative.

        Raises
        ------
        SchemaError
            If none does.
        """
        for name, member in cls.alternatives.items():
            if type(alternative) is member:
                return name
        raise SchemaError(
            f"expected an object for one of {', '.join(cls.alternatives)}, got {type(alternative).__name__}"
        )

    @property
    def kind(self) -> str:
        """The name of the alternative that is given."""
        return next(name for name in self.alternatives if getattr(self, name) is not None)


def one_of(names: Collection[str], data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the message that not exactly one of the fields is given, if so."""
    given = [name for name in names if data.get(name) is not None]
    if len(given) != 1:
        found = f"{' and '.join(given)}; keep one" if given else "none; add one"
        yield f"expected exactly one of {', '.join(names)}, got {found}"


def _plain(value: Any, defaults: bool) -> Any:
    if isinstance(value, Document):
        return value.dump(defaults=defaults)
    if isinstance(value, (tuple, list)):
        return [_plain(item, defaults) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, defaults) for key, item in value.items()}
    return value

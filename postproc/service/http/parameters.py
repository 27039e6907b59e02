"""Numbers in paths and queries."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_DIGITS = re.compile(r"-?[0-9]+")


def _digits(value: Any) -> Any:
    """Refuse what pydantic takes for an integer beside its digits: ``1_0``, ``1.0``, spaces, a plus."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise PydanticCustomError("int_parsing", "expected an integer in decimal digits")
    return value


# In an annotation it stands behind the bounds: pydantic leaves bounds behind it out of the JSON Schema.
DIGITS = BeforeValidator(_digits)

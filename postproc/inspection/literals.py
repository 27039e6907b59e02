"""Values that exporters write into metadata as text."""

from __future__ import annotations

import ast
import json
from typing import Any


def parsed(text: str) -> Any:
    """Read a value of JSON or a literal of Python; None where it is neither."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None

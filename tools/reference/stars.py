"""For griffe: a star between the factors of a formula in a docstring is a star, and begins no emphasis."""

from __future__ import annotations

import re
from typing import Any

import griffe

_CODE = re.compile(r"(`+[^`]+`+)")
_STAR = re.compile(r"(?<=[\w)\]])\*(?=[\w(\[])")


class Stars(griffe.Extension):
    """Escapes such stars, but for those of code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of a module, class, function or attribute that was read."""
        if obj.docstring is None:
            return
        prose, heading, examples = obj.docstring.value.partition("\nExamples\n")
        parts = _CODE.split(prose)
        parts[::2] = [_STAR.sub(r"\\*", part) for part in parts[::2]]
        obj.docstring.value = "".join(parts) + heading + examples

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from postproc.errors import SchemaError


@pytest.fixture
def problems_of() -> Callable[[Any, Any], list[str]]:
    """Load a wrong document and return the lines of the error."""

    def load(kind: Any, document: Any) -> list[str]:
        with pytest.raises(SchemaError) as caught:
            kind.load(document)
        lines = str(caught.value).split("\n")
        assert lines == [str(problem) for problem in caught.value.errors]
        return lines

    return load

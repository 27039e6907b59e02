"""A case as files: JSON to read by eye, and one npy file a tensor."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.conformance.cases import Case


@dataclass(frozen=True)
class Draft:
    """A case before it is written, as `Case`; expected numbers stand in the JSON unless they are arrays.

    An array among `inputs` that is a list becomes float32, or int64 if it is of integers alone.
    """

    area: str
    id: str
    rule: int
    title: str
    operation: str
    inputs: dict[str, Any]
    expected: dict[str, Any]
    oracle: str
    why: str
    parameters: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] | None = None
    tolerance: float | None = None
    definition: bool = False

    def files(self) -> dict[str, bytes]:
        """Return the content of each file, by its path below ``cases/``."""
        folder = f"{self.area}/{self.id}"
        arrays = {name: as_array(value) for name, value in self.inputs.items()}
        made = {f"{folder}/{name}.npy": npy(array) for name, array in arrays.items()}
        expected = {}
        for name, value in self.expected.items():
            if isinstance(value, np.ndarray):
                expected[name] = f"expected_{name}.npy"
                made[f"{folder}/{expected[name]}"] = npy(value)
            else:
                expected[name] = value
        written = {
            "id": self.id,
            "rule": self.rule,
            "title": self.title,
            "operation": self.operation,
            "inputs": {name: f"{name}.npy" for name in arrays},
            "parameters": self.parameters,
            "document": self.document,
            "expected": expected,
            "tolerance": None if self.tolerance is None else {"absolute": self.tolerance},
            "oracle": self.oracle,
            "definition": self.definition,
            "why": self.why,
        }
        assert list(written) == list(Case.__dataclass_fields__)
        made[f"{folder}/case.json"] = _readable(written).encode()
        return made


def as_array(value: ArrayLike) -> NDArray[Any]:
    """Arrays as they are; lists of integers as int64, others as float32."""
    if isinstance(value, np.ndarray):
        return value
    array = np.asarray(value)
    return array.astype(np.int64 if array.dtype.kind == "i" else np.float32)


def as_boxes(boxes: ArrayLike, numbers: int = 4) -> NDArray[np.float32]:
    """Rows of so many float32, be there none."""
    return np.array(boxes, np.float32).reshape(-1, numbers)


def npy(array: NDArray[Any]) -> bytes:
    """The bytes of an npy file, version 1.0, the same on every machine."""
    assert array.dtype.kind in "fiub", array.dtype
    buffer = io.BytesIO()
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    np.lib.format.write_array(buffer, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _readable(written: dict[str, Any]) -> str:
    """JSON with a line for each key of the two upper levels."""
    lines = []
    for name, value in written.items():
        if isinstance(value, dict) and len(json.dumps(value)) > 90:
            inner = ",\n".join(f"    {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
            text = f"{{\n{inner}\n  }}"
        else:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        lines.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"

"""Read the golden cases: what README.md describes, as one dataclass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "cases"
RULES = Path(__file__).parent / "rules.json"
ORACLES = ("by hand", "rational", "float64", "float32, in the stated order")


@dataclass(frozen=True, eq=False)
class Case:
    """One question and its right answer; the fields are those of ``case.json``, arrays are loaded.

    Parameters
    ----------
    id : str
        Name of the folder, unique.
    rule : int
        Which rule of ``rules.json`` it shows.
    title : str
        The case in one sentence.
    operation : str
        What is asked: see README's table.
    inputs : dict of arrays
    parameters : dict
        Numbers and words that go with the operation.
    document : dict or None
        ``spec`` and ``version`` of postproc that describe the same, for what is a whole pipeline.
    expected : dict
        Arrays by name; texts stay texts.
    tolerance : dict or None
        None: equal as float32. ``{"absolute": x}``: no number is further away than x; integers are exact.
    oracle : str
        Where the answer comes from, one of `ORACLES`.
    definition : bool
        Whether another answer may be another definition; False: it is a fault.
    why : str
        How the answer comes about and, where it is a definition, what others choose.
    """

    id: str
    rule: int
    title: str
    operation: str
    inputs: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    document: dict[str, Any] | None
    expected: dict[str, Any]
    tolerance: dict[str, float] | None
    oracle: str
    definition: bool
    why: str

    @classmethod
    def load(cls, folder: Path) -> Case:
        """Read a case from its folder."""
        fields = json.loads((folder / "case.json").read_text("utf-8"))
        for name in ("inputs", "expected"):
            fields[name] = {key: _read(value, folder) for key, value in fields[name].items()}
        return cls(**fields)

    def differences(self, answer: Mapping[str, Any]) -> list[str]:
        """Say what of an answer is not as expected.

        It may have more names than are expected, and lack some, which are not compared; it needs one of them.
        """
        common = [name for name in self.expected if name in answer]
        if not common:
            return [f"expected one of {', '.join(self.expected)}, got {', '.join(answer) or 'nothing'}"]
        found = (self._difference(name, self.expected[name], answer[name]) for name in common)
        return [told for told in found if told]

    def _difference(self, name: str, right: Any, found: Any) -> str | None:
        if isinstance(right, str):
            return None if found == right else f"{name}: expected {right!r}, got {found!r}"
        found = np.asarray(found)
        told = f"{name}: expected {_told(right)}, got {_told(found)}"
        if found.shape != right.shape:
            return f"{told} (shapes {right.shape} and {found.shape})"
        if right.dtype.kind != "f":
            return None if np.array_equal(found, right) else told
        if self.tolerance is None:
            right, found = right.astype(np.float32), found.astype(np.float32)
            return None if np.array_equal(found, right, equal_nan=True) else told
        near = np.abs(found.astype(np.float64) - right) <= self.tolerance["absolute"]
        return None if (near | (np.isnan(found) & np.isnan(right))).all() else told


def load_cases() -> list[Case]:
    """Read all cases, in the order of their areas and ids."""
    return [Case.load(path.parent) for path in sorted(FOLDER.glob("*/*/case.json"))]


def load_rules() -> dict[int, dict[str, str]]:
    """Read the rules by number: each has ``rule`` and ``source``."""
    rules = json.loads(RULES.read_text("utf-8"))
    return {rule["number"]: {name: rule[name] for name in ("rule", "source")} for rule in rules}


def _read(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return np.load(folder / value, allow_pickle=False) if value.endswith(".npy") else value
    return np.asarray(value)


def _told(values: NDArray[Any]) -> str:
    return " ".join(np.array2string(values, threshold=40, separator=", ").split())

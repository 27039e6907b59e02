"""What an exported graph is, and what is to be read from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from postproc.inspection import Proposal
from postproc.schema import Detection

Size: TypeAlias = "tuple[int, int]"

# Both describe finished boxes, scores and classes by the same fields, and give the same results without NMS.
_ALIKE = {"direct_output": "end_to_end_output"}


def _numbering(classes: str, first_id: int) -> tuple[int, int]:
    """Give what is added to a class to make an id, and the lowest class that has one."""
    return (first_id, 0) if classes == "rows" else (0, first_id)


@dataclass(frozen=True)
class Reads:
    """The documents that are right.

    Parameters
    ----------
    kind : str
        The kind of output, or "classification".
    fields : mapping
        Values of the output object that matter.
    labels : int or tuple of str, optional
        How many labels the spec has, or their names; None where neither names nor shapes tell.
    input_size : (int, int), optional
        Height and width where boxes are in pixels; None where they are not.
    suppresses : bool
        Whether NMS is still needed (nms_threshold below 1).
    first_id : int
        The id of the first label. What matters is which id a class gets: where ids are counted from 0,
        classes that are rows mean the same as classes that are ids.
    image : mapping
        Fields of the image's preprocessing that matter.
    decision : mapping
        Values of the detection that matter.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    labels: int | tuple[str, ...] | None = None
    input_size: Size | None = None
    suppresses: bool = True
    first_id: int = 0
    image: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Reads:
        """Give the same reading with other values."""
        return replace(self, **changes)

    def differences(self, proposal: Proposal) -> list[str]:
        """Tell in what a proposal differs from what is right; nothing if it is right."""
        (post_processing, *_) = proposal.version.post_processings or ()
        task = post_processing.task
        found: dict[str, Any] = {"kind": _ALIKE.get(proposal.kind, proposal.kind)}
        right: dict[str, Any] = {"kind": _ALIKE.get(self.kind, self.kind)}
        if found == right:
            output = task.output if isinstance(task, Detection) else task
            found |= {name: getattr(output, name, None) for name in self.fields}
            right |= self.fields
        if isinstance(task, Detection):
            found |= {"input_size": task.input_size, "suppresses": task.nms_threshold < 1}
            right |= {"input_size": self.input_size, "suppresses": self.suppresses}
            found |= {name: getattr(task, name) for name in self.decision}
            right |= self.decision
        labels = proposal.spec.outputs[0].labels.labels
        if self.labels is not None:
            names = tuple(label.name for label in labels)
            found["labels"] = names if isinstance(self.labels, tuple) else len(names)
            right["labels"] = self.labels
        if "classes" in found:
            shift, lowest = _numbering(found["classes"], labels[0].id)
            right_shift, right_lowest = _numbering(right["classes"], self.first_id)
            if shift == right_shift and lowest <= right_lowest:
                found["classes"] = right["classes"]
            else:
                found["classes"] = f"{found['classes']} from id {labels[0].id}"
                right["classes"] = f"{right['classes']} from id {self.first_id}"
        if self.image:
            image = None if proposal.preprocessing is None else proposal.preprocessing.inputs[0].image
            found |= {name: getattr(image, name, None) for name in self.image}
            right |= self.image
        return [
            f"{name} is {found[name]!r}, not {right[name]!r}" for name in right if found[name] != right[name]
        ]


@dataclass(frozen=True)
class Undecided:
    """Honestly ambiguous: several readings stay, `includes` among them, and nothing is saved unasked.

    To read `includes` and nothing else is right too. Without `includes` no kind of output is right, and
    readings may stay where they are not saved.
    """

    includes: Reads | None = None


@dataclass(frozen=True)
class Refused:
    """Known, and beyond every kind of output: the message matches `says` (a pattern, letter case aside).

    `unless` is a reading that is right as well.
    """

    says: str
    unless: Reads | None = None


Expected: TypeAlias = "Reads | Undecided | Refused"


@dataclass(frozen=True)
class Case:
    """A graph of a public package, and what is to be read from it.

    Parameters
    ----------
    name : str
        The package and the variant.
    build : callable
        Makes the model's bytes.
    expect : Expected
        What is right.
    beside : mapping of str to JSON
        Files that the package writes beside the network.
    runs : bool
        False where ONNX Runtime lacks an operator of the graph.
    """

    name: str
    build: Callable[[], bytes]
    expect: Expected
    beside: Mapping[str, Any] = field(default_factory=dict)
    runs: bool = True

    def faults(self, decided: Proposal | None, proposals: Sequence[Proposal], said: str) -> list[str]:
        """Tell what is wrong with an inspection; nothing if it is right.

        `decided` is the proposal that would be saved, if one would, `proposals` are all, and `said` is what
        else the inspection says.
        """
        expect = self.expect
        if isinstance(expect, Refused):
            if decided is None:
                found = re.search(expect.says, said, re.IGNORECASE)
                return [] if found else [f"it does not say {expect.says!r}, but {said!r}"]
            return ["it is read"] if expect.unless is None else expect.unless.differences(decided)
        right = expect.includes if isinstance(expect, Undecided) else expect
        if decided is not None:
            return [f"it is read as {decided.kind}"] if right is None else right.differences(decided)
        if isinstance(expect, Reads):
            return [f"it is not decided: {[proposal.kind for proposal in proposals]}, {said!r}"]
        if right is None or not all(right.differences(proposal) for proposal in proposals):
            return []
        return ["the right reading is not left", *(str(right.differences(p)) for p in proposals)]

    def save(self, folder: Path) -> Path:
        """Write the model, and what lies beside it, into a folder."""
        for name, value in self.beside.items():
            (folder / name).write_text(json.dumps(value))
        path = folder / "model.onnx"
        path.write_bytes(self.build())
        return path

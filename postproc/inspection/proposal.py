"""A proposal: the documents that describe a network, and why they are thought to."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc.errors import InspectionError
from postproc.inspection.readings import Certainty, Reading
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion

_WIDTH = 110


@dataclass(frozen=True)
class Proposal:
    """One way to read a network's outputs, with the documents that say so.

    Parameters
    ----------
    reading : Reading
        What it says of each part of the outputs, and what speaks for it.
    checks : tuple of str
        What was guessed, or should be looked at.
    spec, version : RecognitionSpec, RecognitionVersion
        The documents, which fit each other.
    preprocessing : Preprocessing or None
        How images become the network's inputs; None where no input takes images.
    """

    reading: Reading
    checks: tuple[str, ...]
    spec: RecognitionSpec
    version: RecognitionVersion
    preprocessing: Preprocessing | None

    @property
    def network(self) -> str:
        """The networks that have such outputs."""
        return self.reading.network

    @property
    def certainty(self) -> Certainty:
        """How sure its least sure part is."""
        return self.reading.certainty

    @property
    def kind(self) -> str:
        """The kind of output: ``"yolov8_output"``, ..., or ``"classification"``."""
        first = (self.version.post_processings or ())[0]
        return first.detection.kind if first.detection is not None else "classification"

    @property
    def documents(self) -> dict[str, RecognitionSpec | RecognitionVersion | Preprocessing]:
        """The documents by the names of the files that `save` writes."""
        documents: dict[str, RecognitionSpec | RecognitionVersion | Preprocessing] = {
            "spec.json": self.spec,
            "version.json": self.version,
        }
        return (
            documents
            if self.preprocessing is None
            else {**documents, "preprocessing.json": self.preprocessing}
        )

    def save(self, directory: Path, *, force: bool = False) -> list[Path]:
        """Write the documents into a folder, which is made if it is not there.

        Parameters
        ----------
        directory : Path
            The folder.
        force : bool, keyword-only
            Whether files that hold something else are replaced.

        Raises
        ------
        InspectionError
            If a file is there and holds something else; then none is written.
        """
        texts = {directory / name: written(document.dump()) for name, document in self.documents.items()}
        taken = [
            str(path) for path, text in texts.items() if path.exists() and path.read_bytes() != text.encode()
        ]
        if taken and not force:
            raise InspectionError(
                f"{', '.join(taken)}: there already, with other contents; save into another folder, or "
                "replace with --force"
            )
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_bytes(text.encode())
        return list(texts)


def written(value: Any, indent: int = 0) -> str:
    """Write a value as JSON for people: what fits into a line is one, and numbers fill lines."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + len(line) <= _WIDTH and not _holds_objects(value):
        return line + ("" if indent else "\n")
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {written(item, indent + 2).strip()}" for key, item in value.items()]
        text = "{\n" + ",\n".join(inner + item for item in items) + "\n" + " " * indent + "}"
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        items = [written(item, indent + 2).strip() for item in value]
        text = "[\n" + ",\n".join(inner + item for item in items) + "\n" + " " * indent + "]"
    elif isinstance(value, list):
        filled = textwrap.fill(
            ", ".join(json.dumps(item, ensure_ascii=False) for item in value),
            _WIDTH,
            initial_indent=inner,
            subsequent_indent=inner,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = "[\n" + filled + "\n" + " " * indent + "]"
    else:
        text = line
    return text + ("" if indent else "\n")


def _holds_objects(value: Any) -> bool:
    """Tell whether an object or list holds objects, which then get lines of their own."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict) or _holds_objects(item) for item in items)

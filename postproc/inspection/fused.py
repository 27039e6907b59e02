"""What a file that `postproc fuse` wrote says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postproc.errors import SchemaError
from postproc.schema import RecognitionSpec, RecognitionVersion

_KEY = "postproc.fused"


@dataclass(frozen=True)
class Fused:
    """The post-processing in a network's file.

    Parameters
    ----------
    spec, version : RecognitionSpec, RecognitionVersion
        What it recognises, and how.
    options : mapping
        As of `postproc.fusing.FuseOptions`; ``outputs`` has names of the file's outputs, by kind, for each
        output of the spec.
    """

    spec: RecognitionSpec
    version: RecognitionVersion
    options: Mapping[str, Any]

    @property
    def outputs(self) -> list[Mapping[str, str]]:
        """Of each output of the spec, the names of the file's by kind: ``boxes``, ``scores``, ..."""
        return list(self.options.get("outputs", ()))


def fused_of(metadata: Mapping[str, str]) -> Fused | str | None:
    """Read a file's metadata: None where it is not fused, a text that says what is wrong with them."""
    if _KEY not in metadata:
        return None
    try:
        options = json.loads(metadata[_KEY])
        if not isinstance(options, dict):
            raise ValueError(f"expected an object in {_KEY}, got {type(options).__name__}")
        spec = RecognitionSpec.load(metadata["postproc.spec"])
        return Fused(spec, RecognitionVersion.load(metadata["postproc.version"]), options)
    except (KeyError, ValueError, SchemaError, RecursionError) as error:
        return f"its metadata say that it is fused, but not with what: {error!r}"

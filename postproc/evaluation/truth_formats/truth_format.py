"""What a module of a kind of ground truth declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import TruthFile


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthFormat:
    """A kind of ground truth.

    Parameters
    ----------
    name : str
        What users choose it by.
    summary : str
        What it is, for messages and help.
    looks_like : function
        Tells from the content of a source whether it is of this kind.
    read : function
        Reads it; raises `SchemaError` for what is broken.
    takes_folders : bool
        Whether it may be a folder.
    has_splits : bool
        Whether one source may hold several parts, of which one is read.
    """

    name: str
    summary: str
    looks_like: Callable[[TruthSource], bool]
    read: Callable[[TruthSource], TruthFile]
    takes_folders: bool = False
    has_splits: bool = False

"""Ground truth of anybody: a module a kind, all of which `formats.FORMATS` lists."""

from __future__ import annotations

from postproc.evaluation.truth_formats.formats import FORMATS, read_truth
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import TruthFile

__all__ = ["FORMATS", "TruthFile", "TruthSource", "read_truth"]

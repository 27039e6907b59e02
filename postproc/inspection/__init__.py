"""What kind of outputs an ONNX network has, and the documents that describe them.

Needs the extra ``inspect``. `inspect_model` reads a file and proposes; nothing of it is run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from postproc.inspection.graph import Graph, Size, Tensor
from postproc.inspection.labels import LabelNames, labels_of_file
from postproc.inspection.proposal import Certainty, Proposal
from postproc.inspection.reading import read_graph
from postproc.inspection.recognisers import LIMITS, RECOGNISERS

__all__ = ["Certainty", "Graph", "Inspection", "LabelNames", "Proposal", "Tensor", "inspect_model"]


@dataclass(frozen=True)
class Inspection:
    """What was found in an ONNX file.

    Parameters
    ----------
    graph : Graph
        What the file says.
    proposals : tuple of Proposal
        The ways to read its outputs, the most certain first; none if nothing fits.
    unsupported : tuple of str
        What the network is, where it is known and no kind of output describes it.
    """

    graph: Graph
    proposals: tuple[Proposal, ...]
    unsupported: tuple[str, ...] = ()


def inspect_model(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | Sequence[str] | None = None,
    size: Size | None = None,
) -> Inspection:
    """Find out what kind of outputs an ONNX network has.

    Parameters
    ----------
    path : path
        The network. Weights that lie in files beside it are not read.
    labels : path or sequence of str, optional
        The names of its labels, or a file with a name a line or JSON; by default those in the metadata.
    size : (int, int), optional
        Height and width of its input in pixels, where the file leaves them free.

    Raises
    ------
    InspectionError
        If a file cannot be read, or the size is not the network's.
    ImportError
        If the package onnx is missing.

    Examples
    --------
    >>> from postproc.inspection import inspect_model
    >>> from postproc.demo import model_path
    >>> inspect_model(model_path("classifier")).proposals[0].kind
    'classification'
    """
    graph = read_graph(path, size)
    if isinstance(labels, (str, os.PathLike)):
        graph = graph.with_labels(labels_of_file(labels))
    elif labels is not None:
        graph = graph.with_labels(LabelNames(tuple(labels), "the caller"))
    unsupported = tuple(dict.fromkeys(text for limit in LIMITS for text in limit(graph)))
    if unsupported:
        return Inspection(graph, (), unsupported)
    proposals = [proposal for recognise in RECOGNISERS for proposal in recognise(graph)]
    return Inspection(graph, tuple(sorted(proposals, key=lambda proposal: -proposal.certainty)))

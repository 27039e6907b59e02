"""What kind of outputs an ONNX network has, and the documents that describe them.

Needs the extra ``inspect``. `inspect_model` reads a file and weighs what it may be.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from postproc.inspection.documents import proposal_of
from postproc.inspection.faults import faults_of
from postproc.inspection.fused import Fused, fused_of
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.graph_file import read_graph
from postproc.inspection.labels import LabelNames, labels_of_file
from postproc.inspection.network_run import run_network
from postproc.inspection.observed import Observed
from postproc.inspection.proposal import Proposal
from postproc.inspection.readings import Certainty, Reading, concluded
from postproc.inspection.recognisers import RECOGNISERS
from postproc.inspection.recognisers.grids import sizes_of_joined
from postproc.isolation import RUN_SECONDS
from postproc.transforms import Size

__all__ = [
    "Certainty",
    "Fused",
    "Graph",
    "Inspection",
    "LabelNames",
    "Proposal",
    "Reading",
    "Tensor",
    "inspect_model",
]


@dataclass(frozen=True)
class Inspection:
    """What was found in an ONNX file.

    Parameters
    ----------
    graph : Graph
        What the file says.
    proposals : tuple of Proposal
        The ways to read its outputs that are left, those that the most speaks for first; none if nothing
        fits.
    named : tuple of Reading
        What the network may be that no kind of output describes, with what speaks for it.
    beaten : tuple of Reading
        Further readings that fit, but for which less speaks.
    refuted : tuple of Reading
        Readings that something speaks against.
    faults : tuple of str
        Why ONNX Runtime does not run the network, or nothing can be done with what it gives.
    was_run : bool
        Whether what a run put out is among what was weighed.
    fused : Fused or None
        The post-processing, where `postproc fuse` wrote it into the file: then nothing is to be found out.
    """

    graph: Graph
    proposals: tuple[Proposal, ...]
    named: tuple[Reading, ...] = ()
    beaten: tuple[Reading, ...] = ()
    refuted: tuple[Reading, ...] = ()
    faults: tuple[str, ...] = ()
    was_run: bool = False
    fused: Fused | None = None

    @property
    def unsupported(self) -> tuple[str, ...]:
        """What the network may be that no kind of output describes, and what would help."""
        return tuple(reading.advice for reading in self.named)

    @property
    def decided(self) -> Proposal | None:
        """The proposal that evidence decides for; None where several are left, or nothing speaks for one."""
        if len(self.proposals) != 1 or self.named:
            return None
        (proposal,) = self.proposals
        return proposal if proposal.certainty > Certainty.POSSIBLE else None


def inspect_model(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | Sequence[str] | None = None,
    size: Size | None = None,
    run: bool = True,
    run_seconds: float = RUN_SECONDS,
) -> Inspection:
    """Find out what kind of outputs an ONNX network has.

    The network is run once on a generated image, in a process of its own, where ONNX Runtime is installed.

    Parameters
    ----------
    path : path
        The network. Weights that lie in files beside it are read by the run only.
    labels : path or sequence of str, optional
        The names of its labels, or a file with a name a line or JSON; by default those in the metadata, or in
        a ``config.json`` beside the network.
    size : (int, int), optional
        Height and width of its input in pixels, where the file leaves them free.
    run : bool
        Whether it is run.
    run_seconds : float
        How long the run may take.

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
    fused = fused_of(graph.metadata)
    if isinstance(fused, Fused):
        return Inspection(graph, (), fused=fused)
    if fused is not None:
        graph = replace(graph, unused=(*graph.unused, fused))
    fitting: tuple[Size, ...] = ()
    if graph.size_source == "assumed":
        graph, fitting = _fitted(path, graph)
    faults = faults_of(graph)
    outputs: Mapping[str, NDArray[Any]] = {}
    if run:
        tried = run_network(path, graph, run_seconds, fitting)
        outputs = tried.outputs
        if tried.fault:
            faults = list(dict.fromkeys([*faults, tried.fault]))
        elif tried.input_size != graph.input_size:
            graph = replace(read_graph(path, tried.input_size), size_source="run")
        graph = graph.with_run({name: array.shape for name, array in outputs.items()})
    if isinstance(labels, (str, os.PathLike)):
        graph = graph.with_labels(labels_of_file(labels))
    elif labels is not None:
        graph = graph.with_labels(LabelNames(tuple(labels), "the caller"))
    return weighed(Observed(graph, outputs), faults)


def _fitted(path: str | os.PathLike[str], graph: Graph) -> tuple[Graph, tuple[Size, ...]]:
    """Give a graph whose size is assumed the one that its levels' fixed cells fit, and all such sizes.

    Exporters write the cells of the traced image into a graph whose axes are called free. Cells that follow
    the size fit no other one once it is taken.
    """
    found = sizes_of_joined(graph)
    if graph.input_size in found:
        return graph, ()
    graphs = {size: replace(read_graph(path, size), size_source="cells") for size in found}
    fitting = {size: other for size, other in graphs.items() if size in sizes_of_joined(other)}
    return next(iter(fitting.values()), graph), tuple(fitting)


def weighed(observed: Observed, faults: Sequence[str] = ()) -> Inspection:
    """Weigh what was observed of a network."""
    readings = (reading for recognise in RECOGNISERS for reading in recognise(observed))
    conclusion = concluded(readings, observed)
    proposed = [reading for reading in conclusion.best if reading.meaning is not None]
    return Inspection(
        observed.graph,
        tuple(proposal_of(observed.graph, reading) for reading in proposed),
        tuple(reading for reading in conclusion.best if reading.meaning is None),
        conclusion.beaten,
        conclusion.refuted,
        tuple(faults),
        bool(observed.outputs),
    )

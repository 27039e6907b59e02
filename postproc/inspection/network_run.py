"""Run a network on a generated image, in a process of its own, for what its outputs tell."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from postproc.errors import InspectionError, TensorError
from postproc.inspection.faults import output_faults, weight_fault
from postproc.inspection.generated_inputs import GeneratedInput, generated_inputs
from postproc.inspection.graph import Graph
from postproc.inspection.graph_file import ASSUMED_SIDE
from postproc.installing import install_runtime
from postproc.isolation import RUN_SECONDS, CrashError, ask
from postproc.saved_tensors.npz import load_tensors
from postproc.transforms import Size

_CHILD = "postproc.inspection.network_child"
_LONGEST_MESSAGE = 1000
# Sides of images that networks are often made for, in the order in which they are tried.
_USUAL = (ASSUMED_SIDE, 416, 224, 320, 512, 800, 300, 608, 1024, 256, 384, 1280, 128, 112, 96, 64, 32)


@dataclass(frozen=True, eq=False)
class NetworkRun:
    """What a network put out for a generated image.

    Parameters
    ----------
    outputs : mapping of str to ndarray
        Its outputs that are arrays, by name; none where it did not run.
    input_size : (int, int) or None
        Height and width of the image; None where it did not run.
    fault : str
        Why it did not run, for people to read; nothing where it did.
    """

    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    input_size: Size | None = None
    fault: str = ""


def run_network(
    path: str | os.PathLike[str],
    graph: Graph,
    timeout: float = RUN_SECONDS,
    fitting: Sequence[Size] = (),
) -> NetworkRun:
    """Run a network once on the CPU, with limits of time and memory.

    Parameters
    ----------
    path : path
        The network.
    graph : Graph
        What its file says.
    timeout : float
        Seconds for all of it.
    fitting : sequence of (int, int)
        Sizes that fit its outputs, where the file leaves it free: they are tried first.

    Returns
    -------
    NetworkRun
        On an image of the network's input size; where that is only assumed and does not run, of the first
        usual size that does. A network that cannot be run is no error: its `fault` says why.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return NetworkRun(fault=f"ONNX Runtime is not installed: {install_runtime()}")
    if getattr(sys, "frozen", False):
        return NetworkRun(fault="a program that PyInstaller made cannot start the Python that would run it")
    outputs = output_faults(graph)
    if fault := weight_fault(graph) or (outputs[0] if len(outputs) == len(graph.outputs) else ""):
        return NetworkRun(fault=fault)
    try:
        trials = [generated_inputs(graph, size) for size in _sizes(graph, fitting)]
        return _run(Path(path), graph, trials, timeout)
    except TimeoutError:
        fault = (
            f"it took longer than {timeout:g} s; raise it with --run-seconds or leave it out with --no-run"
        )
    except (CrashError, InspectionError, TensorError, OSError) as error:
        fault = str(error)
    return NetworkRun(fault=fault)


def _run(path: Path, graph: Graph, trials: list[dict[str, GeneratedInput]], timeout: float) -> NetworkRun:
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, "outputs.npz")
        order = {
            "model": str(path.absolute()),
            "bytes": sum(file.stat().st_size for file in (path, *graph.weights)),
            "trials": [
                {name: dataclasses.asdict(generated) for name, generated in trial.items()} for trial in trials
            ],
            "outputs": str(outputs),
        }
        found = ask(_CHILD, order, timeout)
        if "fault" in found:
            return NetworkRun(fault=" ".join(found["fault"].split())[:_LONGEST_MESSAGE])
        arrays = load_tensors(outputs)
    image = next(generated for generated in trials[found["trial"]].values() if generated.order)
    names = enumerate(found["names"])
    return NetworkRun({name: arrays[f"arr_{row}"] for row, name in names}, image.size)


def _sizes(graph: Graph, fitting: Sequence[Size]) -> list[Size]:
    """Give the sizes to try: the network's own, or those that fit and the usual ones where it is free."""
    if graph.input_size is not None and graph.size_source not in ("assumed", "cells"):
        return [graph.input_size]
    return list(dict.fromkeys([*fitting, *((side, side) for side in _USUAL)]))

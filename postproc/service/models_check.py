"""Check a network that a stranger sent, in a process of its own: it may crash, hang or eat memory."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc.schema import Preprocessing
from postproc.service.errors import InputError

logger = logging.getLogger(__name__)

_CHILD = "postproc.service.model_child"
_CHECKS = threading.BoundedSemaphore(2)  # at once: each may take gigabytes
_LONGEST_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class TensorReport:
    """An input or output of a network: its name, its type as NumPy calls it, and its axes."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a network is.

    Parameters
    ----------
    inputs, outputs : tuple of TensorReport
        Of its graph.
    opset : int
        Of ONNX's own operators.
    bytes : int
        Of the ONNX file and the files of its weights.
    warnings : tuple of str
        What is odd about it, though it runs.
    """

    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]
    opset: int
    bytes: int
    warnings: tuple[str, ...] = ()


def check_model(
    model: Path, preprocessing: Preprocessing, timeout: float, folder: Path | None = None
) -> ModelReport:
    """Check a network: by ONNX's own checker, by loading it and by a run on a blank image.

    Parameters
    ----------
    model : Path
        The ONNX file.
    preprocessing : Preprocessing
        How images become its inputs.
    timeout : float
        Seconds, after which it is refused.
    folder : Path, optional
        Where the files lie that the preprocessing and the network name; that of the model by default.

    Raises
    ------
    InputError
        If the network cannot be used: says why, and whether ``model`` or ``preprocessing`` is at fault.
    """
    order = {
        "model": str(model.absolute()),
        "folder": str((folder or model.parent).absolute()),
        "preprocessing": preprocessing.dump(),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTPROC_")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["MALLOC_ARENA_MAX"] = "2"  # addresses are limited, of which glibc takes many for each thread
    with (
        _CHECKS,
        subprocess.Popen(
            [sys.executable, "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # so that a Ctrl-C for the service does not look like a crash
        ) as process,
    ):
        try:
            answer, _ = process.communicate(json.dumps(order).encode(), timeout)
        except subprocess.TimeoutExpired:
            raise InputError("model", f"its check took longer than {timeout:g} s") from None
        finally:
            process.kill()  # does nothing to one that has ended
    return _report(answer, process.returncode)


def _report(answer: bytes, code: int) -> ModelReport:
    try:
        found = json.loads(answer)
    except ValueError:
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        logger.warning("the check of a network ended by %s", cause)
        raise InputError(
            "model", f"ONNX Runtime crashed on it, or it took too much memory ({cause})"
        ) from None
    if "error" in found:
        raise InputError(found["field"], found["error"][:_LONGEST_MESSAGE])
    return ModelReport(
        tuple(_tensor(item) for item in found["inputs"]),
        tuple(_tensor(item) for item in found["outputs"]),
        found["opset"],
        found["bytes"],
        tuple(text[:_LONGEST_MESSAGE] for text in found["warnings"]),
    )


def _tensor(item: dict[str, Any]) -> TensorReport:
    return TensorReport(item["name"], item["type"], tuple(item["shape"]))

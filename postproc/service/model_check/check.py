"""Check a network that a stranger sent, in a process of its own: it may crash, hang or eat memory."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc.isolation import CrashError, ask
from postproc.schema import Preprocessing
from postproc.service.errors import InputError

logger = logging.getLogger(__name__)

_CHILD = "postproc.service.model_check.child"


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
    model: Path,
    preprocessing: Preprocessing,
    folder: Path,
    *,
    timeout: float,
    memory: int,
    stop: threading.Event | None = None,
) -> ModelReport:
    """Check a network: by ONNX's own checker, by loading it and by a run on a blank image.

    Parameters
    ----------
    model : Path
        The ONNX file.
    preprocessing : Preprocessing
        How images become its inputs.
    folder : Path
        Where the files lie that the preprocessing names.
    timeout : float
        Seconds, after which it is refused.
    memory : int
        Bytes that the service has for a network that it runs.
    stop : threading.Event, optional
        Ends the check early; what comes of it then means nothing.

    Raises
    ------
    InputError
        If the network cannot be used: says why, and whether ``model`` or ``preprocessing`` is at fault.
    """
    order = {
        "model": str(model.absolute()),
        "folder": str(folder.absolute()),
        "preprocessing": preprocessing.dump(),
        "memory": memory,
    }
    try:
        found = ask(_CHILD, order, timeout, background=True, stop=stop)
    except TimeoutError:
        raise InputError(
            "model", f"its check took longer than {timeout:g} s, --model-check-timeout of this service"
        ) from None
    except CrashError as error:
        logger.warning("the check of a network ended by %s", error.cause)
        raise InputError("model", str(error)) from None
    if "error" in found:
        raise InputError(found["field"], found["error"])
    return ModelReport(
        tuple(_tensor(item) for item in found["inputs"]),
        tuple(_tensor(item) for item in found["outputs"]),
        found["opset"],
        found["bytes"],
        tuple(found["warnings"]),
    )


def _tensor(item: dict[str, Any]) -> TensorReport:
    return TensorReport(item["name"], item["type"], tuple(item["shape"]))

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
    with _CHECKS:
        try:
            found = ask(_CHILD, order, timeout)
        except TimeoutError:
            raise InputError("model", f"its check took longer than {timeout:g} s") from None
        except CrashError as error:
            logger.warning("the check of a network ended by %s", error.cause)
            raise InputError("model", str(error)) from None
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

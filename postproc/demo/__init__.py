"""Networks that find and name handwritten digits, trained by this repository, to try postproc on.

The detectors "yolo", "anchored" and "direct" are one trained network exported three ways, one per kind
of post-processing; "classifier" names the digit in a crop. `postproc.demo.pages` draws the pages.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from postproc.errors import PostprocError

DETECTORS = ("yolo", "anchored", "direct")
MODELS = (*DETECTORS, "classifier")

__all__ = ["DETECTORS", "MODELS", "model_path", "preprocessing_path", "spec_path", "version_path"]


def model_path(name: str) -> Path:
    """Return the ONNX file of a network.

    Parameters
    ----------
    name : {"yolo", "anchored", "direct", "classifier"}

    Raises
    ------
    PostprocError
        If there is no network of that name.
    """
    return _file(name, f"digits_{name}.onnx")


def version_path(name: str) -> Path:
    """Return the RecognitionVersion of a network; parameters and errors as for `model_path`."""
    return _file(name, f"digits_{name}.version.json")


def preprocessing_path(name: str) -> Path:
    """Return the Preprocessing of a network; parameters and errors as for `model_path`."""
    return _file(name, f"digits_{name}.preprocessing.json")


def spec_path(name: str) -> Path:
    """Return the RecognitionSpec of a network; parameters and errors as for `model_path`.

    The three detectors share one.
    """
    return _file(name, "digits_classifier_spec.json" if name == "classifier" else "digits_spec.json")


def _file(name: str, file_name: str) -> Path:
    if name not in MODELS:
        raise PostprocError(f"expected the name of a demo network, one of {', '.join(MODELS)}; got {name!r}")
    return Path(str(files(__name__) / "models" / file_name))

"""Open an ONNX Runtime session on the providers that were asked for, and on no other."""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import functools
import importlib.util
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from postproc.errors import RunnerError
from postproc.file_kinds import file_mistaken_for, mistaken_for, pointers_beside
from postproc.installing import install_runtime
from postproc.onnx_runner.faults import advice_for

logger = logging.getLogger("postproc.onnx_session")  # documented: it stays where modules move

Provider = str | tuple[str, Mapping[str, object]]

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

# Providers that need CUDA's libraries.
_NVIDIA = frozenset({CUDA, "TensorrtExecutionProvider"})

# The package that a provider comes with.
PROVIDER_PACKAGES = {
    CUDA: "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "DmlExecutionProvider": "onnxruntime-directml",
    "CoreMLExecutionProvider": "onnxruntime on macOS",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "ROCMExecutionProvider": "onnxruntime-rocm",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "CANNExecutionProvider": "onnxruntime-cann",
    "WebGpuExecutionProvider": "a build of ONNX Runtime with WebGPU",
    CPU: "onnxruntime",
}

# ONNX Runtime's element types that become NumPy arrays as they are. Of the others, bfloat16 cannot
# leave a session, float8 leaves it as its bits in uint8, and sequences and maps are no tensors.
NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float16)": np.dtype(np.float16),
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(bool)": np.dtype(np.bool_),
    **{
        f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}

# y = max(x, 0) for one float, IR version 8, opset 13: what `cuda_works` runs. A kernel of its own, and
# no mere copy, so that a GPU which the build has no machine code for shows here.
RELU_MODEL = bytes.fromhex(
    "080812003a330a0c0a0178120179220452656c751201675a0f0a0178120a0a08"
    "080112040a020801620f0a0179120a0a08080112040a02080142040a00100d"
)


class TensorInfo(Protocol):
    """What ONNX Runtime tells of a graph input or output (`onnxruntime.NodeArg`)."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def type(self) -> str:
        """Its type, as in ``tensor(float)``."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Its axes: a number, a symbol, or None; empty also where the rank is unknown."""


@runtime_checkable
class Session(Protocol):
    """The part of `onnxruntime.InferenceSession` that a runner uses."""

    def get_inputs(self) -> Sequence[TensorInfo]:
        """Describe the graph's inputs."""

    def get_outputs(self) -> Sequence[TensorInfo]:
        """Describe the graph's outputs."""

    def get_providers(self) -> Sequence[str]:
        """Name the execution providers that loaded, by precedence."""

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        """Run the graph."""

    def io_binding(self) -> Any:
        """Make an `onnxruntime.IOBinding`; called on a GPU only."""

    def run_with_iobinding(self, iobinding: Any) -> None:
        """Run the graph on bound inputs and outputs; called on a GPU only."""


def open_session(
    model: object, providers: Sequence[Provider] | None = None, session_options: object | None = None
) -> Session:
    """Open a session, or take the one given.

    Parameters
    ----------
    model : path, bytes, onnx.ModelProto or InferenceSession
        The network. A session is used as it is.
    providers : sequence of str or (str, options), optional
        Execution providers by precedence, all of which must load. By default CUDA where it works and
        the CPU otherwise, or the providers that `session_options` hold.
    session_options : onnxruntime.SessionOptions, optional
        Handed to ONNX Runtime.

    Raises
    ------
    RunnerError
        If ONNX Runtime is missing, the model cannot be read, or a provider does not load.
    """
    if isinstance(model, Session):
        if providers is not None or session_options is not None:
            raise RunnerError("providers and session_options belong to a session that is still to be opened")
        return model
    source, name = model_source(model)
    onnxruntime = _load_onnxruntime()
    if providers is None:
        has_providers = getattr(session_options, "has_providers", None)  # since ONNX Runtime 1.22
        if has_providers is not None and has_providers():
            return _build(source, name, session_options, [])
        chosen: list[Provider] = [CUDA, CPU] if cuda_works() else [CPU]
        return _build(source, name, session_options, chosen)

    requested = _provider_names(providers)
    available = onnxruntime.get_available_providers()
    absent = [provider for provider in requested if provider not in available]
    if absent:
        hints = [hint for hint in map(_where_from, absent) if hint]
        raise RunnerError(
            f"providers: {_listing(absent)} not in this build of ONNX Runtime {onnxruntime.__version__}, "
            f"which has {_listing(available)}" + "".join(f"; {hint}" for hint in hints)
        )
    session = _build(source, name, session_options, list(providers))
    loaded = session.get_providers()
    absent = [provider for provider in requested if provider not in loaded]
    if absent:
        raise RunnerError(
            f"providers: {_listing(absent)} did not load (ONNX Runtime says why on stderr); available on "
            f"this machine: {_listing(loaded)}. Ask for these, or leave `providers` out to take what works"
        )
    return session


def options_for(intra_op_threads: int | None) -> Any:
    """Make session options whose operators share a number of threads; those of ONNX Runtime for None."""
    options = _load_onnxruntime().SessionOptions()
    if intra_op_threads is not None:
        options.intra_op_num_threads = intra_op_threads
    return options


@functools.cache
def cuda_works() -> bool:
    """Tell whether ONNX Runtime computes on a CUDA device here; found out once a process.

    ``get_available_providers`` only tells what the package was built with. Opening a CUDA session
    where there is no GPU makes ONNX Runtime complain on stderr, so the driver is asked first. With
    a GPU and no working provider that complaint is of use, and a warning is logged beside it.
    """
    onnxruntime = _load_onnxruntime()
    if CUDA not in onnxruntime.get_available_providers() or cuda_device_count() == 0:
        return False
    fault = cuda_fault()
    if fault is None:
        return True
    logger.warning(
        "this machine has a CUDA device, but ONNX Runtime's %s does not work, so the CPU is used: %s. CUDA "
        "and cuDNN must be those that onnxruntime-gpu %s was built for: pip install "
        "'onnxruntime-gpu[cuda,cudnn]' brings them. `postproc doctor --gpu` tells more",
        CUDA,
        fault,
        onnxruntime.__version__,
    )
    return False


@functools.cache
def cuda_fault() -> str | None:
    """Compute on a CUDA device, and tell why that fails; None if it does not. Found out once a process."""
    try:
        session = _build(RELU_MODEL, "the probe", None, [CUDA])
        if CUDA not in session.get_providers():
            return "it did not load"
        if session.run(["y"], {"x": np.array([1], np.float32)})[0] != 1:
            return "it does not compute"
    except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
        return str(error)
    return None


def cuda_device_count() -> int:
    """Count the CUDA devices that the driver lets this process use; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


@functools.cache
def _load_nvidia_packages() -> None:
    """Load CUDA and cuDNN where they came as Python packages, in whose folders ONNX Runtime does not look."""
    preload = getattr(_load_onnxruntime(), "preload_dlls", None)  # since ONNX Runtime 1.21
    if preload is None or importlib.util.find_spec("nvidia") is None:
        return
    # It prints what it misses; what that breaks, the session says.
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        preload()


def _load_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise RunnerError(
            f"OnnxRunner needs ONNX Runtime: {install_runtime()} "
            f"(one of the two: they cannot be installed together). The import said: {error}"
        ) from error
    return onnxruntime


def model_source(model: object) -> tuple[str | bytes, str]:
    """Give what ONNX Runtime can load, and how to call it in messages."""
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "does not exist"
            raise RunnerError(f"model: {str(path)!r} {found}; expected an .onnx or .ort file")
        return str(path), repr(str(path))
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model), f"the model given as {len(model):,} bytes"
    serialize = getattr(model, "SerializeToString", None)
    if serialize is not None:
        return serialize(), "the model given as ModelProto"
    raise RunnerError(
        "model: expected a path, bytes, onnx.ModelProto or onnxruntime.InferenceSession; "
        f"got {type(model).__name__}"
    )


def _provider_names(providers: Sequence[Provider]) -> list[str]:
    entries = [] if isinstance(providers, str) else list(providers)
    names = [entry[0] if isinstance(entry, tuple) and len(entry) == 2 else entry for entry in entries]
    if not names or not all(isinstance(name, str) for name in names):
        raise RunnerError(
            f"providers: expected a list of names or (name, options) pairs, as in [{CUDA!r}, {CPU!r}]; "
            f"got {providers!r}"
        )
    return [str(name) for name in names]


def _build(source: str | bytes, name: str, options: object | None, providers: list[Provider]) -> Session:
    onnxruntime = _load_onnxruntime()
    if not _NVIDIA.isdisjoint(_provider_names(providers) if providers else ()):
        _load_nvidia_packages()
    try:
        # Without this, ONNX Runtime answers a provider's failure by printing a note and using the CPU.
        session: Session = onnxruntime.InferenceSession(
            source, sess_options=options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
        if kind := mistaken_for(source) if isinstance(source, bytes) else file_mistaken_for(source):
            raise RunnerError(f"model: expected an ONNX network; {name} is {kind}") from error
        is_about_weights = isinstance(source, str) and "external" in str(error).lower()
        pointers = pointers_beside(str(source)) if is_about_weights else ""
        tried = _listing(_provider_names(providers)) if providers else "the providers of session_options"
        raise RunnerError(
            f"model: ONNX Runtime cannot open {name} on {tried}: {error}{advice_for(error)}"
            + (f"; {pointers}" if pointers else "")
        ) from error
    return session


def _where_from(provider: str) -> str:
    """Say which package a provider comes with, or which name may be meant."""
    if provider in PROVIDER_PACKAGES:
        return f"{provider} comes with {PROVIDER_PACKAGES[provider]}"
    names = {name.lower(): name for name in PROVIDER_PACKAGES}
    close = difflib.get_close_matches(provider.lower(), names, n=1)
    return f"is {names[close[0]]} meant?" if close else ""


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names)

"""Tensors where a session runs: bound without a copy, and fetched to the host only when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from postproc.errors import RunnerError, TensorError
from postproc.onnx_runner.session import CPU, CUDA, NUMPY_TYPES, Provider, open_session
from postproc.tensors import as_array


class _Kind(NamedTuple):
    """A kind of device.

    Parameters
    ----------
    name : str
        As callers name it.
    provider : str
        That computes on it.
    memory : str
        ONNX Runtime's name of its memory, for IO binding.
    dlpack : tuple of int
        DLPack's numbers of its memory.
    """

    name: str
    provider: str
    memory: str
    dlpack: tuple[int, ...]


_DLPACK_CPU = 1
_HOST = (_DLPACK_CPU, 3, 11)  # plain memory, and what CUDA and ROCm have pinned
_KINDS = (
    _Kind("cpu", CPU, "cpu", _HOST),
    _Kind("cuda", CUDA, "cuda", (2, 13)),
    _Kind("rocm", "ROCMExecutionProvider", "cuda", (10,)),  # to ONNX Runtime, a GPU has that name
    _Kind("migraphx", "MIGraphXExecutionProvider", "cuda", (10,)),
    _Kind("dml", "DmlExecutionProvider", "dml", ()),
)
# Providers of the same memory, in whose place a simpler one computes the post-processing.
_COMPUTED_BY = {"TensorrtExecutionProvider": CUDA, "NvTensorRTRTXExecutionProvider": CUDA}
_CONTIGUOUS = "pass a contiguous tensor, in PyTorch .contiguous()"


@dataclass(frozen=True, slots=True)
class Device:
    """Where the post-processing of tensors runs.

    Parameters
    ----------
    kind : str
        ``"cpu"``, ``"cuda"``, ``"rocm"``, ``"migraphx"`` or ``"dml"``.
    number : int
        Of several of the kind.
    """

    kind: str
    number: int = 0

    @classmethod
    def named(cls, text: object) -> Device:
        """Read a device as PyTorch names it, ``"cuda"`` or ``"cuda:1"``.

        Raises
        ------
        RunnerError
            If it is none.
        """
        name, colon, number = str(text).partition(":")
        if name not in {kind.name for kind in _KINDS} or (colon and not number.isdecimal()):
            known = ", ".join(kind.name for kind in _KINDS)
            raise RunnerError(f'device: expected one of {known}, as in "cuda" or "cuda:1"; got {text!r}')
        return cls(name, int(number or 0))

    @classmethod
    def of(cls, session: Any) -> Device | None:
        """Give the device of a session's first provider; None for one whose memory is not shared."""
        first = next(iter(session.get_providers()), CPU)
        provider = _COMPUTED_BY.get(first, first)
        kind = next((kind.name for kind in _KINDS if kind.provider == provider), None)
        options: Mapping[str, Mapping[str, Any]] = getattr(session, "get_provider_options", dict)()
        number = str(options.get(first, {}).get("device_id", 0))
        return None if kind is None else cls(kind, int(number) if number.isdecimal() else 0)

    @property
    def _kind(self) -> _Kind:
        return next(kind for kind in _KINDS if kind.name == self.kind)

    @property
    def is_cpu(self) -> bool:
        """Whether it is the host."""
        return self.kind == "cpu"

    @property
    def is_sequential(self) -> bool:
        """Whether its sessions may not run from several threads at once."""
        return self.kind == "dml"

    @property
    def memory(self) -> tuple[str, int]:
        """What IO binding calls it."""
        return self._kind.memory, self.number

    @property
    def providers(self) -> list[Provider]:
        """The execution providers of a session on it."""
        provider = self._kind.provider
        return [CPU] if self.is_cpu else [(provider, {"device_id": str(self.number)}), CPU]

    def holds(self, dlpack_device: tuple[int, int]) -> bool:
        """Tell whether a tensor lies here, by its ``__dlpack_device__()``."""
        kind, number = dlpack_device
        return kind in self._kind.dlpack and (self.is_cpu or number == self.number)

    def __str__(self) -> str:
        return self.kind if self.is_cpu else f"{self.kind}:{self.number}"


@dataclass(frozen=True, slots=True)
class OrtTensor:
    """A tensor that is an `onnxruntime.OrtValue`: an output of a session, or one that came by DLPack."""

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.value.shape())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its data type."""
        return NUMPY_TYPES.get(self.value.data_type(), np.dtype(np.void))

    def bind(self, binding: Any, name: str) -> None:
        """Bind an input of a graph to it."""
        binding.bind_ortvalue_input(name, self.value)

    def to_host(self) -> NDArray[Any]:
        """Copy it to the host."""
        array: NDArray[Any] = self.value.numpy()
        return array


@dataclass(frozen=True, slots=True)
class PointedTensor:
    """A tensor by the address of its memory.

    Parameters
    ----------
    owner : object
        Whose memory it is, which stays as long as this.
    device : Device
    address : int
    shape : tuple of int
    dtype : dtype
    """

    owner: object
    device: Device
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def bind(self, binding: Any, name: str) -> None:
        """Bind an input of a graph to it."""
        binding.bind_input(name, *self.device.memory, self.dtype.type, list(self.shape), self.address)

    def to_host(self) -> NDArray[Any]:
        """Copy it to the host: ONNX Runtime does so for what it computes, if only a copy."""
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        source, copy = (helper.make_tensor_value_info(name, kind, list(self.shape)) for name in "xy")
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "copy", [source], [copy])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        session = open_session(model, self.device.providers)
        binding = session.io_binding()
        self.bind(binding, "x")
        binding.bind_output("y", "cpu")
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        (array,) = binding.copy_outputs_to_cpu()
        return np.asarray(array)


Bindable: TypeAlias = NDArray[Any] | OrtTensor | PointedTensor
"""A tensor that a graph's input can be bound to; ONNX Runtime copies an array to the device."""


def to_host(tensor: Bindable) -> NDArray[Any]:
    """Copy a tensor to the host; one that is there stays where it is."""
    return tensor if isinstance(tensor, np.ndarray) else tensor.to_host()


def as_bindable(name: str, tensor: Any, device: Device) -> Bindable:
    """Give a tensor as it can be bound on a device: without a copy if it lies there, or else from the host.

    Parameters
    ----------
    name : str
        For messages.
    tensor : array or tensor
        Anything with ``__dlpack__`` or ``__cuda_array_interface__``, such as tensors of PyTorch and CuPy.
    device : Device

    Raises
    ------
    TensorError
        If it lies on another device, is not contiguous, or cannot be read.
    """
    asked = getattr(tensor, "__dlpack_device__", None)
    place = _explained(name, asked) if asked is not None else None
    if place is None and hasattr(tensor, "__cuda_array_interface__") and not device.is_cpu:
        return _pointed(name, tensor, device)
    if place is None or (place[0] in _HOST and not device.is_cpu):
        return np.asarray(as_array(name, tensor), order="C")
    if not device.holds(place):
        raise TensorError(
            f"tensor {name!r} lies on DLPack's device {tuple(map(int, place))}, and the post-processing runs "
            f"on {device}: make it with another device=, or move the tensor, in PyTorch .to({str(device)!r})"
        )
    if reason := _reason_of_pytorch(tensor):
        raise TensorError(f"tensor {name!r} {reason}")
    return _by_dlpack(name, tensor, device)


def _reason_of_pytorch(tensor: Any) -> str | None:
    """Tell why a tensor of PyTorch cannot be bound, which others tell in their words, or not at all."""
    try:
        if tensor.requires_grad:
            return "takes part in gradients: pass .detach()"
        if str(tensor.layout) != "torch.strided":
            return f"is sparse ({tensor.layout}): pass .to_dense()"
        if str(tensor.dtype) == "torch.bfloat16":
            return "is bfloat16, which NumPy lacks: pass .float() or .half()"
        if tensor.is_neg():  # DLPack leaves out that the sign is turned
            return "is a view whose sign is turned: pass .resolve_neg()"
        if not tensor.is_contiguous():
            shape, strides = tuple(tensor.shape), tuple(tensor.stride())
            return f"of shape {shape} is not contiguous, with strides {strides}: {_CONTIGUOUS}"
    except AttributeError:  # of another library
        pass
    return None


def _by_dlpack(name: str, tensor: Any, device: Device) -> Bindable:
    """Share a tensor's memory: by DLPack, or by its address where ONNX Runtime does not take that."""
    import onnxruntime

    convert = getattr(onnxruntime.OrtValue, "from_dlpack", None)
    fault: Exception | None = None
    if convert is not None:
        try:
            found = OrtTensor(convert(tensor))
            if found.dtype.kind != "V":
                return found
        except Exception as error:  # each library has its own for what cannot be exported or imported
            fault = error
    elif device.is_cpu and not hasattr(tensor, "__array_interface__"):
        try:
            tensor = np.from_dlpack(tensor)
        except Exception as error:
            fault = error
    try:
        return _pointed(name, tensor, device)
    except TensorError as error:
        if fault is None:
            raise
        raise TensorError(f"{error}; by DLPack: {fault}") from fault


def _pointed(name: str, tensor: Any, device: Device) -> PointedTensor:
    """Read a tensor's address from the interface that NumPy and CUDA's libraries have for it."""
    attribute = "__array_interface__" if device.is_cpu else "__cuda_array_interface__"
    try:
        said = getattr(tensor, attribute)
        shape, dtype, address = tuple(said["shape"]), np.dtype(said["typestr"]), int(said["data"][0])
        strides: Sequence[int] | None = said.get("strides")
    except Exception as error:  # in PyTorch a RuntimeError, of tensors with gradients or in bfloat16
        raise TensorError(
            f"tensor {name!r} ({type(tensor).__module__}.{type(tensor).__name__}) cannot be bound on "
            f"{device}: {error}; expected float32 or float16, and an ONNX Runtime with "
            "OrtValue.from_dlpack, or a tensor with "
            f"{attribute}; on the host pass it to PostProcessor with .cpu()"
        ) from error
    if strides is not None and not _is_packed(shape, strides, dtype.itemsize):
        strides = tuple(strides)
        raise TensorError(
            f"tensor {name!r} of shape {shape} is not contiguous, with strides {strides}: {_CONTIGUOUS}"
        )
    return PointedTensor(tensor, device, address, shape, dtype)


def _is_packed(shape: Sequence[int], strides: Sequence[int], step: int) -> bool:
    """Tell whether an array is contiguous; an axis of one element has any stride."""
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length > 1 and stride != step:
            return False
        step *= length
    return True


def _explained(name: str, ask: Any) -> tuple[int, int]:
    try:
        kind, number = ask()
        return int(kind), int(number)
    except Exception as error:  # a library's own
        raise TensorError(f"tensor {name!r} does not say on which device it lies: {error}") from error

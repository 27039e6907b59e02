"""What to do about what ONNX Runtime says when a session or a run fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from postproc.errors import RunnerError

_OUT_OF_MEMORY = (
    r"out of memory|failed to allocate|alloc[_ ]failed|bad_alloc|outofmemory|8007000E|not enough memory"
)

# Texts of ONNX Runtime, and of CUDA, cuDNN, TensorRT, DirectX and WebGPU as they come through its messages.
_ADVICE = tuple(
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (
            _OUT_OF_MEMORY,
            "the device has too little free memory: run fewer images at once (a smaller batch; --batch-size "
            "of the command line) or smaller ones, or end what else uses it",
        ),
        (
            r"unsupported model IR version|opset \d+ is under development",
            "install a newer ONNX Runtime, or export the network with an older opset (and, with "
            "onnx.helper.make_model, an older ir_version)",
        ),
        (
            r"is not a registered function/op|no op registered for|could not find an implementation for",
            "export the network without this operator, or with another opset that has it; operators of "
            "TensorRT (..._TRT) run in TensorRT only",
        ),
        (
            r"no kernel image|NoKernelImageForDevice|unsupported gpu|CUDA (failure|error):? 209\b",
            "this build of ONNX Runtime has no code for this GPU: install a release that supports it",
        ),
        (
            r"driver version is insufficient|CUDA (failure|error):? 35\b",
            "the NVIDIA driver is older than the CUDA of this build: update the driver, or install an older "
            "onnxruntime-gpu",
        ),
        (
            r"887A000[567]|device (is |was |has been )?(removed|lost|hung|suspended)|illegal memory access"
            r"|unspecified launch failure|context is destroyed|GPU has fallen off"
            r"|CUDA (failure|error):? (46|700|702|709|719|999)\b",
            "the device was lost, and sessions on it do not recover: start the process again; if this comes "
            "back, update the driver",
        ),
    )
)

# Options with which a provider replays recorded work on the memory that it was recorded with.
_CAPTURES = ("enable_cuda_graph", "trt_cuda_graph_enable", "enable_hip_graph", "enablegraphcapture")
_ON = ("1", "true")


def is_out_of_memory(fault: BaseException) -> bool:
    """Tell whether memory ran out, by an error of ONNX Runtime or Python."""
    return isinstance(fault, MemoryError) or re.search(_OUT_OF_MEMORY, str(fault), re.IGNORECASE) is not None


def advice_for(fault: object) -> str:
    """Give what to do about an error of ONNX Runtime, to end a message with; nothing where it is unknown."""
    text = str(fault) or type(fault).__name__
    if isinstance(fault, MemoryError):
        text += ": out of memory"
    return next((f". What to do: {advice}" for pattern, advice in _ADVICE if pattern.search(text)), "")


def advice_for_type(kind: str) -> str:
    """Give what to do about an output that is no tensor of numbers.

    Parameters
    ----------
    kind : str
        ONNX Runtime's name of its type, such as ``seq(map(int64,tensor(float)))``.
    """
    without = "to_onnx(..., options={'zipmap': False})"
    if "map(" in kind:
        return (
            "it holds a dictionary an image, from the ZipMap that skl2onnx ends scikit-learn's classifiers "
            f"with: export again with {without}, whose output 'probabilities' is a tensor of scores"
        )
    if kind == "tensor(string)":
        return (
            "it holds texts, such as the labels that a classifier of scikit-learn chose: post-process its "
            f"scores, in skl2onnx's exports the output 'probabilities' of {without}"
        )
    if kind.startswith("tensor("):
        return "end the network with a Cast to float"
    return "make it a tensor in the network: ConcatFromSequence joins a sequence, SequenceAt takes one of it"


def refuse_graph_capture(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise an error where a provider captures graphs.

    A captured graph reads the memory of the run that it was captured in, whatever is bound later: every
    further image would get the results of the first.

    Parameters
    ----------
    options : mapping
        Of each provider, as `onnxruntime.InferenceSession.get_provider_options` gives them.

    Raises
    ------
    RunnerError
        If one of them is on.
    """
    for provider, values in options.items():
        for name, value in values.items():
            if name.lower().rpartition(".")[2] in _CAPTURES and str(value).lower() in _ON:
                raise RunnerError(
                    f"providers: {provider} has the option {name}={value}, which replays a run on the memory "
                    "of the first one, while each call of OnnxRunner brings its own images; leave it out"
                )

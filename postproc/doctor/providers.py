"""Which execution providers ONNX Runtime has here, and whether networks really run on them."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from postproc.doctor.findings import Finding, Status
from postproc.doctor.network import ProviderRun, difference, largest_difference, run_on_provider
from postproc.installing import install, install_runtime

_QUOTED = 1000  # characters, of what ONNX Runtime prints

# TensorRT's needs libraries that no package brings, Azure's a service: tried only when they are asked for.
_ONLY_WHEN_ASKED = ("TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider", "AzureExecutionProvider")


def provider_name(text: str) -> str:
    """Give a provider's full name for one in any case, with or without ``ExecutionProvider`` at its end."""
    from postproc.onnx_runner.session import PROVIDER_PACKAGES

    wanted = text.lower().removesuffix("executionprovider")
    for name in PROVIDER_PACKAGES:
        if name.lower() == f"{wanted}executionprovider":
            return name
    return text


def providers(asked: Sequence[str]) -> Iterator[Finding]:
    """Tell which providers the build has, and whether CUDA works."""
    try:
        import onnxruntime
    except ImportError:
        missing = Status.FAILED if asked else Status.NOTE
        yield Finding(
            "in this build", "none: there is no ONNX Runtime to run networks", missing, install_runtime()
        )
        return
    available = onnxruntime.get_available_providers()
    yield Finding("in this build", ", ".join(available))
    from postproc.onnx_runner.session import CUDA, cuda_device_count

    devices = cuda_device_count()
    yield Finding("CUDA devices", str(devices) if devices else "none that a driver shows to this process")
    yield _cuda(CUDA in available, devices, CUDA in asked)


_LIBRARIES = (
    "the driver must be new enough, and CUDA and cuDNN those that this onnxruntime-gpu was built for: "
    'pip install "onnxruntime-gpu[cuda,cudnn]" brings them'
)


def _cuda(in_build: bool, devices: int, asked: bool) -> Finding:
    from postproc.onnx_runner.session import cuda_fault

    bad = Status.FAILED if asked else Status.WARNING
    if not in_build:
        status = bad if devices or asked else Status.NOTE
        advice = "" if status is Status.NOTE else f"pip uninstall -y onnxruntime, then {install('gpu')}"
        return Finding("CUDA", "this build of ONNX Runtime has no CUDA: the CPU is used", status, advice)
    if devices == 0:
        if not asked:
            return Finding("CUDA", "not used: there is no device")
        advice = (
            "check that `nvidia-smi` lists the GPU, that a container was started with --gpus all (NVIDIA "
            "Container Toolkit), and that CUDA_VISIBLE_DEVICES does not hide it"
        )
        return Finding("CUDA", "the NVIDIA driver is missing or shows no device", Status.FAILED, advice)
    with _stderr() as said:
        fault = cuda_fault()
    if fault is None:
        return Finding("CUDA", "computes: it is used where no providers are given", Status.OK)
    return Finding("CUDA", f"does not work, so the CPU is used: {fault}{_quoted(said())}", bad, _LIBRARIES)


def network_runs(asked: Sequence[str]) -> Iterator[Finding]:
    """Run the demo's network on each provider, and compare it with the CPU.

    Parameters
    ----------
    asked : sequence of str
        Providers that must work; without any, all that this machine is expected to have.
    """
    try:
        import onnxruntime
    except ImportError:
        yield Finding("network", "not run: ONNX Runtime is not installed")
        return
    from postproc.onnx_runner.session import CPU, CUDA, cuda_device_count, cuda_fault

    wanted = list(asked)
    if not wanted:
        has_cuda = cuda_device_count() > 0 and cuda_fault() is None
        wanted = [
            name
            for name in onnxruntime.get_available_providers()
            if name not in (CPU, *_ONLY_WHEN_ASKED) and (name != CUDA or has_cuda)
        ]
    on_cpu: list[ProviderRun] = []

    def reference() -> Finding:
        on_cpu.append(run_on_provider(CPU))
        return _judged(CPU, on_cpu[0], None)

    yield _explained(CPU, reference)
    for name in dict.fromkeys(wanted):
        if name != CPU:
            yield _explained(name, partial(_compared, name, on_cpu))


def _compared(name: str, on_cpu: Sequence[ProviderRun]) -> Finding:
    return _judged(name, run_on_provider(name), on_cpu[0] if on_cpu else None)


def _named(provider: str) -> str:
    return f"network, {provider.removesuffix('ExecutionProvider')}"


def _explained(name: str, judge: Callable[[], Finding]) -> Finding:
    """Turn a provider that does not load or run into a finding, with what ONNX Runtime printed."""
    with _stderr() as said:
        try:
            return judge()
        except Exception as error:  # a RunnerError says what to do; anything else belongs in the report too
            fault = error
    text = f"the demo's network does not run: {fault}{_quoted(said())}"
    is_cuda = name.startswith(("CUDA", "Tensorrt"))
    advice = _LIBRARIES if is_cuda else "https://onnxruntime.ai/docs/execution-providers tells what it needs"
    return Finding(_named(name), text, Status.FAILED, advice)


def _judged(name: str, run: ProviderRun, cpu: ProviderRun | None) -> Finding:
    problems = list(run.problems)
    if cpu is not None:
        different = filter(None, map(difference, run.detections, cpu.detections))
        problems += [f"other results than on the CPU: {problem}" for problem in list(different)[:1]]
    if problems:
        advice = (
            "the network is computed wrongly: try another version of ONNX Runtime and of the provider's "
            "driver, and report this with --json"
        )
        return Finding(_named(name), "; ".join(problems), Status.FAILED, advice)
    text = "reads the demo's digits, also in a batch, with IO binding and from several threads; "
    text += f"{run.milliseconds:.1f} ms a page"
    if cpu is not None:
        apart = largest_difference(run.detections, cpu.detections)
        text += f" ({cpu.milliseconds:.1f} ms on the CPU, scores at most {apart:.0e} apart)"
    return Finding(_named(name), text, Status.OK)


@contextmanager
def _stderr() -> Iterator[Callable[[], str]]:
    """Catch what a library prints on stderr, below Python: ONNX Runtime tells the reason only there."""
    text: list[str] = []
    try:
        kept = os.dup(2)
    except OSError:  # a process without stderr
        yield lambda: ""
        return
    with tempfile.TemporaryFile() as file:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: text[0] if text else ""
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text.append(file.read().decode("utf-8", "replace"))


def _quoted(text: str) -> str:
    """Quote what ONNX Runtime's log says, without colours, times and places in its source."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [re.sub(r"^.*?\[[A-Z]:onnxruntime:[^\]]*\]\s*", "", line).strip() for line in plain.splitlines()]
    said = " ".join(dict.fromkeys(filter(None, lines)))
    return f". ONNX Runtime printed: {said[:_QUOTED]}{'...' * (len(said) > _QUOTED)}" if said else ""

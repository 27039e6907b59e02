"""What is installed, on which processor, and which settings change what the kernels do."""

from __future__ import annotations

import importlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import postproc
from postproc.doctor import machine_code
from postproc.doctor.findings import Finding, Status
from postproc.installing import install, install_runtime
from postproc.kernels._jit import IS_COMPILED

# Packages beside the core, and what brings each.
_OPTIONAL = (
    ("Pillow", "PIL", "images", "to read images and draw on them"),
    ("onnx", "onnx", "inspect", "for `postproc inspect`"),
)
_RUNTIME = re.compile(
    r"onnxruntime(-(gpu|directml|openvino|rocm|migraphx|qnn|webgpu|cann|training|silicon))?"
)

_FEATURES = {
    **{"sse4.2": "SSE4.2", "avx": "AVX", "avx2": "AVX2", "fma": "FMA", "avx512f": "AVX-512"},
    **{"neon": "NEON", "sve": "SVE", "sve2": "SVE2", "asimd": "NEON", "rvv": "RVV"},
}


def versions() -> Iterator[Finding]:
    """List what is installed."""
    yield Finding("postproc", f"{postproc.__version__}, in {Path(postproc.__file__).parent}")
    yield Finding("Python", f"{platform.python_version()}, {_implementation()}")
    yield Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    for name in ("numpy", "pydantic"):
        yield Finding(name, metadata.version(name))
    for name in ("numba", "llvmlite"):
        yield Finding(name, _compilers_version(name))
    for name, module, extra, purpose in _OPTIONAL:
        yield _optional(name, module, extra, purpose)


def _compilers_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if not IS_COMPILED:
            raise
        return "not installed (not needed: the kernels are machine code already)"


def _implementation() -> str:
    name = platform.python_implementation()
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return name
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return f"{name}, free-threaded build, running {'with' if enabled else 'without'} the GIL"


def _optional(name: str, module: str, extra: str, purpose: str) -> Finding:
    command = install(extra)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == module:
            return Finding(name, f"not installed: {command} ({purpose})")
        return _broken(name, error, command)
    except Exception as error:  # a shared library that is missing raises ImportError or OSError
        return _broken(name, error, command)
    return Finding(name, metadata.version(name))


def _broken(name: str, error: Exception, command: str) -> Finding:
    text = f"installed, but cannot be imported: {type(error).__name__}: {error}"
    return Finding(name, text, Status.FAILED, f"install it again: {command} --force-reinstall")


def onnx_runtime() -> Iterator[Finding]:
    """Tell which build of ONNX Runtime is installed; two at once overwrite each other's files."""
    command = install_runtime()
    packages = _runtime_packages()
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and not packages:
            text = f"not installed: {command}; only needed to run networks"
            yield Finding("ONNX Runtime", text)
        else:
            yield _broken("ONNX Runtime", error, command)
        return
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    version = getattr(onnxruntime, "__version__", "of unknown version")
    if len(packages) < 2:
        yield Finding(
            "ONNX Runtime", f"{version}, from the package {next(iter(packages), 'of no known name')}"
        )
        return
    yield Finding(
        "ONNX Runtime",
        f"{version}, with several packages installed that write the same folder: {listed}",
        Status.WARNING,
        f"keep one of them: pip uninstall -y {' '.join(packages)}, then {command}",
    )


def _runtime_packages() -> dict[str, str]:
    found = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if _RUNTIME.fullmatch(name):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def processor() -> Finding:
    """Name the processor, as its maker does and, where numba compiles, as LLVM does."""
    if IS_COMPILED:
        return Finding("name", _processor_name())
    from llvmlite import binding

    return Finding("name", f"{_processor_name()} (to LLVM: {binding.get_host_cpu_name()})")


def features() -> Finding:
    """List the vector instructions that LLVM sees, or the sets that there is machine code for."""
    if IS_COMPILED:
        return Finding("vectors", f"all instructions of {', '.join(machine_code.levels())}")
    from llvmlite import binding

    has = {name for name, present in binding.get_host_cpu_features().items() if present}
    known = list(dict.fromkeys(text for feature, text in _FEATURES.items() if feature in has))
    return Finding("vectors", ", ".join(known) if known else "none that LLVM knows of")


def _processor_name() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return platform.processor() or platform.machine()


def cores() -> Finding:
    """Count the cores that this process may use."""
    there = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else there
    text = f"{usable} of {there} usable" if usable < there else f"{there}"
    quota = cgroup_cores(Path("/"))
    if quota is None or quota >= usable:
        return Finding("cores", text)
    return Finding(
        "cores",
        f"{text}, but the container is limited to the time of {quota:g}",
        Status.WARNING,
        "threads count cores and not the limit: give ONNX Runtime session options with intra_op_num_threads "
        f"= {max(1, int(quota))}, and PostProcessor no more num_threads than that",
    )


def cgroup_cores(root: Path) -> float | None:
    """Give how many cores' time the container may use; None where nothing limits it.

    Parameters
    ----------
    root : Path
        Where the file system begins.
    """
    limits = []
    own = ""
    try:
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                own = line[3:].strip("/ ")
    except OSError:
        pass
    for folder in dict.fromkeys(("sys/fs/cgroup", f"sys/fs/cgroup/{own}")):
        try:
            quota, period = (root / folder / "cpu.max").read_text().split()
            limits.append(int(quota) / int(period))
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    try:  # version 1
        old = root / "sys/fs/cgroup/cpu"
        quota, period = ((old / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        limits.append(int(quota) / int(period))
    except (OSError, ValueError):
        pass
    return min((limit for limit in limits if limit > 0), default=None)


_OURS = {
    "POSTPROC_JIT": "1 lets numba compile the kernels, whether there is machine code of them or not",
    "POSTPROC_CPU": "the instruction set whose machine code is taken",
}
_OF_NUMBA = {
    "NUMBA_CACHE_DIR": "where compiled kernels are kept",
    "NUMBA_CPU_NAME": "kernels are compiled for this processor, whichever this one is",
    "NUMBA_CPU_FEATURES": "kernels are compiled for these instructions, whichever this processor has",
    "NUMBA_ENABLE_AVX": "0 keeps kernels from using AVX",
    "NUMBA_THREADING_LAYER": "has no effect: the kernels use none of numba's threads",
    "NUMBA_NUM_THREADS": "has no effect: the kernels use none of numba's threads",
}
_OF_CUDA = {"CUDA_VISIBLE_DEVICES": "which GPUs this process sees; empty or -1: none"}


def settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """List the settings of numba and CUDA that change what happens here, and what each means."""
    found = list(_harmful())
    of_numba = dict.fromkeys(_OF_NUMBA, "has no effect: numba compiles nothing") if IS_COMPILED else _OF_NUMBA
    for name, meaning in {**_OURS, **of_numba, **_OF_CUDA}.items():
        if name in environment:
            found.append(Finding(name, f"{environment[name]!r}: {meaning}"))
    named = {finding.name for finding in found}
    others = sorted(name for name in environment if name.startswith("NUMBA_") and name not in named)
    if others:
        found.append(Finding("others", f"{', '.join(others)}: see numba's documentation"))
    return iter(found or [Finding("none", "no environment variable changes what the kernels do")])


def _harmful() -> Iterator[Finding]:
    if IS_COMPILED:
        return
    # By numba's own configuration, which a file .numba_config.yaml can set as well.
    from numba.core import config

    if config.DISABLE_JIT:
        text = "kernels run as plain Python, hundreds of times slower"
        yield Finding("NUMBA_DISABLE_JIT", text, Status.WARNING, "unset it, but for debugging")
    if config.BOUNDSCHECK:
        text = "every read of an array is checked: several times slower"
        yield Finding("NUMBA_BOUNDSCHECK", text, Status.WARNING, "unset it, but for debugging")
    level = int(config.OPT)
    if level < 3:
        text = f"{level}: kernels are compiled with less optimisation"
        yield Finding("NUMBA_OPT", text, Status.WARNING, "unset it, or set it to 3")

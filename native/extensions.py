"""What setuptools builds: one extension module for each instruction set, of machine code and C."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from setuptools import Extension
from setuptools.command.build_ext import build_ext

from kernels._compiled import module_name

HERE = Path(__file__).parent

# What a processor of a level is asked for by compilers that know names of features, and not those of levels.
LEVELS: dict[str, tuple[str, ...]] = {
    "x86-64-v2": ("ssse3", "sse4.1", "sse4.2", "popcnt"),
    "x86-64-v3": ("avx2", "bmi", "bmi2", "fma"),
    "x86-64-v4": ("avx2", "bmi", "bmi2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}


def levels() -> tuple[str, ...]:
    """Return the instruction sets of this architecture, as far as a C compiler can ask for them."""
    return tuple(LEVELS) if platform.machine() == "x86_64" else ("generic",)


@functools.cache
def is_wanted() -> bool:
    """Whether a wheel gets machine code: where C can be compiled, unless POSTPROC_PURE or pip says otherwise.

    Pip builds what it installs from sources: there numba compiles the few kernels that are called, in less
    time than all of them take here.
    """
    by_default = "" if "PIP_BUILD_TRACKER" not in os.environ else "1"
    if os.environ.get("POSTPROC_PURE", by_default) not in ("", "0"):
        return False
    # The stable ABI is that of Python with a global lock.
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    return _compiles()


def _compiles() -> bool:
    from distutils import ccompiler, errors  # setuptools' own
    from distutils import sysconfig as compilers

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "trial.c")
        source.write_text("#include <Python.h>\n")
        try:
            compiler: Any = ccompiler.new_compiler()
            compilers.customize_compiler(compiler)
            compiler.compile(
                [str(source)], output_dir=folder, include_dirs=[sysconfig.get_paths()["include"]]
            )
        except (errors.CCompilerError, errors.DistutilsError) as error:
            print(f"a wheel without machine code, since C does not compile here: {error}")  # noqa: T201
            return False
    return True


class Level(Extension):
    """The module for an instruction set."""

    def __init__(self, level: str) -> None:
        super().__init__(
            f"postproc.kernels.{module_name(level)}",
            sources=["native/kernels.c", "native/memory.c"],
            libraries=["m"] if os.name == "posix" else [],
            py_limited_api=True,
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
        )
        self.level = level


def extensions() -> list[Extension]:
    """Describe the modules; `BuildKernels` adds what is made for them."""
    return [Level(level) for level in levels()]


class BuildKernels(build_ext):
    """Compile the kernels for each level, then what joins them to Python."""

    only: Collection[str] = ()
    """Kernels in place of all."""

    def machine_code(self) -> dict[str, Path]:
        """Compile the kernels, and return the folder of each level."""
        made = Path(self.build_temp).absolute()
        levels = [str(extension.level) for extension in self.extensions]
        # What a user has set for numba is not for all who install the wheel.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        clean.pop("PYTHONSAFEPATH", None)
        command = [sys.executable, "-m", "native.compile", str(made), *levels]
        command += [f"--only={name}" for name in self.only]
        subprocess.run(command, cwd=HERE.parent, env={**clean, "POSTPROC_JIT": "1"}, check=True)
        return {level: made / level for level in levels}

    def build_extensions(self) -> None:
        """Do all of it."""
        import numpy as np

        made = self.machine_code()
        for extension in self.extensions:
            folder = made[extension.level]
            extension.include_dirs += [str(HERE), str(folder), np.get_include()]
            extension.extra_objects.append(str(folder / "kernels.o"))
            if os.name == "posix":
                extension.extra_compile_args += ["-O2", "-std=c11", "-fvisibility=hidden"]
            if sys.platform == "linux":
                extension.extra_link_args += ["-s"]
            # The sources are compiled once for each level: with a table, and a name, of their own.
            self.build_temp, kept = str(folder), self.build_temp
            try:
                self.build_extension(extension)
            finally:
                self.build_temp = kept

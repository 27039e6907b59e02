"""The packages of a wheel, and whether it gets machine code; everything else is declared in pyproject.toml.

A table of pyproject.toml either lists packages or finds them: these are found, but for the kernels, which lie
beside the package that they belong to.
"""

import sys
from pathlib import Path

from setuptools import find_packages, setup

sys.path.insert(0, str(Path(__file__).parent))

from native.extensions import BuildKernels, extensions, is_wanted

KERNELS = [
    "postproc.kernels",
    "postproc.kernels.core",
    "postproc.kernels.evaluation",
    "postproc.kernels.heads",
    "postproc.kernels.masks",
    "postproc.kernels.nms",
]

# Not where it is installed in place, for work on it: there numba compiles what has just been written.
has_machine_code = bool({"bdist_wheel", "build_ext"} & set(sys.argv)) and is_wanted()

setup(
    packages=[*find_packages(include=["postproc*"]), *KERNELS],
    ext_modules=extensions() if has_machine_code else [],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if has_machine_code else {},
)

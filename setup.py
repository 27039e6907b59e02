"""The packages of a wheel; everything else is declared in pyproject.toml.

A table of pyproject.toml either lists packages or finds them: these are found, but for the kernels, which lie
beside the package that they belong to.
"""

from setuptools import find_packages, setup

KERNELS = [
    "postproc.kernels",
    "postproc.kernels.core",
    "postproc.kernels.evaluation",
    "postproc.kernels.heads",
    "postproc.kernels.masks",
    "postproc.kernels.nms",
]

setup(packages=[*find_packages(include=["postproc*"]), *KERNELS])

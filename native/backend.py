"""The build backend: setuptools', which asks for numba and NumPy only where a wheel gets machine code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

sys.path.insert(0, str(Path(__file__).parents[1]))

from native.extensions import is_wanted


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Add what compiles the kernels. Headers of NumPy 2 serve those of version 1 as well."""
    needed: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    return [*needed, "numpy>=2", "numba>=0.60"] if is_wanted() else needed

"""Saved tensors in an ``.npz`` file, which NumPy alone reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError


def load_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of an ``.npz`` file, as `numpy.savez` writes them.

    Raises
    ------
    TensorError
        If it is no such file, or holds Python objects, which are not loaded.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded as tensors:
                return {name: tensors[name] for name in tensors.files}
        found = "a single array"
    except Exception as error:  # zipfile, zlib and NumPy raise errors of their own for a broken file
        found = str(error)
    raise TensorError(
        f"{path}: expected an .npz file of arrays, as numpy.savez(path, **tensors) writes it; found: {found}"
    )

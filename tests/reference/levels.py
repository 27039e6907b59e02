"""The tensors of heads with a grid per stride."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.tensors import Tensors, as_float32, batched

Floats = NDArray[np.float32]


def of_levels(
    output: dict[str, Any], tensors: Tensors, names: Sequence[str], channels: int
) -> tuple[Floats, list[tuple[int, ...]]]:
    """Return the ``(B, N, C)`` numbers of all boxes, and of each tensor the grid, or its number of boxes."""
    anchors, layout = output.get("anchors_per_cell", 1), output.get("layout", "auto")
    values = [as_float32(tensors[one]) for one in names]
    values = [tensor if tensor.ndim == 4 else batched(tensor, 3) for tensor in values]
    if layout == "auto":  # the one that all tensors of the field have
        is_first = all(
            tensor.shape[1] == channels * (anchors if tensor.ndim == 4 else 1) for tensor in values
        )
        layout = "channels_first" if is_first else "channels_last"
    tables, levels = [], []
    for tensor in values:
        table = np.moveaxis(tensor, 1, -1) if layout == "channels_first" else tensor
        tables.append(
            table.reshape(len(table), -1, channels)
            if table.size
            else np.zeros((len(table), 0, channels), np.float32)
        )
        levels.append(table.shape[1:-1])
    table = np.concatenate(tables, axis=1)
    return table, levels

"""Tensors of heads with a grid per stride."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.random_cases.v07 import V07Outputs

Array = NDArray[Any]


class LevelOutputs(V07Outputs):
    """Keeps numbers of boxes level by level; `grids` are rows and columns of each."""

    grids: list[tuple[int, int]]
    are_up: bool

    def strides(self) -> list[int]:
        """Pick strides; none of hundreds of cells for soft NMS, whose plain steps take seconds then."""
        few = [16], [32, 16], [16, 16]
        return list(
            self.pick(*few) if self.nms_method == "soft" else self.pick(few[0], [8, 16, 32], *few[1:])
        )

    def grid_of(self, size: Array, stride: int) -> tuple[int, int]:
        height, width = (-(-side // stride) if self.are_up else side // stride for side in size.tolist())
        return int(height), int(width)

    def is_unclear(self, table: Array, form: str, anchors: int) -> bool:
        """Say whether the shapes of all tensors of a field may fit both layouts."""
        channels = table.shape[2]
        counts = [rows * columns * anchors for rows, columns in self.grids]
        if form == "maps":
            return all(anchors * channels in grid for grid in self.grids)
        return all(count == channels for count in (counts if form == "levels" else [sum(counts)]))

    def levels_of(self, name: str, table: Array, form: str, anchors: int, layout: str) -> list[str]:
        counts = [rows * columns * anchors for rows, columns in self.grids]
        parts = [table] if form == "all" else np.split(table, np.cumsum(counts)[:-1], axis=1)
        first = self.pick(True, False) if layout == "auto" else layout == "channels_first"
        names = []
        for level, part in enumerate(parts):
            if form == "maps":
                rows, columns = self.grids[level]
                part = part.reshape(self.batch, rows, columns, anchors * part.shape[2])
                own = f"{self.prefix}{name}_{level}"
                self.tensors[own] = part.transpose(0, 3, 1, 2) if first else part
                names.append(own)
            else:
                names.append(self.keep(f"{name}_{level}", part.transpose(0, 2, 1) if first else part))
        return names

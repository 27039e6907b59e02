"""The size of a network's input."""

from __future__ import annotations

from dataclasses import dataclass

from postproc.fusing.graph import Operand


@dataclass(frozen=True)
class Divisors:
    """By what coordinates are divided: width and height, constants or (B, 1) float32."""

    width: Operand
    height: Operand

    @property
    def sides(self) -> tuple[Operand, Operand, Operand, Operand]:
        """That of each coordinate of a box."""
        return self.width, self.height, self.width, self.height

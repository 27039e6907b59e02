"""What the bits of a number mean: see `core.numbers`."""

from __future__ import annotations

SIGNED = 0
UNSIGNED = 1
"""Its zero point is that of the raw numbers: lower by what the flipped bit counts."""
FLOAT16 = 2
BFLOAT16 = 3

MIRRORED_BITS = 0x7FFF
BLOCK = 64
"""How many numbers become the bits of one integer: see `core.bits`."""

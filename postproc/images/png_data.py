"""Whether the compressed data of a PNG file holds all its pixels, which its decoder does not tell."""

from __future__ import annotations

import struct
import zlib
from typing import IO

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
# Adam7, in pixels: the first column and row of each pass, and the steps to the next ones.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_BLOCK = 1 << 16


def ends_early(file: IO[bytes]) -> bool:
    """Tell whether the data of a PNG file, inflated, is shorter than its pixels.

    A decoder that meets the regular end of the compressed data leaves the rows that are missing black, and
    says nothing.

    Parameters
    ----------
    file : binary file
        The whole of a file that was decoded without an error. Memory is bounded, whatever it inflates to.
    """
    file.seek(8)
    missing, inflater = 0, zlib.decompressobj()
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IHDR":
            missing = _data_length(*struct.unpack(">IIBBBBB", file.read(length)[:13]))
        elif kind == b"IDAT":
            while length:
                block = file.read(min(length, _BLOCK))
                if not block:
                    return missing > 0
                length -= len(block)
                while missing > 0 and block:
                    missing -= len(inflater.decompress(block, _BLOCK))
                    block = inflater.unconsumed_tail
        else:
            file.seek(length, 1)
        if kind == b"IEND" or (kind == b"IDAT" and missing <= 0):
            break
        file.seek(4, 1)  # the checksum
    return missing > 0


def _data_length(
    width: int, height: int, depth: int, color: int, _compression: int, _filter: int, interlaced: int
) -> int:
    """Bytes of the rows of all passes, with the byte before each row that names its filter."""
    bits = depth * _CHANNELS[color]
    total = 0
    for left, top, step_x, step_y in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total

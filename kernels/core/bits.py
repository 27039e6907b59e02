"""Which numbers of a block exceed their limits, as the bits of one integer.

LLVM compares a block in a few vector instructions and moves the results into a register in as many more, but
no loop makes it do so: these functions say it in its own language.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.core.cgutils import create_struct_proxy
from numba.extending import intrinsic
from numpy.typing import NDArray

BLOCK = 64


def _above(typing_context: Any, values: Any, position: Any, limits: Any, first: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = ir.VectorType(ir.FloatType(), BLOCK)
        loaded = []
        for kind, array, index in zip(signature.args[::2], arguments[::2], arguments[1::2], strict=True):
            data = create_struct_proxy(kind)(context, builder, value=array).data
            start = builder.bitcast(builder.gep(data, [index]), block.as_pointer())
            loaded.append(builder.load(start, align=4))
        return builder.bitcast(builder.fcmp_ordered(">", *loaded), ir.IntType(BLOCK))

    return types.uint64(values, types.intp, limits, types.intp), generate


def _lowest_bit(typing_context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


if config.DISABLE_JIT:  # pure Python, to follow kernels step by step

    def above(
        values: NDArray[np.float32], position: int, limits: NDArray[np.float32], first: int
    ) -> np.uint64:
        """Do as below."""
        flags = values[position : position + BLOCK] > limits[first : first + BLOCK]
        return np.uint64(np.packbits(flags, bitorder="little").view(np.uint64)[0])

    def lowest_bit(bits: np.uint64) -> int:
        """Do as below."""
        return (int(bits) & -int(bits)).bit_length() - 1

else:
    above = intrinsic(_above)
    """Call as ``above(values, position, limits, first)``: which of a block's values exceed their limits.

    Bit i of the uint64 says whether ``values[position + i] > limits[first + i]``. Both arrays, of float32,
    must have a whole `BLOCK` there: nothing is checked.
    """

    lowest_bit = intrinsic(_lowest_bit)
    """Call as ``lowest_bit(bits)``: number of the lowest bit that is set in a uint64 other than 0."""

"""Which numbers of a block pass their limits, as the bits of one integer.

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

from .numbers import FLOAT16, MIRRORED_BITS, UNSIGNED, Numbers, Raw, bits_of, passes

BLOCK = 64


def _above(typing_context: Any, values: Any, position: Any, limits: Any, first: Any) -> Any:
    bits = bits_of(values)
    if bits is None:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, tensor = signature.args[0], arguments[0]
        bounds = _load(context, builder, signature.args[2], *arguments[2:])
        if bits == 32:
            numbers = _load(context, builder, kind, tensor, arguments[1])
            passing = builder.fcmp_ordered(">", numbers, bounds)
        else:
            numbers = _load(context, builder, kind[0], builder.extract_value(tensor, 0), arguments[1])
            numbers = _raw(builder, numbers, builder.extract_value(tensor, 3), bits)
            passing = builder.icmp_signed(">=", numbers, bounds)
        return builder.bitcast(passing, ir.IntType(BLOCK))

    return types.uint64(values, types.intp, limits, types.intp), generate


def _load(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    element = context.get_data_type(kind.dtype)
    data = create_struct_proxy(kind)(context, builder, value=array).data
    start = builder.bitcast(builder.gep(data, [index]), ir.VectorType(element, BLOCK).as_pointer())
    return builder.load(start, align=context.get_abi_sizeof(element))


def _raw(builder: Any, numbers: Any, coding: Any, bits: int) -> Any:
    """Make raw numbers of a block, as `passes` does of one."""

    def if_coding(comparison: str, of: int, number: int) -> Any:
        is_so = builder.icmp_signed(comparison, coding, coding.type(of))
        chosen = builder.select(is_so, ir.IntType(bits)(number), ir.IntType(bits)(0))
        one = builder.insert_element(numbers.type(ir.Undefined), chosen, ir.IntType(32)(0))
        every = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
        return builder.shuffle_vector(one, numbers.type(ir.Undefined), every)

    if bits == 16:
        signs = builder.ashr(numbers, ir.Constant(numbers.type, [15] * BLOCK))
        mirrored = builder.and_(signs, if_coding(">=", FLOAT16, MIRRORED_BITS))
        numbers = builder.xor(numbers, mirrored)
    return builder.xor(numbers, if_coding("==", UNSIGNED, -(1 << (bits - 1))))


def _lowest_bit(typing_context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


if config.DISABLE_JIT:  # pure Python, to follow kernels step by step

    def above(values: Numbers, position: int, limits: Raw, first: int) -> np.uint64:
        """Do as below."""
        flags = passes(values, slice(position, position + BLOCK), limits[first : first + BLOCK])
        return np.uint64(np.packbits(flags, bitorder="little").view(np.uint64)[0])

    def lowest_bit(bits: np.uint64) -> int:
        """Do as below."""
        return (int(bits) & -int(bits)).bit_length() - 1

else:
    above = intrinsic(_above)
    """Call as ``above(values, position, limits, first)``: which of a block's numbers pass their limits.

    Bit i of the uint64 says whether the number at ``position + i`` passes the raw limit at ``first + i``.
    Both must have a whole `BLOCK` there: nothing is checked.
    """

    lowest_bit = intrinsic(_lowest_bit)
    """Call as ``lowest_bit(bits)``: number of the lowest bit that is set in a uint64 other than 0."""

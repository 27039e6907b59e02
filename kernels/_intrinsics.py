"""What kernels say in numba's and LLVM's own language; imported only where numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import create_struct_proxy
from numba.core.imputils import impl_ret_borrowed
from numba.core.types.containers import BaseTuple
from numba.extending import intrinsic, overload

from ._codings import BLOCK, FLOAT16, MIRRORED_BITS, UNSIGNED


def bits_of(kind: Any) -> int | None:
    """How many bits a number of a tensor has, given numba's type of it; None if it is none."""
    if isinstance(kind, types.Array):
        return 32 if kind.dtype == types.float32 else None
    parts = tuple(kind) if isinstance(kind, BaseTuple) else ()
    if parts[1:] != (types.float32, types.int64, types.int64) or not isinstance(parts[0], types.Array):
        return None
    return {types.int8: 8, types.int16: 16}.get(parts[0].dtype)


def choose_by_form(chosen: Callable[..., Any], functions: dict[int, Callable[..., Any]]) -> None:
    """Let kernels that call `chosen` call the function for the bits of a number of its first argument."""

    @overload(chosen, strict=False, jit_options={"error_model": "numpy", "forceinline": True})
    def choose(values: Any, *rest: Any) -> Any:
        return functions.get(bits_of(values) or 0)


@intrinsic
def above(typing_context: Any, values: Any, position: Any, limits: Any, first: Any) -> Any:
    """See `core.bits.above`: a comparison of two vectors, whose result is an integer."""
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


@intrinsic
def lowest_bit(typing_context: Any, bits: Any) -> Any:
    """See `core.bits.lowest_bit`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def writable(typing_context: Any, array: Any) -> Any:
    """See `core.writable.writable`."""
    signature = array.copy(readonly=False)(array)

    def give(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, arguments[0])

    return signature, give

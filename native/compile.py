"""Compile all kernels ahead of time: ``python -m native.compile FOLDER LEVEL ...``.

For each instruction set it writes ``kernels.o`` and ``table.h`` to a folder of that name. Numba reads each
kernel as it does in a process that calls it, by the decorators of `kernels/_jit.py`, once for all levels;
then LLVM goes through the same steps as there, for the processor of the level. So both builds give the same
numbers, at the same speed. Nothing is run: any machine can compile for any level of its architecture.

`numba.pycc` is not used: it takes no types of ours, loses the decorators' options, makes a module for one
version of Python, and numba means to remove it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core.caching import NullCache
from numba.core.cgutils import normalize_ir_text
from numba.core.codegen import AOTCPUCodegen, CodeLibrary, CPUCodeLibrary, JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from kernels import _jit, _numba, _sources
from kernels._compiled import module_name
from native import formats
from native.extensions import LEVELS

SIGNATURES = Path(__file__).with_name("signatures.json")
_SLOT = ir.IntType(64)

# What compiled code may ask of others: memory.c, and the C library's mathematics.
_KNOWN = {
    "NRT_MemInfo_alloc_aligned", "NRT_MemInfo_alloc_safe_aligned", "NRT_MemInfo_call_dtor",
    "numba_attempt_nocopy_reshape",
    "exp", "log", "sin", "cos", "tan", "atan2", "sqrt", "pow", "fmod", "floor", "ceil", "log2", "exp2",
    "expf", "logf", "sinf", "cosf", "tanf", "atan2f", "sqrtf", "powf", "floorf", "ceilf",
    "memset", "memcpy", "memmove",
}  # fmt: skip


def signatures() -> Iterator[tuple[str, str]]:
    """Give the name of each kernel that Python calls, with its arguments: once for each form of numbers."""
    for name, forms in json.loads(SIGNATURES.read_text()).items():
        for form in forms:
            yield name, form


Entry = tuple[str, str, str]
"""Name, arguments and results of a function ``kernel_<place in the table>``."""


class Recorder:
    """Keeps what numba would give to LLVM for this process, to give it to LLVM for other processors."""

    def __init__(self) -> None:
        self._modules: dict[CodeLibrary, list[str]] = {}
        self._linked: dict[CodeLibrary, list[CodeLibrary]] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Compile nothing for this process meanwhile: no kernel may be called, now or later."""

        def add_ir_module(library: Any, module: ir.Module) -> None:
            self._modules.setdefault(library, []).append(normalize_ir_text(str(module)))

        def add_linking_library(library: Any, other: Any) -> None:
            self._linked.setdefault(library, []).append(other)

        def finalize(library: Any) -> None:
            library._finalized = True

        with contextlib.ExitStack() as stack:
            for owner, name, instead in (
                (_numba, "_KernelCache", lambda function: NullCache()),  # what it has, would not be recorded
                (CPUCodeLibrary, "add_ir_module", add_ir_module),
                (CPUCodeLibrary, "add_linking_library", add_linking_library),
                (CPUCodeLibrary, "finalize", finalize),
                (JITCodeLibrary, "get_pointer_to_function", lambda library, name: 0),
                (JITCPUCodegen, "set_env", lambda codegen, name, environment: None),
            ):
                stack.enter_context(mock.patch.object(owner, name, instead))
            yield

    def for_processor(self, codegen: AOTCPUCodegen, library: Any, made: dict[Any, Any]) -> Any:
        """Return a library for the processor of `codegen`, and add it to those that have been `made`."""
        if library not in made:
            made[library] = again = codegen.create_library(library.name)
            for text in self._modules.get(library, []):
                again.add_llvm_module(_parsed(text))
            if library not in self._modules:  # of numba's own, which was there before: it is the same for all
                again.add_llvm_module(library._get_module_for_linking().clone())
            for other in self._linked.get(library, []):
                again.add_linking_library(self.for_processor(codegen, other, made))
        return made[library]


def _parsed(text: str) -> Any:
    module = llvm.parse_assembly(text)
    module.verify()
    return module


def read_all(only: Collection[str] = ()) -> tuple[str, list[Any], list[Entry]]:
    """Return the functions that C calls, in LLVM's language, what they call, and their table."""
    context = cpu_target.target_context
    entries = context.codegen().create_library("entries").create_ir_module("entries")
    libraries, table = [], []
    for name, arguments in signatures():
        if only and name not in only:
            continue
        compiled = _compile(name, arguments)
        _add_entry(context, entries, f"kernel_{len(table)}", compiled.fndesc)
        libraries.append(compiled.library)
        table.append((name, arguments, formats.write((compiled.signature.return_type,))))
    return str(entries) + _oldest_mathematics(), libraries, table


@global_compiler_lock
def machine_code(level: str, recorder: Recorder, entries: str, libraries: list[Any]) -> bytes:
    """Return an object file for an instruction set."""
    llvm.initialize_native_asmparser()  # for `_oldest_mathematics`
    codegen = AOTCPUCodegen("postproc", level)
    module = _parsed(entries)
    wanted = {one.name for one in module.functions if not one.is_declaration}
    made: dict[Any, Any] = {}
    for library in libraries:
        again = recorder.for_processor(codegen, library, made)
        module.link_in(again._get_module_for_linking(), preserve=True)
    for function in module.functions:
        if not function.is_declaration and function.name not in wanted:
            function.linkage = "internal"
    asked = {one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")}
    if unknown := sorted(asked - _KNOWN):
        raise RuntimeError(f"compiled kernels call what memory.c lacks: {', '.join(unknown)}")
    module.verify()
    code: bytes = codegen._tm.emit_object(module)
    return code


def _oldest_mathematics() -> str:
    """Ask for the GNU C library's functions as old systems have them: newer ones have two of a name."""
    if platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64":
        return ""
    return "".join(f'module asm ".symver {name},{name}@GLIBC_2.2.5"\n' for name in ("exp", "log", "pow"))


def _compile(name: str, arguments: str) -> Any:
    module, _, function = name.rpartition(".")
    kernel = getattr(importlib.import_module(f"kernels.{module}"), function)
    # Without the code that unpacks Python's arguments, which is that of kernels.c here.
    dispatcher: Any = _jit.inner(kernel.py_func)
    kinds = formats.read(arguments)
    dispatcher.compile(kinds)
    return dispatcher.overloads[kinds]


def _add_entry(context: Any, module: ir.Module, name: str, described: Any) -> None:
    """Add a function of rows of slots, which calls one of numba's."""
    callee = ir.Function(
        module,
        context.call_conv.get_function_type(described.restype, described.argtypes),
        described.llvm_func_name,
    )
    pointer = _SLOT.as_pointer()
    result_type, raised_type = (kind.pointee for kind in callee.function_type.args[:2])
    entry = ir.Function(
        module, ir.FunctionType(ir.IntType(32), [pointer, pointer, raised_type.as_pointer()]), name
    )
    builder = ir.IRBuilder(entry.append_basic_block())
    given, results, raised = entry.args
    room = builder.alloca(result_type)
    values = [
        _from_slot(builder, builder.load(builder.gep(given, [ir.Constant(ir.IntType(32), slot)])), kind)
        for slot, kind in enumerate(callee.function_type.args[2:])
    ]
    status = builder.call(callee, [room, raised, *values])
    is_done = builder.icmp_signed("==", status, ir.Constant(status.type, 0))
    with builder.if_then(is_done):
        for slot, value in enumerate(_leaves(builder, builder.load(room))):
            place = builder.gep(results, [ir.Constant(ir.IntType(32), slot)])
            builder.store(_to_slot(builder, value), place)
    builder.ret(status)


def _from_slot(builder: ir.IRBuilder, number: Any, kind: ir.Type) -> Any:
    if isinstance(kind, ir.PointerType):
        return builder.inttoptr(number, kind)
    if isinstance(kind, ir.DoubleType):
        return builder.bitcast(number, kind)
    if isinstance(kind, ir.FloatType):
        return builder.bitcast(builder.trunc(number, ir.IntType(32)), kind)
    return number if kind == _SLOT else builder.trunc(number, kind)


def _to_slot(builder: ir.IRBuilder, value: Any) -> Any:
    if isinstance(value.type, ir.PointerType):
        return builder.ptrtoint(value, _SLOT)
    if isinstance(value.type, ir.DoubleType):
        return builder.bitcast(value, _SLOT)
    if isinstance(value.type, ir.FloatType):
        return builder.zext(builder.bitcast(value, ir.IntType(32)), _SLOT)
    return value if value.type == _SLOT else builder.zext(value, _SLOT)


def _leaves(builder: ir.IRBuilder, value: Any) -> Iterator[Any]:
    """Give the numbers and pointers that a structure is made of."""
    if isinstance(value.type, (ir.LiteralStructType, ir.ArrayType)):
        count = value.type.count if isinstance(value.type, ir.ArrayType) else len(value.type.elements)
        for place in range(count):
            yield from _leaves(builder, builder.extract_value(value, place))
    else:
        yield value


def write_table(level: str, table: list[tuple[str, str, str]]) -> str:
    """Write what kernels.c must know of the entries, in C."""
    if any(form.count("(") > form.startswith("(") for _, _, form in table):
        raise RuntimeError("kernels.c makes no tuples in tuples")
    features = " && ".join(f'__builtin_cpu_supports("{name}")' for name in LEVELS.get(level, ())) or "1"
    at_once = f'__builtin_cpu_supports("{level}")' if level in LEVELS else "1"
    module = module_name(level)
    rows = [
        f'    {{"{row[0]}", "{row[1]}", "{row[2]}", kernel_{number}}},' for number, row in enumerate(table)
    ]
    return "\n".join(
        [
            f'#define MODULE "{module}"',
            f"#define INIT PyInit_{module}",
            f'#define DIGEST "{_sources.source_digest()}"',
            f'#define MADE_BY "numba {numba.__version__}"',
            f"#define KERNELS {len({name for name, _, _ in table})}",
            f"#define MOST_SLOTS {max(formats.slots(form) for row in table for form in row[1:])}",
            "#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12",
            f"#define PROCESSOR_HAS_ALL {at_once}",
            "#else",
            f"#define PROCESSOR_HAS_ALL ({features})",
            "#endif",
            "",
            *(f"int kernel_{row}(const int64_t *, int64_t *, const void **);" for row in range(len(table))),
            "",
            "static const struct kernel kernels[] = {",
            *rows,
            "    {NULL, NULL, NULL, NULL},",
            "};",
            "",
        ]
    )


def main() -> None:
    """Compile for the levels that the command line names, several at a time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("levels", nargs="+")
    parser.add_argument("--only", action="append", default=[], help="a kernel, in place of all")
    given = parser.parse_args()
    recorder = Recorder()
    with recorder.recording(), global_compiler_lock:
        entries, libraries, table = read_all(given.only)

    def write(level: str) -> None:
        folder = given.folder / level
        folder.mkdir(parents=True, exist_ok=True)
        code = machine_code("" if level == "generic" else level, recorder, entries, libraries)
        (folder / "kernels.o").write_bytes(code)
        (folder / "table.h").write_text(write_table(level, table))

    if hasattr(os, "fork"):
        workers = [
            multiprocessing.get_context("fork").Process(target=write, args=[level]) for level in given.levels
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            sys.exit("the kernels could not be compiled for all levels")
    else:
        for level in given.levels:
            write(level)


if __name__ == "__main__":
    main()

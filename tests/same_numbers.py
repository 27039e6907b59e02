"""Whether all builds of the kernels give the same numbers, bit for bit: ``python -m tests.same_numbers``.

A build is what numba compiles for this processor, or the machine code for an instruction set that is
installed and that this processor has. Each is a process of its own, which runs the same random cases of every
kind, in float32 and in the narrow numbers that networks put out, and says what came of each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from postproc import PostProcessor
from postproc.kernels import _compiled
from tests.fuzz.checks import called, strictly
from tests.fuzz.drawing import ALL_KINDS, draw
from tests.random_cases.narrow import SORTS, narrow

NUMBA = "numba"


def results(cases: int, seed: int) -> Iterator[tuple[str, str]]:
    """Give the name of each case, and a digest of all that comes of it."""
    for kind in ALL_KINDS:
        for each in range(seed, seed + cases):
            drawn = draw(kind, each)
            case, options = drawn.case, {**drawn.case.options, "show_discarded": True}
            with strictly():
                yield drawn.name, _digest(called(PostProcessor(*drawn.documents()), drawn.tensors(), options))
                rng = np.random.default_rng([each, 3])
                made = narrow(case, rng, SORTS[each % len(SORTS)], thresholds=not drawn.large)
                post = PostProcessor(case.spec, made.version)
                yield f"{drawn.name}, narrow", _digest(called(post, made.tensors, options))


def _digest(recognitions: Any) -> str:
    digest = hashlib.sha256(json.dumps(recognitions.to_dicts()).encode())
    for found in recognitions.outputs:
        for name in found._columns():
            column = getattr(found, name)
            if isinstance(column, np.ndarray):
                digest.update(f"{name} {column.dtype} {column.shape}".encode() + column.tobytes())
    return digest.hexdigest()


def builds() -> list[str]:
    """Name the builds that this processor can run."""
    found = [NUMBA]
    for level in _compiled.LEVELS:
        run = "from postproc.kernels._compiled import compiled; print(compiled().level)"
        environment = {**os.environ, "POSTPROC_JIT": "", "POSTPROC_CPU": level}
        told = subprocess.run(
            [sys.executable, "-c", run], env=environment, capture_output=True, text=True, check=True
        )
        found += [level] if told.stdout.strip() == level else []
    return found


def started(build: str, cases: int, seed: int) -> subprocess.Popen[str]:
    """Start a process that prints what `results` gives."""
    chosen = {"POSTPROC_JIT": "1"} if build == NUMBA else {"POSTPROC_JIT": "", "POSTPROC_CPU": build}
    command = [
        sys.executable,
        "-m",
        "tests.same_numbers",
        "--cases",
        str(cases),
        "--seed",
        str(seed),
        "--print",
    ]
    return subprocess.Popen(command, env={**os.environ, **chosen}, stdout=subprocess.PIPE, text=True)


def main() -> int:
    """Compare the builds; return 1 where they differ, or where there is nothing to compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.same_numbers", description=__doc__)
    parser.add_argument("--cases", type=int, default=50, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first case of each kind")
    parser.add_argument("--print", action="store_true", help="of this process: a line of JSON a case")
    chosen = parser.parse_args()
    if chosen.print:
        for line in results(chosen.cases, chosen.seed):
            sys.stdout.write(json.dumps(line) + "\n")
        return 0
    names = builds()
    if len(names) < 2:
        sys.stdout.write(f"no machine code is installed for this processor: {_compiled.compiled().reason}\n")
        return 1
    processes = [started(name, chosen.cases, chosen.seed) for name in names]
    told = [process.communicate()[0].splitlines() for process in processes]
    if any(process.returncode for process in processes) or len({*map(len, told)}) > 1:
        sys.stdout.write("a build did not come to the end\n")
        return 1
    different = [rows for rows in zip(*told, strict=True) if len({*rows}) > 1]
    for rows in different:
        sys.stdout.write("".join(f"{name}: {row}\n" for name, row in zip(names, rows, strict=True)))
    sys.stdout.write(f"{len(told[0])} results of {', '.join(names)}: {len(different)} differ\n")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())

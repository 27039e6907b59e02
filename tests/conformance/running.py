"""Ask a library for the answer of each case, in a process of its own, so that a crash costs one case."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance import adapters
from tests.conformance.cases import Case, load_cases

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[2]
SECONDS = 300.0  # for a case, or the import: on a busy machine numba compiles for minutes
_POLL_SECONDS = 0.05
AGREES, NOT_OFFERED, DEVIATES, RAISES, CRASHES, HANGS = (
    "agrees",
    "not offered",
    "deviates",
    "raises",
    "crashes",
    "hangs",
)

_PRINTED: Any = np.get_printoptions()

Result = dict[str, Any]


class MissingLibraryError(Exception):
    """A library, or what it needs, is not installed."""


def digest(case: Case) -> str:
    """Return a name of what a case asks and expects: it changes where an old answer no longer counts."""
    code = hashlib.sha256()
    for arrays in (case.inputs, case.expected):
        for name, value in sorted(arrays.items()):
            code.update(f"{name} {getattr(value, 'dtype', '')} {getattr(value, 'shape', '')}".encode())
            code.update(value.encode() if isinstance(value, str) else value.tobytes())
        code.update(b"end")
    rest = [case.operation, case.parameters, case.document, case.tolerance]
    code.update(json.dumps(rest, sort_keys=True).encode())
    return code.hexdigest()[:12]


def ask(adapter: Any, case: Case) -> Result:
    """Return the outcome of one case, in this process."""
    call = adapters.operation_of(adapter, case)
    if call is None:
        return {"outcome": NOT_OFFERED}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = call()
        with np.printoptions(**_PRINTED):  # which ultralytics changes
            differences = case.differences(answer)
    except adapters.NotOfferedError as error:
        return {"outcome": NOT_OFFERED, "said": str(error)}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        return {"outcome": RAISES, "said": f"{type(error).__name__}: {_first_line(error)}"}
    return {"outcome": DEVIATES, "said": "; ".join(differences)} if differences else {"outcome": AGREES}


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."


def run(library: str, cases: list[Case] | None = None) -> Result:
    """Ask a library all cases; what ends or stops its process is the outcome of the case that it was at.

    Raises
    ------
    MissingLibraryError
        If the library cannot be imported.
    """
    cases = load_cases() if cases is None else cases
    outcomes: dict[str, Result] = {}
    head: Result = {}
    while len(outcomes) < len(cases):
        rest = [case.id for case in cases if case.id not in outcomes]
        lines, end = _in_a_process(library, rest)
        if not lines:
            raise RuntimeError(f"{library}: its process ended before the first case ({end['said']})")
        head, *answers = lines
        if "missing" in head:
            raise MissingLibraryError(f"{library}: {head['missing']}")
        outcomes |= {answer.pop("id"): answer for answer in answers}
        if len(answers) < len(rest):
            outcomes[rest[len(answers)]] = end
    by_id = {case.id: {"digest": digest(case), **outcomes[case.id]} for case in cases}
    return {"library": library, **head, "cases": by_id}


def _in_a_process(library: str, ids: list[str]) -> tuple[list[Result], Result]:
    """Return the lines that a process wrote, and how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        orders, answers = Path(folder, "ids"), Path(folder, "answers")
        orders.write_text(json.dumps(ids), "utf-8")
        answers.touch()
        command = [sys.executable, "-m", __name__, library, str(orders), str(answers)]
        # What libraries print is of no interest, and what a crash prints neither.
        silent: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with subprocess.Popen(command, cwd=ROOT, **silent) as process:
            end = _watched(process, answers)
        return [json.loads(line) for line in answers.read_text("utf-8").splitlines()], end


def _watched(process: subprocess.Popen[bytes], answers: Path) -> Result:
    """Wait for a process, or kill it where its file of answers does not grow; return how it ended."""
    size, since = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_SECONDS)
        if answers.stat().st_size != size:
            size, since = answers.stat().st_size, time.monotonic()
        elif time.monotonic() - since > SECONDS:
            process.kill()
            return {"outcome": HANGS, "said": f"no answer in {SECONDS:.0f} s"}
    return {"outcome": CRASHES, "said": _signal(process.returncode)}


def _signal(code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit code {code}"


def write(result: Result) -> Path:
    """Write a result beside the others, a line for each case."""
    path = RESULTS / f"{result['library']}.json"
    head = "".join(f"{json.dumps(key)}: {json.dumps(result[key])},\n" for key in ("library", "versions"))
    lines = (f"{json.dumps(case)}: {json.dumps(answer)}" for case, answer in result["cases"].items())
    path.write_text(f'{{{head}"cases": {{\n' + ",\n".join(lines) + "\n}}\n", "utf-8")
    return path


def load_results() -> dict[str, Result]:
    """Read the results that were written, by library."""
    names = sorted(path.stem for path in RESULTS.glob("*.json"))
    return {name: json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in names}


def _main(library: str, orders: str, answers: str) -> None:
    # ultralytics writes settings on import, and asks the network for news.
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    os.environ.setdefault("YOLO_OFFLINE", "true")
    cases = {case.id: case for case in load_cases()}
    with open(answers, "a", encoding="utf-8", buffering=1) as file:

        def write_line(line: Result) -> None:
            file.write(json.dumps(line) + "\n")

        try:
            adapter = adapters.load(library)
            write_line({"versions": adapters.versions(adapter)})
        except ImportError as error:
            write_line({"missing": str(error)})
            return
        for name in json.loads(Path(orders).read_text("utf-8")):
            write_line({"id": name, **ask(adapter, cases[name])})


if __name__ == "__main__":
    _main(*sys.argv[1:])

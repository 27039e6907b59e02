"""How often kernels are compiled: once each whatever a caller passes, and in the warm-up if there is one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

NARROW = re.compile(r"Tuple\(\(?(Array|readonly array)\(int(8|16), ")


def every_call(*arguments: str) -> Any:
    command = [sys.executable, "-m", "tests.every_call", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kernels_called_from_python_have_one_specialisation_for_each_form_of_numbers() -> None:
    """That of float32 and, where they take it, that of 16 bits: what is neither comes as float32."""
    every_call()
    # Now all comes from the cache, where a kernel that others call is a part of them: the entries remain.
    entries = every_call()
    assert len(entries) > 10
    narrow = {name: [one for one in found if NARROW.search(one)] for name, found in entries.items()}
    assert any(narrow.values())
    assert {name: found for name, found in entries.items() if len(found) != 1 + bool(narrow[name])} == {}
    assert {name: found for name, found in narrow.items() if len(found) > 1} == {}


def test_warmup_leaves_nothing_to_compile_for_the_first_call() -> None:
    late = every_call("warmup")
    assert len(late) == 15
    assert {kind: names for kind, names in late.items() if names} == {}

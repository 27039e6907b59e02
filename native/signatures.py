"""Write down what all kernels are compiled for: ``python -m native.signatures``.

Needs an installation whose kernels numba compiles. A test says that the list is complete and right.
"""

from __future__ import annotations

import json
import os
import pkgutil
from importlib import import_module
from typing import Any

from native import formats
from native.compile import SIGNATURES


def called() -> dict[str, list[str]]:
    """Give the arguments of each kernel that Python has called in this process, in each form."""
    package: Any = import_module("postproc.kernels")
    found: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for name, value in vars(import_module(module.name)).items():
            function = getattr(value, "py_func", None)
            if function is None or function.__module__ != module.name or not _is_for_python(value):
                continue
            forms = {formats.write(one.signature.args) for one in value.overloads.values()}
            found[f"{module.name.removeprefix(f'{package.__name__}.')}.{name}"] = sorted(forms)
    return found


def _is_for_python(dispatcher: Any) -> bool:
    options = dispatcher.targetoptions
    return not (options.get("no_cpython_wrapper") or "inline" in options)


if __name__ == "__main__":
    os.environ["POSTPROC_JIT"] = "1"
    from postproc.cli.work.warmup import warm_up_everything
    from postproc.pipeline.post_processor import WARM_DTYPES

    warm_up_everything(WARM_DTYPES)
    SIGNATURES.write_text(json.dumps(dict(sorted(called().items())), indent=1) + "\n")
    print(f"{len(called())} kernels")  # noqa: T201

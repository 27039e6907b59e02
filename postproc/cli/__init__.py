"""The console script ``postproc``, which every install has, with or without its extra."""

from __future__ import annotations

import sys

from postproc.cli.exit_codes import MISUSED
from postproc.installing import install


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from postproc.cli.app import app
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print(f"postproc: the command line needs an extra: {install('cli')}", file=sys.stderr)  # noqa: T201 - typer is missing
        sys.exit(MISUSED)
    app(prog_name="postproc")

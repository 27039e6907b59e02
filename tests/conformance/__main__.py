"""Ask libraries the golden cases, and write down who deviates where."""

from __future__ import annotations

import argparse
import sys

from tests.conformance.adapters import LIBRARIES
from tests.conformance.cases import load_cases
from tests.conformance.running import AGREES, NOT_OFFERED, MissingLibraryError, load_results, run, write
from tests.conformance.table import PAGE, load_findings, page


def main(arguments: list[str] | None = None) -> int:
    """Run the libraries that are named, and write the page; return 1 where one is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"none, or of {', '.join(LIBRARIES)}")
    names = parser.parse_args(arguments).libraries
    if unknown := [name for name in names if name not in LIBRARIES]:
        parser.error(f"no adapter for {', '.join(unknown)}; there are {', '.join(LIBRARIES)}")
    cases = load_cases()
    missing = 0
    for name in names:
        try:
            result = run(name, cases)
        except MissingLibraryError as error:
            sys.stderr.write(f"{error}; install what its adapter imports\n")
            missing = 1
            continue
        write(result)
        answers = result["cases"]
        asked = [case for case in answers if answers[case]["outcome"] != NOT_OFFERED]
        other = [case for case in asked if answers[case]["outcome"] != AGREES]
        sys.stdout.write(f"{name}: {len(asked) - len(other)} of {len(asked)} cases agree\n")
        for case in other:
            sys.stdout.write(f"  {case}: {answers[case]['outcome']}: {answers[case]['said']}\n")
    PAGE.write_text(page(load_results(), load_findings(), cases), "utf-8")
    return missing


if __name__ == "__main__":
    sys.exit(main())

"""Write all cases anew: ``python -m tests.conformance.make``."""

from __future__ import annotations

import shutil

from tests.conformance.cases import FOLDER
from tests.conformance.make.all_cases import all_files


def main() -> None:
    files = all_files()  # all of them before the first goes
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, content in files.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()

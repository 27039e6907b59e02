"""The order in which two processes run the files of tests."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TESTS = {
    "tests/pipeline/test_replace.py": 30,
    "tests/pipeline/test_signs.py": 900,
    "tests/pipeline/test_hostile_values.py": 3,
    "tests/cli/test_few.py": 3,
    "tests/cli/test_many.py": 40,
    "tests/kernels/test_archives.py": 2,
}


class Node:
    """Stands for a process, and notes which files it is told to run."""

    def __init__(self, tests: list[str]) -> None:
        self.tests = tests
        self.files: list[str] = []

    def send_runtest_some(self, places: list[int]) -> None:
        (file,) = {self.tests[place].split("::")[0] for place in places}
        self.files.append(file)


@pytest.fixture
def file_order() -> Any:
    return pytest.importorskip("tests.file_order", reason="xdist is not installed")


def test_files_and_folders_of_the_order_are_there(file_order: Any) -> None:
    named = (*file_order.SECONDS, *file_order.CALL_KERNELS)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_each_process_takes_the_longest_file_of_its_half_then_of_the_other(file_order: Any) -> None:
    tests = [f"{file}::test_{row}" for file, count in TESTS.items() for row in range(count)]
    nodes = Node(tests), Node(tests)
    scheduling = file_order.FilesInOrder.__new__(file_order.FilesInOrder)
    scheduling.assigned_work = {node: {} for node in nodes}
    scheduling.registered_collections = dict.fromkeys(nodes, tests)
    scheduling.workqueue = OrderedDict(
        (file, {f"{file}::test_{row}": False for row in range(count)}) for file, count in TESTS.items()
    )
    for turn in (1, 0, 1, 0, 1, 1):
        scheduling._assign_work_unit(nodes[turn])
    kernels = ["tests/pipeline/test_hostile_values.py", "tests/pipeline/test_signs.py"]
    rest = ["tests/kernels/test_archives.py", "tests/cli/test_many.py", "tests/cli/test_few.py"]
    assert nodes[0].files == kernels
    assert nodes[1].files == [*rest, "tests/pipeline/test_replace.py"]

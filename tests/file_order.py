"""Which process of pytest-xdist runs which file, and when: ``--dist loadfile`` in another order.

The one of xdist begins with the files of most tests. Both processes would begin with what calls kernels, and
compile each of them twice; and files of few long tests would come last, when the other has nothing left.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

# Their tests call most kernels: one process compiles these, while the other begins with the rest.
CALL_KERNELS = tuple(
    f"tests/{folder}/"
    for folder in ("decoding", "evaluation", "fuzz", "kernels/core", "kernels/nms", "pipeline", "results")
)
# Of files that take long, with a cold cache of kernels on one core of an AMD EPYC; others take little a test.
SECONDS = {
    "tests/cli/test_doctor.py": 18,
    "tests/cli/test_inspect.py": 12,
    "tests/cli/test_process.py": 14,
    "tests/cli/test_run.py": 4,
    "tests/cli/test_warmup.py": 10,
    "tests/decoding/test_yolov8_obb.py": 15,
    "tests/documents/test_shell.py": 21,
    "tests/spreading/test_on_ray.py": 60,
    "tests/fuzz/test_fuzz.py": 24,
    "tests/inspection/test_table.py": 35,
    "tests/kernels/core/test_scores.py": 30,
    "tests/kernels/nms/test_nms.py": 20,
    "tests/kernels/test_archives.py": 30,
    "tests/kernels/test_jit.py": 13,
    "tests/pipeline/test_families_reference.py": 90,
    "tests/pipeline/test_forks.py": 9,
    "tests/pipeline/test_hostile_arrays.py": 10,
    "tests/pipeline/test_hostile_values.py": 70,
    "tests/pipeline/test_narrow.py": 60,
    "tests/pipeline/test_replace.py": 15,
    "tests/pipeline/test_workers.py": 10,
    "tests/service/engine/networks/test_process.py": 17,
    "tests/service/page/test_results.py": 9,
    "tests/service/page/test_visits.py": 11,
    "tests/service/routes/test_operations.py": 8,
    "tests/service/store/test_locks.py": 20,
    "tests/service/store/test_reported_outages.py": 10,
    "tests/service/test_client.py": 20,
    "tests/service/test_first_key.py": 10,
    "tests/service/test_held_networks.py": 13,
}
_OF_A_TEST = 0.05


class FilesInOrder(LoadFileScheduling):  # type: ignore[misc]
    """Give each process the longest file that is left, of its half of the files first."""

    def _assign_work_unit(self, node: Any) -> None:
        kernels = self.nodes.index(node) % 2 == 0
        file = max(self.workqueue, key=lambda file: (calls_kernels(file) == kernels, self._seconds(file)))
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)

    def _seconds(self, file: str) -> float:
        return SECONDS.get(file, _OF_A_TEST * len(self.workqueue[file]))


def calls_kernels(file: str) -> bool:
    """Say whether a file's tests call most kernels."""
    return file.startswith(CALL_KERNELS)

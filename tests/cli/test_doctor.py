"""``postproc doctor``: what it says of this machine, and that every check fails where it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numba.core import config

from postproc import PostProcessor, Recognitions
from postproc.doctor import Finding, Status, cache, machine_code, self_test, system
from postproc.doctor.cases import Case, all_cases, load_answers
from postproc.installing import install, install_runtime
from postproc.kernels import _compiled, _numba
from postproc.kernels._jit import IS_COMPILED
from tests.cli.doctoring import doctor, findings, healthy, with_advice
from tests.doctor_answers import answer

__all__ = ["healthy"]  # the fixture

pytestmark = pytest.mark.usefixtures("forget_cuda_probe")


# --- a machine where all is right


@pytest.mark.usefixtures("healthy")
def test_doctor_of_a_healthy_machine_passes_and_tells_what_is_there() -> None:
    result = doctor()
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\nall checks passed\n")
    titles = ["versions", "processor", "settings", "kernels in use", "execution providers", "self-test"]
    for title in [*titles, *([] if IS_COMPILED else ["kernel cache"])]:
        assert f"\n{title}\n" in f"\n{result.stdout}"
    of_kernels = _compiled.compiled().module.__file__ if IS_COMPILED else str(_numba.cache_directory())
    for text in (np.__version__, onnxruntime.__version__, of_kernels, "network, CPU"):
        assert text in result.stdout
    assert ("kernel cache" in result.stdout) != IS_COMPILED
    assert result.stderr == ""


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("columns", [80, 120])
def test_doctor_output_fits_its_width_without_colour_or_trailing_space(columns: int) -> None:
    lines = doctor(columns=columns).stdout.splitlines()
    assert "\x1b" not in "".join(lines)
    assert all(line == line.rstrip() for line in lines)
    wide = [line for line in lines if len(line) > columns]
    assert all(len(line.split()) <= 4 and os.sep in line for line in wide), "only paths may be wider"
    assert max(map(len, lines)) > columns - 25


@pytest.mark.usefixtures("healthy")
def test_doctor_json_is_the_same_report() -> None:
    result = doctor("--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["ok"], report["failed"], report["warnings"]) == (True, 0, 0)
    assert [part["title"] for part in report["sections"]][-1] == "self-test"
    assert {one["status"] for part in report["sections"] for one in part["findings"]} == {"note", "ok"}


def test_doctor_without_jit_warns_and_does_not_test_what_is_not_compiled() -> None:
    command = [sys.executable, "-m", "postproc.cli", "doctor", "--json"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    warned = {
        one["name"] for part in report["sections"] for one in part["findings"] if one["status"] == "warning"
    }
    assert {"NUMBA_DISABLE_JIT", "kernels"} <= warned


# --- the cases and their answers


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_doctor_answers_are_those_of_the_reference(case: Case) -> None:
    assert load_answers()[case.name] == answer(case), "run python -m tests.doctor_answers"
    assert sum(map(len, load_answers()[case.name])) > 2


def test_doctor_cases_have_no_sign_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    for case in all_cases():
        case.post_processor()(case.tensors, **case.options)
    assert caplog.messages == []


def test_doctor_cases_include_discarded_results() -> None:
    discarded = {
        name for name, images in load_answers().items() for rows in images for row in rows if not row[3]
    }
    assert {name.partition(",")[0] for name in discarded} == {"direct_output", "yolov8_output"}


# --- kernels that are compiled wrongly


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Change what every post-processor returns."""
    call = PostProcessor.__call__

    def spoilt(self: PostProcessor, *arguments: Any, **options: Any) -> Recognitions:
        found = call(self, *arguments, **options)
        return Recognitions(tuple(change(output) for output in found.outputs))

    monkeypatch.setattr(PostProcessor, "__call__", spoilt)


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda found: replace(found, scores=found.scores + np.float32(1e-5)), id="scores"),
        pytest.param(lambda found: replace(found, labels=(found.labels + 1) % 3), id="labels"),
        pytest.param(lambda found: replace(found, predicted=~found.predicted), id="predicted"),
        pytest.param(lambda found: found[np.zeros(len(found.labels), np.bool_)], id="nothing"),
    ],
)
def test_doctor_self_test_of_wrong_results_fails_for_every_kind(
    change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, change)
    failed = [one for one in self_test.known_answers() if one.status is Status.FAILED]
    assert {one.name for one in failed} == {case.name for case in all_cases()}
    assert all(("POSTPROC_CPU" if IS_COMPILED else "NUMBA_CPU_NAME=generic") in one.advice for one in failed)


@pytest.mark.usefixtures("healthy")
def test_doctor_with_a_kernel_that_is_compiled_wrongly_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from postproc.kernels.heads import driver
    from postproc.kernels.heads.scored_boxes import ScoredBoxes

    kernel = driver._KERNELS[ScoredBoxes]

    def miscompiled(*arguments: Any) -> Any:
        numbers = [
            argument + np.float32(1e-3)
            if isinstance(argument, np.ndarray) and argument.ndim == 3
            else argument
            for argument in arguments
        ]
        return kernel(*numbers)

    monkeypatch.setitem(driver._KERNELS, ScoredBoxes, miscompiled)
    result = doctor()
    assert result.exit_code == 1
    assert "FAIL  yolov8_output" in result.stdout
    assert "What to do: the kernels are compiled wrongly" in " ".join(result.stdout.split())
    assert result.stdout.rstrip().endswith("failed")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("nms", np.array([1, 0, 2])),
        ("batched_nms", np.array([1])),
        ("box_iou", np.array([[1, 0.6, 0.1]])),
        ("oriented_box_iou", np.array([[1, 1, 0.7]])),
        ("box_area", np.array([100, 100, 99])),
        ("box_convert", np.array([[7.5, 5, 10, 9]])),
        ("clip_boxes", np.array([[20, 20, 22, 26]])),
    ],
)
def test_doctor_self_test_of_a_wrong_operation_fails(
    name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_test.ops, name, lambda *arguments: wrong)
    assert {one.name for one in self_test.known_answers()} == {f"ops.{name}"}


def test_doctor_self_test_of_kernels_that_raise_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("of the kernel")

    monkeypatch.setattr(PostProcessor, "__call__", fail)
    monkeypatch.setattr(self_test.ops, "nms", fail)
    failed = list(self_test.known_answers())
    assert len(failed) == len(all_cases()) + 2
    assert all(one.text == "ZeroDivisionError: of the kernel" for one in failed)


def test_doctor_threads_that_get_other_results_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    main = threading.get_ident()

    def change(found: Any) -> Any:
        return (
            found if threading.get_ident() == main else replace(found, scores=found.scores * np.float32(0.9))
        )

    assert self_test.threads().status is Status.OK
    spoil(monkeypatch, change)
    found = self_test.threads()
    assert found.status is Status.FAILED
    assert "yolo_output" in found.text


# --- probes that raise, versions, settings


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("probe", ["versions", "onnx_runtime", "processor", "features", "cores", "settings"])
def test_doctor_with_a_probe_that_raises_shows_it_and_goes_on(
    probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("no /proc here")

    monkeypatch.setattr(system, probe, fail)
    result = doctor()
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert "OSError: no /proc here" in result.stdout
    assert f"{len(all_cases())} cases" in result.stdout
    assert result.stdout.endswith("\n1 check failed\n")


@pytest.mark.usefixtures("healthy")
def test_doctor_with_two_packages_of_onnx_runtime_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    packages = [
        SimpleNamespace(metadata={"Name": name}, version="1.31.1")
        for name in ("onnxruntime_gpu", "numpy", "onnxruntime", "onnxruntime-genai", None)
    ]
    monkeypatch.undo()
    monkeypatch.setattr(system.metadata, "distributions", lambda: packages)
    (found,) = system.onnx_runtime()
    assert found.status is Status.WARNING
    assert "onnxruntime 1.31.1, onnxruntime-gpu 1.31.1" in found.text
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in found.advice


def absent(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Make the import of a module fail as where it is not installed."""

    def find(name: str, *arguments: Any) -> None:
        if name == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find), *sys.meta_path])


@pytest.mark.usefixtures("healthy")
def test_doctor_without_extras_passes_and_names_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("PIL", "onnx", "onnxruntime"):
        absent(monkeypatch, module)
    monkeypatch.setattr(system, "_runtime_packages", dict)
    result = doctor(columns=400)
    assert result.exit_code == 0, result.output
    assert f"not installed: {install('images')}" in result.stdout
    assert f"not installed: {install('inspect')}" in result.stdout
    assert f"not installed: {install_runtime()}" in result.stdout
    result = doctor("--gpu", columns=160)
    assert result.exit_code == 1
    assert "there is no ONNX Runtime to run networks" in result.stdout


@pytest.mark.usefixtures("healthy")
def test_doctor_with_an_onnx_runtime_that_cannot_be_imported_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *arguments: Any) -> None:
            if name == "onnxruntime":
                raise ImportError("libonnxruntime.so.1: file too short")

    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    found = findings()
    assert found["versions", "ONNX Runtime"].status is Status.FAILED
    assert "file too short" in found["versions", "ONNX Runtime"].text
    assert with_advice(found)


def test_doctor_settings_tell_what_each_variable_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "IS_COMPILED", False)
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    monkeypatch.setattr(config, "BOUNDSCHECK", 1)
    monkeypatch.setattr(config, "OPT", config._OptLevel(0))
    environment = {"NUMBA_CPU_NAME": "generic", "CUDA_VISIBLE_DEVICES": "", "NUMBA_DEBUG": "1", "HOME": "/"}
    found = {one.name: one for one in system.settings(environment)}
    assert {name for name, one in found.items() if one.status is Status.WARNING} == {
        "NUMBA_DISABLE_JIT",
        "NUMBA_BOUNDSCHECK",
        "NUMBA_OPT",
    }
    assert "'generic'" in found["NUMBA_CPU_NAME"].text
    assert "NUMBA_DEBUG" in found["others"].text
    assert "HOME" not in str(found)


def test_doctor_settings_of_numba_have_no_effect_on_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "IS_COMPILED", True)
    monkeypatch.setattr(config, "BOUNDSCHECK", 1)
    found = {
        one.name: one for one in system.settings({"NUMBA_CPU_NAME": "generic", "POSTPROC_CPU": "generic"})
    }
    assert set(found) == {"NUMBA_CPU_NAME", "POSTPROC_CPU"}
    assert "has no effect" in found["NUMBA_CPU_NAME"].text
    assert "machine code is taken" in found["POSTPROC_CPU"].text


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"sys/fs/cgroup/cpu.max": "max 100000"}, None, id="no limit"),
        pytest.param({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5, id="version 2"),
        pytest.param(
            {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "50000 100000"},
            0.5,
            id="of its own",
        ),
        pytest.param(
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            2.0,
            id="version 1",
        ),
        pytest.param(
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            None,
            id="version 1 without a limit",
        ),
    ],
)
def test_doctor_reads_the_limit_of_a_container(
    files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert system.cgroup_cores(tmp_path) == expected


def test_doctor_of_a_container_with_less_time_than_cores_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(system, "cgroup_cores", lambda root: 1.5)
    found = system.cores()
    assert found.status is Status.WARNING
    assert found.text == "6 of 8 usable, but the container is limited to the time of 1.5"
    assert "intra_op_num_threads = 1" in found.advice
    monkeypatch.setattr(system, "cgroup_cores", lambda root: 8.0)
    assert system.cores() == Finding("cores", "6 of 8 usable")


# --- the kernels in use


def in_use(
    monkeypatch: pytest.MonkeyPatch, reason: str, module: Any = None, level: str = ""
) -> dict[str, Finding]:
    monkeypatch.setattr(_compiled, "compiled", lambda: _compiled.Compiled(module, level, reason))
    return {one.name: one for one in machine_code.kernels_in_use()}


def test_doctor_tells_of_machine_code_its_level_its_file_and_what_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = SimpleNamespace(made_by="numba 0.68.1", __file__="/app/_kernels_x86_64_v3.abi3.so")
    found = in_use(monkeypatch, "", module, "x86-64-v3")
    assert {one.status for one in found.values()} == {Status.NOTE}
    assert found["in use"].text.startswith("machine code for x86-64-v3, of the wheel")
    assert (found["made by"].text, found["file"].text) == (module.made_by, module.__file__)


@pytest.mark.parametrize("brought", [False, True], ids=["pure", "with machine code"])
@pytest.mark.parametrize(
    ("reason", "is_wanted"),
    [
        ("POSTPROC_JIT is set", True),
        ("this installation has none", False),
        ("it was made of other sources than those that are here", False),
        ("this processor has not all instructions of x86-64-v2", False),
        ("_kernels_x86_64_v3 does not load: ImportError: file too short", False),
    ],
)
def test_doctor_tells_why_numba_compiles_and_warns_where_machine_code_is_not_used(
    reason: str, is_wanted: bool, brought: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if brought:
        (tmp_path / "_kernels_x86_64_v3.abi3.so").touch()
    monkeypatch.setattr(machine_code.kernels, "__path__", [str(tmp_path)])
    found = in_use(monkeypatch, reason)["in use"]
    assert reason in found.text
    assert found.status is (Status.WARNING if brought and not is_wanted else Status.NOTE)
    assert ("POSTPROC_JIT=1" in found.advice) == (found.status is Status.WARNING)


def test_doctor_of_an_installation_without_numba_says_that_it_is_not_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = system.metadata.version

    def find(name: str) -> str:
        if name in ("numba", "llvmlite"):
            raise system.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(system.metadata, "version", find)
    monkeypatch.setattr(system, "IS_COMPILED", True)
    monkeypatch.setattr(machine_code, "levels", lambda: ["x86-64-v3", "x86-64-v2"])
    found = {one.name: one.text for one in (*system.versions(), system.processor(), system.features())}
    assert (
        found["numba"]
        == found["llvmlite"]
        == ("not installed (not needed: the kernels are machine code already)")
    )
    assert found["vectors"] == "all instructions of x86-64-v3, x86-64-v2"
    assert "LLVM" not in found["name"]


# --- the cache


def cache_at(directory: Path | None, monkeypatch: pytest.MonkeyPatch, reason: str = "") -> dict[str, Finding]:
    monkeypatch.setattr(_numba, "cache_place", lambda: (directory, reason))
    return {one.name: one for one in cache.kernel_cache()}


def test_doctor_without_a_cache_directory_warns_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cache_at(None, monkeypatch, "every user may write to /cache")
    assert found["directory"].status is Status.WARNING
    assert "every user may write to /cache" in found["directory"].text
    assert "NUMBA_CACHE_DIR" in found["directory"].advice


def test_doctor_counts_the_kernels_of_this_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "postproc-new"
    here.mkdir()
    assert cache_at(here, monkeypatch)["kernels"].text.startswith(
        "none for this processor yet: they are compiled"
    )
    magic = [text.encode() for text in cache.cpu_target.target_context.codegen().magic_tuple()]
    (here / "a.nbi").write_bytes(b"stamp " + b" ".join(magic))
    (here / "a.1.nbc").write_bytes(bytes(1_500_000))
    (here / "b.nbi").write_bytes(b"stamp +altivec")
    (tmp_path / "postproc-old").mkdir()
    (tmp_path / "postproc-old" / "c.nbc").write_bytes(bytes(2_000_000))
    found = cache_at(here, monkeypatch)
    assert found["directory"].text == f"{here}, which can be written"
    assert found["kernels"].text.startswith("1 compiled for this processor, 1.5 MB; 1 for other processors")
    assert found["kernels"].status is Status.OK
    assert found["left behind"].text.startswith("1 folder of other versions or settings, 2.0 MB: ")


def test_doctor_does_not_count_another_processors_kernels_where_this_one_has_no_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codegen = SimpleNamespace(magic_tuple=lambda: ("x86_64-linux", "generic", ""))
    context = SimpleNamespace(codegen=lambda: codegen)
    monkeypatch.setattr(cache, "cpu_target", SimpleNamespace(target_context=context))
    (tmp_path / "a.nbi").write_bytes(b"x86_64-linux znver4 +avx2")
    (tmp_path / "b.nbi").write_bytes(b"x86_64-linux generic ")
    assert cache_at(tmp_path, monkeypatch)["kernels"].text.startswith("1 compiled for this processor")


@pytest.mark.needs_numba
def test_doctor_counts_the_kernels_that_a_warm_up_has_compiled() -> None:
    list(self_test.known_answers())
    found = {one.name: one for one in cache.kernel_cache()}
    assert int(found["kernels"].text.split()[0]) > 50


def test_doctor_of_a_read_only_cache_without_this_processors_kernels_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", fail)
    monkeypatch.setattr(cache.os, "access", lambda *arguments: False)
    found = cache_at(tmp_path, monkeypatch)
    assert found["directory"].text == f"{tmp_path}, which can be read only (Permission denied)"
    assert found["kernels"].status is Status.WARNING

"""The fuzzer: a short run of it, and that it finds what it is for."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc import SchemaError, TensorError, tensors
from postproc.pipeline import stages
from postproc.pipeline.stages import DetectionStage
from tests.fuzz import nms
from tests.fuzz.__main__ import main
from tests.fuzz.checks import EQUAL, NEAR_TIE, NOT_APPLICABLE, REFUSED, VALID, check_whole
from tests.fuzz.drawing import ALL_KINDS, draw
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.supervisor import Report, supervise
from tests.fuzz.worker import Outcome, outcomes, run_case
from tests.random_cases import narrow
from tests.reference.nms import Rules

CASES_FOR_A_MUTATION = 600


class Nowhere:
    """Where the case that runs is not noted."""

    def is_at(self, name: str) -> None:
        pass


def first(count: int, kinds: tuple[str, ...] = ALL_KINDS, seed: int = 0) -> list[Outcome]:
    """Return what becomes of some cases, whole and broken."""
    return [outcome for _, outcome in zip(range(count), outcomes(kinds, seed, 1, Nowhere()), strict=False)]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_fuzz_first_cases_of_a_kind_have_no_finding(kind: str) -> None:
    found = first(100, (kind,))
    assert [outcome.finding for outcome in found if outcome.finding] == []
    assert (
        {EQUAL, REFUSED}
        <= {outcome.result for outcome in found}
        <= {EQUAL, NEAR_TIE, REFUSED, VALID, NOT_APPLICABLE}
    )


@pytest.mark.parametrize("kind", ["yolov8", "yolox"])
def test_fuzz_large_case_equals_reference(kind: str) -> None:
    large = next(
        drawn
        for drawn in (draw(kind, seed) for seed in range(5000))
        if drawn.large and max(map(np.size, drawn.case.tensors.values())) > 10_000
    )
    assert check_whole(large) in (EQUAL, NEAR_TIE)


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_is_refused_at_least_once(name: str) -> None:
    results = set()
    for seed in range(CASES_FOR_A_MUTATION):
        outcome = run_case(f"{ALL_KINDS[seed % len(ALL_KINDS)]}:{seed}:{name}")
        assert outcome.finding == ""
        results.add(outcome.result)
        if outcome.result == REFUSED:
            break
    assert REFUSED in results


@pytest.mark.parametrize("seed", range(40))
def test_fuzz_nms_equals_numpy(seed: int) -> None:
    assert nms.check_nms(seed) == EQUAL


def test_fuzz_nms_finds_an_equal_overlap_among_many_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = nms.greedy
    monkeypatch.setattr(
        nms, "greedy", lambda *given: greedy(*given[:3], np.nextafter(np.float32(given[3]), -1))
    )
    large = (seed for seed in range(300) if len(nms.draw_boxes(seed).scores) > 1024)
    assert any(run_case(f"nms:{seed}").finding for seed in large)


def test_registry_has_no_name_twice_and_both_errors() -> None:
    assert {mutation.error for mutation in MUTATIONS.values()} == {SchemaError, TensorError}
    assert all(name == mutation.name for name, mutation in MUTATIONS.items())


def finds(kind: str, text: str = "", most: int = 2000) -> bool:
    """Say whether any of the first cases of a kind is a finding that says a text."""
    made = (outcome for _, outcome in zip(range(most), outcomes((kind,), 0, 1, Nowhere()), strict=False))
    return any(outcome.finding and text in outcome.finding for outcome in made)


def test_fuzz_finds_that_an_equal_overlap_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    overlap = Rules.overlap

    def at_least(rules: Rules, one: Any, other: Any) -> bool:
        limits = np.nextafter(np.float32(rules.limits), np.float32(-1))
        return overlap(Rules(**{**vars(rules), "limits": limits}), one, other)

    monkeypatch.setattr(Rules, "overlap", at_least)
    assert finds("direct")


def test_fuzz_finds_numbers_that_are_dequantised_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    right = narrow.dequantised

    def by_products(integers: Any, scale: Any, zero_point: Any, axis: int | None) -> Any:
        if axis is not None:
            return right(integers, scale, zero_point, axis)
        return integers * np.float32(scale) - np.float32(zero_point) * np.float32(scale)

    monkeypatch.setattr(narrow, "dequantised", by_products)
    assert finds("standard")


def test_fuzz_finds_a_kernel_that_loses_the_last_box(monkeypatch: pytest.MonkeyPatch) -> None:
    detect = stages.detect

    def loses_one(*arguments: Any) -> Any:
        boxes, scores, labels, regions, predicted, ends, *others = detect(*arguments)
        kept = slice(len(scores) - (len(scores) > 2))
        ends = np.minimum(ends, kept.stop)
        return boxes[kept], scores[kept], labels[kept], regions[kept], predicted[kept], ends, *others

    monkeypatch.setattr(stages, "detect", loses_one)
    assert finds("yolov8")


def test_fuzz_finds_that_a_tensor_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    as_scanned = tensors.as_scanned

    def writing(name: str, value: Any) -> Any:
        array = as_scanned(name, value)
        if array.size and array.flags.writeable:
            array.flat[0] += 1
        return array

    monkeypatch.setattr("postproc.decoding.base.as_scanned", writing)
    assert finds("yolov8", "was written to")


def test_fuzz_finds_that_the_discarded_change_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = DetectionStage.bind

    def lower(stage: DetectionStage, given: Any, options: Any) -> Any:
        bound = bind(stage, given, options)
        if not options.show_discarded:
            decision = bound.stage.decision
            limits = np.full_like(decision.rule.iou_thresholds, 0.9)
            lenient = decision.predicted_rule._replace(iou_thresholds=limits)
            bound.stage = copy.copy(bound.stage)
            bound.stage.decision = replace(decision, predicted_rule=lenient)
        return bound

    monkeypatch.setattr(DetectionStage, "bind", lower)
    assert finds("standard")


@pytest.mark.parametrize(
    "error", [KeyError("name"), SchemaError("tensor is missing"), TensorError("missing")]
)
def test_fuzz_finds_another_error_and_one_without_a_name(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(given: Any, name: str) -> Any:
        if name in given:
            return given[name]
        raise error

    monkeypatch.setattr("postproc.decoding.base.find", find)
    assert run_case("yolov8:1:missing_tensor").finding


def test_fuzz_finds_a_document_that_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postproc.pipeline.post_processor.check_pair", lambda spec, version: None)
    assert run_case("direct:3:count_of_thresholds").finding


DIES = """
import json, os, pathlib, sys, time
note, row = pathlib.Path(sys.argv[1]), int(sys.argv[2])
note.write_text(f"direct:{row}:scalar")
print(json.dumps({"counts": {json.dumps(["direct", "", False, "equal"]): 2}}), flush=True)
END
"""


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("import faulthandler; faulthandler.enable(); faulthandler._sigsegv()", "ended the process with -11"),
        (
            "import faulthandler; faulthandler.dump_traceback_later(0.2, exit=True); time.sleep(60)",
            "took too long",
        ),
        ("os._exit(3)", "ended the process with 3"),
    ],
    ids=["crash", "hang", "exit"],
)
def test_supervise_names_the_case_that_a_process_died_of_and_goes_on(end: str, text: str) -> None:
    shown: list[str] = []
    report = supervised(DIES.replace("END", end), shown.append)
    assert report.findings == ["direct:5:scalar", "direct:6:scalar"]
    assert report.counts["direct", "scalar", False, "crash"] == 2
    assert report.counts["direct", "", False, "equal"] == 4
    assert text in shown[0]
    assert shown[0].endswith("-m tests.fuzz --case direct:5:scalar\n")


def supervised(script: str, show: Callable[[str], None]) -> Report:
    """Run until two processes died."""

    def command(note: Path, row: int) -> list[str]:
        return [sys.executable, "-c", script, str(note), str(row)]

    return supervise(command, 60, 1, 5, show, most=2)


def test_command_runs_for_some_seconds_and_ends_with_0() -> None:
    chosen = ["--seconds", "6", "--seed", "3", "--kinds", "direct", "yolov8"]
    command = [sys.executable, "-m", "tests.fuzz", *chosen]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 findings" in done.stdout
    assert "cases equal the reference" in done.stdout


def test_command_repeats_one_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--case", "direct:3:missing_tensor"])
    assert main() == 0
    assert capsys.readouterr().out == "refused\n"
    monkeypatch.setattr("postproc.decoding.direct.find", lambda given, name: given[name])
    assert main() == 1
    assert "KeyError" in capsys.readouterr().out

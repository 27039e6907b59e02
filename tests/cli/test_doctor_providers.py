"""``postproc doctor``: execution providers, those that work, are absent, or compute wrongly."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest

from postproc.doctor import Status, network
from postproc.installing import install
from postproc.onnx_runner import network as onnx_network
from postproc.onnx_runner import session as onnx_session
from postproc.onnx_runner.session import CPU, CUDA
from tests.cli.doctoring import bad, doctor, findings, healthy, with_advice

__all__ = ["healthy"]  # the fixture

_BUILD = onnx_session._build


pytestmark = pytest.mark.usefixtures("forget_cuda_probe")


class Driver:
    """Stands for ONNX Runtime's CUDA: sessions are of the CPU and say otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: int = 1, fault: str | None = None) -> None:
        self.fault = fault
        monkeypatch.setattr(onnx_session, "cuda_device_count", lambda: devices)
        monkeypatch.setattr(onnx_session, "_build", self.build)

    def build(self, source: Any, name: str, options: Any, providers: Any) -> Any:
        if CUDA not in providers:
            return _BUILD(source, name, options, providers)
        if self.fault is not None:
            place = "2026-11-26 08:11:40.7 [E:onnxruntime:Default, a.cc:2043 Get]"
            said = f"\x1b[1;31m{place} libcublasLt.so.13: no\x1b[m"
            os.write(2, f"{said}\n{said}\n".encode())
            raise onnx_session.RunnerError(self.fault)
        session: Any = _BUILD(source, name, options, [CPU])
        session.get_providers = lambda: [CUDA, CPU]
        return session


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("asked", [["--gpu"], ["--providers", "cuda"], ["--providers", f"{CUDA},{CPU}"], []])
def test_doctor_with_a_gpu_that_works_runs_the_network_on_it(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Driver(monkeypatch)
    bound: list[Any] = []
    runs = onnx_network.bound_runs
    monkeypatch.setattr(onnx_network, "bound_runs", lambda *given: bound.append(given[0]) or runs(*given))
    result = doctor(*asked)
    assert result.exit_code == 0, result.output
    assert "ok    CUDA " in result.stdout
    assert "ok    network, CUDA" in result.stdout
    assert CUDA in {name for session in bound for name in session.get_providers()}


@pytest.mark.usefixtures("healthy")
def test_doctor_with_a_gpu_that_does_not_load_warns_and_fails_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Driver(monkeypatch, fault="it did not load")
    found = findings()
    assert bad(found) == {"CUDA": Status.WARNING}
    assert found["execution providers", "CUDA"].text == (
        "does not work, so the CPU is used: it did not load. ONNX Runtime printed: libcublasLt.so.13: no"
    )
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    found = findings("CUDA")
    assert bad(found) == {"CUDA": Status.FAILED, "network, CUDA": Status.FAILED}
    assert "libcublasLt" in found["self-test", "network, CUDA"].text
    assert with_advice(found)
    assert doctor("--gpu").exit_code == 1


@pytest.mark.usefixtures("healthy")
def test_doctor_asked_for_a_gpu_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(monkeypatch, devices=0, fault="no CUDA-capable device is detected")
    found = findings("cuda")
    assert bad(found) == {"CUDA": Status.FAILED, "network, CUDA": Status.FAILED}
    assert "nvidia-smi" in found["execution providers", "CUDA"].advice
    assert found["self-test", "network, CPU"].status is Status.OK


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(("asked", "status"), [((), Status.WARNING), (("cuda",), Status.FAILED)])
def test_doctor_with_a_gpu_and_a_build_without_cuda_names_the_package(
    asked: tuple[str, ...], status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    Driver(monkeypatch)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    found = findings(*asked)
    assert found["execution providers", "CUDA"].status is status
    assert install("gpu") in found["execution providers", "CUDA"].advice
    assert ("self-test", "network, CUDA") in found or not asked


@pytest.mark.usefixtures("healthy")
def test_doctor_asked_for_a_provider_of_an_unknown_name_fails() -> None:
    found = findings("CUDAExecutionProvidr")
    assert bad(found) == {"network, CUDAExecutionProvidr": Status.FAILED}
    assert f"is {CUDA} meant" in found["self-test", "network, CUDAExecutionProvidr"].text


def on_cuda(change: Callable[[list[Any]], list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the tensors of runs through IO binding on sessions that say they are on a GPU."""
    runs = onnx_network.bound_runs

    def wrong(session: Any, names: Any, shared: Any) -> Any:
        run = runs(session, names, shared)
        return (lambda inputs: change(list(run(inputs)))) if CUDA in session.get_providers() else run

    monkeypatch.setattr(onnx_network, "bound_runs", wrong)


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(lambda tensors: [0 * tensors[0]], "0 detections on a page of 10 digits", id="zeros"),
        pytest.param(
            lambda tensors: [tensors[0][:, ::-1]], "detections on a page of 10 digits", id="another layout"
        ),
        pytest.param(
            lambda tensors: [tensors[0] + np.float32(0.3)],
            "IO binding gives other results than a plain run",
            id="inexact",
        ),
    ],
)
def test_doctor_with_a_gpu_that_computes_wrongly_exits_1(
    change: Callable[[list[Any]], list[Any]], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Driver(monkeypatch)
    on_cuda(change, monkeypatch)
    found = findings("cuda")
    assert found["self-test", "network, CUDA"].status is Status.FAILED
    assert problem in found["self-test", "network, CUDA"].text
    assert "other results than on the CPU" in found["self-test", "network, CUDA"].text
    assert found["self-test", "network, CPU"].status is Status.OK


@pytest.mark.usefixtures("healthy")
def test_doctor_bears_the_rounding_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(monkeypatch)
    # As products of 10 bits give: one part in a thousand, to either side.
    noise = np.random.default_rng(0).normal(1, 1e-3, 10**6).astype(np.float32)
    on_cuda(lambda tensors: [one * noise[: one.size].reshape(one.shape) for one in tensors], monkeypatch)
    found = findings("cuda")["self-test", "network, CUDA"]
    assert found.status is Status.OK
    assert "e-0" in found.text


@pytest.mark.usefixtures("healthy")
def test_doctor_with_a_session_that_threads_cannot_share_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(monkeypatch)
    main = threading.get_ident()
    on_cuda(lambda tensors: tensors if threading.get_ident() == main else [0 * tensors[0]], monkeypatch)
    text = findings("cuda")["self-test", "network, CUDA"].text
    assert text == "4 threads that share a session get other results than one"


def test_doctor_page_has_ten_digits_that_every_shift_moves() -> None:
    boxes = network.written_boxes()
    assert boxes.shape == (10, 4)
    assert ((boxes[:, 2:] - boxes[:, :2]) > 0.04).all()
    np.testing.assert_allclose(network.written_boxes(12) - boxes, [[0, 0.05, 0, 0.05]] * 10, atol=1e-6)

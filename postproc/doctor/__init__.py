"""Examine an installation: what is there, what changes how it works, and whether it gives the right answers.

`examine` is what ``postproc doctor`` prints, for a service that wants it in its own form. It needs none of
the extras, nor numba where kernels are machine code already, uses no network connection, and never raises: a
probe that fails is a finding.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from postproc.doctor import machine_code, providers, self_test, system
from postproc.doctor.findings import Finding, Probe, Report, Section, Status, guarded
from postproc.kernels._jit import IS_COMPILED

Plan: TypeAlias = tuple[tuple[str, tuple[tuple[str, Probe], ...]], ...]

__all__ = ["Finding", "Report", "Section", "Status", "examine"]


def examine(asked_providers: Sequence[str] = (), on_step: Callable[[str], None] | None = None) -> Report:
    """Examine this installation.

    Parameters
    ----------
    asked_providers : sequence of str
        Execution providers of ONNX Runtime that have to work, such as ``CUDAExecutionProvider`` or ``cuda``:
        one that does not is a failure. Without any, those are tried that this machine should have.
    on_step : function, optional
        Called with a name before each step. The step ``kernels`` compiles them, up to a minute, where they
        are neither machine code already nor in the cache.

    Returns
    -------
    Report
        ``report.ok`` is false if a check failed.
    """
    started = time.perf_counter()
    asked = [providers.provider_name(name) for name in asked_providers]
    plan: Plan = (
        (
            "versions",
            (("versions", system.versions), ("ONNX Runtime", system.onnx_runtime)),
        ),
        (
            "processor",
            (("name", system.processor), ("vectors", system.features), ("cores", system.cores)),
        ),
        ("settings", (("settings", lambda: system.settings(os.environ)),)),
        ("kernels in use", (("in use", machine_code.kernels_in_use),)),
        *_of_the_cache(),
        ("execution providers", (("providers", lambda: providers.providers(asked)),)),
        (
            "self-test",
            (
                ("kernels", self_test.known_answers),
                ("threads", self_test.threads),
                ("network", lambda: providers.network_runs(asked)),
            ),
        ),
    )
    sections = []
    for title, probes in plan:
        findings = []
        for name, probe in probes:
            if on_step is not None:
                on_step(name)
            findings += guarded(name, probe)
        sections.append(Section(title, tuple(findings)))
    return Report(tuple(sections), time.perf_counter() - started)


def _of_the_cache() -> Plan:
    if IS_COMPILED:
        return ()
    from postproc.doctor.cache import kernel_cache  # which needs numba

    return (("kernel cache", (("kernel cache", kernel_cache),)),)

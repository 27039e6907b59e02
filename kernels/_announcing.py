"""Saying that kernels are compiled, so that nobody wonders at the silence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import CodeType
from typing import Any

logger = logging.getLogger(__name__)

_SECONDS_A_KERNEL = 0.27  # of one core of an AMD EPYC: 62 kernels of YOLOv8 take 16.6 s, all 149 take 54 s
_WORTH_SAYING = 2.0  # seconds

_said: list[int] = []


def say_compiling(function: Callable[..., Any]) -> None:
    """Say once that a kernel is compiled, with those that it calls, if that takes long."""
    if _said:
        return
    seconds = _SECONDS_A_KERNEL * len(_reached(function, set()))
    if seconds >= _WORTH_SAYING:
        _said.append(round(seconds))
        logger.info("compiling kernels, once, about %d s", _said[0])


def _reached(function: Callable[..., Any], found: set[Callable[..., Any]]) -> set[Callable[..., Any]]:
    """Add a function and the kernels that it calls, directly or not."""
    if function not in found:
        found.add(function)
        for name in _names(function.__code__):
            called = getattr(function.__globals__.get(name), "py_func", None)
            if called is not None:
                _reached(called, found)
    return found


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))

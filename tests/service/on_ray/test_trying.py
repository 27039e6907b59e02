"""Tries: what becomes of calls whose replicas die, refuse or raise; the handle is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from postproc.service.engine.networks.calls import Answer, NetworkCall, NetworkModel
from postproc.service.on_ray.messages import NetworkSource, Reply, Told
from postproc.service.on_ray.trying import Tries

CALL = NetworkCall(NetworkModel(1, Path("model.onnx"), 1, True, True), None, {}, ())
OK = Reply([(0, "{}", None)], Answer())
AWAY = Reply(lost="the store does not answer")
CRASHED = Reply(crashed="3 replicas ended while they ran it")
BEGUN: Told = []


class Response:
    """Gives what a replica tells, and raises what is an error of it."""

    def __init__(self, told: Sequence[Any]) -> None:
        self._told = list(told)
        self.is_cancelled = False

    def __aiter__(self) -> AsyncIterator[Told]:
        return self

    async def __anext__(self) -> Told:
        if not self._told:
            await asyncio.sleep(60)
        told: Told = self._told.pop(0)
        if isinstance(told, BaseException):
            raise told
        return told

    def cancel(self) -> None:
        self.is_cancelled = True


class Handle:
    """Stands for the handle of a deployment: each call meets the next of some fates, and the last again."""

    def __init__(self, *fates: Sequence[Any]) -> None:
        self._fates = list(fates)
        self.responses: list[Response] = []

    def options(self, **given: Any) -> Handle:
        assert given["multiplexed_model_id"]
        assert given["stream"]
        return self

    def remote(self, *given: Any) -> Response:
        self.responses.append(Response(self._fates.pop(0) if len(self._fates) > 1 else self._fates[0]))
        return self.responses[-1]


def run(handle: Handle, seconds: float = 10) -> tuple[Reply, list[Told]]:
    told: list[Told] = []

    async def tell(item: Told) -> None:
        told.append(item)

    return asyncio.run(Tries(handle).run(CALL, {}, NetworkSource("model.onnx"), seconds, tell)), told


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postproc.service.on_ray.trying._PAUSE", 0.01)


DIED, GONE = ActorDiedError(), DeploymentUnavailableError(DeploymentID("networks", "tests"))
FULL = BackPressureError(3, 2, 503, 0.02)


@pytest.mark.parametrize(
    ("fates", "calls", "reply", "told"),
    [
        ([[BEGUN, OK]], 1, OK, [0.0]),
        ([[BEGUN, [(0, "{}", None)], OK]], 1, OK, [[(0, "{}", None)], 0.0]),
        ([[BEGUN, DIED], [BEGUN, OK]], 2, OK, [None, 0.0]),
        ([[GONE], [BEGUN, OK]], 2, OK, [None, 0.0]),
        ([[BEGUN, AWAY]], 1, AWAY, [1.5]),
        ([[FULL], [FULL], [FULL], [FULL], [BEGUN, OK]], 5, OK, [0.02] * 4 + [0.0]),
        # it is to blame for what died while it ran, and not for what died before
        ([[BEGUN, DIED]], 3, CRASHED, [None] * 2),
        (
            [[DIED]],
            3,
            Reply(lost="The actor died unexpectedly before finishing this task."),
            [None, None, 1.5],
        ),
        ([[BEGUN, DIED], [BEGUN, DIED], [GONE]], 5, None, [None] * 4 + [1.5]),
        ([[BEGUN, DIED], [DIED], [DIED], [BEGUN, DIED]], 5, CRASHED, [None] * 4),  # its word came too late
        ([[BEGUN, ActorUnavailableError("away", b"x" * 16)]], 3, None, [None, None, 1.5]),
        ([[BEGUN, asyncio.CancelledError()], [OK]], 2, OK, [None, 0.0]),
    ],
)
def test_call_is_tried_again_where_its_replica_is_lost(
    fates: list[list[Any]], calls: int, reply: Reply | None, told: list[Told]
) -> None:
    handle = Handle(*fates)
    found = run(handle)
    assert found[1] == told
    assert found[0] == reply or (reply is None and found[0].lost)
    assert len(handle.responses) == calls


def test_what_a_replica_raises_is_not_tried_again() -> None:
    handle = Handle([BEGUN, RayTaskError("call", "trace of it", ZeroDivisionError())])
    reply, _ = run(handle)
    assert "trace of it" in (reply.failed or "")
    assert len(handle.responses) == 1


def test_call_ends_in_its_time_and_is_cancelled() -> None:
    handle = Handle([BEGUN])
    reply, _ = run(handle, 0.1)
    assert reply == Reply(lost="no replica ran it within 0.1 s")
    assert handle.responses[0].is_cancelled

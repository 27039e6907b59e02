"""RemoteCaller: processes of a link that end or are not heard out; and sources of networks."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc.service.engine.networks.calls import Answer, NetworkCall, NetworkModel
from postproc.service.on_ray.link import Line
from postproc.service.on_ray.messages import NetworkSource, Reply
from postproc.service.on_ray.remote import RemoteCaller

CALL = NetworkCall(NetworkModel("name", Path(), 1, True, True), None, {}, ())
PARTS = {"data": [np.zeros((1, 2), np.float32)]}
OK = Reply([(0, "{}", None)], Answer())


class Driver:
    """A process with one line, on which it takes an order and answers."""

    def __init__(self, tell: Callable[[Connection], None]) -> None:
        self.lines = [Line()]
        self.is_killed = self.is_over = False
        threading.Thread(target=self._work, args=(self.lines[0].other, tell), daemon=True).start()

    def _work(self, other: Connection, tell: Callable[[Connection], None]) -> None:
        other.recv()
        tell(other)

    def kill(self) -> None:
        self.is_killed = True

    def ended(self) -> None:
        self.is_over = True


class DriversLink:
    """Gives one process after the other."""

    def __init__(self, *drivers: Driver) -> None:
        self._drivers = list(drivers)

    def driver(self, deadline: float) -> Driver:
        while self._drivers[0].is_over:
            del self._drivers[0]
        return self._drivers[0]

    def forget(self, network_id: int | str) -> None:
        pass


def caller_of(*drivers: Driver, retries: list[None]) -> RemoteCaller:
    link: Any = DriversLink(*drivers)
    return RemoteCaller(link, 0, NetworkSource.of, 5.0, lambda _: None, lambda: retries.append(None))


def _die_within_a_message(other: Connection) -> None:
    os.write(other.fileno(), struct.pack("!i", 1000) + b"half of it")
    other.close()


def test_call_runs_again_where_a_process_ends_within_a_message() -> None:
    dying, living = Driver(_die_within_a_message), Driver(lambda other: other.send(OK))
    given: list[Any] = []
    retries: list[None] = []
    caller_of(dying, living, retries=retries).run(CALL, PARTS, lambda *result: given.append(result))
    assert given == OK.results
    assert len(retries) == 1
    assert not dying.is_killed  # it has its own cause to tell


def test_process_whose_results_are_not_taken_is_ended_with_those_that_are_left() -> None:
    def give(*_: Any) -> None:
        raise MemoryError

    driver = Driver(lambda other: other.send(OK.results))
    with pytest.raises(MemoryError):
        caller_of(driver, retries=[]).run(CALL, PARTS, give)
    assert driver.is_killed


def test_source_is_of_all_files_beside_a_model_which_has_to_be_there(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    (tmp_path / "weights").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        NetworkSource.of(1, model)
    model.write_bytes(b"onnx")
    assert [entry.path for entry in NetworkSource.of(1, model).entries] == ["model.onnx", "weights"]

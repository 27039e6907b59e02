"""What workers of a cluster do in tests, in a module that its processes import."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from postproc.errors import TensorError


class Squares:
    """Squares numbers; what it does with some is told by their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, given: tuple[str, int]) -> int:
        how, number = given
        if how == "die" or (how == "die once" and self._is_first(number)):
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "sleep":
            (self._folder / f"{os.getpid()}").write_text(f"{os.getpid()}")
            (self._folder / f"{os.getpid()}").rename(self._folder / "worker")
            time.sleep(30)
        if how == "fail":
            raise TensorError(f"{number} is no number to square")
        if how == "break":
            raise KeyError(number)
        if how == "warn":
            logging.getLogger("postproc.spreading.test").warning("%d is large", number)
        with (self._folder / "done").open("a") as file:
            file.write(f"{number}\n")
        return number * number

    def _is_first(self, number: int) -> bool:
        try:
            (self._folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def make_none() -> Callable[[object], object]:
    raise TensorError("there is nothing to work with")

"""Post-processors that do what no real one should, in the processes that run networks."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc import Classification, PostProcessor
from tests.service.waiting import wait_until

GREY = PostProcessor.for_classification(["white"], Classification(output_tensor="grey"), thresholds=0.1)


class _Post:
    tensor_names = ("grey",)
    uses_input_size = False

    def warmup(self) -> None:
        return


@dataclass(frozen=True)
class Slow(_Post):
    """Begins, and goes on when it is told to.

    Parameters
    ----------
    folder : Path
        Where `started` appears, and `go` is waited for.
    """

    folder: Path

    def __call__(self, tensors: Any, **options: Any) -> Any:
        (self.folder / "started").touch()
        wait_until((self.folder / "go").exists, 30)
        return GREY(tensors, **options)


@dataclass(frozen=True)
class Broken(_Post):
    """Fails."""

    def __call__(self, tensors: Any, **options: Any) -> Any:
        raise ZeroDivisionError("secret")


@dataclass(frozen=True)
class Crashing(_Post):
    """Ends its process, once or always.

    Parameters
    ----------
    folder : Path
        Where `crashed` appears, and, if it is there, no further crash happens but for `always`.
    always : bool
        Whether it crashes each time.
    """

    folder: Path
    always: bool = True

    def __call__(self, tensors: Any, **options: Any) -> Any:
        crashed = self.folder / "crashed"
        if self.always or not crashed.exists():
            crashed.touch()
            os.abort()
        return GREY(tensors, **options)


@dataclass(frozen=True)
class Killing(_Post):
    """Kills its process's parent, each time, and tells how often."""

    folder: Path

    def __call__(self, tensors: Any, **options: Any) -> Any:
        (self.folder / str(os.getppid())).touch()
        time.sleep(0.5)  # in which the parent's word that this runs is heard, as a rule
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)


@dataclass(frozen=True)
class Sleeping(_Post):
    """Takes some time."""

    seconds: float

    def __call__(self, tensors: Any, **options: Any) -> Any:
        time.sleep(self.seconds)
        return GREY(tensors, **options)


@dataclass(frozen=True)
class Held(_Post):
    """Tells its process and its parent the first time, and waits to be killed.

    Parameters
    ----------
    folder : Path
        Where `parent` and `process` appear, with their numbers.
    """

    folder: Path

    def __call__(self, tensors: Any, **options: Any) -> Any:
        process = self.folder / "process"
        if not process.exists():
            (self.folder / "parent").write_text(str(os.getppid()))
            (self.folder / "number").write_text(str(os.getpid()))
            (self.folder / "number").rename(process)
            time.sleep(60)
        return GREY(tensors, **options)

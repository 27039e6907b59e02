"""What commands write on the terminal, and how they read documents."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from postproc.cli.places import Place, told
from postproc.errors import ImageError, SchemaError
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion

DocumentT = TypeVar("DocumentT", RecognitionSpec, RecognitionVersion, Preprocessing)


class Progress:
    """A progress bar on stderr, where several images run and neither it nor the lines on stdout collide."""

    def __init__(self, total: int, shares_terminal: bool = True) -> None:
        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=total < 2 or not self._console.is_terminal or (shares_terminal and sys.stdout.isatty()),
            redirect_stdout=False,  # the lines of JSON are not for this console
        )
        self._task = self._bar.add_task("images", total=total)
        self.failures = 0

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, images: int = 1) -> None:
        """Count images as done."""
        self._bar.advance(self._task, images)

    def fail(self, error: ImageError) -> None:
        """Count an image as done, and say why it is not."""
        complain(str(error), self._console)
        self.failures += 1
        self.advance()


def load(kind: type[DocumentT], path: Place) -> DocumentT:
    """Read a document; what is wrong with it is told with the file's name."""
    try:
        return kind.load(path if isinstance(path, Path) else path.read_bytes())
    except SchemaError as error:
        texts = map(str, error.errors)  # of a file that is no JSON, the text begins with its name
        raise SchemaError(
            *(text if text.startswith(f"{path} ") else f"{path}: {text}" for text in texts)
        ) from None


def tell_of_compiling() -> None:
    """Say on stderr that kernels are compiled, where the command has no log of its own, as `serve` has."""
    logger = logging.getLogger("postproc.kernels._announcing")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Teller) for handler in logger.handlers):  # a test calls several commands
        logger.addHandler(_Teller())


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            Console(stderr=True).print(record.getMessage(), soft_wrap=True)


def note(message: str) -> None:
    """Say on stderr what a reader of the results has to know."""
    typer.echo(told(message), err=True)


def complain(message: str, console: Console | None = None) -> None:
    """Say on stderr what is wrong."""
    text = Text.assemble(("error: ", "bold red"), told(message))
    (console or Console(stderr=True)).print(text, soft_wrap=True)

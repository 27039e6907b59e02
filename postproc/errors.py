"""The errors that bad input raises: one base class, nothing else escapes."""

from __future__ import annotations

from dataclasses import dataclass


class PostprocError(Exception):
    """Base of every error that postproc raises on purpose."""


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One broken rule of a document.

    Parameters
    ----------
    path : str
        JSON path of the value, ``post_processings[0].detection.nms_threshold``; empty for the
        document as a whole.
    message : str
        What was expected, what was found and what to do.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SchemaError(PostprocError, ValueError):
    """A document (spec, version, preprocessing) breaks rules; names the JSON path of each.

    Raised by constructors, ``load`` and ``replace``. Mend the document at each path; in a service that is the
    deployment's to do, not a request's.

    Parameters
    ----------
    *problems : SchemaProblem or str
        All that is wrong. A text stands for a problem of the document as a whole.
    """

    def __init__(self, *problems: SchemaProblem | str) -> None:
        super().__init__(*problems)
        self.errors: tuple[SchemaProblem, ...] = tuple(
            problem if isinstance(problem, SchemaProblem) else SchemaProblem("", problem)
            for problem in problems
        )

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.errors)


class TensorError(PostprocError, ValueError):
    """A tensor is missing or has the wrong rank, shape or dtype; names it, and what was expected.

    Raised by a call, of its options, too. Usually the network is another one than the version is for: a
    service answers 5xx, and alarms.
    """


class BatchSizeError(TensorError):
    """Tensors hold another number of images than there are.

    Raised by a call. Give one transform for each image of the batch, and tensors of the same images.
    """


class ImageError(PostprocError, ValueError):
    """An image cannot be read, is too large, or does not fit the preprocessing; names its path, if any.

    Raised by ``load_image`` and ``Preprocessor``. Another file, or a smaller one: a service answers 4xx.
    """


class RunnerError(PostprocError, RuntimeError):
    """The ONNX Runtime session, its provider or its inputs cannot do what was asked.

    Raised by ``OnnxRunner``. The network's file, an input's shape, a provider or the memory of the device:
    the message says which, and what is there.
    """


class InspectionError(PostprocError, ValueError):
    """A file cannot be inspected, or what was found cannot be saved; names the file and what to do.

    Raised by ``inspect_model`` and ``save``. The file as its exporter writes it, or ``force``.
    """


class ExportError(PostprocError, ValueError):
    """Results cannot be written in a format; names the image, label or path, and what to do.

    Raised by the writers of ``open_writer``. Other names or ids, or another format.
    """


class FusingError(PostprocError, ValueError):
    """A post-processing cannot be written into a graph; says what of it, and what to do.

    Raised by ``to_onnx`` and ``append``. Another option of these, or of the network's export.
    """


class StoreError(PostprocError, RuntimeError):
    """A store of files (``s3://``, ``gs://``, ``az://``) does not answer; names the URL, and the reason.

    Raised by what reads or writes a URL. Its name, its keys in the environment, or the network; then again.
    """

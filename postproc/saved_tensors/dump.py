"""Run a network on many images and save its tensors, so that it has to run only once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from postproc.errors import ImageError, RunnerError, TensorError
from postproc.images import Preprocessor
from postproc.images.batches import (
    ImageBatch,
    ImagePlace,
    OnUnreadable,
    consecutive,
    image_batches,
    image_name,
)
from postproc.onnx_runner.network import OnnxNetwork
from postproc.saved_tensors.dump_folder import DumpFolder, locked
from postproc.saved_tensors.format import SavedImage
from postproc.saved_tensors.writing import TensorWriter, reduced
from postproc.stores import place_of

if TYPE_CHECKING:
    from postproc.onnx_runner import OnnxRunner

# A part is what a crash loses at most.
PART_BYTES = 128 << 20
PART_IMAGES = 1000
_DTYPES = ("float16", "float32")


@dataclass(frozen=True, slots=True)
class Dumped:
    """What a dump did.

    Parameters
    ----------
    written : int
        Images whose tensors were written.
    already : int
        Images that the folder had before.
    unreadable : dict of str to str
        Images that could not be read, and why. They are tried again by the next dump.
    """

    written: int
    already: int
    unreadable: dict[str, str]


def dump(
    network: OnnxNetwork,
    preprocessor: Preprocessor,
    paths: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    digest: str,
    tensors: Sequence[str] | None = None,
    dtype: str = "float32",
    batch_size: int = 8,
    part_bytes: int = PART_BYTES,
    on_done: Callable[[int], None] = lambda images: None,
    on_unreadable: OnUnreadable = lambda path, error: None,
    each_batch: EachBatch | None = None,
) -> Dumped:
    """Save the tensors of a network for images, as Parquet files in a folder.

    A dump that was ended, in whatever way, is continued by the same call: images in the folder's complete
    parts are left out. The order is that of the paths.

    Parameters
    ----------
    network : OnnxNetwork
        The network.
    preprocessor : Preprocessor
        How images become its inputs.
    paths : iterable of path or URL
        The images; one that is given twice is saved once. Results have the names that
        `postproc.images.batches.image_name` gives them.
    folder : path or URL
        Where the parts go. A store has no lock: a part that another process has written first is an error.
    digest : str
        What tells this network from others, such as `file_digest` of its file. Together with the tensors,
        `dtype` and the preprocessing document it is what a folder holds a dump of.
    tensors : sequence of str, optional
        Those to save, outputs or inputs: the ``tensor_names`` of a `PostProcessor`. All outputs by default.
    dtype : {"float32", "float16"}
        What floating tensors are rounded to that are larger. One stays as it is where a whole number would
        become another one (ids, sizes of images), or a finite one infinite.
    batch_size : int
        Images that the network runs on at once, where each tensor has a row an image.
    part_bytes : int
        Size of a part.
    on_done : function
        Called with a number of images: first of those that the folder has, then of each batch.
    on_unreadable : function
        Called with the path of an image that cannot be read, and the error.
    each_batch : function, optional
        Runs `Save` on batches of images elsewhere; by default `network` does so here.

    Returns
    -------
    Dumped

    Raises
    ------
    TensorError
        If the folder holds a dump of something else, another process is writing to it, or a tensor cannot
        be saved.
    RunnerError
        If the network lacks a tensor, or fails. What was saved until then stays.
    """
    if dtype not in _DTYPES:
        raise TensorError(f"dtype: expected one of {', '.join(_DTYPES)}; got {dtype!r}")
    names = list(dict.fromkeys(network.outputs if tensors is None else tensors))
    sources = [network.find(name, "the dump") for name in names]
    asked = {
        "format": 1,
        "network": digest,
        "tensors": names,
        "dtype": dtype,
        "preprocessing": preprocessor.preprocessing.dump(),
    }
    batch_size = batch_size if all(map(network.is_per_image, sources)) else 1
    save = Save(tuple(names), dtype)
    unreadable: dict[str, str] = {}

    def report(path: ImagePlace, error: ImageError) -> None:
        unreadable[image_name(path)] = str(error)
        on_unreadable(path, error)

    def here(
        job: Save, parts: Sequence[Sequence[ImagePlace]], on_unreadable: OnUnreadable
    ) -> Iterator[list[SavedImage]]:
        listed = [path for part in parts for path in part]
        batches = image_batches(preprocessor, parts, lambda row, error: on_unreadable(listed[row], error))
        return (job.run(network, batch) for batch in batches)

    place = place_of(folder)
    with locked(place):
        target = DumpFolder(place, asked)
        given = {image_name(path): path for path in map(place_of, paths)}
        # Batches of all images: those that were never ended have the same ones.
        parts = [
            [path for path in part if image_name(path) not in target.done]
            for part in consecutive(given.values(), batch_size)
        ]
        already = len(given) - sum(map(len, parts))
        on_done(already)
        batches = iter((each_batch or here)(save, parts, report))
        written = _write_parts(target, batches, names, part_bytes, on_done)
        target.write_unreadable(unreadable)
    return Dumped(written, already, unreadable)


@dataclass(frozen=True, slots=True)
class Save:
    """The job of giving what is saved of a batch of images; it is pickled.

    Parameters
    ----------
    names : tuple of str
        The tensors.
    dtype : str
        What floating ones are rounded to.
    """

    names: tuple[str, ...]
    dtype: str

    def __call__(self, runner: OnnxRunner, batch: ImageBatch) -> list[SavedImage]:
        """Run the network of a runner on a batch."""
        return self.run(runner.network, batch)

    def run(self, network: OnnxNetwork, batch: ImageBatch) -> list[SavedImage]:
        """Run a network on a batch.

        Raises
        ------
        RunnerError
            If it fails, or a tensor has no row an image.
        """
        images = len(batch.names)
        tensors = network(network.inputs.as_integers(batch.prepared.tensors), self.names)
        if images > 1:
            for name, tensor in tensors.items():
                if tensor.shape[:1] != (images,):
                    raise RunnerError(
                        f"the network ran on {images} images, and its output {name!r} has shape "
                        f"{tensor.shape}; run it on one image at a time, with a batch size of 1"
                    )
        saved = []
        for row, name in enumerate(batch.names):
            own = {key: tensor[row : row + 1] if images > 1 else tensor for key, tensor in tensors.items()}
            own = {key: reduced(tensor, np.dtype(self.dtype)) for key, tensor in own.items()}
            height, width = batch.sizes[row].tolist()
            saved.append(SavedImage(name, (height, width), batch.prepared.transforms[row], own))
        return saved


class EachBatch(Protocol):
    """Runs a job on batches of images, in their order."""

    def __call__(
        self, job: Save, parts: Sequence[Sequence[ImagePlace]], on_unreadable: OnUnreadable
    ) -> Iterator[list[SavedImage]]:
        """Give what the job makes of each."""
        ...


def _write_parts(
    target: DumpFolder,
    batches: Iterator[list[SavedImage]],
    names: Sequence[str],
    part_bytes: int,
    on_done: Callable[[int], None],
) -> int:
    """Write images as parts. What ends the batches early is raised after their last part is complete.

    A part ends with a batch, so that a dump that is continued runs the same batches as one that was never
    ended: a network's last bits may hang on the batch.
    """
    written = 0
    failure: BaseException | None = None
    batch = next(batches, None)
    while batch is not None:
        with target.part() as path, TensorWriter(path, names) as writer:
            while batch is not None:
                for image in batch:
                    writer.write(image)
                on_done(len(batch))
                try:
                    batch = next(batches, None)
                except BaseException as error:  # Ctrl-C too
                    failure, batch = error, None
                if writer.bytes >= part_bytes or writer.rows >= PART_IMAGES:
                    break
        written += writer.rows
    if failure is not None:
        raise failure
    return written


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file or URL, as hexadecimal digits. Weights of a network in other files do not count."""
    digest = hashlib.sha256()
    with place_of(path).open("rb") as file:
        while len(block := file.read(1 << 20)):
            digest.update(block)
    return digest.hexdigest()

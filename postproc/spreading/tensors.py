"""Saved tensors, post-processed by the workers of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from postproc.errors import TensorError
from postproc.pipeline import PostProcessor
from postproc.saved_tensors.files import open_stored, shared_files
from postproc.saved_tensors.predictions import Predicted, predict_saved_images
from postproc.spreading.cluster import RayCluster, connected
from postproc.stores import is_url

_SAME_SECONDS = 2  # by which file systems may differ in what they say of one file


class RowGroup(NamedTuple):
    """A row group of a file of tensors, which a worker reads where it lies.

    Parameters
    ----------
    place : str
        Path or URL.
    group : int
    stamp : (int, float) or None
        Bytes of a file on a disk and when it was changed, which another machine's are compared with.
    """

    place: str
    group: int
    stamp: tuple[int, float] | None


def predict_on_ray(
    paths: Iterable[str | os.PathLike[str]],
    post: PostProcessor,
    cluster: RayCluster,
    *,
    show_discarded: bool = False,
    max_predictions: int = 100,
    finish: Callable[[Predicted], Predicted] | None = None,
) -> Iterator[Predicted]:
    """Post-process saved tensors on a Ray cluster, in the order of the files and of the images in them.

    Parameters
    ----------
    paths : iterable of path or URL
        Parquet files of tensors, or folders of them, that every machine of the cluster can read: on a shared
        disk, or such as ``s3://bucket/tensors``.
    post : PostProcessor
        What turns tensors into recognitions. Each worker gets a copy.
    cluster : RayCluster
        Each of its workers takes a core, and no GPU.
    show_discarded, max_predictions
        As for a call of `post`.
    finish : function, optional
        What workers do with the images of a row group before they send them; it is pickled.

    Yields
    ------
    Predicted
        The images of a row group, as `predict_saved` gives them.

    Raises
    ------
    TensorError
        If a file cannot be read, is another one elsewhere, or its tensors do not fit `post`; names the file
        and the row or image.
    RunnerError
        As `postproc.spreading.pool.map_on_workers`.
    """
    groups = [
        RowGroup(place, group, stamp)
        for place in shared_files(paths)
        for stamp in [_stamp(place)]
        for group, images in enumerate(open_stored(place).group_rows)
        if images
    ]
    if not groups:
        return
    with connected(cluster.address):
        from postproc.spreading.pool import Task, map_on_workers

        tasks = (Task(f"{group.place}: row group {group.group}", partial(_itself, group)) for group in groups)
        make = partial(GroupWorker, post, show_discarded, max_predictions, finish)
        only_cores = RayCluster(cluster.address, workers=cluster.workers)
        yield from map_on_workers(make, tasks, only_cores)


class GroupWorker:
    """Post-processes row groups of saved tensors; lives in a process of the cluster."""

    def __init__(
        self,
        post: PostProcessor,
        show_discarded: bool,
        max_predictions: int,
        finish: Callable[[Predicted], Predicted] | None,
    ) -> None:
        post.warmup()
        self._post, self._finish = post, finish
        self._options = (show_discarded, max_predictions)

    def __call__(self, group: RowGroup) -> Predicted:
        """Read a row group, and post-process it."""
        place = group.place
        file = open_stored(place)
        if group.stamp is not None and not _is_same(group.stamp, _stamp(place)):
            raise TensorError(
                f"{place}: is another file on a machine of the Ray cluster than where the command runs; put "
                "it on a disk that all share, or into a store, and give its URL"
            )
        images = file.read(group.group, self._post.tensor_names)
        predicted = predict_saved_images(images, self._post, place, *self._options)
        return predicted if self._finish is None else self._finish(predicted)


def _itself(group: RowGroup) -> RowGroup:
    return group


def _stamp(place: str) -> tuple[int, float] | None:
    if is_url(place):
        return None
    try:
        found = Path(place).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime


def _is_same(here: tuple[int, float], there: tuple[int, float] | None) -> bool:
    return there is not None and here[0] == there[0] and abs(here[1] - there[1]) <= _SAME_SECONDS

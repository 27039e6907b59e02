"""Post-process saved tensors on a Ray cluster (extra ``ray``), for the same numbers as on one machine.

Ray Data hands row groups of the Parquet files to a pool of workers, each with a `PostProcessor` of its own,
which read them where they lie: tensors do not travel through Ray's object store. What comes back are the
detections of each image, their masks as run lengths. Metrics are computed once, by the caller, from all of
them in the order of the ground truth, so that it does not matter which worker had which image, nor when. How
to use it on a real cluster is told in docs/ray.md.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.installing import install

try:
    import pyarrow as pa
    import ray
    import ray.data
except ImportError as error:
    raise ImportError(f"Ray jobs need an extra: {install('ray')} ({error})") from error

from postproc.errors import PostprocError, RunnerError, TensorError
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.pixels import in_pixels, without_objects
from postproc.evaluation.shapes import Shapes
from postproc.pipeline.post_processor import PostProcessor, label_table
from postproc.results import Classifications, Detections, Recognitions
from postproc.saved_tensors.files import open_stored, shared_files
from postproc.saved_tensors.predictions import Predicted, predict_saved_images

# How often images whose worker dies are tried again; they may be what kills it.
_RETRIES = 5
_MOST_TASKS = 2000  # of a job: Ray keeps track of each


@contextmanager
def connected(address: str | None = None, **options: Any) -> Iterator[None]:
    """Connect to a Ray cluster, and leave it again, unless the process is connected already.

    Parameters
    ----------
    address : str, optional
        ``ray://host:10001``, ``auto`` for the cluster that this machine is part of, ``local`` to start one on
        this machine that ends with the block. By default the environment's ``RAY_ADDRESS``, else ``local``.
    **options
        Of `ray.init`, such as ``runtime_env={"pip": ["postproc[cpu,ray]"]}``.

    Raises
    ------
    RunnerError
        If there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    if wanted == "local":
        quiet["include_dashboard"] = False
    try:
        ray.init(wanted, **{**quiet, **options})
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise RunnerError(
            f"no Ray cluster at {wanted!r}: {error}; give ray://HOST:10001 of its head, 'auto' on one of its "
            "machines, or 'local' to start one here"
        ) from error
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it tells of every step
    try:
        yield
    finally:
        logger.setLevel(level)
        ray.shutdown()


def predict_with_ray(
    paths: Iterable[str | os.PathLike[str]],
    post: PostProcessor,
    *,
    workers: int | None = None,
    show_discarded: bool = False,
    max_predictions: int = 100,
    measured_on: GroundTruth | None = None,
) -> Iterator[Predicted]:
    """Post-process saved tensors on the Ray cluster that the process is connected to.

    Parameters
    ----------
    paths : iterable of path or URL
        Parquet files of tensors, or folders of them, that every machine of the cluster can read: on a shared
        disk, or such as ``s3://bucket/tensors/``.
    post : PostProcessor
        What turns tensors into recognitions. Each worker gets a copy.
    workers : int, optional
        Processes that post-process. By default one a processor of the cluster, as many as there is work for.
    show_discarded, max_predictions
        As for a call of `post`.
    measured_on : GroundTruth, optional
        In pixels of whose images masks, keypoints and oriented boxes come back, as `MeasuredDetections`. By
        default they stay where they are, and boxes, labels and scores come back.

    Yields
    ------
    Predicted
        Batches of images, in no particular order. `collect` puts them beside their ground truth.

    Raises
    ------
    TensorError
        If a file cannot be read, or its tensors do not fit `post`; names the file and the row or image.
    RunnerError
        If the cluster fails, or does not give every image once.
    """
    tasks = [
        {"place": place, "group": group, "images": images}
        for place in shared_files(paths)
        for group, images in enumerate(open_stored(place).group_rows)
        if images
    ]
    if not tasks:
        return
    images_of_truth = without_objects(measured_on) if measured_on is not None else None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    try:
        shared_out = ray.data.from_items(tasks, override_num_blocks=min(len(tasks), _MOST_TASKS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = shared_out.map_batches(
                _Worker,
                fn_constructor_args=(post, images_of_truth, show_discarded, max_predictions),
                batch_size=1,
                batch_format="pyarrow",
                compute=_pool(workers),
                **_retries(shared_out),
            )
        seen = 0
        part: Any
        for part in found.iter_batches(batch_format="pyarrow", batch_size=None):
            failed = [text for text in part.column("error").to_pylist() if text is not None]
            if failed:
                raise TensorError(failed[0])
            if len(part):
                seen += len(part)
                yield unpacked(part, post)
    except PostprocError:
        raise
    except (ray.exceptions.RayError, OSError, pa.ArrowException) as error:
        raise RunnerError(f"the Ray job failed: {error}") from error
    images = sum(int(task["images"]) for task in tasks)
    if seen != images:
        raise RunnerError(
            f"the Ray job gave {seen} images of {images}; do other processes write to the files?"
        )


class _Worker:
    """Post-processes row groups of saved tensors; lives in a process of the pool."""

    def __init__(
        self, post: PostProcessor, truth: GroundTruth | None, show_discarded: bool, max_predictions: int
    ) -> None:
        post.warmup()
        self._post, self._truth = post, truth
        self._options = (show_discarded, max_predictions)

    def __call__(self, task: Any) -> Any:
        ((place, group),) = zip(*(task.column(name).to_pylist() for name in ("place", "group")), strict=True)
        try:
            images = open_stored(place).read(group, self._post.tensor_names)
            predicted = predict_saved_images(images, self._post, place, *self._options)
            if self._truth is not None:
                predicted = predicted._replace(recognitions=in_pixels(self._truth, *predicted))
            return packed(predicted)
        except PostprocError as error:
            return pa.table({"error": [str(error)]})  # told in plain words, without Ray's traces


def packed(predicted: Predicted) -> Any:
    """Give a `pyarrow.Table` of a row an image, whose detections are lists."""
    columns = {
        "error": pa.nulls(len(predicted.names), pa.string()),
        "image": pa.array(predicted.names, pa.string()),
        "height": pa.array(predicted.sizes[:, 0]),
        "width": pa.array(predicted.sizes[:, 1]),
    }
    for row, output in enumerate(predicted.recognitions.outputs):
        for name in _columns(type(output)):
            values = getattr(output, name)
            if name == "masks":
                items = pa.array([json.dumps(mask) for mask in values], pa.large_string())
            else:
                items = pa.array(values.reshape(-1))
            ends = output.offsets * math.prod(values.shape[1:])
            columns[f"{row}.{name}"] = pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), items)
        if isinstance(output, MeasuredDetections):
            columns[f"{row}.points"] = pa.array([output.keypoints.shape[1]] * len(output), pa.int64())
        columns[f"{row}.is_cut"] = pa.array(output.is_cut)
    return pa.table(columns)


def unpacked(table: Any, post: PostProcessor) -> Predicted:
    """Give what `packed` was given, as far as it goes into metrics."""
    outputs: list[Detections | Classifications] = []
    pairs = zip(post.spec.outputs, post.version.post_processings or (), strict=True)
    for row, (described, post_processing) in enumerate(pairs):
        kind: type[Classifications] = Detections if post_processing.detection is not None else Classifications
        points = 0
        if f"{row}.points" in table.column_names:
            kind, points = MeasuredDetections, table.column(f"{row}.points")[0].as_py()
        lists = {name: table.column(f"{row}.{name}").combine_chunks() for name in _columns(kind)}
        counts = lists["scores"].value_lengths().to_numpy()
        columns: dict[str, Any] = {name: _values(column) for name, column in lists.items() if name != "masks"}
        for name, shape in (("boxes", (4,)), ("rectangles", (5,)), ("keypoints", (points, 3))):
            if name in columns:
                columns[name] = columns[name].reshape(len(columns["scores"]), *shape)
        if "masks" in lists:
            masks = [json.loads(text) for text in lists["masks"].flatten().to_pylist()]
            columns["masks"] = Shapes.of(len(masks), masks).masks
        columns["offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        columns["is_cut"] = table.column(f"{row}.is_cut").to_numpy()
        columns["table"] = label_table(described.labels, post_processing)
        outputs.append(kind(**columns))
    sizes = np.stack([table.column(name).to_numpy() for name in ("height", "width")], axis=1)
    return Predicted(table.column("image").to_pylist(), sizes, Recognitions(tuple(outputs)))


def _columns(kind: type[Classifications]) -> list[str]:
    """Columns of results that metrics are made of."""
    return next(
        known._columns()
        for known in (MeasuredDetections, Detections, Classifications)
        if issubclass(kind, known)
    )


def _values(column: Any) -> NDArray[Any]:
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return values


def _retries(dataset: Any) -> dict[str, Any]:
    """Bound how often images are tried again, where Ray can; 2.64 will not, and tries them for ever."""
    if "ray_remote_args_fn" not in inspect.signature(dataset.map_batches).parameters:
        return {}
    return {"ray_remote_args_fn": lambda: {"max_restarts": -1, "max_task_retries": _RETRIES}}


def _pool(workers: int | None) -> Any:
    resources: Any = ray.cluster_resources
    if workers is not None:
        if workers < 1:
            raise RunnerError(f"workers: expected a positive number, got {workers}")
        return ray.data.ActorPoolStrategy(size=workers)
    return ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, int(resources().get("CPU", 1))))

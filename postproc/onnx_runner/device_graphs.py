"""The graphs of a post-processing on a device: tensors there in, rows on the host out."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions, HeightWidth
from postproc.errors import FusingError, RunnerError
from postproc.fusing import FuseOptions, to_onnx, unsupported
from postproc.onnx_runner.device_tensors import Bindable, Device, to_host
from postproc.onnx_runner.runs import bound_runs, explained
from postproc.onnx_runner.session import Session, open_session
from postproc.pipeline import PostProcessor
from postproc.pipeline.stages import DetectionStage, Stage
from postproc.results import Classifications, Detections, Recognitions
from postproc.results.keypoints import KeypointDetections, usual_skeleton
from postproc.results.oriented import OrientedDetections

logger = logging.getLogger("postproc.onnx_runner")

_MOST_PREDICTIONS = 100  # of a call that does not say how many
_BATCH = "batch"
_MISSING = re.compile(r"could not find an implementation for (\w+)", re.IGNORECASE)
_MOST_GRAPHS = 8  # of shapes: where outputs vary more, each call would open one, which takes a while

Shapes = Mapping[str, tuple[int | str, ...]]
"""Shapes of tensors by name; a text in the place of the number of images."""


class _Graph(NamedTuple):
    """A session of the post-processing, for tensors of certain shapes."""

    session: Session
    outputs: Sequence[Mapping[str, str]]  # of each of the spec, the names by kind
    placements: Sequence[str]  # of each detection of the spec, the input of it
    batch: int | str  # number of images, a text where it is free
    lock: AbstractContextManager[Any]


class DeviceGraphs:
    """A post-processing on a device, with a graph for each set of shapes that tensors have.

    Parameters
    ----------
    post : PostProcessor
    device : Device
    candidates : int
        As of `postproc.fusing.FuseOptions`.

    Raises
    ------
    FusingError
        If `post` cannot be written into a graph.
    """

    def __init__(self, post: PostProcessor, device: Device, candidates: int = 1024) -> None:
        # A row more than calls ask for tells whether an image has more.
        rows = min(_MOST_PREDICTIONS + 1, FuseOptions(candidates).candidates)
        self.options = FuseOptions(candidates, rows, placement="input", precision="float64")
        if reason := unsupported(post, self.options) or _reason_against(post):
            raise FusingError(reason)
        self.post = post
        self.device = device
        self._graphs: dict[object, _Graph] = {}
        self._opening = Lock()

    def serve(self, show_discarded: bool, max_predictions: int) -> bool:
        """Tell whether the graphs have what a call asks for; the kernels have it otherwise."""
        return not show_discarded and max_predictions < self.options.rows

    def __call__(
        self, tensors: Mapping[str, Bindable], shapes: Shapes, batch: int, options: CallOptions
    ) -> Recognitions:
        """Post-process images by a graph, and those that it does not finish by the kernels.

        Parameters
        ----------
        tensors : mapping of str to Bindable
            All of `post.tensor_names`.
        shapes : Shapes
            Of the graph.
        batch : int
            Number of images.
        options : CallOptions

        Raises
        ------
        FusingError, RunnerError
            If there is no graph for such tensors, or it cannot be opened or run.
        TensorError
            If tensors or options do not fit.
        """
        if options.images not in (None, batch):
            return self.by_kernels(tensors, options)  # which say so, or know better how many there are
        sizes = _input_sizes(self.post, options)
        placements = self._placements(tensors, batch, options)
        is_served = self.serve(options.show_discarded, options.max_predictions)
        has_nothing = batch == 0 or any(0 in tensor.shape for tensor in tensors.values())
        if not is_served or has_nothing or len(sizes) > 1:
            return self.by_kernels(tensors, options)
        graph = self.graph_of(shapes, {name: tensors[name].dtype for name in shapes}, *sizes)
        if graph is None:
            return self.by_kernels(tensors, options)
        outputs = self._run(graph, {**tensors, **dict(zip(graph.placements, placements, strict=True))})
        results = (
            _results(rows, stage, options.max_predictions)
            for rows, stage in zip(outputs, self.post.stages, strict=True)
        )
        found = Recognitions(tuple(results))
        is_complete = np.logical_and.reduce([rows["complete"] for rows in outputs])
        if is_complete.all():
            return found
        exact = self.by_kernels(tensors, options)
        return Recognitions.concatenate(
            [(found if of_graph else exact)[row : row + 1] for row, of_graph in enumerate(is_complete)]
        )

    def by_kernels(self, tensors: Mapping[str, Bindable], options: CallOptions) -> Recognitions:
        """Post-process images on the host, to which their tensors come."""
        return self.post(
            {name: to_host(tensor) for name, tensor in tensors.items()},
            options.show_discarded,
            options.max_predictions,
            cast("Sequence[int] | None", options.input_size),
            options.transforms,
            options.batch_size,
        )

    def graph_of(
        self, shapes: Shapes, dtypes: Mapping[str, np.dtype[Any]], input_size: HeightWidth | None
    ) -> _Graph | None:
        """Give the graph for tensors of such shapes; None where there are many others already."""
        key = (*shapes.items(), *dtypes.values(), input_size)
        found = self._graphs.get(key)
        if found is None and len(self._graphs) < _MOST_GRAPHS:
            with self._opening:
                found = self._graphs.get(key) or self._opened(shapes, dtypes, input_size)
                self._graphs[key] = found
        return found

    def _opened(
        self, shapes: Shapes, dtypes: Mapping[str, np.dtype[Any]], input_size: HeightWidth | None
    ) -> _Graph:
        size = cast("Sequence[int] | None", input_size)
        model = to_onnx(self.post, shapes, self.options, dtypes=dtypes, input_size=size)
        said = {item.key: item.value for item in model.metadata_props}
        images = model.graph.output[0].type.tensor_type.shape.dim[0]
        return _Graph(
            _session_of(model, self.device),
            json.loads(said["postproc.fused"])["outputs"],
            [one.name for one in model.graph.input if one.name not in shapes],
            images.dim_param or images.dim_value,
            Lock() if self.device.is_sequential else nullcontext(),
        )

    def _placements(
        self, tensors: Mapping[str, Bindable], batch: int, options: CallOptions
    ) -> list[NDArray[np.float64]]:
        """Give where boxes of each detection go, of (batch, 2, 4) numbers."""
        stages = [stage for stage in self.post.stages if isinstance(stage, DetectionStage)]
        sized = {stage.task.normalize_wrt_tensor for stage in stages} & tensors.keys()
        sizes = {name: to_host(tensors[name]) for name in sized}
        return [np.asarray(stage.placement(sizes, batch, options)) for stage in stages]

    def _run(self, graph: _Graph, feed: Mapping[str, Bindable]) -> list[dict[str, NDArray[Any]]]:
        names = [name for output in graph.outputs for name in output.values()]
        with explained(feed), graph.lock:
            arrays = dict(zip(names, bound_runs(graph.session, names, {})(feed), strict=True))
        return [{kind: arrays[name] for kind, name in output.items()} for output in graph.outputs]


def _session_of(model: Any, device: Device) -> Session:
    """Open a graph of the post-processing; say of an operator that is missing whose it is."""
    try:
        return open_session(model, device.providers)
    except RunnerError as error:
        missing = _MISSING.search(str(error))
        if missing is None:
            raise
        import onnxruntime

        raise FusingError(
            f"ONNX Runtime {onnxruntime.__version__} lacks {missing[1]}, of the post-processing's graph and "
            f"its types of numbers, on {device}: install a newer one, or post-process by the kernels "
            "(PostProcessor, or OnnxRunner with fuse=False)"
        ) from error


def checked_fuse(fuse: object) -> Literal["auto"] | bool:
    """Check the argument of `OnnxRunner`; NumPy's bools are Python's.

    Raises
    ------
    RunnerError
        If it is neither true, false nor "auto".
    """
    if isinstance(fuse, (bool, np.bool_)):
        return bool(fuse)
    if isinstance(fuse, str) and fuse == "auto":
        return "auto"
    raise RunnerError(f'fuse: expected True, False or "auto", got {fuse!r}')


def graphs_for(
    session: Session, post: PostProcessor, fuse: Literal["auto"] | bool, is_quantized: bool
) -> DeviceGraphs | None:
    """Give the graphs of a post-processing behind a network; None where it runs on the host.

    Parameters
    ----------
    session : Session
        The network's.
    post : PostProcessor
    fuse : "auto" or bool
        As of `postproc.onnx_runner.OnnxRunner`.
    is_quantized : bool
        Whether the network's integers are taken.

    Raises
    ------
    RunnerError
        If `fuse` is true where there are no graphs.
    """
    device = Device.of(session)
    is_worth_it = (
        device is not None
        and not device.is_cpu
        and isinstance(post, PostProcessor)
        and any(isinstance(stage, DetectionStage) for stage in post.stages)  # scores alone soon cross
    )
    if fuse is False or (fuse == "auto" and not is_worth_it):
        return None
    if device is None:
        reason = f"on {session.get_providers()[0]} no other session can take what stays on the device"
    elif is_quantized:
        reason = "graphs take the numbers of a network, and quantized its integers: leave one of the two out"
    else:
        try:
            return DeviceGraphs(post, device)
        except FusingError as error:
            reason = str(error)
    if fuse is True:
        raise RunnerError(f"fuse: {reason}")
    logger.info("tensors are copied to the host and post-processed there: %s", reason)
    return None


def open_shapes(tensors: Mapping[str, Bindable], batch: int, per_image: Collection[str]) -> Shapes:
    """Give the shapes of a graph for tensors, which takes any number of images but one.

    For one image the shapes are as they are: whether a tensor has an axis of images, they tell by themselves.
    """
    return {
        name: (_BATCH, *tensor.shape[1:])
        if batch > 1 and name in per_image and tensor.shape[:1] == (batch,)
        else tensor.shape
        for name, tensor in tensors.items()
    }


def _reason_against(post: PostProcessor) -> str | None:
    """Tell why results cannot be made of rows alone; None if they can."""
    for number, stage in enumerate(post.stages):
        if not isinstance(stage, DetectionStage):
            continue
        if (kind := stage.task.output.yields) not in ("boxes", "keypoints", "oriented boxes"):
            return f"post_processings[{number}] yields {kind}, for which tensors come to the host anyway"
    return None


def _input_sizes(post: PostProcessor, options: CallOptions) -> set[HeightWidth | None]:
    """Give the sizes of the network's input that a call tells, of which a graph may hold constants."""
    if options.input_size is not None or not options.transforms or not post.uses_input_size:
        return {options.input_size}
    return {transform.input_size for transform in options.transforms}


def _results(rows: Mapping[str, NDArray[Any]], stage: Stage, most: int) -> Detections | Classifications:
    """Make of a graph's rows what the kernels would have made."""
    table = stage.table
    counts = np.minimum(rows["count"], most)
    is_row = np.arange(rows["scores"].shape[1]) < counts[:, np.newaxis]
    by_id = np.argsort(table.ids)
    labels = by_id[np.searchsorted(table.ids, rows["labels"][is_row], sorter=by_id)]
    scores = rows["scores"][is_row]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    of_all = scores, labels.astype(np.int64), np.ones(len(scores), np.bool_), offsets, table
    is_cut = rows["count"] > most
    if not isinstance(stage, DetectionStage):
        return Classifications(*of_all, is_cut=is_cut)
    found = Detections(*of_all, rows["boxes"][is_row], rows["regions"][is_row], is_cut=is_cut)
    if "polygons" in rows:
        polygons, angles = rows["polygons"][is_row], rows["angles"][is_row]
        return OrientedDetections.from_detections(found, polygons=polygons, angles=angles)
    if "keypoints" not in rows:
        return found
    points = rows["keypoints"][is_row]
    skeleton = stage.task.output.skeleton  # type: ignore[attr-defined]
    if skeleton is None:
        skeleton = usual_skeleton(points.shape[1], table.names)
    return KeypointDetections.from_detections(found, keypoints=points, skeleton=skeleton)

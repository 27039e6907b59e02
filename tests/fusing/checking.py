"""A random case, written into a graph in one of the ways there are, and compared with the kernels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from postproc import Detections, PostProcessor, QuantizedTensor
from postproc.errors import FusingError
from postproc.fusing import FuseOptions, to_onnx, unsupported
from tests.fusing.nearness import is_near
from tests.kinds import KINDS
from tests.random_cases.builder import Case, random_case
from tests.random_cases.narrow import narrow
from tests.strategies import uses_softmax

Array = NDArray[Any]

OPSETS = (13, 15, 17, 18, 20, 22)
LEVELS = (
    ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
)
# Of sigmoids and exponentials in float32, and of softmaxes, which the kernels have in float32 too.
MOST_ULP = 8
_ROWS = 70
BOX_TOLERANCE = 4e-6
# Their boxes are of one step, and their scores have no activation, unless the document says so.
_EXACT = (
    *("yolov8_output", "yolov8_pose_output", "yolov8_seg_output", "yolov5_output"),
    *("standard_output", "direct_output", "end_to_end_output"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Parameters
    ----------
    result : {"exact", "close", "near", "refused", "left out", "wrong"}
        Equal bit for bit; index for index, within the tolerances; not compared, since a score or an index is
        too near to a threshold or another; refused as it says; without images or boxes; or a finding.
    detail : str
    certified, images : int
        Of how many images the graph says that its rows are all.
    """

    result: str
    detail: str = ""
    certified: int = 0
    images: int = 0


def check(kind: str, seed: int) -> Outcome:
    """Make the case of a kind and a seed, write it into a graph and compare."""
    rng = np.random.default_rng([seed, 19])
    rows = _ROWS if kind in KINDS and rng.random() < 0.3 else None
    case = given = random_case(kind, seed, rows)
    if kind not in ("several", "any") and rng.random() < 0.25:
        narrowed = narrow(case, rng, str(rng.choice(["quantised", "float16"])), thresholds=False)
        case = narrowed.case
        # ONNX has no tensors that bring scales of their own.
        tensors = {
            name: case.tensors[name] if isinstance(value, QuantizedTensor) else value
            for name, value in narrowed.tensors.items()
        }
        given = replace(case, version=narrowed.version, tensors=tensors)
    options = options_of(rng)
    if not any(case.tensors[name].size for name in case.tensors):
        return Outcome("left out", "nothing in it")
    post = PostProcessor(given.spec, given.version)
    if any(0 in case.tensors[name].shape for name in post.tensor_names):
        return Outcome("left out", "nothing in it")
    call = {"max_predictions": options.rows, "input_size": case.options["input_size"]}
    if (transforms := case.options["transforms"]) is not None:
        if len({one.input_size for one in transforms}) > 1:
            return Outcome("left out", "inputs of several sizes")
        if post.uses_input_size and call["input_size"] is None:
            call["input_size"] = transforms[0].input_size
        options = replace(options, placement="input", pixels=False)
    if reason := unsupported(post, options):
        return Outcome("refused", reason)
    by_tensor = any(
        "normalize_wrt_tensor" in one.get("detection", ()) for one in case.version["post_processings"]
    )
    if kind in ("several", "any") or by_tensor or call["input_size"] is None:
        options = replace(options, pixels=False)
    found = post(given.tensors, **call, transforms=transforms)
    batch = len(found.outputs[0].offsets) - 1
    try:
        graph = Run(post, given, options, call["input_size"], batch, rng)
    except FusingError as error:
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("wrong", f"{type(error).__name__}: {error}")
    results = [
        _compare(case, index, output, graph.rows(index), options, call["input_size"])
        for index, output in enumerate(found.outputs)
    ]
    return min(results, key=lambda one: ("wrong", "near", "close", "exact").index(one.result))


def options_of(rng: np.random.Generator) -> FuseOptions:
    """Draw ways to write a graph."""
    candidates = int(rng.choice([1, 4, 16, 64, 1024]))
    rows: int | None = int(rng.choice([1, 3, 100]))
    nms = str(rng.choice(["loop", "loop", "rounds", "operator"]))
    return FuseOptions(
        candidates=candidates,
        max_predictions=None if rows == 100 else min(candidates, rows or 1),
        nms=nms,  # type: ignore[arg-type]
        rounds=int(rng.choice([1, 2, 4, 16])) if nms == "rounds" else None,
        pixels=bool(rng.random() < 0.3),
        thresholds=str(rng.choice(["constants", "input"])),  # type: ignore[arg-type]
        opset=int(rng.choice(OPSETS)),
        precision=str(rng.choice(["float32", "float64"])),  # type: ignore[arg-type]
    )


class Run:
    """A graph, and its outputs on the tensors of a case."""

    def __init__(
        self, post: PostProcessor, case: Case, options: FuseOptions, input_size: Any, batch: int, rng: Any
    ) -> None:
        tensors = {name: np.ascontiguousarray(case.tensors[name]) for name in post.tensor_names}
        shapes: dict[str, list[int | str]] = {name: list(array.shape) for name, array in tensors.items()}
        if batch > 1 and rng.random() < 0.5:
            for name, shape in shapes.items():
                least = 3 if name.endswith(("priors", "anchors")) else 4 if name.endswith("prototypes") else 1
                if len(shape) >= least and shape[0] == batch:
                    shape[0] = "batch"
        dtypes = {name: array.dtype for name, array in tensors.items()}
        model = to_onnx(post, shapes, options, dtypes=dtypes, input_size=input_size)
        names = {one.key: one.value for one in model.metadata_props}["postproc.fused"]
        self._names = json.loads(names)["outputs"]
        setup = ort.SessionOptions()
        setup.graph_optimization_level = LEVELS[rng.integers(len(LEVELS))]
        setup.intra_op_num_threads = 1
        setup.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), setup, providers=["CPUExecutionProvider"])
        feeds = dict(tensors)
        for one in session.get_inputs():
            if one.name.startswith("thresholds"):
                index = int(one.name.partition("_")[2] or 0)
                feeds[one.name] = np.array(post.stages[index].table.thresholds, np.float32)
            elif one.name.startswith("placement"):
                index = int(one.name.partition("_")[2] or 0)
                feeds[one.name] = _placement(post, index, case, input_size)
        wanted = [one.name for one in session.get_outputs()]
        self._values = dict(zip(wanted, session.run(wanted, feeds), strict=True))

    def rows(self, index: int) -> dict[str, Array]:
        """Outputs of one output of the spec, by their kind."""
        return {kind: self._values[name] for kind, name in self._names[index].items()}


def _placement(post: PostProcessor, index: int, case: Case, input_size: Any) -> Array:
    from postproc.call_options import CallOptions

    options = CallOptions.checked(
        False, 1, input_size, case.options["transforms"], None, not post.uses_input_size
    )
    bound = post.stages[index].bind(case.tensors, options)
    return np.asarray(getattr(bound, "boxes", bound).placement)


def _compare(
    case: Case, index: int, found: Any, rows: dict[str, Array], options: FuseOptions, input_size: Any
) -> Outcome:
    post = case.version["post_processings"][index]
    detail, is_exact, certified = "", True, 0
    scale = np.float32(1.0)
    if options.pixels:
        height, width = input_size
        scale = np.array([width, height] * 2, np.float32)
    images = len(found.offsets) - 1
    for image in range(images):
        start, end = found.offsets[image : image + 2]
        count = int(rows["count"][image])
        certified += bool(rows["complete"][image])
        if rows["complete"][image] and count != end - start:
            detail = f"image {image}: {count} rows are said to be all, the kernels find {end - start}"
            break
        expected: dict[str, Array] = {
            "scores": found.scores[start:end],
            "labels": found.table.ids[found.labels[start:end]],
        }
        if isinstance(found, Detections):
            expected["boxes"] = found.boxes[start:end] * scale
            expected["regions"] = found.regions[start:end]
        assert {*expected} == {*rows} & {"scores", "labels", "boxes", "regions"}
        for name in ("keypoints", "polygons", "angles"):
            if name in rows:
                expected[name] = getattr(found, name)[start:end].copy()
                if options.pixels and name != "angles":
                    expected[name][..., :2] *= scale[:2]
        padding = {"labels": -1, "regions": -1}
        for name, values in expected.items():
            own = rows[name][image]
            if not np.array_equal(own[count:], np.full_like(own[count:], padding.get(name, 0))):
                detail = f"image {image}: {name} has something in rows that are none"
            own, values = own[:count], values[:count]
            if own.dtype.kind == "i" and not np.array_equal(own, values):
                detail = f"image {image}: {name} {own} and not {values}"
            elif len(own) != len(values):
                detail = f"image {image}: {count} rows, the kernels find {len(values)}"
            elif not np.array_equal(own, values):  # but for the sign of a zero, bit for bit
                is_exact = False
                if not _close(name, own, values, scale):
                    detail = f"image {image}: {name} {own} and not {values}"
        if detail:
            break
    if detail and _is_inexact(post, options) and is_near(case, index):
        return Outcome("near", detail)
    if not detail and not is_exact and not _is_inexact(post, options):
        detail = "equal within tolerances only"
    if detail:
        return Outcome("wrong", f"{detail}\n{options}")
    return Outcome("exact" if is_exact else "close", "", certified, images)


def _close(name: str, own: Array, values: Array, scale: Any) -> bool:
    if name == "scores":
        return bool((np.abs(own - values) <= MOST_ULP * np.spacing(values)).all())
    wide = scale if name == "boxes" else np.max(scale)
    return bool(np.allclose(own / wide, values / wide, rtol=BOX_TOLERANCE, atol=BOX_TOLERANCE))


def _is_inexact(post: dict[str, Any], options: FuseOptions) -> bool:
    if "classification" in post:
        return bool(post["classification"].get("score_activation", "none") != "none")
    detection = post["detection"]
    kind = next(name for name in detection if name.endswith("_output"))
    output = detection[kind]
    is_turned = "angle" in output.get("columns", ())
    is_activated = output.get("score_activation", "none") != "none"
    return uses_softmax(post) or kind not in _EXACT or is_turned or is_activated

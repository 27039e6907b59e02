"""One output of a version, compiled: checks the tensors of a call and computes ranges of its images."""

from __future__ import annotations

import copy
import functools
import itertools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions, HeightWidth
from postproc.decoding import (
    ACTIVATIONS,
    Candidates,
    Decision,
    Extras,
    Sizes,
    decoder_for,
)
from postproc.kernels.core.activation import NONE
from postproc.kernels.heads.arguments import (
    Activation,
    Bounds,
    ClassAgnostic,
    FirstImage,
    IouThresholds,
    Placement,
    Rule,
    Scores,
    Thresholds,
)
from postproc.kernels.heads.classifications import classify
from postproc.kernels.heads.driver import detect
from postproc.pipeline.quantized import Quantizations
from postproc.pipeline.signs import HIGHEST_PROBABILITY, ScoreSigns
from postproc.quantization import DTYPES, OpenAxisError, QuantizedTensor
from postproc.results import Classifications, Detections
from postproc.results.labels import LabelTable
from postproc.schema import Classification, Detection
from postproc.tensors import as_float32, find, sizes_of, wrong_shape
from postproc.transforms import ImageTransform

if TYPE_CHECKING:
    from postproc.results.keypoints import KeypointDetections

logger = logging.getLogger("postproc.stages")  # documented: it stays where modules move

_NO_BOUNDS = Bounds(np.empty((0, 2), np.float32))
_UNPLACED = Placement(np.empty((0, 2, 4), np.float64))
_NO_NMS = IouThresholds(np.ones(1, np.float32))
_OF_ALL_LABELS = ClassAgnostic(True)
_EVERYTHING = 1 << 31
# Candidates an image that a scan collects for suppression: enough for most images, so that few are scanned
# again for more, and little enough to stay in the processor's cache.
_FEWEST_TOP = 1024
_TOP_PER_PREDICTION = 8
# Normalized boxes seldom reach further than twice the image, boxes in pixels seldom no further than two.
_NORMALIZED_REACH = 2.0
_LEAST_SIDE = 32


class Bound(Protocol):
    """The tensors of one call, ready to be computed image range by image range."""

    @property
    def batch(self) -> int:
        """Number of images."""
        ...

    def run(self, start: int, stop: int) -> Any:
        """Results of images `start` to `stop`."""
        ...

    def join(self, parts: list[Any]) -> Any:
        """Results of consecutive ranges as one."""
        ...


class Stage(Protocol):
    """One output of a version."""

    @property
    def task(self) -> Classification | Detection:
        """The document that it is made of."""
        ...

    @property
    def table(self) -> LabelTable:
        """Its labels, and their thresholds."""
        ...

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Names of the tensors that it reads."""
        ...

    @property
    def uses_input_size(self) -> bool:
        """Whether boxes, or what is decoded with them, are in pixels of an `input_size`."""
        ...

    def replaced(self, fields: Mapping[str, Any]) -> Stage:
        """Return it with other values of its document's thresholds, which are right, by field."""
        ...

    def bind(self, tensors: Mapping[str, Any], options: CallOptions) -> Bound:
        """Check the tensors and options of a call."""
        ...

    def warmup(self, dtypes: Iterable[str]) -> None:
        """Compile or load the kernels of this output, for tensors of some data types."""
        ...


class ClassificationStage:
    """A `classification` output, compiled."""

    uses_input_size = False

    def __init__(self, task: Classification, table: LabelTable) -> None:
        self.task = task
        self.tensor_names = (task.output_tensor,)
        self._quantizations = Quantizations(task)
        self.table = table
        self._thresholds = Thresholds(np.array(table.thresholds, np.float32))
        self._activation = ACTIVATIONS[task.score_activation]
        self.signs = ScoreSigns(task.output_tensor, "classification", True, table.names)

    def replaced(self, fields: Mapping[str, Any]) -> ClassificationStage:
        """Return it with other thresholds, if `fields` have some."""
        stage = copy.copy(self)
        stage.table = self.table.replaced(fields.get("thresholds"))
        stage._thresholds = Thresholds(np.array(stage.table.thresholds, np.float32))
        return stage

    def bind(self, tensors: Mapping[str, Any], options: CallOptions) -> BoundClassification:
        """Check the tensors and options of a call."""
        (name,) = self.tensor_names
        if self._quantizations.given:
            tensors = self._quantizations.of(tensors)
        try:
            scores = as_float32(name, find(tensors, name))
        except OpenAxisError:  # but the labels lie along one axis
            scores = as_float32(name, find(self._quantizations.of(tensors), name))
        labels = len(self._thresholds)
        shape = scores.shape
        values = scores
        while values.ndim > 2 and values.shape[-1] == 1:
            values = values[..., 0]
        if values.ndim == 1 and len(values) == labels:
            values = values[None]
        if values.ndim != 2 or values.shape[1] != labels:
            raise wrong_shape(name, shape, f"(B, {labels}), one score per label; further axes must be 1")
        options.check_batch(self.tensor_names, len(values))
        if self.signs.looks_left and self._activation == NONE:
            self.signs.look(values)
        return BoundClassification(
            len(values), Scores(values), self._thresholds, self._activation, options, self.table, self.signs
        )

    def warmup(self, dtypes: Iterable[str]) -> None:
        """Compile or load the kernels of this output; those of all data types are one."""
        (name,) = self.tensor_names
        tensors = {name: np.zeros((1, len(self._thresholds)), np.float32)}
        stage = copy.copy(self)
        stage.signs = copy.copy(self.signs)  # whose looks are for what a network returns
        stage.bind(tensors, CallOptions.checked(False, 1, None, None)).run(0, 1)


@dataclass(eq=False, slots=True)
class BoundClassification:
    """The tensor of one call of a `ClassificationStage`."""

    batch: int
    values: Scores
    thresholds: Thresholds
    activation: Activation
    options: CallOptions
    table: LabelTable
    signs: ScoreSigns

    def run(self, start: int, stop: int) -> Classifications:
        """Results of images `start` to `stop`."""
        scores, labels, predicted, offsets, is_cut, highest = classify(
            self.values,
            self.thresholds,
            self.activation,
            self.options.show_discarded,
            self.options.max_predictions,
            start,
            stop,
        )
        if highest > HIGHEST_PROBABILITY:
            self.signs.see_highest(highest)
        return Classifications(scores, labels, predicted, offsets, self.table, is_cut=is_cut)

    def join(self, parts: list[Classifications]) -> Classifications:
        """Results of consecutive ranges as one."""
        return Classifications.concatenate(parts)


class DetectionStage:
    """A `detection` output, compiled."""

    def __init__(self, task: Detection, table: LabelTable, nms_thresholds: tuple[float, ...]) -> None:
        self.task = task
        self.decision = Decision.of(task, table, nms_thresholds)
        self._decoder = decoder_for(task.output, self.decision)
        self._quantizations = Quantizations(task.output)
        self._input_size = task.input_size
        self._size_tensor = task.normalize_wrt_tensor
        self._boxes_are_normalized = task.output.boxes_are_normalized
        self._reads_size = task.output.needs_input_size or not self._boxes_are_normalized
        self._coordinates = task.output.declared_coordinates
        # The decoder of a grid makes the unit of its boxes, which nobody can mistake.
        self._unit_is_told = self._coordinates is not None or not (
            task.output.boxes_are_normalized or task.output.needs_input_size
        )
        self._warned: list[bool] = []
        has_activation = hasattr(task.output, "score_activation")
        classes_name = getattr(task.output, "classes_tensor", None)
        self.signs = ScoreSigns(
            *(task.output.scores_name, task.kind, has_activation, table.names),
            *(classes_name, task.output.keypoints_name),
        )
        self.has_keypoints = task.output.yields == "keypoints"
        self.tensor_names = self._decoder.tensor_names
        if self._size_tensor:
            self.tensor_names = (*self.tensor_names, self._size_tensor)
        by_kind = task.output.boxes_are_in_pixels or task.output.needs_input_size
        self.uses_input_size = (by_kind and not self._size_tensor) or (
            task.input_size is not None and not self._boxes_are_normalized
        )

    def replaced(self, fields: Mapping[str, Any]) -> DetectionStage:
        """Return it with other values of its thresholds, by field; warnings are given once for both."""
        stage = copy.copy(self)
        stage.decision = self.decision.replaced(fields)
        stage._decoder = self._decoder.replaced(stage.decision)
        return stage

    @property
    def table(self) -> LabelTable:
        """Its labels, and their thresholds."""
        return self.decision.table

    def bind(self, tensors: Mapping[str, Any], options: CallOptions) -> BoundDetection | BoundExtras:
        """Check the tensors and options of a call."""
        if self._quantizations.given:
            tensors = self._quantizations.of(tensors)
        try:
            read = self._decoder.read(tensors, options)
        except OpenAxisError:  # but the layout may tell
            read = self._decoder.read(self._quantizations.of(tensors), options)
        batch = read.batch
        options.check_batch(self._decoder.tensor_names, batch)
        sizes = self._sizes(tensors, batch, options) if self._reads_size else None
        candidates = self._decoder.bind(read, sizes)
        if self.signs.looks_left:
            if candidates.scores is not None:
                self.look_at_classes(candidates)
            if candidates.angles is not None:
                self.signs.look_at_angles(candidates.angles())
            if candidates.scores is not None:
                self.signs.look(candidates.scores())
        if self._boxes_are_normalized:
            sizes = None
        placement = _placed(sizes, options.transforms, batch)
        bounds = _NO_BOUNDS
        if self._decoder.clips_first:
            bounds = Bounds(np.ones((batch, 2), np.float32))
            if sizes is not None:
                bounds[:] = np.asarray(sizes)[..., ::-1]
        bound = BoundDetection(batch, self, candidates, bounds, placement, sizes, options)
        if candidates.extras is None:
            return bound
        return BoundExtras(bound, candidates.extras)

    def placement(self, tensors: Mapping[str, Any], batch: int, options: CallOptions) -> Placement:
        """Where boxes of a `batch` of images go, by a call's options; of tensors only sizes are read."""
        is_placed = self._reads_size and not self._boxes_are_normalized
        sizes = self._sizes(tensors, batch, options) if is_placed else None
        return _placed(sizes, options.transforms, batch)

    def _sizes(self, tensors: Mapping[str, Any], batch: int, options: CallOptions) -> Sizes:
        """Heights and widths of the network's input in pixels, (batch, 2) or for all; None for none."""
        if self._size_tensor:
            return sizes_of(self._size_tensor, find(tensors, self._size_tensor), batch)
        if options.input_size is not None and (self.uses_input_size or options.size_is_for_all):
            return options.input_size
        if not self.uses_input_size or options.transforms is None:
            return self._input_size
        return np.array([transform.input_size for transform in options.transforms], np.float64).reshape(
            batch, 2
        )

    def look_at_classes(self, candidates: Candidates) -> None:
        """Say once which classes the spec does not have, and if some are no whole numbers."""
        odd_class = candidates.classes() if candidates.classes is not None else None
        if odd_class is not None:
            self.signs.see_odd_class(odd_class)

    def check(self, furthest: float, highest: float, sizes: Sizes) -> None:
        """Say once what the furthest corner and the highest score found tell of a wrong reading."""
        if highest > HIGHEST_PROBABILITY:
            self.signs.see_highest(highest)
        if furthest != 0.0 and not self._warned and self._unit_is_told:
            self._check_reach(furthest, sizes)

    def _check_reach(self, furthest: float, sizes: Sizes) -> None:
        """Say once that boxes, of which one reaches so far, seem to be in another unit than is said."""
        advice = ""
        if self._coordinates == "normalized":
            if furthest > _NORMALIZED_REACH * (1.0 if sizes is None else np.max(sizes)):
                advice = (
                    'their coordinates are declared "normalized": if they are in pixels, declare "pixels" '
                    "and the detection's input_size"
                )
        elif sizes is None:
            if furthest > _NORMALIZED_REACH:
                advice = (
                    "no size is given by which they would be normalized: if they are in pixels, declare the "
                    "detection's input_size, or pass input_size"
                )
        elif furthest <= _NORMALIZED_REACH and np.min(sizes) >= _LEAST_SIDE:
            remedy = (
                "leave the input's size out"
                if self._coordinates is None
                else 'declare coordinates "normalized"'
            )
            advice = f"they are divided by the input's size: if they are normalized already, {remedy}"
        if advice:
            self._warned.append(True)
            logger.warning("boxes of %s reach up to %.1f, though %s", self.tensor_names, furthest, advice)

    def warmup(self, dtypes: Iterable[str]) -> None:
        """Compile or load the kernels of this output, for tensors of some data types.

        Where the document has quantised tensors, those of 8 bits are among them.
        """
        stage = copy.copy(self)
        stage._decoder = self._decoder.for_examples()
        stage.signs = copy.copy(self.signs)  # whose looks are for what a network returns
        size = self._decoder.example_size
        options = CallOptions.checked(False, 1, None if self._size_tensor else size, None)
        sizes = {self._size_tensor: np.array([size or (1, 1)])} if self._size_tensor else {}
        forms = dict.fromkeys(dtypes) | ({"int8": None} if self._quantizations.given else {})
        for tensors, dtype in itertools.product(self._decoder.examples(), forms):
            given = {name: _of_dtype(array, dtype) for name, array in tensors.items()}
            # Scores of few bytes may be beside boxes of float32, which is a form of its own.
            mixed = [{**given, name: tensors[name]} for name in given] if _is_narrow(dtype) else []
            for each in (given, *mixed):
                found = stage.bind({**each, **sizes}, options).run(0, 1)
                # What is computed on request only.
                found.to_dicts()
                found.to_coco([0], (1, 1))
                if hasattr(found, "masks"):
                    found.masks((1, 1))


def _is_narrow(dtype: str) -> bool:
    return dtype not in ("float32", "float64")


def _of_dtype(array: NDArray[Any], dtype: str) -> NDArray[Any] | QuantizedTensor:
    """Return zeros of a `warmup` in another data type, unless they are classes."""
    if array.dtype != np.float32 or dtype == "float32":
        return array
    return QuantizedTensor(array.astype(dtype), 1.0) if dtype in DTYPES else array.astype(dtype)


@dataclass(eq=False, slots=True)
class BoundDetection:
    """The tensors of one call of a `DetectionStage`."""

    batch: int
    stage: DetectionStage
    candidates: Candidates
    bounds: Bounds
    placement: Placement
    sizes: Sizes  # that boxes are in pixels of
    options: CallOptions

    def run(self, start: int, stop: int) -> Detections:
        """Results of images `start` to `stop`."""
        decision, options = self.stage.decision, self.options
        rule = decision.rule if options.show_discarded else decision.predicted_rule
        if decision.nms_method != "hard":
            return self._run_merging(rule, start, stop)
        candidates, most = self.candidates, options.max_predictions
        boxes, scores, labels, regions, predicted, ends, is_cut, furthest, highest, signs = detect(
            candidates.head, rule, candidates.per_label, candidates.columns, self.bounds, self.placement,
            top=max(_FEWEST_TOP, _TOP_PER_PREDICTION * most), most=most, start=start, stop=stop,
        )  # fmt: skip
        if signs:
            self.stage.look_at_classes(candidates)
        self.stage.check(furthest, highest, self.sizes)
        return Detections(scores, labels, predicted, ends, decision.table, boxes, regions, is_cut=is_cut)

    def _run_merging(self, rule: Rule, start: int, stop: int) -> Detections:
        """Results by another `nms_method` than the hard one, which takes all candidates to one place."""
        # Not at the top: every import of postproc would pay for kernels that few documents need.
        from postproc.kernels.nms.merging import soft_nms, weighted_nms

        decision, candidates, most = self.stage.decision, self.candidates, self.options.max_predictions
        all_of_them = rule._replace(iou_thresholds=_NO_NMS, class_agnostic=_OF_ALL_LABELS)
        boxes, scores, labels, orders, predicted, offsets, _, furthest, highest, signs = detect(
            candidates.head, all_of_them, candidates.per_label, candidates.columns, self.bounds, _UNPLACED,
            top=_EVERYTHING, most=_EVERYTHING, start=start, stop=stop,
        )  # fmt: skip
        if signs:
            self.stage.look_at_classes(candidates)
        self.stage.check(furthest, highest, self.sizes)
        placement = self.placement[start:stop]
        if decision.nms_method == "soft":
            boxes, merged_scores, rows, predicted, ends, is_cut = soft_nms(
                boxes, scores, labels, orders, offsets, rule.thresholds, rule.discard, decision.soft_sigma,
                rule.class_agnostic, placement, most,
            )  # fmt: skip
        else:
            boxes, merged_scores, rows, predicted, ends, is_cut = weighted_nms(
                boxes, scores, labels, offsets, predicted, rule.iou_thresholds, rule.class_agnostic,
                placement, most,
            )  # fmt: skip
        regions = (orders[rows] - labels[rows] * candidates.per_label) // candidates.columns
        return Detections(
            merged_scores, labels[rows], predicted, ends, decision.table, boxes, regions, is_cut=is_cut
        )

    def join(self, parts: list[Detections]) -> Detections:
        """Results of consecutive ranges as one."""
        return Detections.concatenate(parts)


@dataclass(eq=False, slots=True)
class BoundExtras:
    """The tensors of one call of a `DetectionStage` that hold more than boxes."""

    boxes: BoundDetection
    extras: Extras

    @property
    def batch(self) -> int:
        """Number of images."""
        return self.boxes.batch

    def run(self, start: int, stop: int) -> Detections:
        """Results of images `start` to `stop`."""
        boxes = self.boxes
        found = self.extras(boxes.run(start, stop), boxes.placement, boxes.sizes, FirstImage(start))
        signs = boxes.stage.signs
        if boxes.stage.has_keypoints and signs.looks_at_keypoints_left:
            signs.look_at_keypoints(cast("KeypointDetections", found))
        return found

    def join(self, parts: list[Detections]) -> Detections:
        """Results of consecutive ranges as one."""
        return type(parts[0]).concatenate(parts)


def _placed(sizes: Sizes, transforms: tuple[ImageTransform, ...] | None, batch: int) -> Placement:
    if transforms is None and not isinstance(sizes, np.ndarray):
        return _same_placement(sizes, batch)
    return _placement(sizes, transforms, batch)


@functools.lru_cache(maxsize=64)
def _same_placement(size: HeightWidth | None, batch: int) -> Placement:
    return _placement(size, None, batch)


def _placement(sizes: Sizes, transforms: tuple[ImageTransform, ...] | None, batch: int) -> Placement:
    """For x and y of each image factor, offset, scale and size, as the kernels take them."""
    placement = Placement(np.empty((batch, 2, 4), np.float64))
    placement[:] = (1.0, 0.0, 1.0, 1.0)
    if transforms is None:
        if sizes is not None:
            placement[:, :, 3] = np.asarray(sizes)[..., ::-1]
        return placement
    for image, transform in enumerate(transforms):
        for axis in range(2):
            factor = transform.input_size[1 - axis] if sizes is None else 1.0
            placement[image, axis] = (
                factor,
                transform.offset[axis],
                transform.scale[axis],
                transform.image_size[1 - axis],
            )
    return placement

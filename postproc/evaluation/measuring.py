"""Measure a version on a data set: predict all that metrics are of, and compute them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from postproc.call_options import MOST_PREDICTIONS
from postproc.errors import SchemaError
from postproc.evaluation.base import Evaluation
from postproc.evaluation.classification import evaluate_classifications
from postproc.evaluation.coco_metrics import MAX_DETECTIONS, is_beyond
from postproc.evaluation.collected import collect
from postproc.evaluation.detection import evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.predictions import PredictionSource, each_counted
from postproc.pipeline.post_processor import DocumentLike, PostProcessor
from postproc.results import Detections, Recognitions
from postproc.schema import Classification, Detection, RecognitionSpec, RecognitionVersion, check_pair
from postproc.transforms import ImageTransform

Truth = GroundTruth | str | os.PathLike[str] | dict[str, Any]

LOWEST_THRESHOLD = 0.001


class MeasuringPostProcessor(PostProcessor):
    """Post-process what one output of a version is measured by.

    An output of boxes has two results, from one look at each tensor. The first are the version's own
    predictions, every one of them. The second are those at thresholds lowered to `LOWEST_THRESHOLD`, as
    average precision asks for: of each image and label the best `max_detections`, which COCO looks at, and
    whatever the version itself predicts. Only boxes are kept, and no keypoints or masks. For labels of whole
    images the result has all labels, those below their thresholds as discarded ones.

    Parameters
    ----------
    spec : RecognitionSpec, dict, JSON text or path
    version : RecognitionVersion, dict, JSON text or path
    output : int
        Which output of the version.
    max_detections : int
        COCO's limit of detections an image and label.
    num_threads : int
        As of `PostProcessor`.

    Raises
    ------
    SchemaError
        As `PostProcessor`, and if there is no such output.
    """

    def __init__(
        self,
        spec: RecognitionSpec | DocumentLike,
        version: RecognitionVersion | DocumentLike,
        output: int = 0,
        *,
        max_detections: int = MAX_DETECTIONS,
        num_threads: int = 1,
    ) -> None:
        documents = RecognitionSpec.load(spec), RecognitionVersion.load(version)
        super().__init__(*measuring_documents(*documents, output), num_threads)
        self._max_detections = max_detections
        (task, *_) = (item.task for item in self.version.post_processings or ())
        self._is_classification = isinstance(task, Classification)

    def __call__(
        self,
        tensors: Mapping[str, Any],
        show_discarded: bool = False,
        max_predictions: int = MOST_PREDICTIONS,
        input_size: Sequence[int] | None = None,
        transforms: Sequence[ImageTransform] | None = None,
        batch_size: int | None = None,
    ) -> Recognitions:
        """Post-process a batch. `show_discarded` and `max_predictions` are always what measuring asks for."""
        found = super().__call__(
            tensors, self._is_classification, MOST_PREDICTIONS, input_size, transforms, batch_size
        )
        if self._is_classification:
            return found
        own, low = (_boxes(output) for output in found.outputs if isinstance(output, Detections))
        is_own = low.scores > np.asarray(own.table.thresholds, np.float32)[low.labels]
        return Recognitions((own, low[is_own | ~is_beyond(low, self._max_detections)]))


def evaluate(
    spec: RecognitionSpec | DocumentLike,
    version: RecognitionVersion | DocumentLike,
    truth: Truth,
    source: PredictionSource,
    *,
    output: int = 0,
    iou: float = 0.5,
    max_detections: int = MAX_DETECTIONS,
    on_images: Callable[[int], None] = lambda images: None,
) -> Evaluation:
    """Measure one output of a version on images whose content is known, as ``postproc evaluate`` does.

    Parameters
    ----------
    spec : RecognitionSpec, dict, JSON text or path
    version : RecognitionVersion, dict, JSON text or path
    truth : GroundTruth, or path or dict
        What is on the images; anything but a `GroundTruth` is read by `GroundTruth.load`.
    source : PredictionSource
        What is measured: `SavedTensors`, or `ImagesThroughNetwork`.
    output : int
        Which output of the version.
    iou : float
        Jaccard index from which on a detection takes an object, above 0 and at most 1.
    max_detections : int
        COCO's limit of detections an image and label.
    on_images : function, optional
        Takes numbers of images as they are done.

    Returns
    -------
    DetectionEvaluation or ClassificationEvaluation

    Raises
    ------
    SchemaError
        If the documents or the ground truth are wrong, or no image is known to the ground truth.
    TensorError, RunnerError, ImageError
        As of the source.
    ImportError
        If labels of whole images are measured and the extra ``eval`` is missing.
    """
    spec, version = RecognitionSpec.load(spec), RecognitionVersion.load(version)
    check_pair(spec, version)
    truth = truth_of(truth, spec, output)
    post = MeasuringPostProcessor(spec, version, output, max_detections=max_detections)
    predictions, only_predicted = source.predict(post, truth)
    collected = collect(truth, each_counted(predictions, on_images), only_predicted=only_predicted)
    task = (version.post_processings or ())[output].task
    if isinstance(task, Classification):
        return evaluate_classifications(truth, collected)
    return evaluate_detections(
        truth, collected, iou=iou, max_detections=max_detections, yields=task.output.yields
    )


def truth_of(truth: Truth, spec: RecognitionSpec, output: int) -> GroundTruth:
    """Load the ground truth of an output, unless it is loaded.

    Raises
    ------
    SchemaError
        As `GroundTruth.load`, and if what is loaded has other labels than the output.
    """
    if not isinstance(truth, GroundTruth):
        return GroundTruth.load(truth, spec, output=output)
    if not 0 <= output < len(spec.outputs) or truth.table != spec.outputs[output].labels:
        raise SchemaError(
            f"{truth.source}: was loaded for other labels than those of output {output} of the spec; load it "
            f"by GroundTruth.load(..., spec, output={output})"
        )
    return truth


def measuring_documents(
    spec: RecognitionSpec, version: RecognitionVersion, output: int = 0
) -> tuple[RecognitionSpec, RecognitionVersion]:
    """Documents of a `MeasuringPostProcessor`: the version's output, and for boxes a lowered one besides.

    Raises
    ------
    SchemaError
        If there is no such output.
    """
    post_processings = version.post_processings or ()
    if not 0 <= output < len(post_processings):
        raise SchemaError(f"output: the version has outputs 0 to {len(post_processings) - 1}, got {output}")
    labels, own = spec.outputs[output], post_processings[output]
    described = [own.dump()]
    if isinstance(own.task, Detection):
        low = own.dump()
        lowered = [min(LOWEST_THRESHOLD, value) for value in own.task.thresholds_for(labels.labels)]
        low["detection"]["thresholds"] = lowered
        described.append(low)
    return (
        RecognitionSpec.load({**spec.dump(), "outputs": [labels.dump()] * len(described)}),
        RecognitionVersion.load({**version.dump(), "post_processings": described}),
    )


def _boxes(found: Detections) -> Detections:
    """Let go of all but boxes: masks would hold the prototypes of every image."""
    return Detections.from_detections(found)

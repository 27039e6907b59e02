"""Measure detections on a data set, in one call: a file of anybody, or what a version makes of tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.base import Evaluation
from postproc.evaluation.categories import MatchBy
from postproc.evaluation.classification import evaluate_classifications
from postproc.evaluation.coco_metrics import check_limit, most_detections
from postproc.evaluation.collected import collect
from postproc.evaluation.detection import evaluate_detections
from postproc.evaluation.found_formats import read_found
from postproc.evaluation.ground_truth import GroundTruth, check_output
from postproc.evaluation.measures import check_sigmas
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from postproc.evaluation.placed import Placed
from postproc.evaluation.predictions import PredictionSource, each_counted
from postproc.evaluation.sigmas import Sigmas, read_sigmas
from postproc.pipeline.post_processor import DocumentLike
from postproc.schema import Classification, RecognitionSpec, RecognitionVersion, check_pair

Truth = GroundTruth | str | os.PathLike[str] | dict[str, Any]
DetectionsLike = str | os.PathLike[str] | Sequence[dict[str, Any]] | PredictionSource
"""A file or a folder of detections, COCO results, or a source that needs a spec and a version."""
SpecLike = RecognitionSpec | DocumentLike | None
VersionLike = RecognitionVersion | DocumentLike | None


def evaluate(
    detections: DetectionsLike,
    truth: Truth,
    *,
    spec: SpecLike = None,
    version: VersionLike = None,
    output: int = 0,
    iou: float = 0.5,
    max_detections: int | None = None,
    measure: str | None = None,
    sigmas: Sigmas | None = None,
    categories: MatchBy = "auto",
    skip_unknown: bool = False,
    format: str | None = None,
    split: str | None = None,
    images: str | os.PathLike[str] | None = None,
    on_images: Callable[[int], None] = lambda images: None,
) -> Evaluation:
    """Measure detections on images whose content is known, as ``postproc evaluate`` does.

    Parameters
    ----------
    detections : path, list of dict, or PredictionSource
        A file or a folder in a format of `postproc.evaluation.found_formats`, such as COCO results; a list of
        COCO results; or `SavedTensors` or `ImagesThroughNetwork`, which need `spec` and `version`.
    truth : GroundTruth, path or dict
        What is on the images; anything but a `GroundTruth` is read by `GroundTruth.load`.
    spec : RecognitionSpec, dict, JSON text or path, optional
        The labels; by default the categories of the ground truth.
    version : RecognitionVersion, dict, JSON text or path, optional
        Needs a spec. Its thresholds are those that precision, recall and F1 are measured at; without it they
        are of every detection of the file.
    output : int
        Which output of the spec.
    iou : float
        How alike a detection and the object that it takes are at least, above 0 and at most 1: their Jaccard
        index, or the similarity of their keypoints (OKS).
    max_detections : int, optional
        COCO's limit of detections an image and label; by default its own, 20 for keypoints and 100 otherwise.
    measure : str, optional
        What heads: ``"boxes"``, ``"masks"``, ``"keypoints"`` or ``"oriented boxes"``; by default what is
        found besides boxes, if the ground truth has it.
    sigmas : sequence of float, str or path, optional
        Of keypoints, as of `read_sigmas`; by default those of COCO's 17.
    categories, skip_unknown, format, split, images
        As of `GroundTruth.load`.
    on_images : function, optional
        Takes numbers of images as they are done.

    Returns
    -------
    DetectionEvaluation or ClassificationEvaluation

    Raises
    ------
    SchemaError
        If the documents, the detections or the ground truth are wrong, or no image is known to the latter.
    TensorError
        If `iou` or `max_detections` is out of range, or as of the source.
    RunnerError, ImageError
        As of the source.
    ImportError
        If an extra is missing that the files or the labels of whole images need.

    Examples
    --------
    >>> truth = {
    ...     "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
    ...     "categories": [{"id": 1, "name": "cat"}],
    ...     "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}],
    ... }
    >>> results = [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 41], "score": 0.75}]
    >>> found = evaluate(results, truth)
    >>> found.total().recall
    1.0
    """
    loaded = load_documents(spec, version)
    check_limit(max_detections)
    known = truth_of(
        truth,
        loaded[0],
        output,
        categories=categories,
        skip_unknown=skip_unknown,
        format=format,
        split=split,
        images=images,
    )
    of_points = read_sigmas(sigmas)
    if isinstance(detections, PredictionSource):
        limit = max_detections
        if limit is None and known.federation is not None:
            limit = most_detections(federation=known.federation)
        post = MeasuringPostProcessor(*both(loaded), output, max_detections=limit)
        task = (both(loaded)[1].post_processings or ())[output].task
        if not isinstance(task, Classification):
            check_sigmas(known, task.output.yields, measure, of_points)
        predictions, only_predicted = detections.predict(post, known)
        collected = collect(known, each_counted(predictions, on_images), only_predicted=only_predicted)
        if isinstance(task, Classification):
            return evaluate_classifications(known, collected)
        yields = task.output.yields
    else:
        require_boxes(known, output)
        placed = Placed.of(read_found(detections, output, has_spec=loaded[0] is not None), known)
        thresholds = thresholds_of(loaded[1], known, output)
        with np.errstate(over="ignore"):  # scores beyond float32, which are above all thresholds
            collected = placed.collected(known, thresholds)
        collected = replace(collected, has_version=thresholds is not None)
        yields = placed.yields(known)
        on_images(len(known))
    return evaluate_detections(
        known,
        collected,
        iou=iou,
        max_detections=max_detections,
        yields=yields,
        measure=measure,
        sigmas=of_points,
    )


def load_documents(
    spec: SpecLike, version: VersionLike
) -> tuple[RecognitionSpec | None, RecognitionVersion | None]:
    """Load a spec and a version, as far as they are given.

    Raises
    ------
    SchemaError
        If they are wrong, do not fit, or there is a version alone.
    """
    if spec is None:
        if version is not None:
            raise SchemaError(
                "version: its thresholds are of the labels of a spec: give spec (--spec) as well"
            )
        return None, None
    loaded = RecognitionSpec.load(spec)
    if version is None:
        return loaded, None
    known = RecognitionVersion.load(version)
    check_pair(loaded, known)
    return loaded, known


def both(
    documents: tuple[RecognitionSpec | None, RecognitionVersion | None],
) -> tuple[RecognitionSpec, RecognitionVersion]:
    """Give both documents, which tensors and images need.

    Raises
    ------
    SchemaError
        If one is missing.
    """
    spec, version = documents
    if spec is None or version is None:
        raise SchemaError(
            "spec and version: tensors become detections by them: give both; detections that are there "
            "already need none"
        )
    return spec, version


def truth_of(
    truth: Truth,
    spec: RecognitionSpec | None,
    output: int,
    **options: Any,
) -> GroundTruth:
    """Load the ground truth of an output, with the options of `GroundTruth.load`, unless it is loaded.

    Raises
    ------
    SchemaError
        As `GroundTruth.load`, and if what is loaded has other labels than the output, or options come late.
    """
    if not isinstance(truth, GroundTruth):
        return GroundTruth.load(truth, spec, output=output, **options)
    check_output(output)
    if late := [name for name, value in options.items() if value not in (None, False, "auto")]:
        raise SchemaError(
            f"{truth.source}: is loaded already, and {', '.join(late)} would change how: give "
            f"{'it' if len(late) == 1 else 'them'} to GroundTruth.load, or the file in its place"
        )
    if spec is not None and not (
        0 <= output < len(spec.outputs) and truth.table == spec.outputs[output].labels
    ):
        raise SchemaError(
            f"{truth.source}: was loaded for other labels than those of output {output} of the spec; load it "
            f"by GroundTruth.load(..., spec, output={output})"
        )
    return truth


def require_boxes(truth: GroundTruth, output: int) -> None:
    """See that an output finds boxes, as files of detections hold them.

    Raises
    ------
    SchemaError
        If it is of labels of whole images.
    """
    if truth.table.roi != "BBOX":
        raise SchemaError(
            f"detections: output {output} has labels of whole images, all of whose scores are needed: "
            "measure them from tensors (--tensors, SavedTensors) or through the network"
        )


def thresholds_of(
    version: RecognitionVersion | None, truth: GroundTruth, output: int
) -> tuple[float, ...] | None:
    """Thresholds of a version; None without one."""
    if version is None:
        return None
    post_processings = version.post_processings or ()
    if not 0 <= output < len(post_processings):
        raise SchemaError(f"output: the version has outputs 0 to {len(post_processings) - 1}, got {output}")
    return tuple(post_processings[output].task.thresholds_for(truth.table))

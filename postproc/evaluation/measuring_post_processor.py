"""Post-process what one output of a version is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from postproc.call_options import MOST_PREDICTIONS
from postproc.errors import SchemaError
from postproc.evaluation.coco_metrics import MAX_DETECTIONS, is_beyond
from postproc.pipeline.post_processor import DocumentLike, PostProcessor
from postproc.results import Detections, Recognitions
from postproc.schema import Classification, Detection, RecognitionSpec, RecognitionVersion
from postproc.transforms import ImageTransform

LOWEST_THRESHOLD = 0.001


class MeasuringPostProcessor(PostProcessor):
    """Post-process what one output of a version is measured by.

    An output of boxes has two results, from one look at each tensor. The first are the version's own
    predictions, every one of them. The second are those at thresholds lowered to `LOWEST_THRESHOLD`, as
    average precision asks for: of each image and label the best `max_detections`, which COCO looks at, and
    whatever the version itself predicts. For labels of whole images the result has all labels, those below
    their thresholds as discarded ones.

    Parameters
    ----------
    spec : RecognitionSpec, dict, JSON text or path
    version : RecognitionVersion, dict, JSON text or path
    output : int
        Which output of the version.
    max_detections : int, optional
        COCO's limit of detections an image and label, 100 by default.
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
        max_detections: int | None = None,
        num_threads: int = 1,
    ) -> None:
        documents = RecognitionSpec.load(spec), RecognitionVersion.load(version)
        super().__init__(*measuring_documents(*documents, output), num_threads)
        self._max_detections = MAX_DETECTIONS if max_detections is None else max_detections
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
        own, low = cast("tuple[Detections, Detections]", found.outputs)
        is_own = low.scores > np.asarray(own.table.thresholds, np.float32)[low.labels]
        return Recognitions((own, low[is_own | ~is_beyond(low, self._max_detections)]))


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

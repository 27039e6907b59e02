"""What a network finds, in FiftyOne: boxes, masks and keypoints beside the truth, and an evaluation.

Needs: pip install "postproc[cpu,demo]" fiftyone
Start: postproc demo --dataset digits && python examples/hosts/fiftyone/evaluate.py digits
Look:  fiftyone app launch digits

Precision and recall are those of `postproc evaluate`; mAP is lower than its AP, which also counts what is
below the thresholds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np

from postproc import PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor, load_image
from postproc.onnx_runner import OnnxRunner

PREPARE = Preprocessor(preprocessing_path("yolo"))
RUNNER = OnnxRunner(model_path("yolo"), PostProcessor(spec_path("yolo"), version_path("yolo")))


def labels(found: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Return what was found on an image of this height and width: boxes, with masks, and keypoints."""
    height, width = size
    masks = found.masks(size) if hasattr(found, "masks") else None
    detections, poses = [], []
    for row, (name, score) in enumerate(zip(found.label_names, found.scores.tolist(), strict=True)):
        x1, y1, x2, y2 = found.boxes[row].tolist()
        box = [x1, y1, x2 - x1, y2 - y1]
        rows = slice(round(y1 * height), max(round(y2 * height), round(y1 * height) + 1))
        columns = slice(round(x1 * width), max(round(x2 * width), round(x1 * width) + 1))
        mask = None if masks is None else masks[row, rows, columns]  # of the box alone
        detections.append(fo.Detection(label=name, confidence=score, bounding_box=box, mask=mask))
        if hasattr(found, "keypoints"):
            points = np.asarray(found.keypoints[row], np.float64)
            scores = points[:, 2].tolist() if points.shape[1] == 3 else None
            poses.append(fo.Keypoint(label=name, points=points[:, :2].tolist(), confidence=scores))
    fields = {"found": fo.Detections(detections=detections)}
    return fields | ({"poses": fo.Keypoints(keypoints=poses)} if poses else {})


def add(dataset: Any) -> None:
    """Recognise all images of a dataset, and keep in its samples what was found."""
    for sample in dataset.iter_samples(autosave=True):
        image = load_image(sample.filepath)
        prepared = PREPARE([image])
        batch = RUNNER(prepared.tensors, transforms=prepared.transforms)
        for field, label in labels(batch.outputs[0][0], (image.height, image.width)).items():
            sample[field] = label


def evaluate(folder: Path) -> Any:
    """Make the dataset `digits` of what ``postproc demo --dataset`` wrote; return how right it is."""
    dataset = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=str(folder / "pages"),
        labels_path=str(folder / "truth.json"),
        label_types="detections",
        label_field="truth",
        name="digits",
        overwrite=True,
        persistent=True,
    )
    add(dataset)
    return dataset.evaluate_detections("found", gt_field="truth", eval_key="postproc", compute_mAP=True)


if __name__ == "__main__":
    results = evaluate(Path(sys.argv[1]))
    results.print_report()
    print(f"mAP {results.mAP():.3f}")

"""Networks of masks, keypoints and oriented boxes, and ground truths made of what they find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from postproc import PostProcessor
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.matches import in_coco_pixels
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from tests.pipelines import IDS, LABELS, post_processor, tensors_of

SHAPES = {"yolov8_seg": "masks", "yolov8_pose": "keypoints", "yolov8_obb": "oriented boxes"}
OF_TRUTH = (45, 60)  # height and width; the images are of 30 x 40, as tensors know them


def shaped_truth(post: PostProcessor, names: list[str], measured: MeasuredDetections) -> GroundTruth:
    """Make a ground truth of what is found, with its shapes, but for some that are those of others."""
    images, annotations, rectangles = [], [], []
    boxes = in_coco_pixels(measured, np.array([OF_TRUTH] * len(names))).tolist()
    for image, name in enumerate(names):
        images.append({"id": image, "file_name": name, "height": OF_TRUTH[0], "width": OF_TRUTH[1]})
        start, stop = measured.offsets[image : image + 2].tolist()
        for row in range(start, stop, max(1, (stop - start) // 6)):
            shape = row if row % 5 else start
            item: dict[str, Any] = {"image_id": image, "category_id": int(measured.label_ids[row])}
            item["bbox"] = boxes[row]
            if measured.masks[shape] is not None:
                item["segmentation"] = measured.masks[shape]
            elif measured.keypoints.shape[1]:
                item["keypoints"] = measured.keypoints[shape].reshape(-1).tolist()
            annotations.append(item)
            rectangles.append(measured.rectangles[shape])
    categories = [{"id": number, "name": name} for number, name in zip(IDS, LABELS, strict=True)]
    document = {"images": images, "categories": categories, "annotations": annotations}
    truth = GroundTruth.load(document, post.spec)
    return replace(truth, shapes=replace(truth.shapes, rectangles=np.array(rectangles)))


def of_kind(
    kind: str, images: int
) -> tuple[MeasuringPostProcessor, list[str], list[Any], MeasuredDetections]:
    post = post_processor(kind)
    measuring = MeasuringPostProcessor(post.spec, post.version, max_detections=5)
    names = [f"{kind}-{number}.png" for number in range(images)]
    found = [tensors_of(kind, images=1, seed=number) for number in range(images)]
    results: list[Any] = [measuring(one).outputs[1] for one in found]
    measured = MeasuredDetections.concatenate([MeasuredDetections.of(one, OF_TRUTH) for one in results])
    return measuring, names, found, measured

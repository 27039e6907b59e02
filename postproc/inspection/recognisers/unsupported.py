"""Networks that are known, and that nothing here proposes documents for: what they are, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postproc.inspection.graph import Graph
from postproc.inspection.recognisers.grids import grids_of
from postproc.inspection.recognisers.tables import table_of
from postproc.onnx_faults import advice_for_type

_TASKS = {
    "obb": "oriented boxes: after the box and the scores comes an angle",
    "pose": "keypoints: after the box and the score come x, y (and visibility) of each",
    "segment": "masks: after the box and the scores come mask coefficients, and prototypes in a second "
    "output",
}
_BY_HAND = {"obb": "yolov8_obb_output", "pose": "yolov8_pose_output", "segment": "yolov8_seg_output"}


def _advice(task: str) -> str:
    if task in _BY_HAND:
        return f"Such documents are not proposed yet: describe it by hand as {_BY_HAND[task]}"
    return "That is not supported. Export a network of the task detect"


def ultralytics_tasks(graph: Graph) -> Iterator[str]:
    """Name the tasks of ultralytics beyond boxes and classes, by the metadata."""
    if graph.is_ultralytics and graph.task not in ("", "detect", "classify"):
        what = _TASKS.get(graph.task, "another task than detect and classify")
        yield (f"ultralytics exported it for the task {graph.task!r} ({what}). {_advice(graph.task)}")


def masks_and_angles(graph: Graph) -> Iterator[str]:
    """Name segmentation and oriented boxes by their tensors, where no metadata does."""
    if graph.task:
        return
    tables, others = graph.of_rank(3), graph.of_rank(4)
    if len(tables) == 1 and len(others) == 1 and others[0].axis(1) == 32 and tables[0].axis(-1) != 4:
        yield (
            f"{tables[0].name} {tables[0].text} with {others[0].name} {others[0].text} is a YOLO of instance "
            "segmentation: boxes, scores and 32 mask coefficients, and 32 mask prototypes. "
            + _advice("segment")
        )
    table = table_of(graph)
    if table is not None and table.strides and {"Cos", "Sin"} <= set(graph.operators):
        yield (
            f"{table.tensor.name} {table.tensor.text} comes from cosines and sines: a YOLO of oriented "
            f"boxes, whose last channel is an angle. {_advice('obb')}"
        )


def undecoded_grids(graph: Graph) -> Iterator[str]:
    """Name YOLOv5's and v7's grids without decoding, (B, A, H, W, 5+L)."""
    tensors = graph.of_rank(5)
    if (
        tensors
        and len(tensors) == len(graph.float_outputs)
        and not grids_of(graph)
        and tensors[0].axis(1) == 3
    ):
        yield (
            f"{', '.join(f'{tensor.name} {tensor.text}' for tensor in tensors)} are the grids of YOLOv5 or "
            "v7 "
            "without decoding, (B, anchors, H, W, 5 + labels), which is not supported. Export the network "
            "with "
            "decoding (YOLOv5's export.py; v7's export.py --grid), which gives one tensor (B, N, 5 + labels)"
        )


def old_rtdetr(graph: Graph) -> Iterator[str]:
    """Name RT-DETR as older releases of ultralytics exported it, (B, 300, 4+L), normalized."""
    tensors = graph.of_rank(3)
    if (
        graph.is_ultralytics
        and len(tensors) == 1
        and "GridSample" in graph.operators
        and tensors[0].axis(2) != 6
    ):
        yield (
            f"{tensors[0].name} {tensors[0].text} is RT-DETR as older releases of ultralytics export it: "
            "normalized boxes and scores in one tensor, which is not supported. Export it with release 8.4 "
            "or "
            "newer, which gives (1, 300, 6)"
        )


def scored_boxes(graph: Graph) -> Iterator[str]:
    """Name MMDeploy's boxes with a score in the fifth column."""
    boxes = [tensor for tensor in graph.of_rank(3) if tensor.axis(2) == 5]
    labels = [tensor for tensor in graph.outputs if not tensor.is_float and tensor.rank == 2]
    if len(boxes) == 1 and labels:
        yield (
            f"{boxes[0].name} {boxes[0].text} with {labels[0].name} {labels[0].text} is MMDeploy's: boxes "
            "with "
            "their score in a fifth column, labels beside them. That is not supported; end the graph with a "
            "Split of the boxes into four columns and one, and use end_to_end_output"
        )


def offsets_without_priors(graph: Graph) -> Iterator[str]:
    """Name SSD's offsets and scores where nothing holds the priors."""
    outputs = graph.of_rank(3)
    if len(outputs) != 2 or not all(graph.is_raw(tensor.name) for tensor in outputs):
        return
    for offsets, scores in (outputs, outputs[::-1]):
        count = next((offsets.axis(1 - axis) for axis in (0, 1) if offsets.axis(2 - axis) == 4), None)
        if count is not None and count > 1000 and count in (scores.axis(1), scores.axis(2)):
            yield (
                f"{offsets.name} {offsets.text} and {scores.name} {scores.text} come from layers as they "
                "are: "
                f"SSD's offsets and scores, whose {count} priors are not in the file. Describe them by "
                "hand as "
                "ssd_output, with the priors of the training code in its field priors"
            )
            return


def dictionaries(graph: Graph) -> Iterator[str]:
    """Name classifiers of scikit-learn, whose scores are a dictionary an image."""
    if "ZipMap" in graph.operators:
        yield f"its scores are no tensor: {advice_for_type('map()')}"


LIMITS: tuple[Callable[[Graph], Iterator[str]], ...] = (
    ultralytics_tasks,
    masks_and_angles,
    undecoded_grids,
    old_rtdetr,
    scored_boxes,
    offsets_without_priors,
    dictionaries,
)

"""Grids with anchors: YOLOv2's single one, and those of YOLOv3, v4 and their tiny variants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.documents import detection
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.presets import DARKNET, DARKNET_IMAGE
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import YoloOutput, Yolov3Output

_USUAL_SIZE = (416, 416)

# Of the networks trained on COCO, in pixels; of YOLOv2 in cells.
_COCO_V2 = [0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828]
_COCO_V3 = [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326]
_COCO_V4 = [12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401]
_COCO_TINY = [10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319]


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of cells, each with `channels` numbers; its height and width are None where they are free."""

    tensor: Tensor
    channels: int
    height: int | None
    width: int | None


def grids_of(graph: Graph) -> list[Grid]:
    """Find the grids among the outputs, which all have the same channels, on the same axis."""
    tensors = graph.of_rank(4, 5)
    if not tensors or len(tensors) != len(graph.float_outputs):
        return []
    for read in (_channels_first, _channels_last):
        grids = [grid for tensor in tensors if (grid := read(tensor)) is not None]
        sizes = [(grid.height, grid.width) for grid in grids]
        alike = len({grid.channels for grid in grids}) == 1
        apart = len(set(sizes)) == len(sizes) or (None, None) in sizes
        if len(grids) == len(tensors) and alike and apart and all(_divides(graph, grid) for grid in grids):
            return grids
    return []


def _channels_first(tensor: Tensor) -> Grid | None:
    channels = tensor.axis(1)
    if tensor.rank != 4 or channels is None:
        return None
    return Grid(tensor, channels, tensor.axis(2), tensor.axis(3))


def _channels_last(tensor: Tensor) -> Grid | None:
    """Read (B, H, W, C) or (B, H, W, A, C)."""
    channels = tensor.axis(3)
    if tensor.rank == 5 and channels is not None:
        numbers = tensor.axis(4)
        channels = None if numbers is None else channels * numbers
    return None if channels is None else Grid(tensor, channels, tensor.axis(1), tensor.axis(2))


def _divides(graph: Graph, grid: Grid) -> bool:
    """Tell whether the cells of a grid are squares of 4 to 64 pixels of the input."""
    if graph.input_size is None or grid.height is None or grid.width is None:
        return True
    height, width = graph.input_size
    stride = round(height / grid.height)
    return 4 <= stride <= 64 and height // stride == grid.height and abs(width - grid.width * stride) < stride


def _anchor_counts(graph: Graph, grid: Grid, usual: tuple[int, ...]) -> list[int]:
    """Give the numbers of anchors that a grid may have: usual ones that leave labels over."""
    counts = usual if grid.tensor.rank == 4 else (grid.tensor.axis(3) or 0,)
    fitting = [
        count for count in counts if count and grid.channels % count == 0 and grid.channels // count > 5
    ]
    named = [count for count in fitting if graph.labels and grid.channels // count - 5 == len(graph.labels)]
    return named or fitting


def yolov3(graph: Graph) -> Iterator[Proposal]:
    """Recognise 2 or more grids: YOLOv3, v4, tiny."""
    grids = grids_of(graph)
    counts = _anchor_counts(graph, grids[0], (3,)) if len(grids) > 1 else []
    if not counts:
        return
    count, labels = counts[0], grids[0].channels // counts[0] - 5
    ops = set(graph.operators)
    is_v4 = len(grids) == 3 and bool(ops & {"Mish", "Softplus", "Tanh"})
    name, anchors = (
        ("YOLOv4", _COCO_V4) if is_v4 else ("YOLOv3", _COCO_V3) if len(grids) == 3 else ("tiny", _COCO_TINY)
    )
    reasons = [
        f"{_listed(grids)}: grids of the same {grids[0].channels} channels, {count} anchors of "
        f"5 + {labels} labels each"
    ]
    checks = []
    if is_v4:
        reasons.append("its layers use Mish, as YOLOv4's do, so scale_x_y is 1.2, 1.1, 1.05")
    guess = (
        f"the anchors are not in the file. Those of {name} on COCO are a guess: a network that was trained "
    )
    if len(anchors) // 2 == count * len(grids):
        checks.append(f"{guess}on other data has its own, in its .cfg")
    else:
        anchors = [16 * side for side in range(1, count * len(grids) + 1) for _ in range(2)]
        checks.append(
            f"{count} anchors a grid are unusual, and not in the file: replace the numbers in anchors, which "
            "only hold their place"
        )
    if len(grids) == 2:
        checks.append("YOLOv4-tiny's masks differ: its finer grid has anchors 1, 2, 3 (anchor_masks)")
    activated = [grid.tensor.name for grid in grids if "Sigmoid" in graph.sources(grid.tensor.name)]
    if activated:
        checks.append(
            f"{', '.join(activated)} may have gone through a sigmoid already: yolov3_output expects raw grids"
        )
    fields = {"output_tensors": [grid.tensor.name for grid in grids], "anchors": anchors}
    if any(grid.height is None for grid in grids):
        checks.append("the grids' sizes are free: the first anchors are for the grid with the most cells")
    if is_v4:
        scale = dict(zip(sorted(grid.height or 0 for grid in grids), (1.05, 1.1, 1.2), strict=True))
        known = len(scale) == len(grids)
        fields["scale_x_y"] = [scale[grid.height or 0] for grid in grids] if known else [1.2, 1.1, 1.05]
    yield detection(
        graph,
        Yolov3Output.load(fields),
        network="YOLOv4" if is_v4 else "YOLOv3" if len(grids) == 3 else "YOLOv3-tiny or YOLOv4-tiny",
        certainty=Certainty.POSSIBLE if activated else Certainty.LIKELY,
        labels=labels,
        decision=DARKNET,
        image=DARKNET_IMAGE,
        reasons=reasons,
        checks=checks,
        usual_size=_USUAL_SIZE,
    )


def yolov2(graph: Graph) -> Iterator[Proposal]:
    """Recognise a single grid, of as many anchors as fit: YOLOv2."""
    grids = grids_of(graph)
    counts = _anchor_counts(graph, grids[0], (5, 3)) if len(grids) == 1 else []
    for count in counts:
        labels = grids[0].channels // count - 5
        known = (graph.labels is not None and len(graph.labels) == labels) or labels in (20, 80)
        if count == len(_COCO_V2) // 2:
            anchors = _COCO_V2
            check = "the anchors are not in the file. Those of YOLOv2 on COCO are a guess: look into its .cfg"
        else:
            anchors = [float(side) for side in range(1, count + 1) for _ in range(2)]
            check = (
                "the anchors are not in the file: replace the numbers in anchors, which only hold their place"
            )
        alone = (
            []
            if len(counts) == 1
            else [f"{count} anchors of {labels} labels fit, and so does another number"]
        )
        yield detection(
            graph,
            YoloOutput.load({"output_tensor": grids[0].tensor.name, "anchors": anchors}),
            network="YOLOv2",
            certainty=Certainty.LIKELY if known else Certainty.POSSIBLE,
            labels=labels,
            decision=DARKNET,
            image=DARKNET_IMAGE,
            reasons=[
                f"{_listed(grids)}: a grid of cells with {grids[0].channels} channels, {count} anchors of "
                "5 + "
                f"{labels} labels each"
            ],
            checks=[check, *alone],
            usual_size=_USUAL_SIZE,
        )


def _listed(grids: list[Grid]) -> str:
    return ", ".join(f"{grid.tensor.name} {grid.tensor.text}" for grid in grids)

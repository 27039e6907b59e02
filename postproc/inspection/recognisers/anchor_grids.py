"""A grid with anchors for each stride: YOLOv2, v3, v4, tiny ones, and YOLOv5 and v7 without decoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Graph, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.presets import DARKNET, DARKNET_IMAGE, LETTERBOX, YOLOV5
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.exporters import of_yolov5
from postproc.inspection.recognisers.grids import Grid, by_stride, grids_of, same_channels
from postproc.inspection.recognisers.tables.table import tables_of
from postproc.inspection.roles import LabelCount, Raw
from postproc.schema import YoloOutput, Yolov3Output

_OF_V5 = "yolov3_output with the box_coding of YOLOv5"
_USUAL_SIZE = (416, 416)
_OF_CELL = 5  # a box and an objectness
_COARSE = (16, 32)  # strides of a single grid
_OF_DARKNET = re.compile(r"^\d+_convolutional|^conv2d_(59|67|75|93|101|109|10|13)\b|^grid$")

# Of the networks trained on COCO, in pixels; of YOLOv2 in cells.
_COCO = 80  # labels
_COCO_V2 = [0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828]
_COCO_V3 = [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326]
_COCO_V4 = [12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401]
_COCO_P6 = [
    *(19, 27, 44, 40, 38, 94, 96, 68, 86, 152, 180, 137),
    *(140, 301, 303, 264, 238, 542, 436, 615, 739, 380, 925, 792),
]
_COCO_TINY = [10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319]


def anchor_grids(observed: Observed) -> Iterator[Reading]:
    """Recognise grids whose cells hold boxes, objectnesses and scores of some anchors."""
    graph = observed.graph
    grids = grids_of(graph)
    alone = len(grids) == 1
    if len(by_stride(grids)) != len(grids) or not same_channels(grids) or any(g.axis == -1 for g in grids):
        return
    is_named = graph.labels is not None  # then their number tells the anchors
    if not grids or tables_of(graph) or (alone and grids[0].stride not in _COARSE and not is_named):
        return
    usual = range(1, 10) if alone and is_named else (5, 3) if alone else (3,)
    for anchors in _counts(grids[0], usual):
        labels = grids[0].channels // anchors - _OF_CELL
        shared = [*_of_shapes(grids, anchors, labels), *_of_layers(graph, grids)]
        is_anchors_first = grids[0].per_anchor is not None and grids[0].tensor.axis(1) == anchors
        if not is_anchors_first:
            if not alone or anchors == 3:
                yield _yolov3(graph, grids, anchors, labels, shared)
            if alone:
                yield _yolov2(graph, grids[0], anchors, labels, shared)
        if anchors == 3:
            yield from _yolov5(graph, grids, labels, shared, is_anchors_first)


def _counts(grid: Grid, usual: Iterable[int]) -> list[int]:
    """Give the numbers of anchors that a grid may have, which leave labels over."""
    counts = tuple(usual) if grid.per_anchor is None else (grid.channels // grid.per_anchor,)
    return [n for n in counts if grid.channels % n == 0 and grid.channels // n > _OF_CELL]


def _of_shapes(grids: Sequence[Grid], anchors: int, labels: int) -> Iterator[Evidence]:
    text = f"{listed(grids)}: {anchors} anchors a cell, each with a box, an objectness and {labels} scores"
    yield speaks_for(Source.SHAPES, text, Part.COLUMNS)


def _of_layers(graph: Graph, grids: Sequence[Grid]) -> Iterator[Evidence]:
    for grid in grids:
        parts = graph.links.joined(grid.tensor.name)
        if len(parts) > 1:
            text = f"{grid} is put together of {' and '.join(map(str, parts))} channels of several layers"
            yield speaks_against(
                Source.OPERATORS, f"{text}, and anchors come from a single one", Part.KIND, Part.COLUMNS
            )


def _of_darknet(graph: Graph, grids: Sequence[Grid], activations: set[str]) -> Iterator[Evidence]:
    """Use what networks of darknet have: activations, coarse grids first, and converters' names and axes."""
    used = graph.activations & activations
    if used and not graph.activations & {"SiLU", "HardSwish"}:
        text = f"its layers have {', '.join(sorted(used))}, as those of darknet do"
        yield speaks_for(Source.OPERATORS, text, Part.KIND)
    if all(_OF_DARKNET.search(grid.tensor.name) for grid in grids):
        text = f"{listed(grids)} are named as converters of darknet's networks name grids"
        yield speaks_for(Source.NAMES, text, Part.KIND, Part.COLUMNS)
    if grids[0].axis in (3, 4):
        text = f"{listed(grids)}: channels come last, as in TensorFlow's ports of darknet"
        yield speaks_for(Source.SHAPES, text, Part.KIND)


def _yolov3(
    graph: Graph, grids: Sequence[Grid], anchors: int, labels: int, shared: Sequence[Evidence]
) -> Reading:
    is_v4 = len(grids) == 3 and "Mish" in graph.activations
    name, numbers = (
        ("YOLOv4", _COCO_V4) if is_v4 else ("YOLOv3", _COCO_V3) if len(grids) == 3 else ("tiny", _COCO_TINY)
    )
    evidence = [*shared, *_of_darknet(graph, grids, {"Mish"} if is_v4 else {"LeakyRelu"})]
    strides = [grid.stride for grid in grids]
    if len(grids) > 1 and strides == sorted(strides, reverse=not is_v4):
        order = "finest" if is_v4 else "coarsest"
        text = f"{listed(grids)}: the {order} grid comes first, as in {name}"
        evidence.append(speaks_for(Source.SHAPES, text, Part.KIND))
    guess = (
        f"the anchors are not in the file. Those of {name} on COCO are a guess: a network that was trained "
        "on other data has its own, in its .cfg"
    )
    if len(numbers) // 2 != anchors * len(grids):
        numbers = [16 * side for side in range(1, anchors * len(grids) + 1) for _ in range(2)]
        guess = (
            f"{anchors} anchors a grid are unusual, and not in the file: replace the numbers in anchors, "
            "which only hold their place"
        )
    else:
        evidence += _of_coco(labels)
    checks = [guess]
    if len(grids) == 2:
        checks.append("YOLOv4-tiny's masks differ: its finer grid has anchors 1, 2, 3 (anchor_masks)")
    fields: dict[str, Any] = {"output_tensors": [grid.tensor.name for grid in grids], "anchors": numbers}
    if is_v4:
        scales = dict(zip(sorted(strides), (1.2, 1.1, 1.05), strict=True))
        fields["scale_x_y"] = [scales[stride] for stride in strides]
        checks.append("its layers use Mish, as YOLOv4's do, so scale_x_y is 1.2, 1.1, 1.05; see its .cfg")
    return Reading(
        name if len(grids) == 3 else "YOLOv3-tiny or YOLOv4-tiny",
        Detects(Yolov3Output.load(fields), labels, DARKNET, DARKNET_IMAGE, _COLUMNS, usual_size=_USUAL_SIZE),
        tuple(evidence),
        (*(Raw(grid.columns, tells=()) for grid in grids), LabelCount(labels)),
        {Part.ANCHORS: _listed_anchors(numbers)},
        checks=tuple(checks),
    )


_COLUMNS = "offsets, objectness and scores of each anchor"


def _of_coco(labels: int) -> Iterator[Evidence]:
    if labels == _COCO:
        text = f"{labels} labels are COCO's, whose anchors are known"
        yield speaks_for(Source.LABELS, text, Part.ANCHORS)


def _listed_anchors(numbers: Sequence[float]) -> str:
    return f"{numbers[0]:g} x {numbers[1]:g} to {numbers[-2]:g} x {numbers[-1]:g}"


def _yolov2(graph: Graph, grid: Grid, anchors: int, labels: int, shared: Sequence[Evidence]) -> Reading:
    numbers = _COCO_V2
    evidence = [*shared, *_of_darknet(graph, [grid], {"LeakyRelu"})]
    check = "the anchors are not in the file. Those of YOLOv2 on COCO are a guess: look into its .cfg"
    if anchors != len(_COCO_V2) // 2:
        numbers = [float(side) for side in range(1, anchors + 1) for _ in range(2)]
        check = "the anchors are not in the file: replace the numbers in anchors, which only hold their place"
    else:
        text = f"{grid}: a single grid of {anchors} anchors, as YOLOv2 has it"
        evidence.append(speaks_for(Source.SHAPES, text, Part.KIND))
        evidence += _of_coco(labels)
    return Reading(
        "YOLOv2",
        Detects(
            YoloOutput.load({"output_tensor": grid.tensor.name, "anchors": numbers}),
            labels,
            DARKNET,
            DARKNET_IMAGE,
            _COLUMNS,
            usual_size=_USUAL_SIZE,
        ),
        tuple(evidence),
        (Raw(grid.columns, tells=()), LabelCount(labels)),
        {Part.ANCHORS: _listed_anchors(numbers)},
        checks=(check,),
    )


def _yolov5(
    graph: Graph, grids: Sequence[Grid], labels: int, shared: Sequence[Evidence], is_anchors_first: bool
) -> Iterator[Reading]:
    """Read grids of YOLOv5 and v7; those that a Sigmoid has gone over are none that are decoded."""
    evidence = list(shared)
    used = graph.activations & {"SiLU", "HardSwish", "LeakyRelu"}
    if used:
        text = f"its layers have {', '.join(sorted(used))}, as those of YOLOv5 or v7 do"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.KIND))
    if is_anchors_first:
        text = f"{listed(grids)}: anchors before cells, and 5 + {labels} numbers last, as in YOLOv5 and v7"
        evidence.append(speaks_for(Source.SHAPES, text, Part.KIND))
    strides = [grid.stride for grid in grids]
    # A YOLOv3 whose grids were put into this order is no other network: LeakyRelu tells nothing then.
    if len(grids) > 1 and strides == sorted(strides) and used != {"LeakyRelu"}:
        text = f"{listed(grids)}: the finest grid comes first, as in YOLOv5 and v7"
        evidence.append(speaks_for(Source.SHAPES, text, Part.KIND))
    if any(graph.sources(grid.tensor.name) - {"Constant"} <= {"Sigmoid"} for grid in grids):
        yield Reading(
            "YOLOv5 or v7 without decoding",
            None,
            (*evidence, *of_yolov5(graph, Part.KIND, Part.COLUMNS)),
            (*(Raw(grid.columns, is_squashed=True, tells=()) for grid in grids), LabelCount(labels)),
            advice=f"{listed(grids)} may be the grids of YOLOv5 or v7, 3 anchors of 5 + {labels} numbers a "
            "cell, after a Sigmoid, as Rockchip's fork exports them. yolov3_output (box_coding yolov5) takes "
            "them without: end the graph before the Sigmoid. Or export with decoding (YOLOv5's export.py; "
            "v7's export.py --grid), which gives one table (B, N, 5 + labels) for yolov5_output",
        )
        return
    for network, numbers, more in _anchors_of_v5(graph, grids):
        coco = (*more, *_of_coco(labels)) if labels == _COCO else ()  # others may have their own
        fields = {
            "output_tensors": [grid.tensor.name for grid in grids],
            "anchors": numbers,
            "box_coding": "yolov5",
            **({"layout": "anchors_first"} if is_anchors_first and _is_square(grids) else {}),
        }
        yield Reading(
            f"{network} without decoding",
            Detects(Yolov3Output.load(fields), labels, YOLOV5, LETTERBOX, _COLUMNS),
            (*evidence, *of_yolov5(graph, Part.KIND, Part.COLUMNS), *coco),
            (*(Raw(grid.columns, tells=()) for grid in grids), LabelCount(labels)),
            {Part.KIND: _OF_V5, Part.ANCHORS: _listed_anchors(numbers)},
            checks=(
                f"the anchors are not in the file. Those of {network} on COCO are a guess: a network that "
                "was trained on other data may have its own, in its .yaml or its checkpoint",
            ),
        )


def _is_square(grids: Sequence[Grid]) -> bool:
    """Tell whether a grid has as many columns as anchors, so that its shape does not tell the layout."""
    return any(grid.tensor.axis(1) == grid.tensor.axis(3) for grid in grids)


def _anchors_of_v5(
    graph: Graph, grids: Sequence[Grid]
) -> Iterator[tuple[str, list[int], tuple[Evidence, ...]]]:
    """Give the networks that such grids may be of, the anchors of each on COCO, and what speaks for it."""
    if len(grids) == 4:
        yield "YOLOv5-P6 or v7-W6", _COCO_P6, ()
        return
    if len(grids) != 3:
        numbers = [16 * side for side in range(1, 3 * len(grids) + 1) for _ in range(2)]
        yield "a YOLOv5 or v7 of other grids", numbers, ()
        return
    # Between its stages v7 halves by MaxPool, beside a convolution; v5 by convolutions alone.
    halves = any(
        node.operator == "MaxPool" and node.attributes.get("strides") == (2, 2) for node in graph.links.nodes
    )
    if "SiLU" not in graph.activations:
        yield "YOLOv5 or v7-tiny", _COCO_V3, ()  # which have the same
    elif halves:
        text = "a MaxPool halves its maps, as in YOLOv7, and v5 has none that does"
        yield "YOLOv7", _COCO_V4, (speaks_for(Source.OPERATORS, text, Part.ANCHORS),)
    else:
        text = "no MaxPool halves its maps, as in YOLOv5, and v7 has some that do"
        yield "YOLOv5", _COCO_V3, (speaks_for(Source.OPERATORS, text, Part.ANCHORS),)

"""Detectors of the DETR kind: transformers with optimum's axes, RF-DETR, D-FINE, DEIM, their repositories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import COCO, Builder, Shape, Value
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided

SIDE, WIDTH = 320, 12
OPTIMUM: Shape = ("batch_size", "num_channels", "height", "width")
FIXED: Shape = (1, 3, SIDE, SIDE)


def hidden(graph: Builder, count: int, deformable: bool, selected: bool = False) -> Value:
    """The queries (B, count, WIDTH) after they attended to the image: by attention, or by sampling.

    If they are `selected`, they are the best of the image's cells, as RT-DETR's, and nothing but a run tells
    their count.
    """
    features = graph.features(16, "Relu", WIDTH)
    if selected:
        cells = graph.noted(features.reshape(0, WIDTH, -1).transpose(0, 2, 1), WIDTH)
        scores = cells.linear(1).squeeze(2)
        number = graph.concat(scores.size(1), np.array([count], np.int64), axis=0).op("ReduceMin", keepdims=1)
        places = graph.ops("TopK", 2, scores, number, axis=-1)[1].unsqueeze(-1)
        one, width = (np.array([size], np.int64) for size in (1, WIDTH))
        kept = cells.op("GatherElements", places.op("Expand", graph.concat(one, one, width, axis=0)), axis=1)
        grid = graph.noted(kept, WIDTH).linear(2).op("Tanh").unsqueeze(1)
        return graph.noted(features.op("GridSample", grid).squeeze(2).transpose(0, 2, 1) + kept, WIDTH)
    learned = np.random.default_rng(1).normal(0, 1, (1, count, WIDTH)).astype(np.float32)
    if deformable:
        places = np.random.default_rng(2).uniform(-0.9, 0.9, (1, 1, count, 2)).astype(np.float32)
        one = np.array([1], np.int64)
        grid = graph.constant(places).op("Expand", graph.concat(features.size(0), one, one, one, axis=0))
        seen = features.op("GridSample", grid).squeeze(2).transpose(0, 2, 1)
    else:
        keys = features.reshape(0, WIDTH, -1)
        shares = graph.constant(learned).op("MatMul", keys).softmax()
        seen = shares.op("MatMul", keys.transpose(0, 2, 1))
    return graph.noted(seen + learned, WIDTH)


def logits_of(queries: Value, columns: int, softmax: bool) -> Value:
    """A logit a column; with a softmax the background, which comes last, wins most queries."""
    bias = np.full(columns, 0.0 if softmax else -3.0)
    bias[-1] += 2.0 if softmax else 0.0
    return queries.linear(columns, gain=2.0, bias=bias)


def boxes_of(graph: Builder, queries: Value, count: int, ending: str, selected: bool = False) -> Value:
    """Centres and sizes in [0, 1]: a Sigmoid's, as the last of several layers', or from distances."""
    reference: Any = np.random.default_rng(3).normal(0, 1, (1, count, 4)).astype(np.float32)
    if selected:
        reference = queries.linear(4)
    raw = queries.linear(WIDTH).relu().linear(4) + reference - np.float32([0, 0, 2, 2])
    if ending == "distances":  # D-FINE: bins around a reference point
        first, second = raw.sigmoid().split(2, 2)
        bins = np.linspace(0, 0.5, 5, dtype=np.float32)[:, None]
        sides = queries.linear(20).reshape(0, count, 4, 5).softmax().op("MatMul", bins).squeeze(3)
        upper, lower = first - sides.slice(0, 2) * second, first + sides.slice(2, 4) * second
        return graph.concat((upper + lower) / 2.0, lower - upper, axis=-1)
    boxes = raw.sigmoid()
    if ending == "gather":  # RT-DETR: the layers' boxes are stacked, and the last are taken
        earlier = (raw * 0.5).sigmoid()
        stacked = graph.concat(earlier.unsqueeze(1), boxes.unsqueeze(1), axis=1)
        return stacked.gather(np.array(-1, np.int64), axis=1)
    return boxes


def detr(
    columns: int,
    *,
    softmax: bool = False,
    deformable: bool = False,
    ending: str = "sigmoid",
    names: Sequence[str] = ("logits", "pred_boxes"),
    image: Shape = OPTIMUM,
    input_name: str = "pixel_values",
    count: int = 100,
    queries_axis: int | str = "num_queries",
    box_axis: int | str = 4,
    extra: str = "",
    **options: Any,
) -> bytes:
    """Logits and boxes of queries; `extra` names a further output."""
    graph = Builder(image, name=input_name, **options)
    if extra == "pixel_mask":
        mask = graph.input(extra, (image[0], image[2], image[3]), np.int64)
    selected = deformable and not isinstance(image[2], int)
    queries = hidden(graph, count, deformable, selected)
    if extra == "pixel_mask":
        queries = graph.noted(queries + mask.cast().op("ReduceMean", keepdims=1) * 0.1, WIDTH)
    logits, boxes = logits_of(queries, columns, softmax), boxes_of(graph, queries, count, ending, selected)
    if ending == "gather":
        logits = logits.unsqueeze(1).gather(np.array(-1, np.int64), axis=1)
    outputs: dict[str, tuple[Value, Shape]] = {
        "logits": (logits, (image[0], queries_axis, columns)),
        "pred_boxes": (boxes, (image[0], queries_axis, box_axis)),
    }
    if names[0] in ("dets", "pred_boxes", "boxes"):
        outputs = dict(reversed(outputs.items()))
    for name, (value, shape) in zip(names, outputs.values(), strict=True):
        graph.output(name, value, shape)
    if extra == "last_hidden_state":
        graph.output(extra, queries, (image[0], "Addlast_hidden_state_dim_1", WIDTH))
    elif extra == "masks":
        keys = graph.features(4, "Relu", WIDTH).reshape(0, WIDTH, -1)
        masks = queries.op("MatMul", keys).reshape(0, count, SIDE // 4, SIDE // 4)
        graph.output(extra, masks, (image[0], count, SIDE // 4, SIDE // 4))
    return graph.model()


def chosen(labels: int = 80, batch: int | str = "N", exporters_axes: bool = False) -> bytes:
    """D-FINE's, DEIM's and RT-DETR's own export: the best 300, scaled to the sizes that it is given."""
    graph = Builder((batch, 3, SIDE, SIDE))
    sizes = graph.input("orig_target_sizes", (batch, 2), np.int64)
    queries = hidden(graph, 300, True)
    scores = logits_of(queries, labels, False).sigmoid()
    centre, size = boxes_of(graph, queries, 300, "distances").split(2, 2)
    corners = graph.concat(centre - size * 0.5, centre + size * 0.5, axis=-1)
    corners = corners * sizes.op("Tile", np.array([1, 2])).unsqueeze(1).cast()
    best, flat = scores.reshape(0, -1).topk(300)
    count = np.array(labels, np.int64)
    row = flat.op("Div", count)
    rows: Shape = ("Sublabels_dim_0", "Sublabels_dim_1") if exporters_axes else (batch, 300)
    graph.output("labels", flat - row * count, rows, np.int64)
    places = row.unsqueeze(-1).op("Expand", np.array([1, 1, 4], np.int64))
    graph.output("boxes", corners.op("GatherElements", places, axis=1), (*rows, 4))
    graph.output("scores", best, rows)
    return graph.model()


def owlvit() -> bytes:
    """OWL-ViT: a logit for each text that it is asked for."""
    axes: Shape = ("image_batch_size", "num_channels", "height", "width")
    graph = Builder(axes, name="pixel_values")
    text: Shape = ("text_batch_size", "sequence_length")
    tokens = [graph.input(name, text, np.int64) for name in ("input_ids", "attention_mask")]
    embedded = (tokens[0].cast() * tokens[1].cast()).unsqueeze(-1).op("ReduceMean", keepdims=1, axes=[1])
    texts = graph.noted(embedded, 1).linear(WIDTH)
    queries = hidden(graph, 100, False)
    logits = queries.op("MatMul", texts.reshape(-1, WIDTH).transpose(1, 0))
    graph.output("logits", logits, ("image_batch_size", 100, "num_queries"))
    graph.output("pred_boxes", boxes_of(graph, queries, 100, "sigmoid"), ("image_batch_size", 100, 4))
    graph.output("text_embeds", texts.squeeze(1), ("text_batch_size", WIDTH))
    graph.output("image_embeds", queries, ("image_batch_size", 100, WIDTH))
    return graph.model()


def config(names: Sequence[str], architecture: str, model_type: str) -> dict[str, Any]:
    """transformers' config.json, as far as it matters."""
    return {
        "config.json": {
            "architectures": [architecture],
            "model_type": model_type,
            "id2label": {str(row): name for row, name in enumerate(names)},
            "label2id": {name: row for row, name in enumerate(names)},
        }
    }


SEVEN = ("car", "bus", "van", "bike", "tram", "dog", "cat")
COCO_IDS = tuple("N/A" if row in (0, 12, 26, 29, 30, 45) else f"thing {row}" for row in range(91))
PREPROCESSOR = {
    "preprocessor_config.json": {
        "do_normalize": False,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "rescale_factor": 1 / 255,
        "size": {"height": 320, "width": 320},
    }
}

SIGMOID = Reads(
    "standard_output",
    {"box_format": "cxcywh", "score_activation": "sigmoid", "background": "none"},
    7,
    suppresses=False,
)
SOFTMAX = SIGMOID.but(fields={"box_format": "cxcywh", "score_activation": "softmax", "background": "last"})
CHOSEN = Reads("end_to_end_output", {"classes": "rows", "box_format": "xyxy"}, None, (SIDE, SIDE), False)


def _fixed(columns: int, **others: Any) -> bytes:
    count = others.pop("count", 100)
    return detr(columns, image=FIXED, queries_axis=count, count=count, **others)


CASES = (
    Case(
        "detr: optimum, config.json",
        lambda: detr(8, softmax=True, opset=16, ir=8),
        SOFTMAX.but(labels=SEVEN),
        config(SEVEN, "DetrForObjectDetection", "detr"),
    ),
    Case("detr: optimum, no names", lambda: detr(8, softmax=True), Undecided(SOFTMAX)),
    Case(
        "detr: optimum of 2 inputs, config.json",
        lambda: detr(92, softmax=True, extra="pixel_mask"),
        SOFTMAX.but(labels=91),
        config(COCO_IDS, "DetrForObjectDetection", "detr"),
    ),
    Case(
        "detr: its own repository, COCO",
        lambda: _fixed(92, softmax=True, names=("pred_logits", "pred_boxes"), input_name="inputs"),
        Undecided(SOFTMAX.but(labels=91)),
    ),
    Case(
        "detr: dynamo, config.json",
        lambda: detr(8, softmax=True, image=("s99", 3, "s100", "s4"), queries_axis=100, opset=18, ir=10),
        SOFTMAX.but(labels=SEVEN),
        config(SEVEN, "DetrForObjectDetection", "detr"),
    ),
    Case(
        "detr: hidden states too, config.json",
        lambda: detr(8, softmax=True, extra="last_hidden_state", queries_axis="Addlogits_dim_1"),
        SOFTMAX.but(labels=SEVEN),
        config(SEVEN, "DetrForObjectDetection", "detr"),
    ),
    Case(
        "detr: one label, config.json",
        lambda: detr(2, softmax=True, image=("batch_size", 3, SIDE, SIDE), queries_axis="Addlogits_dim_1"),
        SOFTMAX.but(labels=("face",)),
        config(("face",), "DetrForObjectDetection", "detr"),
    ),
    Case("detr: one label, no names", lambda: detr(2, softmax=True), Undecided(SOFTMAX.but(labels=1))),
    Case("detr: panoptic", lambda: _fixed(8, softmax=True, extra="masks"), Refused("mask", SOFTMAX)),
    Case(
        "conditional detr: optimum, config.json",
        lambda: detr(7),
        SIGMOID.but(labels=SEVEN),
        config(SEVEN, "ConditionalDetrForObjectDetection", "conditional_detr"),
    ),
    Case("conditional detr: optimum, no names", lambda: detr(7), Undecided(SIGMOID)),
    Case(
        "dab detr: fixed, COCO's ids in config.json",
        lambda: _fixed(91),
        SIGMOID.but(labels=91),
        config(COCO_IDS, "DabDetrForObjectDetection", "dab_detr"),
    ),
    Case(
        "deformable detr: optimum, config.json",
        lambda: detr(7, deformable=True),
        SIGMOID.but(labels=SEVEN),
        config(SEVEN, "DeformableDetrForObjectDetection", "deformable_detr"),
    ),
    Case(
        "rt-detr: optimum, config.json and preprocessor_config.json",
        lambda: detr(7, deformable=True, ending="gather", box_axis="Gatherpred_boxes_dim_2"),
        SIGMOID.but(labels=SEVEN, image={"resize_type": "SQUASH", "pixel_scaling": 1, "mean": None}),
        {**config(SEVEN, "RTDetrForObjectDetection", "rt_detr"), **PREPROCESSOR},
    ),
    Case(
        "rt-detr: optimum, no names",
        lambda: detr(7, deformable=True, ending="gather", box_axis="Gatherpred_boxes_dim_2"),
        SIGMOID,
    ),
    Case("rt-detr: fixed, COCO", lambda: _fixed(80, deformable=True, count=300), SIGMOID.but(labels=80)),
    Case(
        "d-fine: transformers, axes of its exporter",
        lambda: detr(
            80,
            deformable=True,
            ending="distances",
            image=FIXED,
            queries_axis="Gatherlogits_dim_1",
        ),
        SIGMOID.but(labels=COCO),
        config(COCO, "DFineForObjectDetection", "d_fine"),
    ),
    Case("d-fine, deim: orig_target_sizes", chosen, CHOSEN),
    Case("deim: axes of its exporter", lambda: chosen(3, exporters_axes=True), CHOSEN),
    Case("rt-detr: its own repository, 7 labels, fixed batch", lambda: chosen(7, 1), CHOSEN),
    Case(
        "yolos: fixed, config.json",
        lambda: _fixed(8, softmax=True),
        SOFTMAX.but(labels=SEVEN),
        config(SEVEN, "YolosForObjectDetection", "yolos"),
    ),
    Case(
        "table transformer: optimum, config.json",
        lambda: detr(3, softmax=True, count=15),
        SOFTMAX.but(labels=("table", "table rotated")),
        config(("table", "table rotated"), "TableTransformerForObjectDetection", "table-transformer"),
    ),
    Case(
        "table transformer: optimum, no names",
        lambda: detr(3, softmax=True, count=15),
        Undecided(SOFTMAX.but(labels=2)),
    ),
    Case(
        "rf-detr: COCO's ids",
        lambda: _fixed(91, deformable=True, names=("dets", "labels"), input_name="input", count=300),
        SIGMOID.but(labels=None, fields={"box_format": "cxcywh", "score_activation": "sigmoid"}),
    ),
    Case(
        "rf-detr: 7 labels and a background, dynamic batch",
        lambda: detr(
            8,
            deformable=True,
            names=("dets", "labels"),
            image=("batch", 3, SIDE, SIDE),
            queries_axis=300,
            count=300,
            input_name="input",
        ),
        Undecided(
            SIGMOID.but(fields={"box_format": "cxcywh", "score_activation": "sigmoid", "background": "last"})
        ),
    ),
    Case(
        "rf-detr: with masks",
        lambda: _fixed(
            8, deformable=True, names=("dets", "labels"), input_name="input", count=200, extra="masks"
        ),
        Refused(
            "RF-DETR.*mask|mask.*RF-DETR",
            SIGMOID.but(labels=None, fields={"box_format": "cxcywh", "score_activation": "sigmoid"}),
        ),
    ),
    Case("owl-vit", owlvit, Refused("text")),
)

"""Masks, poses and oriented boxes, as ``postproc run --draw`` shows them.

What is on the pages is drawn, so that it is known where things are: a file in ONNX gives that as YOLOv8's
networks do, each box with worse copies, which suppression takes away.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tests.models import answering
from tools.pictures.files import save
from tools.pictures.paper import HEIGHT, WIDTH, Paper, Points, covered, turned

# Leaves and stones: x, y, size, angle, colour.
_LEAVES = [(195, 165, 100, -0.6, "#40916c"), (475, 125, 88, 0.4, "#b5651d"), (170, 370, 84, 0.9, "#bc4749"),
           (380, 350, 112, -0.3, "#6a994e")]  # fmt: skip
_STONES = [(285, 215, 84, 0.0, "#8d99ae"), (545, 345, 62, 1.0, "#6b705c")]
# Pencils and erasers: x, y of the middle, length, width, angle, colour.
_PENCILS = [(150, 170, 250, 22, 0.5, "#e9c46a"), (250, 355, 290, 22, -0.35, "#2a9d8f"),
            (425, 135, 220, 22, 1.2, "#e76f51"), (505, 330, 250, 22, -0.9, "#457b9d")]  # fmt: skip
_ERASERS = [(320, 195, 78, 44, 0.3, "#f4acb7"), (85, 385, 78, 44, -0.6, "#cdb4db")]
# A body by COCO's 17 keypoints: the head at y = 0, the feet at 1, and what other poses move.
_STANDING = [
    (0.00, 0.07), (0.02, 0.05), (-0.02, 0.05), (0.05, 0.06), (-0.05, 0.06), (0.11, 0.22), (-0.11, 0.22),
    (0.18, 0.37), (-0.18, 0.37), (0.17, 0.52), (-0.17, 0.52), (0.07, 0.54), (-0.07, 0.54), (0.09, 0.76),
    (-0.09, 0.76), (0.10, 0.97), (-0.10, 0.97),
]  # fmt: skip
_WAVING = {7: (0.24, 0.14), 9: (0.23, -0.04), 13: (0.12, 0.76), 15: (0.16, 0.97)}
_WALKING = {7: (0.06, 0.38), 9: (0.20, 0.48), 8: (-0.17, 0.36), 10: (-0.21, 0.51), 13: (0.16, 0.73),
            15: (0.09, 0.96), 14: (-0.07, 0.77), 16: (-0.23, 0.93)}  # fmt: skip
_LIMBS = [(7, 5, 6, 8), (5, 11, 12, 6), (7, 9), (8, 10), (11, 13, 15), (12, 14, 16)]
_PEOPLE = [(130, 95, 350, {}, "#264653"), (320, 150, 285, _WALKING, "#9a031e"),
           (490, 85, 365, _WAVING, "#3a5a40")]  # fmt: skip


def masks(target: Path) -> None:
    """Draw leaves and stones, some of them on others; each has a prototype of its own."""
    rng = np.random.default_rng(3)
    paper = Paper(rng)
    owner = np.full((HEIGHT, WIDTH), -1)
    shapes = [*((_leaf, *leaf) for leaf in _LEAVES), *((_stone, *stone) for stone in _STONES)]
    order = [4, 0, 1, 5, 2, 3]  # the stone lies under a leaf
    for number in order:
        shape, x, y, size, angle, color = shapes[number]
        outline = turned(shape(size), angle, x, y)
        paper.fill(outline, color)
        if shape is _leaf:
            paper.line(turned([(-size, 0), (0.7 * size, 0)], angle, x, y), "#31572c", 3)
        owner[covered(outline)] = number
    rows = np.arange(len(shapes))
    seen = owner == rows[:, None, None]
    boxes = [_around(np.argwhere(mask)[:, ::-1]) for mask in seen]
    labels = [int(shape is _stone) for shape, *_ in shapes]
    cells = seen.reshape(len(rows), HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(2, 4))
    tensors = {"output0": _table(rng, boxes, labels, np.eye(len(rows))), "output1": 16 * cells - 8}
    output = {"yolov8_seg_output": {"output_tensor": "output0", "prototypes_tensor": "output1"}}
    _run(target, paper.image(), ["leaf", "stone"], tensors, output)


def poses(target: Path) -> None:
    """Draw people of few lines; a keypoint in ten is not visible."""
    rng = np.random.default_rng(6)
    paper = Paper(rng)
    people = []
    for x, y, height, moved, color in _PEOPLE:
        pose = [moved.get(point, place) for point, place in enumerate(_STANDING)]
        points = [(x + height * dx, y + height * dy) for dx, dy in pose]
        for limb in _LIMBS:
            paper.line([points[point] for point in limb], color, 0.05 * height)
        paper.line([(x, y + 0.07 * height)], color, 0.16 * height)
        people.append(points)
    boxes = [_around(person, margin=24) for person in people]
    visible = np.where(rng.random((len(people), 17, 1)) < 0.1, 0.3, 0.95)
    keypoints = np.concatenate([people, visible], axis=2).reshape(len(people), -1)
    tensors = {"output0": _table(rng, boxes, [0] * len(people), keypoints)}
    _run(target, paper.image(), ["person"], tensors,
         {"yolov8_pose_output": {"output_tensor": "output0", "keypoints": 17}})  # fmt: skip


def oriented_boxes(target: Path) -> None:
    """Draw pencils and erasers on a desk."""
    rng = np.random.default_rng(2)
    paper = Paper(rng)
    for x, y, length, width, angle, color in _PENCILS:
        end, tip, side = length / 2, 0.36 * length, width / 2
        paper.fill(turned(_rectangle(-end, tip, side), angle, x, y), color)
        paper.fill(turned([(tip, -side), (end, 0), (tip, side)], angle, x, y), "#f2d7b6")
        paper.fill(turned(_rectangle(-end, 0.12 * length - end, side), angle, x, y), "#f4acb7")
        paper.line(turned([(0.12 * length - end, 0), (tip, 0)], angle, x, y), "#3d405b", 2)
    for x, y, length, width, angle, color in _ERASERS:
        paper.fill(turned(_rectangle(-length / 2, length / 2, width / 2), angle, x, y), color)
        paper.fill(turned(_rectangle(-length / 8, length / 2, width / 2), angle, x, y), "#5c677d")
    things = np.array([thing[:5] for thing in [*_PENCILS, *_ERASERS]])
    labels = [0] * len(_PENCILS) + [1] * len(_ERASERS)
    tensors = {"output0": _table(rng, things[:, :4], labels, things[:, 4:])}
    _run(target, paper.image(), ["pencil", "eraser"], tensors,
         {"yolov8_obb_output": {"output_tensor": "output0"}})  # fmt: skip


def _leaf(size: float) -> Points:
    along = np.linspace(0, np.pi, 40)
    x, y = -size * np.cos(along), 0.45 * size * np.sin(along) ** 1.4
    return [*zip(x, y, strict=True), *zip(x[::-1], -y[::-1], strict=True)]


def _stone(size: float) -> Points:
    around = np.linspace(0, 2 * np.pi, 60)
    radius = size * (0.9 + 0.08 * np.cos(2 * around) + 0.05 * np.sin(3 * around))
    return list(zip(radius * np.cos(around), 0.8 * radius * np.sin(around), strict=True))


def _rectangle(left: float, right: float, side: float) -> Points:
    return [(left, -side), (right, -side), (right, side), (left, side)]


def _around(points: ArrayLike, margin: float = 0.5) -> list[float]:
    """Return cx, cy, w, h of the upright box around points, and so much more on each side."""
    low, high = np.min(points, axis=0) - margin, np.max(points, axis=0) + margin
    return [*(low + high) / 2, *(high - low)]


def _table(rng: np.random.Generator, boxes: ArrayLike, labels: list[int], further: ArrayLike) -> NDArray[Any]:
    """Return YOLOv8's table: boxes, a score a label, further columns; a row each and three worse ones."""
    copies = 4
    places, more = np.repeat(boxes, copies, axis=0), np.repeat(further, copies, axis=0)
    is_copy = np.arange(len(places)) % copies > 0
    places[is_copy] += rng.normal(0, 2, (is_copy.sum(), 4))
    best = np.repeat(rng.uniform(0.8, 0.97, len(labels)), copies) - 0.3 * is_copy
    scores = np.where(np.repeat(labels, copies)[:, None] == np.arange(max(labels) + 1), best[:, None], 0.02)
    return np.concatenate([places, scores, more], axis=1).T


def _run(target: Path, page: Image.Image, labels: list[str], tensors: dict[str, Any], output: Any) -> None:
    """Write the page, the network and its documents, and let ``postproc run`` draw."""
    names = [{"id": row, "name": name} for row, name in enumerate(labels)]
    spec = {"outputs": [{"labels": {"labels": names, "exclusive": True, "roi": "BBOX"}}]}
    decision = {"thresholds": [0.5] * len(labels), "nms_threshold": 0.5, "input_size": [HEIGHT, WIDTH]}
    image = {"target_size": f"{WIDTH}x{HEIGHT}", "resize_type": "SQUASH", "color_channels": "RGB",
             "dimension_order": "NCHW", "data_type": "FLOAT32"}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page.save(folder / "page.png")
        answers = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        (folder / "network.onnx").write_bytes(answering(answers, ("N", 3, HEIGHT, WIDTH), "images"))
        documents = {
            "spec": spec,
            "version": {"post_processings": [{"detection": {**output, **decision}}]},
            "preprocessing": {"inputs": [{"tensor_name": "images", "image": image}], "batched_output": True},
        }
        options = []
        for kind, document in documents.items():
            (folder / f"{kind}.json").write_text(json.dumps(document))
            options += [f"--{kind}", f"{kind}.json"]
        command = [sys.executable, "-m", "postproc.cli"]
        subprocess.run(
            [*command, "run", "network.onnx", *options, "page.png", "--draw", "."],
            check=True, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        [drawn] = set(folder.glob("page*")) - {folder / "page.png"}
        save(Image.open(drawn), target)

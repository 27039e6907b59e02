"""Show what calibrated thresholds gain on the demo's pages: chosen on one half, measured on the other.

    python tools/calibration_demo.py [--pages 120] [--halves 20] [--picture docs/calibration.jpg]

The halves share no page, but handwriting: all are written with the 360 scans that networks never saw. With
`--sizes 5 10 20 40 60` it tells what thresholds are worth that were chosen from so many pages of one half.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from postproc import PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.demo.dataset import write_dataset
from postproc.evaluation import GroundTruth, Settings
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass
from postproc.evaluation.pass_matches import gather
from postproc.evaluation.threshold_choice import Objective, Variant, choose
from postproc.images import Preprocessor
from postproc.images.batches import consecutive
from postproc.images.drawing import draw_outputs
from postproc.onnx_runner import OnnxRunner
from postproc.schema import RecognitionSpec, RecognitionVersion
from postproc.spreading.images import Recognise, map_images

PLAIN = (0.8, 0.5)  # v0.7's default for detections, and what many scripts take
QUALITY = 80


def main() -> None:
    """Choose, measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pages", type=int, default=120)
    parser.add_argument("--halves", type=int, default=20)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    spec = RecognitionSpec.load(spec_path("yolo"))
    document = json.loads(version_path("yolo").read_text())
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), arguments.pages, model="yolo", first_page=0)
        truth = GroundTruth.load(Path(folder) / "truth.json", spec)
        plan = OnePass.of(spec, RecognitionVersion.load(document), {0: truth})
        runner = OnnxRunner(model_path("yolo"), PostProcessor(plan.spec, plan.version))
        paths = sorted((Path(folder) / "pages").iterdir())
        predictions = map_images(
            Recognise(max_predictions=PASS_PREDICTIONS),
            runner,
            Preprocessor(preprocessing_path("yolo")),
            consecutive(paths, 8),
            print,
        )
        [[variant]] = gather(plan, predictions).variants
        floors = np.array(plan.outputs[0].floors)
        for plain in PLAIN:
            gains = np.array(
                [
                    halved(variant, np.full(floors.shape, plain), floors, seed)
                    for seed in range(arguments.halves)
                ]
            )
            before, after = gains.mean(axis=0)
            gain = gains[:, 1] - gains[:, 0]
            print(
                f"all thresholds {plain:g}: F1 (mean of labels) on the other half {before:.3f}, calibrated "
                f"{after:.3f}: {gain.mean():+.3f} ± {gain.std():.3f} over {len(gain)} halves, from "
                f"{gain.min():+.3f} to {gain.max():+.3f}"
            )
        for size in arguments.sizes:
            print_size(variant, floors, size, arguments.halves)
        if arguments.picture:
            draw(arguments.picture, document, variant, floors, truth, paths)


def print_size(variant: Variant, floors: Any, size: int, halves: int) -> None:
    """Print what thresholds chosen from so many pages are worth on the other half."""
    old = np.full(floors.shape, PLAIN[0])
    gains = np.array([halved(variant, old, floors, seed, size) for seed in range(halves)])
    gain = gains[:, 1] - gains[:, 0]
    objects = len(variant.ranked.objects) * size / variant.ranked.images / len(old)
    print(
        f"{size} pages, {objects:.0f} objects a label: F1 on the other half {gains[:, 1].mean():.3f}, "
        f"{gain.mean():+.3f} ± {gain.std():.3f}, from {gain.min():+.3f} to {gain.max():+.3f}"
    )


def split(images: int, seed: int) -> np.ndarray[Any, Any]:
    """Share the images out: 0 to choose from, 1 to measure on."""
    return np.random.default_rng(seed).permutation(np.arange(images) % 2).astype(np.int16)


def chosen(variant: Variant, old: Any, floors: Any, half_of: Any) -> Any:
    """Thresholds of best F1 from one half; labels with too few objects there keep theirs."""
    objects = variant.ranked.objects
    labels = objects[half_of[objects[:, 0]] == 0, 1]
    is_enough = np.bincount(labels, minlength=len(old)) >= Settings().min_examples
    return choose(
        [variant], old, floors, is_enough, Objective(), np.minimum(half_of, 1), left_out=1
    ).thresholds


def halved(
    variant: Variant, old: Any, floors: Any, seed: int, size: int | None = None
) -> tuple[float, float]:
    """Mean F1 of labels on one half, with plain thresholds and those chosen from the other, or a part."""
    ranked = variant.ranked
    half_of = split(ranked.images, seed)
    measured = half_of[ranked.image] == 1
    if size is not None:
        half_of[np.flatnonzero(half_of == 0)[size:]] = 2  # neither chosen from nor measured on
    objects = np.bincount(ranked.objects[half_of[ranked.objects[:, 0]] == 1, 1], minlength=len(old))

    def mean_f1(thresholds: Any) -> float:
        true_positives, false_positives = ranked.counts(measured & ranked.above(thresholds))
        return float((2 * true_positives / (objects + true_positives + false_positives)).mean())

    return mean_f1(old), mean_f1(chosen(variant, old, floors, half_of))


def draw(target: Path, document: Any, variant: Variant, floors: Any, truth: GroundTruth, paths: Any) -> None:
    """Draw the page of the half that nothing was chosen from that gains most, before and after."""
    half_of = split(variant.ranked.images, 0)
    old = np.full(floors.shape, PLAIN[0])
    posts = []
    for thresholds in (old, chosen(variant, old, floors, half_of)):
        changed = copy.deepcopy(document)
        changed["post_processings"][0]["detection"]["thresholds"] = thresholds.tolist()
        posts.append(PostProcessor(spec_path("yolo"), changed))
    ranked = variant.ranked
    gained = [
        np.bincount(ranked.image[ranked.is_true_positive & ranked.above(t)], minlength=ranked.images)
        for t in (posts[1].version.post_processings[0].detection.thresholds, old)
    ]
    row = int(np.argmax(np.where(half_of == 1, gained[0] - gained[1], -1)))
    path = next(path for path in paths if truth.find(path) == row)
    image = Image.open(path).convert("RGB")
    batch = Preprocessor(preprocessing_path("yolo"))([image])
    drawn = []
    for post in posts:
        found = OnnxRunner(model_path("yolo"), post)(batch.tensors, transforms=batch.transforms)
        drawn.append(draw_outputs(image, [found.outputs[0][0]], min_side=960))
    gap = 12
    both = Image.new("RGB", (drawn[0].width * 2 + gap, drawn[0].height), "white")
    for index, picture in enumerate(drawn):
        both.paste(picture, (index * (drawn[0].width + gap), 0))
    both.thumbnail((1440, 1440), Image.Resampling.LANCZOS)
    target.parent.mkdir(parents=True, exist_ok=True)
    both.save(target, quality=QUALITY, optimize=True)
    objects = int((ranked.objects[:, 0] == row).sum())
    print(
        f"{target}: {path.name}, {objects} digits; right {gained[1][row]} -> {gained[0][row]}; "
        f"{target.stat().st_size // 1000} kB"
    )


if __name__ == "__main__":
    main()

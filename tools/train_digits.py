"""Train the demo's digit networks and write them, with their documents, to postproc/demo/models.

Needs torch, onnx and the extra `demo`; takes some minutes on two cores. Run it from anywhere:

    python tools/train_digits.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from digit_training import documents
from digit_training.data import box_sizes, make_examples, validation_pages
from digit_training.evaluation import best_thresholds, classify, detect
from digit_training.export import export_all
from digit_training.fitting import fit_classifier, fit_detector
from digit_training.networks import STRIDE

from postproc.demo.pages import make_page

_SEED = 1
_ANCHORS = 3
_CLASSIFIER_EPOCHS = 4
_TRAINING_PAGES, _VALIDATION_PAGES, _HELD_OUT_PAGES = 1600, 150, 200
_LOW = [0.05] * documents.DIGITS
_MODELS = Path(__file__).resolve().parent.parent / "postproc" / "demo" / "models"


def main() -> None:
    """Train, export, choose thresholds on validation pages, measure on held-out ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=_MODELS, help="folder to write to (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="processes and threads (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="of the detector (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    started = time.perf_counter()

    examples = make_examples(_TRAINING_PAGES, arguments.threads)
    print(
        f"{len(examples.inputs)} pages, {len(examples.crops)} digits, {time.perf_counter() - started:.0f} s"
    )
    sizes = box_sizes(examples, _ANCHORS)
    detector = fit_detector(examples, sizes, epochs=arguments.epochs, seed=_SEED)
    classifier = fit_classifier(examples, epochs=_CLASSIFIER_EPOCHS, seed=_SEED)
    models = export_all(arguments.output, detector, classifier)
    write_documents(arguments.output, models, (sizes / STRIDE).ravel().tolist())
    print(f"trained and written to {arguments.output} in {time.perf_counter() - started:.0f} s")


def write_documents(folder: Path, models: Mapping[str, Path], anchors: Sequence[float]) -> None:
    """Choose the thresholds of each network, write its documents, and print how good it is."""
    for kind in ("detection", "classification"):
        documents.write(folder / documents.spec_name(kind), documents.spec(kind))
    validation = validation_pages(_VALIDATION_PAGES)
    held_out = [make_page(seed, held_out=True) for seed in range(_HELD_OUT_PAGES)]
    for name, model in models.items():
        judge = classify if name == "classifier" else detect
        preprocessing = documents.preprocessing(name)
        low = documents.version(name, _LOW, anchors)
        thresholds = best_thresholds(judge(model, low, preprocessing, validation))
        version = documents.version(name, thresholds, anchors)
        documents.write(folder / f"digits_{name}.version.json", version)
        documents.write(folder / f"digits_{name}.preprocessing.json", preprocessing)
        found = judge(model, version, preprocessing, held_out)
        print(f"{name}: {len(held_out)} held-out pages, {found}, {model.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

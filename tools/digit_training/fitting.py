"""The training loops."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from digit_training.data import Examples, as_input
from digit_training.losses import anchored_loss, grid_loss
from digit_training.networks import Classifier, Detector

_BATCH = 16
_CROP_BATCH = 128
_LEARNING_RATE = 4e-3


def fit_detector(examples: Examples, sizes: NDArray[np.float32], *, epochs: int, seed: int) -> Detector:
    """Train both heads of a detector together; ``sizes`` are its anchors', ``(A, 2)`` in pixels."""
    torch.manual_seed(seed)
    detector = Detector(torch.from_numpy(sizes))
    anchors = detector.anchor_boxes(*examples.inputs.shape[2:])
    boxes, labels = torch.from_numpy(examples.boxes), torch.from_numpy(examples.labels)

    def loss_of(rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        most = int((examples.labels[rows] >= 0).sum(axis=1).max())
        digits = boxes[rows, :most], labels[rows, :most]
        features = detector.trunk(_varied(examples.inputs[rows], rng))
        offsets, logits = detector.anchored(features)
        in_grid = grid_loss(detector.grid(features), detector.sizes, *digits)
        return in_grid + anchored_loss(offsets, logits, anchors, *digits)

    _fit("detector", detector, loss_of, len(examples.inputs), _BATCH, epochs, seed)
    return detector


def fit_classifier(examples: Examples, *, epochs: int, seed: int) -> Classifier:
    """Train the classifier on the crops."""
    torch.manual_seed(seed)
    classifier = Classifier()
    targets = torch.from_numpy(examples.crop_labels)

    def loss_of(rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        logits = classifier(_varied(examples.crops[rows], rng))
        return functional.cross_entropy(logits, targets[rows], label_smoothing=0.05)

    _fit("classifier", classifier, loss_of, len(examples.crops), _CROP_BATCH, epochs, seed)
    return classifier


def _fit(
    name: str,
    network: nn.Module,
    loss_of: Callable[[NDArray[np.int64], np.random.Generator], Tensor],
    examples: int,
    batch: int,
    epochs: int,
    seed: int,
) -> None:
    """Minimise a loss over shuffled batches with AdamW under a one-cycle rate."""
    rng = np.random.default_rng(seed)
    steps = examples // batch
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_LEARNING_RATE, total_steps=epochs * steps, pct_start=0.15
    )
    # Channels last train twice as fast on a CPU; torch's stubs lack memory_format.
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    started = time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        for rows in rng.permutation(examples)[: steps * batch].reshape(steps, batch):
            loss = loss_of(rows, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - started
        print(f"{name}: epoch {epoch + 1} of {epochs}, loss {total / steps:.3f}, {seconds:.0f} s", flush=True)
    network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _varied(stored: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Turn stored images into inputs under other light: contrast, brightness and noise vary."""
    values = as_input(stored)
    shape = (len(values), 1, 1, 1)
    values *= rng.uniform(0.7, 1.15, shape).astype(np.float32)
    values += rng.uniform(-0.12, 0.12, shape).astype(np.float32)
    noise = rng.standard_normal(values.shape, np.float32)
    values += noise * rng.uniform(0, 0.03, shape).astype(np.float32)
    return torch.from_numpy(values).to(memory_format=torch.channels_last)

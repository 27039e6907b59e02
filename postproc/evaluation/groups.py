"""Detections and objects by image and label: what is of the same of both may be matched."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Instances:
    """Detections, or objects of a ground truth, in any order.

    Parameters
    ----------
    images, labels : (N,) int64
        Rows of the image and of the label. What has none, -1, is left out, as pycocotools does with
        results of categories that the ground truth lacks.

    Raises
    ------
    TensorError
        If columns differ in length.
    """

    images: Integers
    labels: Integers

    def __post_init__(self) -> None:
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{length} {name}" for name, length in lengths.items())
            raise TensorError(f"instances: expected as many of all columns, got {told}")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False, slots=True)
class FoundInstances(Instances):
    """Detections.

    Parameters
    ----------
    images, labels
        As of `Instances`.
    scores : (N,) float
    areas : (N,) float64
        By which one that finds nothing counts as small, medium or large.
    unmatched_ignored : (N,) bool, optional
        Whether one that finds nothing does not count, as where not all objects are annotated; by default all
        are false positives.
    """

    scores: NDArray[np.floating]
    areas: Floats
    unmatched_ignored: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TrueInstances(Instances):
    """Objects of a ground truth.

    Parameters
    ----------
    images, labels
        As of `Instances`.
    areas : (N,) float64
        By which it counts as small, medium or large.
    crowd : (N,) bool
        Whether it stands for many: any number of detections may take it, and none of them counts.
    ignored : (N,) bool
        Whether it need not be found, as one without keypoints: who finds it does not count.
    """

    areas: Floats
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """Detections and objects sorted by label, and within one by image.

    Parameters
    ----------
    rows : (K,) int64
        Rows of the detections that are looked at; those of an image and label in the order that they are met.
    truths : (G,) int64
        Rows of the objects, those of an image and label as they are given.
    labels, truth_labels : (K,), (G,) int64
    ranks : (K,) int64
        How many detections of its image and label come before one.
    offsets : (N + 1,) int64
        The detections of the image and label i are ``offsets[i]`` to ``offsets[i + 1]`` of `rows`.
    truth_starts, truth_stops : (N,) int64
        Its objects are ``truth_starts[i]`` to ``truth_stops[i]`` of `truths`.
    """

    rows: Integers
    truths: Integers
    labels: Integers
    truth_labels: Integers
    ranks: Integers
    offsets: Integers
    truth_starts: Integers
    truth_stops: Integers

    @classmethod
    def of(
        cls,
        found: Instances,
        truth: Instances,
        images: int,
        order: Integers | None = None,
        most: int | None = None,
    ) -> Groups:
        """Sort what is given.

        Parameters
        ----------
        found, truth : Instances
        images : int
            How many images there are.
        order : (N,) int64, optional
            Rows of `found` in the order that they are met; by default as they are given.
        most : int, optional
            So many of an image and label are looked at, the first ones.
        """
        keys = _keys(found, images)
        rows = np.flatnonzero(keys >= 0) if order is None else order[keys[order] >= 0]
        rows = sorted_by(found.labels, sorted_by(found.images, rows))
        keys = keys[rows]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        counts = np.diff(starts, append=len(keys))
        ranks = np.arange(len(keys)) - np.repeat(starts, counts)
        group_keys = keys[starts]
        if most is not None and len(counts) and counts.max() > most:
            kept = ranks < most
            rows, ranks = rows[kept], ranks[kept]
            counts = np.minimum(counts, most)
        truth_keys = _keys(truth, images)
        truths = np.flatnonzero(truth_keys >= 0)
        truths = sorted_by(truth.labels, sorted_by(truth.images, truths))
        truth_keys = truth_keys[truths]
        return cls(
            rows,
            truths,
            found.labels[rows],
            truth.labels[truths],
            ranks,
            np.concatenate([[0], np.cumsum(counts)]),
            np.searchsorted(truth_keys, group_keys, "left"),
            np.searchsorted(truth_keys, group_keys, "right"),
        )

    def __len__(self) -> int:
        return len(self.truth_starts)


def _keys(instances: Instances, images: int) -> Integers:
    """Give a number of each pair of a label and an image, by label first; -1 where there is none."""
    if len(instances) and instances.images.max() >= images:
        raise TensorError(
            f"images: expected rows below {images}, the number of images, got {instances.images.max()}"
        )
    keys: Integers = instances.labels.astype(np.int64) * images + instances.images
    keys[(instances.labels < 0) | (instances.images < 0)] = -1
    return keys


def sorted_by(keys: Integers, rows: Integers) -> Integers:
    """Sort rows by their keys, 0 or more each; those of the same key keep their order."""
    keys = keys[rows]
    if not len(rows) or keys.max() < 2**16:  # which NumPy sorts in time that does not grow with the logarithm
        keys = keys.astype(np.uint16)
    return rows[np.argsort(keys, kind="stable")]


def ranks_of(keys: Integers) -> Integers:
    """How many rows of the same key come before each, (N,)."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys.min(initial=0) - 1))
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
    return ranks

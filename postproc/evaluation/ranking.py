"""What precision and recall are read off of: detections by score, and the objects that they may take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.groups import Floats, Integers
from postproc.evaluation.similarity import Pairs
from postproc.kernels.evaluation.resampled_curves import resampled_curves
from postproc.kernels.evaluation.states import IGNORED, TRUE_POSITIVE, detection_states

_LEAST_OF_A_THREAD = 8  # draws


@dataclass(frozen=True, eq=False, slots=True)
class Ranking:
    """K detections and G objects, by label and image, as `precision_recall` takes them.

    Parameters
    ----------
    pairs : Pairs
    offsets, truth_offsets : (L + 1,) int64
        Where the detections, and the objects, of each label begin.
    scores : (K,) float64
    ranks, by_score : (K,) int64
    is_beyond : (A, K) bool
    crowd : (G,) bool
    ignored : (A, G) bool
    images, truth_images : (K,), (G,) int64
        Row of the image of each.
    thresholds : (T,) float64
    limits : (M,) int64
    """

    pairs: Pairs
    offsets: Integers
    truth_offsets: Integers
    scores: Floats
    ranks: Integers
    by_score: Integers
    is_beyond: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    images: Integers
    truth_images: Integers
    thresholds: Floats
    limits: Integers


@dataclass(frozen=True, eq=False, slots=True)
class ResampledCurves:
    """Average precision and recall in each of D resamplings of the images; NaN where there is no object.

    Parameters
    ----------
    precision, recall : (D, T) float64 by (area, limit)
        Precision is there of the last limit only.
    by_label : (D, L) float64
        Average precision of each label, of all areas and thresholds, at the last limit.
    """

    precision: dict[tuple[int, int], Floats]
    recall: dict[tuple[int, int], Floats]
    by_label: Floats


def resample(
    ranking: Ranking, recalls: Floats, weights: NDArray[np.uint16], turns: Sequence[tuple[int, int]]
) -> ResampledCurves:
    """Measure each resampling of the images as if it were the data set: matched once, sorted once.

    The draws are shared out to as many threads as there are processors; the result does not hang on it.

    Parameters
    ----------
    ranking : Ranking
    recalls : (R,) float64
        At which precision is read.
    weights : (D, images) uint16
        How often each image is drawn.
    turns : sequence of (int, int)
        Rows of the area and of the limit of what is measured.
    """
    last, count = len(ranking.limits) - 1, len(ranking.thresholds)
    turns = sorted(set(turns))  # those of one area next to each other: its objects are counted once
    entries, starts = _entries(ranking, turns)
    objects, object_starts = _objects(ranking)
    areas = np.repeat([area for area, _ in turns], count)
    of_labels = np.repeat([turn == (0, last) for turn in turns], count)

    def measure(part: NDArray[np.uint16]) -> tuple[Floats, ...]:
        return resampled_curves(entries, starts, areas, of_labels, objects, object_starts, recalls, part)

    weights = np.ascontiguousarray(weights)  # as the kernel takes them, which else is compiled once more
    parts = max(1, min(os.cpu_count() or 1, len(weights) // _LEAST_OF_A_THREAD))
    with ThreadPoolExecutor(parts) as pool:
        found = list(pool.map(measure, np.array_split(weights, parts)))
    precision, recall, by_label = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    columns = {turn: slice(row * count, (row + 1) * count) for row, turn in enumerate(turns)}
    return ResampledCurves(
        {turn: precision[:, of] for turn, of in columns.items() if turn[1] == last},
        {turn: recall[:, of] for turn, of in columns.items()},
        by_label,
    )


def _entries(ranking: Ranking, turns: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int32], Integers]:
    """List the detections that count in each turn at each threshold, as `resampled_curves` takes them."""
    pairs = ranking.pairs
    states = detection_states(
        pairs.starts, pairs.truths, pairs.values, ranking.is_beyond, ranking.crowd, ranking.ignored,
        ranking.thresholds,
    )  # fmt: skip
    order = ranking.by_score
    doubled, ranks = ranking.images[order].astype(np.int32) * 2, ranking.ranks[order]
    entries, starts, begin = [np.empty(0, np.int32)], [], 0
    for area, limit in turns:
        is_last = limit == len(ranking.limits) - 1
        is_within = ranks < ranking.limits[limit]
        for state in states[area][:, order]:
            is_true = state == TRUE_POSITIVE
            # Of the smaller limits only recall is asked for, to which false positives do not matter.
            counts = is_within & ((state != IGNORED) if is_last else is_true)
            starts.append(begin + np.concatenate([[0], np.cumsum(counts)])[ranking.offsets])
            entries.append((doubled + is_true)[counts])
            begin += len(entries[-1])
    labels = len(ranking.offsets)
    return np.concatenate(entries), np.array(starts, np.int64).reshape(-1, labels)


def _objects(ranking: Ranking) -> tuple[Integers, Integers]:
    """Images of the objects that count in each range of areas, and where those of each label begin."""
    images, starts, begin = [], [], 0
    for ignored in ranking.ignored:
        images.append(ranking.truth_images[~ignored])
        starts.append(begin + np.concatenate([[0], np.cumsum(~ignored)])[ranking.truth_offsets])
        begin += len(images[-1])
    return np.concatenate(images), np.array(starts, np.int64)

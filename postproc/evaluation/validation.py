"""What thresholds chosen from data are worth on other data: cross-validation, and the spread of the gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.ranked_matches import RankedMatches
from postproc.evaluation.threshold_choice import Objective, Variant, choose
from postproc.kernels.evaluation.resampling import resampled_counts

MEASURES = {
    "macro_f1": "F1, mean of labels",
    "micro_f1": "F1, all objects",
    "precision": "precision, all objects",
    "recall": "recall, all objects",
    "false_positives": "false positives an image",
}
_INTERVAL = (2.5, 97.5)
# Objects, true and false positives by label and draw, (L, D) each.
_Counts = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Gain:
    """A measure on images that no threshold was chosen from, with the old thresholds and with new ones.

    Parameters
    ----------
    before, after : float
    spread : float
        Standard deviation of the gain over resamplings of the images.
    low, high : float
        95 % interval of the gain over resamplings of the images.
    """

    before: float
    after: float
    spread: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.gain:+.3f} ± {self.spread:.3f}"

    @property
    def gain(self) -> float:
        """How much higher the measure is with new thresholds."""
        return self.after - self.before

    @property
    def may_be_luck(self) -> bool:
        """Whether the interval holds 0, or all of it is below."""
        return self.low <= 0

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        numbers = {"before": self.before, "after": self.after, "gain": self.gain, "spread": self.spread}
        return {**numbers, "interval": [self.low, self.high], "may_be_luck": self.may_be_luck}


@dataclass(frozen=True, eq=False, slots=True)
class Validation:
    """Result of a cross-validation.

    Parameters
    ----------
    folds, repeats, draws, seed : int
    measures : dict of str to Gain
        ``macro_f1``: mean F1 of the labels; ``micro_f1``, ``precision``, ``recall``: of all objects together;
        ``false_positives``: of all labels, an image.
    labels : tuple of Gain or None
        F1 of each label; None without objects.
    precision, recall : tuple of float or None
        Of each label, with new thresholds.
    nms_thresholds : dict of float to int
        In how many of all folds each was chosen.
    """

    folds: int
    repeats: int
    draws: int
    seed: int
    measures: dict[str, Gain]
    labels: tuple[Gain | None, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    nms_thresholds: dict[float, int]

    def to_dict(self) -> dict[str, Any]:
        """All numbers but those of labels, ready for JSON."""
        return {
            "folds": self.folds,
            "repeats": self.repeats,
            "resamplings": self.draws,
            "seed": self.seed,
            **{name: gain.to_dict() for name, gain in self.measures.items()},
            "nms_thresholds": [
                {"nms_threshold": value, "chosen": count} for value, count in self.nms_thresholds.items()
            ],
        }


def cross_validate(
    variants: Sequence[Variant],
    old: NDArray[np.float64],
    floors: NDArray[np.float64],
    considered: NDArray[np.bool_],
    objective: Objective,
    *,
    folds: int = 5,
    repeats: int = 5,
    draws: int = 500,
    seed: int = 0,
) -> Validation:
    """Choose from all folds but one, measure on that one, for each fold; and all that again with other folds.

    Images are shared out at random. The choice of a variant is made within the folds, too. Each repeat has a
    prediction for every image with thresholds that were chosen without it; measures are of all images of a
    repeat together, and then the mean over repeats. The spread comes from drawing as many images with
    replacement, `draws` times, and measuring old and new thresholds on the same draw: it says how much the
    gain hangs on which images happen to be here. It does not contain what other training folds would choose
    beyond the repeats.

    Parameters
    ----------
    variants, old, floors, considered, objective
        As of `choose`.
    folds, repeats, draws : int
        At least 2, 1 and 10; no more folds than images.
    seed : int
    """
    own = variants[0].ranked
    rng = np.random.default_rng(seed)
    weights = _draws(rng, own.images, draws)
    nobody = np.ones(len(own.objects), np.bool_)
    objects = resampled_counts(
        own.objects[:, 0].copy(), own.objects[:, 1].copy(), nobody, weights, own.labels
    )[1].astype(np.float64)
    images = weights.sum(axis=0, dtype=np.int64)
    before = _Measured.of((objects, *_resampled([(own, own.above(old))], weights)), images)
    after: list[_Measured] = []
    chosen = np.zeros(len(variants), np.int64)
    for _ in range(repeats):
        fold_of = rng.permutation(np.arange(own.images) % folds).astype(np.int16)
        picks = [choose(variants, old, floors, considered, objective, fold_of, fold) for fold in range(folds)]
        variant_of = np.array([pick.variant for pick in picks])
        chosen += np.bincount(variant_of, minlength=len(variants))
        thresholds = np.stack([pick.thresholds for pick in picks]).astype(np.float32)
        kept = []
        for number, variant in enumerate(variants):
            ranked = variant.ranked
            fold = fold_of[ranked.image]
            predicted = ranked.score > thresholds[fold, ranked.label]
            kept.append((ranked, predicted & (variant_of[fold] == number)))
        after.append(_Measured.of((objects, *_resampled(kept, weights)), images))
    new = _Measured.mean(after)
    return Validation(
        folds=folds,
        repeats=repeats,
        draws=draws,
        seed=seed,
        measures={name: _gain(before.measures[name], new.measures[name]) for name in before.measures},
        labels=tuple(
            _gain(*rows) if count else None
            for *rows, count in zip(before.f1, new.f1, own.objects_by_label(), strict=True)
        ),
        precision=_numbers(new.precision[:, 0]),
        recall=_numbers(new.recall[:, 0]),
        nms_thresholds={
            variant.nms_threshold: count
            for variant, count in zip(variants, chosen.tolist(), strict=True)
            if variant.nms_threshold is not None
        },
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Measured:
    """Measures in each draw, the first of which is of the images as they are; NaN where there is nothing."""

    f1: NDArray[np.float64]  # (L, D), and the next two
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    measures: dict[str, NDArray[np.float64]]  # (D,) each

    @classmethod
    def of(cls, counts: _Counts, images: NDArray[np.int64]) -> _Measured:
        objects, tp, fp = counts
        # F1 of a label is of those draws that it is on: with no object there is nothing to find.
        f1 = _share(2 * tp, np.where(objects > 0, objects + tp + fp, 0))
        all_objects, all_tp, all_fp = (part.sum(axis=0) for part in counts)
        measures = {
            "macro_f1": _share(np.nansum(f1, axis=0), np.count_nonzero(objects > 0, axis=0)),
            "micro_f1": _share(2 * all_tp, all_objects + all_tp + all_fp),
            "precision": _share(all_tp, all_tp + all_fp),
            "recall": _share(all_tp, all_objects),
            "false_positives": all_fp / images,
        }
        return cls(f1, _share(tp, tp + fp), _share(tp, objects), measures)

    @classmethod
    def mean(cls, parts: list[_Measured]) -> _Measured:
        return cls(
            _mean([part.f1 for part in parts]),
            _mean([part.precision for part in parts]),
            _mean([part.recall for part in parts]),
            {name: _mean([part.measures[name] for part in parts]) for name in parts[0].measures},
        )


def _draws(rng: np.random.Generator, images: int, draws: int) -> NDArray[np.uint8]:
    """How often each image is drawn, (images, 1 + draws); once each in the first column."""
    weights = np.ones((images, 1 + draws), np.uint8)
    for draw in range(1, 1 + draws):
        weights[:, draw] = np.bincount(rng.integers(0, images, images), minlength=images)
    return weights


def _resampled(
    kept: Sequence[tuple[RankedMatches, NDArray[np.bool_]]], weights: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count true and false positives among the kept rows, by label and draw, (L, D) each."""
    total = sum(
        resampled_counts(
            ranked.image[rows], ranked.label[rows], ranked.is_true_positive[rows], weights, ranked.labels
        )
        for ranked, rows in kept
    )
    false_positives, true_positives = np.asarray(total, np.float64)
    return true_positives, false_positives


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    shares = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean of the numbers among the parts, NaN where there is none."""
    stacked = np.stack(parts)
    known = ~np.isnan(stacked)
    return _share(np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0))


def _gain(before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
    gains = (after - before)[1:]
    gains = gains[~np.isnan(gains)]
    if not gains.size:
        gains = np.zeros(1)
    low, high = np.percentile(gains, _INTERVAL).tolist()
    first, last, spread = np.nan_to_num([before[0], after[0], gains.std()]).tolist()
    return Gain(first, last, spread, low, high)


def _numbers(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)

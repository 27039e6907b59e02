"""Ground truth that says of each image only something about some labels, as LVIS's does.

Which labels are on an image is known for a part of them: those that it has objects of, and those that it is
known to lack. Detections of others are neither right nor wrong (Gupta et al. 2019, arXiv:1908.03195, and
lvis-api, whose numbers these are).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.coco_curves import COCO_AREAS, CocoCurves
from postproc.evaluation.groups import FoundInstances, Instances, Integers, TrueInstances, ranks_of

LVIS_MAX_DETECTIONS = 300  # LVIS's own limit of detections an image, whatever their labels
FREQUENCIES = ("r", "c", "f")


@dataclass(frozen=True, eq=False, slots=True)
class Federation:
    """What the annotations of I images say about L labels.

    Parameters
    ----------
    absent : (I, L) bool
        Whether an image is known to lack a label: LVIS's ``neg_category_ids``.
    not_exhaustive : (I, L) bool
        Whether an image may have more objects of a label than are annotated: ``not_exhaustive_category_ids``.
    frequencies : tuple of L str
        How many training images a label is on: ``"r"`` rare (to 10), ``"c"`` common (to 100), ``"f"``
        frequent, ``""`` where nothing says so.

    Raises
    ------
    TensorError
        If the three differ in their numbers of images or labels, or a frequency is another.
    """

    absent: NDArray[np.bool_]
    not_exhaustive: NDArray[np.bool_]
    frequencies: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(self.absent), len(self.frequencies))
        for name in ("absent", "not_exhaustive"):
            if (found := getattr(self, name)).shape != shape:
                raise TensorError(
                    f"{name}: expected (images, labels), {shape} as there are {shape[1]} frequencies, "
                    f"got {found.shape}"
                )
        if wrong := sorted(set(self.frequencies) - {*FREQUENCIES, ""}):
            raise TensorError(f"frequencies: expected 'r', 'c', 'f' or '', got {wrong[0]!r}")

    def take(self, images: Integers) -> Federation:
        """Give what is said of some images, in the order given."""
        return replace(self, absent=self.absent[images], not_exhaustive=self.not_exhaustive[images])

    def judges(self, found: Instances, truth: Instances) -> NDArray[np.bool_]:
        """Which detections are false positives if they find nothing, (N,).

        Those of labels that their images have objects of, or are known to lack, unless there may be more.

        Raises
        ------
        TensorError
            If rows of images or labels are beyond those of this.
        """
        known = self.absent.copy()
        known[self._rows(truth)] = True
        has_place = (found.images >= 0) & (found.labels >= 0)
        is_judged = np.zeros(len(found), np.bool_)
        is_judged[has_place] = (known & ~self.not_exhaustive)[self._rows(found)]
        return is_judged

    def of_frequency(self, frequency: str) -> NDArray[np.bool_]:
        """Which labels have a frequency, (L,)."""
        return np.array([of_label == frequency for of_label in self.frequencies], np.bool_)

    def _rows(self, instances: Instances) -> tuple[Integers, Integers]:
        """Rows of images and labels of those that have both."""
        has_place = (instances.images >= 0) & (instances.labels >= 0)
        rows = instances.images[has_place], instances.labels[has_place]
        for name, of_each, count in zip(("images", "labels"), rows, self.absent.shape, strict=True):
            if len(of_each) and of_each.max() >= count:
                raise TensorError(
                    f"{name}: expected rows below {count}, as the federation has, got {of_each.max()}"
                )
        return rows


def federated(
    found: FoundInstances,
    truth: TrueInstances,
    federation: Federation,
    max_detections: int = LVIS_MAX_DETECTIONS,
) -> tuple[FoundInstances, TrueInstances]:
    """Leave out what LVIS does not look at, and mark what it does not call false: for `coco_curves`.

    Of each image the detections of the highest scores are looked at, those first given of equal ones. What
    `Federation.judges` does not judge does not count if it finds nothing. As in lvis-api, what has an area of
    0 is not there at all.

    Parameters
    ----------
    found, truth : FoundInstances, TrueInstances
    federation : Federation
        Of the same images and labels.
    max_detections : int
        Of an image, whatever their labels.

    Returns
    -------
    found, truth
        The same rows: those left out have the label -1.

    Raises
    ------
    TensorError
        If rows of images or labels are beyond those of the federation.
    """
    by_score = np.argsort(-found.scores, kind="stable")
    is_looked_at = np.zeros(len(found), np.bool_)
    is_looked_at[by_score] = ranks_of(found.images[by_score]) < max_detections
    is_looked_at &= found.areas > 0
    truth = replace(truth, labels=np.where(truth.areas > 0, truth.labels, -1))
    return replace(
        found,
        labels=np.where(is_looked_at, found.labels, -1),
        unmatched_ignored=~federation.judges(found, truth),
    ), truth


def lvis_numbers(curves: CocoCurves, federation: Federation) -> dict[str, float | None]:
    """Give LVIS's numbers by the names that lvis-api has for them; None where nothing is to be found.

    Parameters
    ----------
    curves : CocoCurves
        At COCO's thresholds and areas, of what `federated` gives; the last limit is that of an image.
    federation : Federation
    """
    limit = curves.limits[-1]
    areas = tuple(COCO_AREAS)[1:]

    def precision(
        threshold: float | None = None, area: str = "all", labels: NDArray[np.bool_] | None = None
    ) -> float | None:
        return curves.number("precision", threshold, area, limit, labels)

    return {
        "AP": precision(),
        "AP50": precision(0.5),
        "AP75": precision(0.75),
        **{f"AP{area[0]}": precision(area=area) for area in areas},
        **{f"AP{which}": precision(labels=federation.of_frequency(which)) for which in FREQUENCIES},
        f"AR@{limit}": curves.number("recall", None, "all", limit),
        **{f"AR{area[0]}@{limit}": curves.number("recall", None, area, limit) for area in areas},
    }

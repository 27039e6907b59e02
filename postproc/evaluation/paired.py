"""Two evaluations of the same images put beside each other, image by image and object by object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.detection import DetectionEvaluation
from postproc.evaluation.groups import Integers
from postproc.evaluation.matches import NOTHING, Matches
from postproc.evaluation.seen_images import some_of
from postproc.results.rows import images_of_rows
from postproc.schema.problems import counted


@dataclass(frozen=True, eq=False, slots=True)
class Pairing:
    """What two evaluations find of the same objects; images and objects stand as in the first of them.

    Parameters
    ----------
    a, b : DetectionEvaluation
    images : ((I,), (I,)) int64
        Of each evaluation, the row of each image among those that count.
    found : ((G,), (G,)) bool
        Of each evaluation, whether a detection of its own takes each object.
    false_positives : ((I,), (I,)) int64
        Of each evaluation, on each image.
    """

    a: DetectionEvaluation
    b: DetectionEvaluation
    images: tuple[Integers, Integers]
    found: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    false_positives: tuple[Integers, Integers]

    @classmethod
    def of(cls, a: DetectionEvaluation, b: DetectionEvaluation, names: tuple[str, str]) -> Pairing:
        """Put two evaluations beside each other.

        Raises
        ------
        SchemaError
            If the two are of other images, objects, labels or settings.
        """
        for setting, values in {
            "what is measured first": (a.measure.name, b.measure.name),
            "how alike two are at least": (a.iou, b.iou),
            "COCO's limit of detections": (a.coco.max_detections, b.coco.max_detections),
        }.items():
            if values[0] != values[1]:
                raise SchemaError(
                    f"{setting} is {values[0]} in {names[0]} and {values[1]} in {names[1]}; measure both "
                    "alike"
                )
        if not (a.coco.is_by_label and b.coco.is_by_label):
            raise SchemaError("differences of LVIS's numbers have no intervals yet; compare the two by eye")
        tables = [[(label.id, label.name) for label in side.truth.table.labels] for side in (a, b)]
        if tables[0] != tables[1]:
            raise SchemaError(f"{names[0]} and {names[1]} have other labels; only the same ones are compared")
        order = _same_images(a, b, names)
        images = np.arange(len(order)), order
        objects = _objects(a, images[0]), _objects(b, images[1])
        batches = a.collected.truth, b.collected.truth
        columns = [
            (batch.labels[rows], batch.boxes[rows], batch.ignored[rows], np.diff(batch.offsets)[of])
            for batch, rows, of in zip(batches, objects, images, strict=True)
        ]
        if not all(map(np.array_equal, *columns)):
            raise SchemaError(
                f"{names[0]} and {names[1]} are measured by other objects, of {a.truth.source} and of "
                f"{b.truth.source}; measure both by the same ground truth"
            )
        found = [
            np.isin(batch.rows[rows], side.matches.truth) & ~batch.ignored[rows]
            for side, batch, rows in zip((a, b), batches, objects, strict=True)
        ]
        false = [_false_positives(side, of) for side, of in zip((a, b), images, strict=True)]
        return cls(a, b, images, (found[0], found[1]), (false[0], false[1]))

    def coco_columns(self, evaluation: DetectionEvaluation) -> Integers:
        """Row of the image that COCO's curves of an evaluation have in each place: by ascending id."""
        place = np.empty(len(self.images[0]), np.int64)
        place[self.images[0 if evaluation is self.a else 1]] = self.images[0]
        return place[np.argsort(evaluation.truth.ids[evaluation.collected.truth.images])]

    def objects_by_image(self) -> Integers:
        """How many objects that count are on each image, (I,)."""
        return self._by_image(~self.a.collected.truth.ignored)

    def true_by_image(self, side: int) -> Integers:
        """How many objects an evaluation finds on each image, (I,)."""
        return self._by_image(self.found[side])

    def gained_by_image(self) -> Integers:
        """How many objects on each image b finds and a does not, (I,)."""
        return self._by_image(self.found[1] & ~self.found[0])

    def lost_by_image(self) -> Integers:
        """How many objects on each image a finds and b does not, (I,)."""
        return self._by_image(self.found[0] & ~self.found[1])

    def _by_image(self, which: NDArray[np.bool_]) -> Integers:
        offsets = self.a.collected.truth.offsets
        return np.bincount(images_of_rows(offsets)[which], minlength=len(offsets) - 1)


def _same_images(a: DetectionEvaluation, b: DetectionEvaluation, names: tuple[str, str]) -> Integers:
    """Row among the images of b of each image of a."""
    of_a, of_b = ([side.truth.names[row] for row in side.collected.truth.images.tolist()] for side in (a, b))
    rows = {name: row for row, name in enumerate(of_b)}
    for name, own, others in ((names[0], of_a, frozenset(of_b)), (names[1], of_b, frozenset(of_a))):
        if only := tuple(image for image in own if image not in others):
            raise SchemaError(
                f"{counted(len(only), 'image')} {'is' if len(only) == 1 else 'are'} in {name} only, and only "
                f"evaluations of the same images are compared: {some_of(only)}"
            )
    return np.array([rows[name] for name in of_a], np.int64)


def _objects(evaluation: DetectionEvaluation, images: Integers) -> Integers:
    """Rows among the objects that count of those of images, image after image."""
    offsets = evaluation.collected.truth.offsets
    parts = [np.arange(offsets[row], offsets[row + 1]) for row in images.tolist()]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _false_positives(evaluation: DetectionEvaluation, images: Integers) -> Integers:
    matches: Matches = evaluation.matches
    rows = np.full(len(evaluation.truth), -1)
    rows[evaluation.collected.truth.images[images]] = np.arange(len(images))
    wrong = rows[matches.image[matches.truth == NOTHING]]
    return np.bincount(wrong, minlength=len(images)).astype(np.int64)

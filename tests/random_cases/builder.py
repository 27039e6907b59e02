"""Builds one case: a spec, a version, the tensors that they need, and the options of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.schema import DetectionOutput
from postproc.transforms import ImageTransform
from tests import kinds
from tests.random_cases.distances import DistanceOutputs
from tests.random_cases.heads import HeadOutputs
from tests.random_cases.numbers import Json, Tensors, optional
from tests.random_cases.yolo import YoloOutputs

V07 = ("classification", *kinds.V07)
ALL = (*V07, *kinds.FURTHER)
# Of the others every method makes the same cases.
KINDS_AND_METHODS = [
    (kind, method)
    for kind in (*ALL, "several", "any")
    for method in ("hard", "soft", "weighted")
    if method == "hard" or kind not in kinds.KINDS or method in kinds.KINDS[kind].output.nms_methods
    if method == "hard" or kind != "classification"
]


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that one call of a PostProcessor takes."""

    spec: Json
    version: Json
    tensors: Tensors
    options: Json  # keyword arguments of the call


def random_case(kind: str, seed: int, rows: int | None = None, nms_method: str = "hard") -> Case:
    """Return the case of a seed, as `cases` would draw one.

    ``rows`` asks for that many anchors or direct boxes, of one or two labels: enough to leave the
    first block of every loop.
    """
    rng = np.random.default_rng(seed)
    return CaseBuilder(rng, lambda *values: values[rng.integers(len(values))], rows, nms_method).case(kind)


class CaseBuilder(YoloOutputs, HeadOutputs, DistanceOutputs):
    """Makes one case: `rng` gives the numbers, `pick` the structure."""

    def case(self, kind: str) -> Case:
        """Make a case of one output of a kind; of several for "several", of any kind for "any"."""
        mixed = {"several": V07, "any": ALL}
        chosen = [kind] if kind not in mixed else [self.pick(*mixed[kind]) for _ in range(self.pick(2, 3))]
        self.outputs = len(chosen)
        sized = any(one in kinds.KINDS and kinds.KINDS[one].output.needs_input_size for one in chosen)
        self.batch = self.pick(1, 2, 3, 4, *([] if sized else [0]))
        self.style = self.pick("grid", "random")
        self.non_finite = 0.06 * self.pick(0, 1)
        self.argument = self.pick(None, (48, 64))
        # The cells of all levels are as many for an input that lies on its side, but for no other.
        self.turned = bool({"yolox", "distance"} & {*chosen})
        self.transforms = self.image_transforms() if self.pick(False, True) else None
        outputs, post_processings = zip(*map(self.output, chosen, range(len(chosen))), strict=True)
        options = {
            "show_discarded": self.pick(False, True),
            "max_predictions": self.pick(100, 3, 1),
            "input_size": self.argument,
            "transforms": self.transforms,
            **optional(batch_size=(self.batch_size, None)),
        }
        version = {"post_processings": list(post_processings)}
        return Case({"name": "random", "outputs": list(outputs)}, version, self.tensors, options)

    def image_transforms(self) -> list[ImageTransform]:
        same_input = self.pick(True, False)
        sizes = [(40, 56)] * self.batch
        if not same_input:
            sizes = [(40 + 8 * image, 56 - 8 * image) for image in range(self.batch)]
            if self.turned:
                sizes = [(56, 40) if image % 2 else (40, 56) for image in range(self.batch)]
        return [
            ImageTransform(
                scale=tuple(self.rng.choice([0.5, 0.75, 1.0, 1.7], 2).tolist()),
                offset=tuple(self.rng.choice([-4.0, 0.0, 6.0, 7.3], 2).tolist()),
                input_size=sizes[image],
                image_size=tuple(self.rng.integers(20, 120, 2).tolist()),
            )
            for image in range(self.batch)
        ]

    def output(self, kind: str, index: int) -> tuple[Json, Json]:
        self.prefix = f"{kind}_{index}/"
        if self.rows_wanted is not None:
            self.labels, self.rows = self.pick(2, 1), self.rows_wanted
        else:
            self.labels = self.pick(2, 1, 3, 6, 40)
            self.rows = self.pick(3, 0, 1, 2) if self.labels == 40 else self.pick(4, 0, 1, 2, 10, 24)
        exclusive = self.pick(True, False)
        largest_id = self.pick(100, 2**60)
        self.ids = (largest_id - self.rng.choice(100 + self.labels, self.labels, replace=False)).tolist()
        labels = [{"id": name, "name": f"label {name}"} for name in self.ids]
        roi = "NONE" if kind == "classification" else "BBOX"
        described = {"labels": {"labels": labels, "exclusive": exclusive, "roi": roi}}
        if kind == "classification":
            return described, {"classification": self.classification()}
        return described, {"detection": self.detection(kind)}

    def classification(self) -> Json:
        activation = self.activation()
        scores = self.scores((self.batch, self.labels), activation)
        axes = self.pick(0, 1, 2)
        without_batch = axes == 0 and self.batch == 1 and self.pick(False, True)
        self.tensors[self.prefix + "scores"] = (
            scores[0] if without_batch else scores.reshape(*scores.shape, *[1] * axes)
        )
        return {
            "output_tensor": self.prefix + "scores",
            **self.thresholds(self.values(scores, activation)),
            **optional(score_activation=(activation, "none")),
        }

    def detection(self, kind: str) -> Json:
        decision: Json = {}
        sizes = np.ones((self.batch, 2))  # the height and width to which coordinates are scaled
        sample = self.sample = self.pick(kinds.KINDS[kind].output, *kinds.KINDS[kind].further)
        self.normalized = sample.declared_coordinates is not None and self.pick(False, True)
        if self.normalized:
            sample = sample.model_copy(update={"coordinates": "normalized"})
        if self.normalized or not sample.boxes_are_normalized:
            decision, sizes = self.coordinates(sample)
        output, values = kinds.KINDS[kind].random(self, sizes)
        default = sample.default_nms_threshold
        thresholds = [0.3, 0.5, 0.0, 1.0, 1 / 3]
        nms_method = self.nms_method
        # Rounding decides where rectangles share no more than an edge, or just half.
        if sample.nms_methods == ("hard",):
            nms_method, thresholds = "hard", [0.3, 0.52, 0.07, 1.0]
        elif nms_method == "weighted":
            thresholds.remove(1.0)
        elif default == 1.0:
            thresholds = [1.0, 0.5, 0.0]
        agnostic = self.pick(False, True)
        apart = nms_method != "soft" and not agnostic and self.pick(False, True)
        one = optional(nms_threshold=(self.pick(*thresholds), default))
        return {
            f"{kind}_output": output,
            **decision,
            **self.thresholds(values),
            **({"nms_thresholds": self.rng.choice(thresholds, self.labels).tolist()} if apart else one),
            **optional(
                nms_method=(nms_method, "hard"),
                soft_sigma=(self.pick(0.5, 0.1, 2.0) if nms_method == "soft" else 0.5, 0.5),
                discard_threshold=(self.pick(0.025, 0.0, 0.25), 0.025),
                multi_label=(self.pick(True, False), True),
                class_agnostic=(agnostic, False),
            ),
            **(self.of_oriented() if sample.yields == "oriented boxes" else {}),
        }

    def of_oriented(self) -> Json:
        """Return how oriented boxes are compared and suppressed."""
        return optional(
            iou=(self.pick("exact", "probiou"), "exact"),
            suppression=(self.pick("greedy", "fast"), "greedy"),
        )

    def coordinates(self, sample: DetectionOutput) -> tuple[Json, NDArray[Any]]:
        """Return the fields that say what coordinates are, and the size of each image."""
        tensor = () if self.normalized else ("tensor", "tensor_per_image")
        choice = self.pick("normalized", "input_size", *tensor)
        if choice in ("tensor", "tensor_per_image"):
            per_image = choice == "tensor_per_image"
            sizes = self.rng.integers(20, 90, (self.batch if per_image else 1, 2))
            if self.turned and per_image:
                sizes[:] = sizes[0]
                sizes[1::2] = sizes[0, ::-1]
            extra = np.ones((len(sizes), self.pick(0, 1)), np.int64)
            once = not per_image and self.pick(False, True)
            tensor = np.concatenate([sizes, extra], axis=1).astype(self.pick(np.float32, np.int64))
            self.tensors[self.prefix + "im_info"] = tensor[0] if once else tensor
            return {"normalize_wrt_tensor": self.prefix + "im_info"}, np.broadcast_to(sizes, (self.batch, 2))
        unsized = self.argument is None and self.transforms is None
        declare = choice == "input_size" or (sample.needs_input_size and unsized)
        declared = {"input_size": [32, 80]} if declare else {}
        if self.normalized:
            return declared, np.ones((self.batch, 2))
        if self.argument is not None:
            sizes = np.array([self.argument] * self.batch)
        elif self.transforms is not None and (declare or sample.boxes_are_in_pixels):
            sizes = np.array([transform.input_size for transform in self.transforms])
        else:
            sizes = np.array([[32, 80] if declare else [1, 1]] * self.batch)
        return declared, sizes.reshape(self.batch, 2)

    def thresholds(self, values: NDArray[Any] | None) -> Json:
        """Return thresholds, one or each, some of them equal to a score; empty for the defaults."""
        choice = self.pick("default", "grid", "scores")
        if choice == "default":
            return {}
        thresholds = self.rng.integers(0, 7, self.labels) / (8 if self.style == "grid" else 10)
        if choice == "scores" and values is not None:
            values = values[(values >= 0) & (values <= 1)]
            if values.size:
                thresholds = self.rng.choice(values, self.labels).astype(np.float64)
        return {"thresholds": thresholds[0].item() if self.pick(False, True) else thresholds.tolist()}

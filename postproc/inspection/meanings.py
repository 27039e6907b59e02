"""What a reading says of a network's outputs: enough to write its documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from postproc.inspection.evidence import Part
from postproc.inspection.presets import DetectionStyle, ImageStyle
from postproc.schema import Classification, Detection, DetectionOutput
from postproc.transforms import Size


@dataclass(frozen=True)
class Detects:
    """Outputs that hold detections.

    Parameters
    ----------
    output : DetectionOutput
        What describes the tensors.
    labels : int or None
        How many labels there are; None where the outputs do not tell.
    decision, image : DetectionStyle, ImageStyle
        What users of such networks expect.
    columns : str
        What the columns are, for people to read.
    first_id : int
        Id of the first label where no file gives ids.
    in_pixels : bool
        Whether boxes are in pixels of the network's input.
    size_tensor : str
        The tensor that holds the input's size, instead of its number in the document.
    usual_size : (int, int), optional
        Height and width that such networks usually have, taken where the file leaves them free.
    batched : bool
        False where the outputs have no batch axis.
    """

    output: DetectionOutput
    labels: int | None
    decision: DetectionStyle
    image: ImageStyle
    columns: str = ""
    first_id: int = 0
    in_pixels: bool = False
    size_tensor: str = ""
    usual_size: Size | None = None
    batched: bool = True

    @property
    def thresholds_reason(self) -> str:
        """Where the thresholds are from."""
        return self.decision.reason

    @property
    def values(self) -> Mapping[Part, str]:
        """What it says of each part that its kind has."""
        fields = {name: getattr(self.output, name, None) for name in _FIELDS}
        values = {Part.KIND: Detection.kind_of(self.output) + self._suppression}
        count = "" if self.labels is None else f"{self.labels} label{'s' * (self.labels != 1)}"
        if self.columns or count:
            values[Part.COLUMNS] = ", ".join(filter(None, (self.columns, count)))
        for name, part in _FIELDS.items():
            if fields[name] is not None:
                values.setdefault(part, str(fields[name]))
        if fields["score_activation"] is None and not self.output.makes_probabilities:
            values[Part.ACTIVATION] = "none"  # no field for it: the scores have to be probabilities
        if Part.BOX_FORMAT in values:
            pixels = self.in_pixels or self.output.boxes_are_in_pixels or bool(self.size_tensor)
            values[Part.UNITS] = "pixels" if pixels else "normalized"
        if hasattr(self.output, "classes"):
            values[Part.LABEL_OFFSET] = f"classes from {self.first_id}"
        values[Part.PREPROCESSING] = self.image.reason
        return values

    @property
    def _suppression(self) -> str:
        """Whether there is NMS, where that is not as usual for the kind."""
        usual = self.output.default_nms_threshold < 1
        suppresses = self.decision.nms_threshold < 1
        return "" if suppresses == usual else " with NMS" if suppresses else " without NMS"

    @property
    def key(self) -> str:
        """What tells it from other meanings."""
        return json.dumps([self.output.dump(), self.first_id, *self._others])

    @property
    def _others(self) -> list[object]:
        kind = Detection.kind_of(self.output) + self._suppression
        return [kind, self.labels, self.in_pixels, self.size_tensor]

    @property
    def calls_by_number(self) -> bool:
        """Whether labels without names are called by the classes that the network gives them.

        Where their number is known, where they begin tells which is the last one.
        """
        classes = getattr(self.output, "classes", None)
        return self.labels is None and (classes == "ids" or self.first_id == 0)

    def answers(self, *, is_named: bool) -> str:
        """Tell it from meanings that give a class another id, or another name where names are known."""
        document = self.output.dump()
        is_id = document.pop("classes", "rows") == "ids"
        first = self.first_id if is_named or not self.calls_by_number else 0
        return json.dumps([document, first, first if is_id else 0, *self._others])


_FIELDS = {
    "box_format": Part.BOX_FORMAT,
    "anchors_format": Part.BOX_FORMAT,
    "priors_format": Part.BOX_FORMAT,
    "score_activation": Part.ACTIVATION,
    "background": Part.BACKGROUND,
    "offsets_scale": Part.FACTORS,
}


@dataclass(frozen=True)
class Classifies:
    """Outputs that hold a score per label and image.

    Parameters
    ----------
    outputs : tuple of (Classification, int, bool)
        Of each output what describes it, its count of labels, and whether they exclude each other.
    image : ImageStyle
        What users of such networks expect.
    usual_size : (int, int)
        Height and width that such networks usually have, taken where the file leaves them free.
    """

    outputs: tuple[tuple[Classification, int, bool], ...]
    image: ImageStyle
    usual_size: Size

    @property
    def thresholds_reason(self) -> str:
        """Where the thresholds are from."""
        return "left out: 0.025 where one label is right, 0.5 where several may be"

    @property
    def values(self) -> Mapping[Part, str]:
        """What it says of each part."""
        activations = dict.fromkeys(str(output.score_activation) for output, _, _ in self.outputs)
        counts = ", ".join(f"{count} labels" for _, count, _ in self.outputs)
        return {
            Part.KIND: "classification",
            Part.COLUMNS: counts,
            Part.ACTIVATION: ", ".join(activations),
            Part.PREPROCESSING: self.image.reason,
        }

    @property
    def key(self) -> str:
        """What tells it from other meanings."""
        return json.dumps([[output.dump(), count, exclusive] for output, count, exclusive in self.outputs])

    @property
    def calls_by_number(self) -> bool:
        """Whether a label without a name is called by its column."""
        return True

    def answers(self, *, is_named: bool) -> str:
        """Tell it from meanings with other answers."""
        return self.key

"""The number of labels that columns leave, against their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.observed import Observed
from postproc.schema.outputs import Background

# Of public data; so many labels are hardly anything else.
_FAMILIAR = {
    20: "Pascal VOC",
    80: "COCO",
    90: "COCO's ids",
    91: "COCO's ids with 0",
    365: "Objects365",
    601: "Open Images",
    1203: "LVIS",
}
# Further counts of public data, which may be something else too; people's own data has few labels.
_FURTHER = {43, 50, 60, 100, 102, 171, 200, 300, 345, 400, 500, 545, 600, 4585, 9418}
_MOST_OWN = 40


def is_unheard_of(count: int) -> bool:
    """Tell whether neither people's own data nor public data has as many labels."""
    return count > _MOST_OWN and count not in _FAMILIAR and count not in _FURTHER


@dataclass(frozen=True)
class LabelCount:
    """How many labels a reading has.

    Parameters
    ----------
    count : int
        The labels, without a background.
    background : {"none", "first", "last"}
        Where the background is beside them.
    """

    count: int
    background: Background = "none"

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield whether as many names are known, or public data has as many labels."""
        labels = observed.graph.labels
        if labels is None:
            if self.count in _FAMILIAR:
                text = f"{self.count} labels are as many as {_FAMILIAR[self.count]} has"
                yield speaks_for(Source.LABELS, text, Part.COLUMNS, Part.BACKGROUND)
            return
        first, last = (labels.names[row].strip("_").lower() == "background" for row in (0, -1))
        if (first and self.background == "last") or (last and self.background == "first"):
            text = f"{labels.source} names the background {'first' if first else 'last'}"
            yield speaks_against(Source.LABELS, text, Part.BACKGROUND)
        named = len(labels.without_background(self.count))
        if named == self.count:
            text = f"{labels.source} names {named} labels, as many as this reading has"
            yield speaks_for(Source.LABELS, text, Part.COLUMNS, Part.BACKGROUND)
        else:
            text = f"{labels.source} names {len(labels)} labels where this reading has {self.count}"
            yield speaks_against(Source.LABELS, text, Part.COLUMNS)

"""The labels of an output: what can be recognised."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from postproc.schema.base import Configuration
from postproc.schema.fields import Flag, LabelId, NonEmpty, ShortText
from postproc.schema.limits import MOST_LABELS
from postproc.schema.problems import Location, repeated
from postproc.schema.sizes import AtMost


class Label(Configuration):
    """One thing that can be recognised."""

    id: LabelId = Field(description="Id, unique among the labels of an output; not a row number.")
    name: ShortText = Field(description="Name for people to read.")


class Labels(Configuration):
    """The labels of an output."""

    labels: Annotated[NonEmpty[Label], AtMost(MOST_LABELS, "labels")] = Field(
        description="The labels, in the order of scores and thresholds."
    )
    exclusive: Flag = Field(
        description="Whether an image or box has one label only. It chooses default thresholds."
    )
    roi: Literal["NONE", "BBOX"] = Field(description="What a label is found on: the image or a box in it.")

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the labels get wrong together."""
        for row, first in repeated([label.id for label in self.labels]):
            yield (
                ("labels", row, "id"),
                f"expected unique ids, got {self.labels[row].id}, the id of labels[{first}]",
            )

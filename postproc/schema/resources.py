"""The two objects that a service keeps: what is recognised, and how one network does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict

from postproc.schema.base import Configuration
from postproc.schema.fields import Flag, FreeObject, Identifier, LabelId, NonEmpty, ShortText, Text
from postproc.schema.limits import MOST_LABELS, MOST_OUTPUTS
from postproc.schema.post_processing import PostProcessing
from postproc.schema.problems import Location, repeated
from postproc.schema.resource import Resource
from postproc.schema.sizes import AtMost

_READ_ONLY: JsonDict = {"readOnly": True}


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


class SpecOutput(Configuration):
    """One output of a recognition spec."""

    labels: Labels = Field(description="The labels of this output.")


class RecognitionSpec(Resource):
    """What is recognised: the labels of each output."""

    id: Identifier | None = Field(
        default=None, description="Integer, or a text for public specs.", json_schema_extra=_READ_ONLY
    )
    name: ShortText = Field(default="", description="Name for people to read.")
    description: Text = Field(default="", description="Description for people to read.")
    metadata: FreeObject = Field(default_factory=dict, description="Any JSON object of the owner's.")
    update_date: ShortText | None = Field(
        default=None, description="When the spec last changed.", json_schema_extra=_READ_ONLY
    )
    current_version_id: Identifier | None = Field(
        default=None, description="The version that serves this spec."
    )
    outputs: Annotated[NonEmpty[SpecOutput], AtMost(MOST_OUTPUTS, "outputs")] = Field(
        description="What is recognised, one item per output."
    )


class RecognitionVersion(Resource):
    """How one network recognises what a spec describes: a post-processing per output of the spec."""

    id: Identifier | None = Field(
        default=None, description="Id of the version.", json_schema_extra=_READ_ONLY
    )
    spec_id: Identifier | None = Field(default=None, description="Id of the spec. Immutable.")
    network_id: Identifier | None = Field(default=None, description="Id of the network. Immutable.")
    post_processings: Annotated[NonEmpty[PostProcessing], AtMost(MOST_OUTPUTS, "post-processings")] | None = (
        Field(
            default=None,
            description="The i-th belongs to the i-th output of the spec. Immutable; left out in lists of "
            "versions.",
        )
    )
    spec_name: ShortText | None = Field(
        default=None, description="Name of the spec.", json_schema_extra=_READ_ONLY
    )
    network_name: ShortText | None = Field(
        default=None, description="Name of the network.", json_schema_extra=_READ_ONLY
    )
    update_date: ShortText | None = Field(
        default=None, description="When the version last changed.", json_schema_extra=_READ_ONLY
    )

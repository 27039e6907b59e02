"""The two objects that a service keeps: what is recognised, and how one network does it."""

from typing import Annotated

from pydantic import Field
from pydantic.config import JsonDict

from postproc.schema.base import Configuration
from postproc.schema.fields import FreeObject, Identifier, NonEmpty, ShortText, Text
from postproc.schema.labels import Labels
from postproc.schema.limits import MOST_OUTPUTS
from postproc.schema.post_processing import PostProcessing
from postproc.schema.resource import Resource
from postproc.schema.sizes import AtMost

_READ_ONLY: JsonDict = {"readOnly": True}


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

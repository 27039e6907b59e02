"""The bodies of requests: what forms are read by, what checks them, and what the OpenAPI document shows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from postproc.schema import Preprocessing
from postproc.schema.base import Configuration
from postproc.schema.fields import Flag, FreeJson, Listed, NonEmpty, PositiveInteger, Text, UnitNumber
from postproc.schema.resource import Resource
from postproc.service.engine.input_fields import FEWEST_POINTS, MOST_POINTS


class NetworkFields(Resource):
    """A network without its files."""

    name: Text = Field(description="Name for people to read.")
    framework: Text = Field(description="What the network was made with; any text.")
    preprocessing: Preprocessing = Field(description="How images become its inputs.")
    description: Text = Field(default="", description="Description for people to read.")
    metadata: dict[str, FreeJson] = Field(default_factory=dict, description="Any JSON object of the owner's.")
    postprocessings: Listed[FreeJson] = Field(default=(), description="Kept as it is.")


class BoundingBox(Configuration):
    """A part of an image, relative to its size."""

    xmin: UnitNumber = Field(description="Left edge, 0 to 1.")
    ymin: UnitNumber = Field(description="Top edge, 0 to 1.")
    xmax: UnitNumber = Field(description="Right edge, 0 to 1.")
    ymax: UnitNumber = Field(description="Bottom edge, 0 to 1.")


class Point(Configuration):
    """A corner of a polygon, relative to the size of the image."""

    x: UnitNumber = Field(description="0 (left) to 1.")
    y: UnitNumber = Field(description="0 (top) to 1.")


class ImageSource(Configuration):
    """An image, or a part of it."""

    source: Text = Field(
        description="Base64, a data URI, or a URL where the service fetches those; in a form, a file."
    )
    bbox: BoundingBox | None = Field(default=None, description="Look at this part only.")
    polygon: Annotated[tuple[Point, ...], Field(min_length=FEWEST_POINTS, max_length=MOST_POINTS)] | None = (
        Field(default=None, description="Look at this part only. Not together with bbox.")
    )
    crop_uniform_background: Flag = Field(default=False, description="As of the vendor's API.")


class InferenceInput(Configuration):
    """One input of the network that takes an image."""

    image: ImageSource = Field(description="The image.")


class InferenceOptions(Configuration):
    """An inference request whose inputs the engine checks."""

    inputs: Listed[Any]
    show_discarded: Flag = Field(
        default=False, description="Also return what scored between the discard threshold and its own."
    )
    max_predictions: PositiveInteger = Field(default=100, description="Most results of an image and output.")


class InferenceRequest(InferenceOptions):
    """Images, one for each image input of the network, and what to return of them."""

    inputs: NonEmpty[InferenceInput] = Field(description="In the order of the network's preprocessing.")

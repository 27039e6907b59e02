"""What the documents share that a server keeps.

Without ``from __future__ import annotations``: pydantic 2.8 to 2.12 look up a text in place of the type of
`__pydantic_extra__` in the module of each subclass, where `FreeJson` need not be.
"""

from pydantic import ConfigDict, Field

from postproc.schema.base import Document
from postproc.schema.fields import FreeJson


class Resource(Document):
    """A document that a server keeps: unknown fields are kept and given back unchanged."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, FreeJson] = Field(init=False)

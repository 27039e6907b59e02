"""XML by the standard library's parser, without entities, so that no file grows beyond its size."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat


class _EntityError(ValueError):
    """A document declares an entity."""


def parsed(path: Path) -> Element:
    """Read a file as XML.

    Raises
    ------
    ValueError
        If it cannot be read, is no XML, or declares entities; says so.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except _EntityError:
        raise
    except (OSError, expat.ExpatError, LookupError, ValueError) as error:
        raise ValueError(f"cannot be read as XML: {error}") from None


def _refuse(*declaration: object) -> None:
    raise _EntityError("declares an entity, which no annotation needs and which may stand for endless text")


def text_in(element: Element, path: str) -> str:
    """Text of an element below another, without what surrounds it; nothing where there is none."""
    return (element.findtext(path) or "").strip()

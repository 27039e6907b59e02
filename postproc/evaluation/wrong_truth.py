"""What a file is that was taken for a ground truth, by its first bytes or by the JSON that it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from postproc.schema.problems import describe

EXPECTED = "expected COCO JSON, an object with images, annotations and categories"

_STARTS = (
    (
        b"version https://git-lfs.github.com/",
        "a Git LFS pointer in place of the file: git lfs pull fetches it",
    ),
    (b"\x1f\x8b", "a gzip file: unpack it"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
)
_NUMBER = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_YOLO = re.compile(rb"\d+(?:[ \t]+" + _NUMBER + rb"){4,}[ \t]*(?:\r?\n|$)")
_ADVICE = "; convert it to COCO JSON"


def kind_of_bytes(content: bytes) -> str | None:
    """Tell what a file is that is no JSON, and what to do; None where its first bytes do not say."""
    text = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, kind in _STARTS:
        if content.startswith(start):
            return kind
    if not text:
        return "an empty file"
    lowered = text.lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "a web page, as of a download that failed"
    if re.search(rb"^(<\?xml[^>]*>\s*)?<annotation>", lowered):
        return f"a Pascal VOC annotation (XML){_ADVICE}"
    if lowered.startswith(b"<"):
        return f"XML{_ADVICE}"
    if _YOLO.match(text):
        return f"YOLO's text, lines of a class and numbers{_ADVICE}"
    first = text.splitlines()[0]
    if first.startswith(b"{") and text.count(b"\n{"):
        return "lines of JSON, such as postproc run writes: that is what was found"
    if first.count(b",") and not first.startswith((b"{", b"[")):
        return f"CSV{_ADVICE}"
    return None


def kind_of_json(document: Any) -> str:
    """Tell what JSON is that is no ground truth, and what to do."""
    if isinstance(document, list):
        first = document[0] if document else None
        if isinstance(first, Mapping) and {"image_id", "category_id", "score"} <= first.keys():
            return "a list of COCO results, which are detections: give the instances file that they are of"
        return f"a list of {len(document)}"
    if not isinstance(document, Mapping):
        return describe(document)
    for keys, kind in (
        ({"image", "outputs"}, "a result of postproc run, which is what was found"),
        ({"post_processings"}, "a recognition version: are --version and --truth swapped?"),
        ({"outputs"}, "a recognition spec: are --spec and --truth swapped?"),
        ({"inputs"}, "a preprocessing document: are --preprocessing and --truth swapped?"),
        ({"shapes", "imagePath"}, f"a LabelMe annotation{_ADVICE}"),
        ({"_via_img_metadata"}, f"a project of the VGG Image Annotator{_ADVICE}"),
        ({"type", "features"}, f"GeoJSON{_ADVICE}"),
    ):
        if keys <= document.keys():
            return kind
    return f"an object with {describe(sorted(map(str, document)))}" if document else "an empty object"

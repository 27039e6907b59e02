"""What a file is that was taken for a ground truth, by its first bytes or by the JSON that it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from postproc.schema.problems import describe

EXPECTED = (
    "expected a ground truth: COCO JSON (an object with images, annotations and categories), or a kind that "
    "docs/evaluation.md lists"
)

_STARTS = (
    (
        b"version https://git-lfs.github.com/",
        "a Git LFS pointer in place of the file: git lfs pull fetches it",
    ),
    (b"\x1f\x8b", "a gzip file: unpack it"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"PAR1", "a Parquet file without columns of objects or detections"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x04", "a pickle"),
)
_NUMBER = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_YOLO = re.compile(rb"\d+(?:[ \t]+" + _NUMBER + rb"){4,}[ \t]*(?:\r?\n|$)")
_KITTI = re.compile(rb"\w+ -?\d\.\d+ -?\d (?:-?\d+\.\d+ ){11}-?\d+\.\d+")
_ADVICE = "; convert it to COCO JSON"
_EXPORT = "; convert it: its export offers COCO"


def kind_of_bytes(content: bytes) -> str | None:
    """Tell what a file is that is no ground truth, and what to do; None where its first bytes do not say."""
    text = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, kind in _STARTS:
        if content.startswith(start):
            return kind
    if not text:
        return "an empty file"
    lowered = text.lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "a web page, as of a download that failed"
    if lowered.startswith(b"<"):
        return _kind_of_xml(lowered)
    if _YOLO.match(text):
        return "YOLO's text of one image: give the folder, with data.yaml or classes.txt in it"
    if _KITTI.match(text):
        return f"KITTI's text{_ADVICE}"
    first, _, rest = text.partition(b"\n")
    if first.startswith(b"{") and rest.lstrip().startswith(b"{"):
        return "lines of JSON, other than those that postproc run writes"
    if first.count(b",") and not first.startswith((b"{", b"[")):
        return f"CSV without the columns of Open Images, ImageID, LabelName, XMin, ...{_ADVICE}"
    return None


def _kind_of_xml(lowered: bytes) -> str:
    if b"<annotations" in lowered and (
        b"<meta>" in lowered or b"<image " in lowered or b"<track " in lowered
    ):
        return f"CVAT's XML{_EXPORT}, and Pascal VOC"
    if re.search(rb"<annotation[\s>]", lowered) and b"<polygon" in lowered and b"<bndbox" not in lowered:
        return f"LabelMe's XML{_ADVICE}"
    if re.search(rb"<dataset[\s>]", lowered) and b"<images" in lowered:
        return f"dlib's XML{_ADVICE}"
    return f"XML{_ADVICE}"


def kind_of_json(document: Any) -> str:
    """Tell what JSON is that is no ground truth, and what to do."""
    if isinstance(document, list):
        return _kind_of_list(document)
    if not isinstance(document, Mapping):
        return describe(document)
    for keys, kind in (
        ({"post_processings"}, "a recognition version: are --version and --truth swapped?"),
        ({"outputs"}, "a recognition spec: are --spec and --truth swapped?"),
        ({"inputs"}, "a preprocessing document: are --preprocessing and --truth swapped?"),
        ({"shapes", "imagePath"}, f"a LabelMe annotation of one image{_ADVICE}"),
        ({"_via_img_metadata"}, f"a project of the VGG Image Annotator{_EXPORT}"),
        ({"type", "features"}, f"GeoJSON{_ADVICE}"),
        ({"data", "annotations"}, f"a task of Label Studio{_EXPORT}"),
        ({"frames", "name"}, f"a label of BDD100K or Scalabel{_ADVICE}"),
        ({"DataRow ID"}, f"an export of Labelbox{_ADVICE}"),
        ({"data_row"}, f"an export of Labelbox{_ADVICE}"),
        ({"objects", "size"}, f"a Supervisely annotation of one image{_EXPORT}"),
        ({"objects", "imgHeight"}, f"a Cityscapes annotation of one image{_ADVICE}"),
        ({"info", "licenses", "questions"}, "questions of VQA"),
        ({"info", "categories", "items"}, f"a data set of Datumaro{_EXPORT}"),
    ):
        if keys <= document.keys():
            return kind
    return f"an object with {describe(sorted(map(str, document)))}" if document else "an empty object"


def _kind_of_list(document: list[Any]) -> str:
    first = document[0] if document else None
    if isinstance(first, Mapping):
        for keys, kind in (
            ({"image", "annotations"}, f"Create ML's JSON{_ADVICE}"),
            ({"image_id", "caption"}, "COCO captions, which are of whole images"),
            ({"data", "annotations"}, f"an export of Label Studio{_EXPORT}"),
            ({"data", "completions"}, f"an export of Label Studio{_EXPORT}"),
            ({"name", "labels"}, f"labels of BDD100K or Scalabel{_ADVICE}"),
            ({"DataRow ID"}, f"an export of Labelbox{_ADVICE}"),
            ({"Labeled Data"}, f"an export of Labelbox{_ADVICE}"),
            ({"filename", "regions"}, f"an export of the VGG Image Annotator{_EXPORT}"),
        ):
            if keys <= first.keys():
                return kind
    return f"a list of {len(document)}"

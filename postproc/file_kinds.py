"""What a file is that is not what was expected: the mistakes that its first bytes give away."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

HEAD_BYTES = 512

_LFS = b"version https://git-lfs.github.com/spec/"
_POINTER = (
    "a Git LFS pointer, which stands for the file and holds none of it: get the file with `git lfs pull` in "
    "its repository, or download it as a whole"
)
_STARTS = (
    (_LFS, _POINTER),
    (b"\x1f\x8b", "compressed with gzip: decompress it first"),
    (b"BZh", "compressed with bzip2: decompress it first"),
    (b"\xfd7zXZ\x00", "compressed with xz: decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: decompress it first"),
    (
        b"PK\x03\x04",
        "a zip archive, as PyTorch's .pt files are: unpack it, or export the network to ONNX",
    ),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes its networks: export the network to ONNX"),
    (b"%PDF-", "a PDF document: save its pages as images"),
)
_HTML = (b"<!doctype html", b"<html")
# Brands of ISO media files (ISO/IEC 14496-12) that hold still images, after a length and "ftyp".
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def mistaken_for(content: bytes) -> str:
    """Tell what a content is whose kind was not expected, and what to do; nothing where that is unknown.

    Parameters
    ----------
    content : bytes
        Its first `HEAD_BYTES`, or more.

    Examples
    --------
    >>> mistaken_for(bytes.fromhex("1f8b08"))
    'compressed with gzip: decompress it first'
    """
    for start, kind in _STARTS:
        if content.startswith(start):
            return kind
    if content[:HEAD_BYTES].lstrip().lower().startswith(_HTML):
        return "an HTML page: the download gave a page about the file, or an error, instead of the file"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        return (
            "HEIC, which Pillow does not read by itself: convert it to JPEG or PNG (in Python, pip install "
            "pillow-heif and call pillow_heif.register_heif_opener() first)"
        )
    if content[4:8] == b"TFL3":
        return "a TensorFlow Lite network: convert it to ONNX, as tf2onnx does"
    return ""


def file_mistaken_for(path: str | os.PathLike[str]) -> str:
    """Tell what a file is, as `mistaken_for`; nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return mistaken_for(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return ""


def pointers_beside(path: str | os.PathLike[str]) -> str:
    """Tell of Git LFS pointers in the folder of a network, where its weights may lie; nothing without any."""
    found = []
    with contextlib.suppress(OSError):
        for other in Path(path).parent.iterdir():
            if (
                other.is_file()
                and other.stat().st_size <= HEAD_BYTES
                and file_mistaken_for(other) == _POINTER
            ):
                found.append(other.name)
    return f"{', '.join(map(repr, sorted(found)))} beside it is {_POINTER}" if found else ""

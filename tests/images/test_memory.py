"""What decoding takes, estimated from the header, beside what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Of each file: what `make` makes, and how many times smaller it is decoded.
FILES = {
    "JPEG": ("JPEG", "RGB", {}, 1),
    "JPEG, turned": ("JPEG", "RGB", {"turn": 6}, 1),
    "JPEG, grey": ("JPEG", "L", {}, 1),
    "JPEG, CMYK": ("JPEG", "CMYK", {}, 1),
    "JPEG, progressive": ("JPEG", "RGB", {"progressive": True}, 1),
    "JPEG, progressive, all colours": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}, 1),
    "JPEG, reduced": ("JPEG", "RGB", {}, 2),
    "JPEG, progressive, turned, reduced": ("JPEG", "RGB", {"progressive": True, "turn": 6}, 2),
    "PNG": ("PNG", "RGB", {"exif": b"Exif\0\0"}, 1),
    "PNG, EXIF unknown": ("PNG", "RGB", {}, 1),
    "PNG, turned": ("PNG", "RGB", {"turn": 5}, 1),
    "PNG, transparent": ("PNG", "RGBA", {}, 1),
    "PNG, a transparent colour": ("PNG", "RGB", {"transparency": (0, 0, 0)}, 1),
    "PNG, grey and alpha": ("PNG", "LA", {}, 1),
    "PNG, palette": ("PNG", "P", {}, 1),
    "PNG, bits": ("PNG", "1", {}, 1),
    "PNG, 16 bits": ("PNG", "I;16", {}, 1),
    "WEBP": ("WEBP", "RGB", {}, 1),
    "WEBP, lossless, transparent": ("WEBP", "RGBA", {"lossless": True}, 1),
    "WEBP, turned": ("WEBP", "RGB", {"turn": 6}, 1),
    "BMP": ("BMP", "RGB", {}, 1),
    "GIF": ("GIF", "P", {}, 1),
    "TIFF": ("TIFF", "RGB", {}, 1),
    "TIFF, strips": ("TIFF", "RGB", {"compression": "tiff_lzw"}, 1),
    "TIFF, one strip": ("TIFF", "RGB", {"compression": "tiff_lzw", "rows": True}, 1),
    "TIFF, one strip, transparent": ("TIFF", "RGBA", {"compression": "tiff_lzw", "rows": True}, 1),
    "TIFF, JPEG within": ("TIFF", "RGB", {"compression": "jpeg"}, 1),
}

MEASURE = """
import ctypes, gc, io, json, sys
import numpy as np
from PIL import Image
from postproc.images.loading import EncodedImage
from tests.images.test_memory import FILES

def make(kind, mode, options, width, height):
    options = dict(options)
    tile = np.random.default_rng(0).integers(0, 256, (256, 256, 4), dtype=np.uint8)
    pixels = np.tile(tile, (-(-height // 256), -(-width // 256), 1))[:height, :width]
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(pixels[..., :3]).quantize(32, method=Image.Quantize.FASTOCTREE)
    else:
        image = Image.fromarray(pixels)
        image = image.convert(mode) if mode in ("RGBA", "LA") else image.convert("RGB").convert(mode)
    if options.pop("rows", False):
        options["tiffinfo"] = {278: height}
    if turn := options.pop("turn", None):
        exif = Image.Exif()
        exif[0x0112] = turn
        options["exif"] = exif.tobytes()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()

def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

found = {}
for name, (kind, mode, options, reduction) in FILES.items():
    EncodedImage(make(kind, mode, options, 64, 64)).decode()  # its modules are there
    content = make(kind, mode, options, 2400, 2000)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")  # the peak is that from here on
    before = status("VmRSS")
    encoded = EncodedImage(content)
    estimate = encoded.decoding_memory(reduction)
    picture = encoded.decode(reduction)
    found[name] = estimate, status("VmHWM") - before
    del encoded, picture
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[int, int]]:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells a process's peak")
@pytest.mark.parametrize("name", FILES)
def test_decoding_memory_is_the_peak_or_a_little_more(name: str, found: dict[str, tuple[int, int]]) -> None:
    estimate, peak = found[name]
    fixed = 10 << 20  # of any image, however small
    assert peak <= estimate <= 2 * peak + fixed

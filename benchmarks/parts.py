"""Where the time of one call goes: ``python -m benchmarks.parts``.

YOLOv8's 84 x 8400, 64 images in turn, each read just before its call as if a network had written it. What a
part takes is the difference of two calls, so that nothing is timed from inside.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np

from benchmarks.contest import INPUTS
from benchmarks.data.scenes import Floats
from benchmarks.data.yolo import yolov8_tensor
from benchmarks.machine import describe
from benchmarks.peers.yolo import our_yolov8
from benchmarks.targets.result import readable
from benchmarks.timing import Call, Turning, race


def calls() -> dict[str, Call]:
    """Calls that differ by a part each."""
    tensors = [yolov8_tensor(1, image) for image in range(INPUTS)]
    lone = [np.ascontiguousarray(tensor[:, :, :1]) for tensor in tensors]

    def of(threshold: float, inputs: list[Floats], first: int = 0) -> Call:
        # Each begins at another image: whoever met one first would find it colder than the others do.
        turned, post = inputs[first:] + inputs[:first], our_yolov8(threshold)
        return Turning([partial(post, {"tensor": one}) for one in turned], turned)

    return {
        "one box, which does not pass: Python, and in and out of the kernel": of(1.0, lone),
        "8,400 boxes, of which none passes: the scan besides": of(1.0, tensors),
        "those of an image at 0.25: what passes besides": of(0.25, tensors, INPUTS // 4),
        "the same at 0.001": of(0.001, tensors, INPUTS // 2),
        "one `numpy.max` of the tensor": Turning(
            [partial(np.max, one) for one in tensors[::-1]], tensors[::-1]
        ),
    }


def main() -> None:
    """Print the lower quartile of each, and its ratio to the call at 0.25."""
    contestants = calls()
    for call in contestants.values():
        call()
    timings = race(contestants, seconds=2.0)
    whole = list(timings.values())[2].lower
    rows = [
        f"| {name} | {readable(found.lower)} | {found.lower / whole:.2f} |" for name, found in timings.items()
    ]
    machine = ", ".join(f"{name} {value}" for name, value in describe().items())
    lines = [
        machine,
        "",
        "| a call with | lower quartile | of that at 0.25 |",
        "| --- | ---: | ---: |",
        *rows,
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

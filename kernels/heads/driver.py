"""The way from a head's tensors to detections, once for all heads: scan, decode, select, image by image.

A new head is a file with three parts, and a line that joins them (`scored_boxes` is the shortest):

1. A NamedTuple of its tensors and of what describes them, each field with a type of its own meaning (most
   stand in `arguments`). The decoder makes it.
2. ``scan(head, image, boxes, rule, room, collector)``: collects the candidates of an image, about `room` of
   the best or more, and returns how many keys the collector holds, best first. What it sees that users are
   to be told it may `note`.
3. ``decode(head, image, boxes, keys, count, corners)``: writes the corners of the first `count` keys, which
   are some of the image's, in their order: suppression reaches few where many pass.
4. ``detect_mine = detector(Mine, scan, decode)``; from Python `detect` finds it by the type of the head.

A key's order is ``label * boxes + box``. The parts are `inner` kernels, or `pasted` where they only hand on
to others. A head that suppresses in a way of its own has a driver of its own: see `oriented`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel, pasted
from ..core.collector import Collector, begin_image, continue_below, new_collector, noted, widened
from .arguments import Bounds, BoxesALabel, BoxesARegion, Call, Placement, Rule
from .survivors import DetectionColumns, end_image, found, is_cut, new_survivors, select

Head: TypeAlias = tuple[Any, ...]
HeadT = TypeVar("HeadT", bound=Head)
Scan: TypeAlias = Callable[[HeadT, int, int, Rule, int, Collector], int]
Decode: TypeAlias = Callable[[HeadT, int, int, NDArray[np.uint64], int, NDArray[np.float32]], None]

# Boxes decoded at a time: at first about as many as an image has detections, then as many as before again.
_FIRST_BOXES = 128
_MOST_BOXES = 1024

_KERNELS: dict[type[Head], Callable[..., DetectionColumns]] = {}


def detect(
    head: Head,
    rule: Rule,
    boxes: BoxesALabel,
    columns: BoxesARegion,
    bounds: Bounds,
    placement: Placement,
    *,
    top: int,
    most: int,
    start: int,
    stop: int,
) -> DetectionColumns:
    """Detect in images `start` to `stop` of a head's tensors: by a `Rule`, with the fields of a `Call`."""
    return _KERNELS[type(head)](*head, *rule, boxes, columns, bounds, placement, top, most, start, stop)


def detector(head: type[HeadT], scan: Scan[HeadT], decode: Decode[HeadT]) -> Callable[..., DetectionColumns]:
    """Make the kernel of a head, of its two parts: see the module."""
    return unpacking(head, _detect, scan, decode)


def unpacking(
    head: type[Head], driver: Callable[..., DetectionColumns], *parts: Callable[..., Any]
) -> Callable[..., DetectionColumns]:
    """Make the kernel that takes all fields of a head, of a rule and of a call, one by one, to a driver.

    A NamedTuple costs 4 to 6 us on the way from Python to a kernel: it is made inside. The parameters are
    those fields, so that the kernel's text is put together here, as `namedtuple` does it.
    """
    kinds: dict[str, Any] = {"Head": head, "Rule": Rule, "Call": Call}
    fields = [", ".join(f"{name}_{field}".lower() for field in kind._fields) for name, kind in kinds.items()]
    scope: dict[str, Any] = {**kinds, "driver": driver, "__name__": head.__module__}
    scope |= {f"part{number}": part for number, part in enumerate(parts)}
    made = [f"{name}({of_kind})" for name, of_kind in zip(kinds, fields, strict=True)]
    made += [f"part{number}" for number in range(len(parts))]
    name = "detect" + re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", head.__name__)
    exec(f"def {name}({', '.join(fields)}):\n    return driver({', '.join(made)})", scope)
    return _KERNELS.setdefault(head, kernel(scope[name]))


@pasted
def _detect(
    head: HeadT, rule: Rule, call: Call, scan: Scan[HeadT], decode: Decode[HeadT]
) -> DetectionColumns:
    labels = rule.thresholds.shape[0]
    most_keys = call.boxes * labels
    narrow = new_collector(call.top, most_keys, labels)
    survivors = new_survivors(labels, rule.class_agnostic, call.stop - call.start)
    corners = np.empty((_MOST_BOXES, 4), np.float32)
    for image in range(call.start, call.stop):
        collector = narrow
        room: int = call.top
        begin_image(collector)
        is_wanting = True
        while is_wanting:
            count = scan(head, image, call.boxes, rule, room, collector)
            done = 0
            while done < count and not is_cut(survivors):
                keys, size = collector[0][done:], min(max(_FIRST_BOXES, done), _MOST_BOXES, count - done)
                decode(head, image, call.boxes, keys, size, corners)
                survivors = select(keys, size, corners, image, rule, call, survivors)
                done += size
            is_wanting = not is_cut(survivors) and continue_below(collector)
            if is_wanting:
                collector, room = widened(collector, room, most_keys)
        end_image(survivors, image - call.start)
    return found(survivors, call, noted(narrow))

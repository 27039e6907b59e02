"""Heads of detectors before their decoding, some outputs for each stride, which are named but not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, listed
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.grids import Grid, by_stride, grids_of, same_channels
from postproc.inspection.recognisers.tables.table import tables_of

_ANCHORS = (9, 6, 3)


@dataclass(frozen=True, slots=True)
class _Family:
    """Networks that have such heads.

    Parameters
    ----------
    network : str
        What they are called.
    holds : callable
        Says what the numbers of a cell are, by how many of them each output of a stride has; else "".
    help : str
        What gives outputs that a kind of output describes.
    names : tuple of str
        What the outputs' names hold.
    """

    network: str
    holds: Callable[[tuple[int, ...]], str]
    help: str
    names: tuple[str, ...] = ()


def _anchored(channels: tuple[int, ...]) -> str:
    if len(channels) == 2:
        for anchors in _ANCHORS:
            for boxes, scores in (channels, channels[::-1]):
                if boxes == 4 * anchors and scores % anchors == 0:
                    return f"offsets and {scores // anchors} scores of {anchors} anchors a cell"
    return ""


def _joined(channels: tuple[int, ...]) -> str:
    return f"a box, an objectness and {channels[0] - 5} scores" if len(channels) == 1 else ""


def _faces(channels: tuple[int, ...]) -> str:
    return "scores, boxes and 5 landmarks of 2 anchors" if channels == (4, 8, 20) else ""


def _heatmaps(channels: tuple[int, ...]) -> str:
    others = list(channels)
    for known in ((2, 2, 10), (2, 2)):
        if len(channels) == len(known) + 1 and all(others.count(n) >= known.count(n) for n in known):
            for count in known:
                others.remove(count)
            return f"a heatmap of {others[0]} labels, sizes and offsets of objects' centres"
    return ""


_BY_HAND = "End the graph with the decoding, as boxes (B, N, 4) and scores (B, N, L), for standard_output"
_FAMILIES = (
    _Family(
        "EfficientDet or RetinaNet without decoding",
        _anchored,
        "effdet's DetBenchPredict ends in rows, for end_to_end_output. Or join the levels (Reshape, Concat) "
        "and describe them as ssd_output, with the anchors in its priors",
        ("cls", "box"),
    ),
    _Family(
        "YOLOX without decoding, level by level",
        _joined,
        "YOLOX's tools/export_onnx.py joins the levels to one table, for yolox_output: Reshape each to "
        "(B, 5 + labels, cells), Concat, Transpose",
    ),
    _Family(
        "RetinaFace (faces)",
        _faces,
        "Join the levels (Reshape, Concat) and describe them as ssd_output, with the anchors in its priors "
        "and the landmarks in its landmarks_tensor",
        ("kps", "landmark"),
    ),
    _Family(
        "CenterNet or CenterFace",
        _heatmaps,
        f"Peaks of heatmaps are found by a MaxPool, the best by a TopK. {_BY_HAND}",
        ("hm", "heatmap"),
    ),
)


def levels(observed: Observed) -> Iterator[Reading]:
    """Recognise heads of some outputs for each stride."""
    graph = observed.graph
    grids = grids_of(graph)
    channels = same_channels(grids)
    strides = by_stride(grids)
    if not channels or tables_of(graph):
        return
    for family in _FAMILIES:
        is_single = family.holds is _heatmaps
        holds = family.holds(channels) if is_single == (len(strides) == 1) else ""
        if holds:
            text = f"{listed(grids)}: for each cell {holds}"
            yield Reading(
                family.network,
                None,
                (
                    speaks_for(Source.SHAPES, text, Part.COLUMNS),
                    *_of_names(family, grids),
                    *_of_parts(graph, grids, holds),
                ),
                values={Part.KIND: family.network, Part.COLUMNS: holds},
                advice=f"{text} ({family.network}), for which inspect writes no document. {family.help}",
            )


def _of_names(family: _Family, grids: list[Grid]) -> Iterator[Evidence]:
    names = [grid.tensor.name.lower() for grid in grids]
    if family.names and all(any(part in name for name in names) for part in family.names[:1]):
        text = f"{', '.join(names)} are named as outputs of {family.network} are"
        yield speaks_for(Source.NAMES, text, Part.KIND, Part.COLUMNS)


def _of_parts(graph: Graph, grids: list[Grid], holds: str) -> Iterator[Evidence]:
    """Use that several layers give what one output joins, and that several outputs are several layers."""
    if len(by_stride(grids)) < len(grids):
        text = f"{listed(grids)}: {len(grids) // len(by_stride(grids))} outputs a stride"
        yield speaks_for(Source.SHAPES, text, Part.KIND)
        return
    parts = {graph.links.joined(grid.tensor.name) for grid in grids}
    sizes = next(iter(parts)) if len(parts) == 1 else ()
    is_joined = sizes[:2] == (4, 1) if "objectness" in holds else {32, 64} & set(sizes)
    if len(sizes) > 1 and is_joined:
        text = f"{listed(grids)} are put together of {' and '.join(map(str, sizes))} channels"
        yield speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS)

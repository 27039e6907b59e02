"""Maps of an image, which no kind of output describes: of texts, of centres, of labels, of depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor, image_axes, listed
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.exporters import of_ultralytics

_COARSEST = 4  # pixels of the input that a number of a map stands for; grids of boxes are coarser
_FINEST = 1 / 8  # of images that a network enlarges
_OF_BOTH_SIDES = 2  # numbers of a cell: x and y, or width and height
_OF_EAST = {5, 8}  # distances and an angle, or four corners
_FEWEST_KEYPOINTS = 3
_TASKS = {"semantic": "semantic segmentation", "depth": "depth"}
_WORDS = {
    "depth": ("depth", "disp"),
    "semantic segmentation": ("seg", "semantic"),
    "heat maps of keypoints": ("heatmap", "keypoint", "kpt"),
}


@dataclass(frozen=True, slots=True)
class _Product:
    """What maps are of, and what speaks for it."""

    network: str
    what: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class _Map:
    """A tensor with numbers for each pixel, or for small squares of them."""

    tensor: Tensor
    channels: int | None
    pixels: float

    @property
    def name(self) -> str:
        """Its tensor's name."""
        return self.tensor.name


def maps(observed: Observed) -> Iterator[Reading]:
    """Name maps: numbers of each pixel, such as labels, distances and heat maps."""
    graph = observed.graph
    found = [_map_of(graph, tensor) for tensor in graph.outputs]
    known = [each for each in found if each is not None]
    if not known or len(known) != len(found):
        return
    texts = listed(graph.outputs)
    told = of_ultralytics(graph, graph.task, Part.KIND) if graph.task in _TASKS else []
    if graph.task and not told:
        return
    evidence = [speaks_for(Source.SHAPES, f"{texts}: numbers for each part of the image", Part.KIND), *told]
    if any(graph.sources(each.name) & {"Resize", "Upsample", "ArgMax", "ConvTranspose"} for each in known):
        text = f"{texts}: enlarged to the image, or the best label of each pixel"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.KIND))
    product = _product(graph, known, texts)
    yield Reading(
        product.network,
        None,
        (*evidence, *product.evidence),
        advice=f"{texts}: maps of the image ({product.what}), which no kind of output describes: they hold "
        "no boxes and no scores of whole images",
    )


def _map_of(graph: Graph, tensor: Tensor) -> _Map | None:
    if graph.input_size is None or tensor.rank not in (3, 4) or tensor.shape is None:
        return None
    axes = image_axes(graph.image.declared) if graph.image is not None else None
    orders = [(-3, slice(-2, None)), (3, slice(1, 3))]  # of NCHW, and of NHWC
    for axis, sides in orders[::-1] if axes is not None and axes[0] == "NHWC" else orders:
        shape = tensor.shape[sides]
        scales = {whole / side if side else 0.0 for whole, side in zip(graph.input_size, shape, strict=True)}
        pixels = scales.pop()
        if not scales and _FINEST <= pixels <= _COARSEST:
            return _Map(tensor, tensor.axis(axis) if tensor.rank == 4 else 1, pixels)
    return None


def _product(graph: Graph, found: list[_Map], texts: str) -> _Product:
    """Tell what maps are of, by the task, their numbers and what computes them, and their names."""
    if graph.task in _TASKS:
        return _Product("maps of an image", _TASKS[graph.task])
    product = _of_centres(found, texts) or _of_texts(graph, found, texts)
    if product is not None:
        return product
    for what, words in _WORDS.items():
        if any(each.tensor.is_called(*words) for each in found):
            evidence = speaks_for(Source.NAMES, f"{texts}: named as {what}", Part.KIND)
            return _Product("maps of an image", what, (evidence,))
    if any("ArgMax" in graph.sources(each.name) for each in found):
        evidence = speaks_for(Source.OPERATORS, f"{texts}: the best label of each pixel (ArgMax)", Part.KIND)
        return _Product("maps of an image", "semantic segmentation", (evidence,))
    return _Product("maps of an image", "segmentation, depth, heatmaps or images")


def _of_centres(found: list[_Map], texts: str) -> _Product | None:
    """Recognise CenterNet's: where centres are, and the size and the shift of the object at each."""
    of_sides = [each for each in found if each.channels == _OF_BOTH_SIDES]
    is_one_grid = {each.pixels for each in found} == {_COARSEST}
    if not (of_sides and is_one_grid and len(found) > len(of_sides)):
        return None
    text = f"{texts}: heat maps of centres, and two numbers for each place, such as width and height"
    evidence = [speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS)]
    if {"hm", "heatmap", "wh"} & {each.tensor.plain_name for each in found}:
        evidence.append(speaks_for(Source.NAMES, f"{texts}: named as CenterNet's outputs", Part.KIND))
    what = "heat maps of the centres of objects, with sizes, as CenterNet and CenterFace have them"
    return _Product("CenterNet", what, tuple(evidence))


def _of_texts(graph: Graph, found: list[_Map], texts: str) -> _Product | None:
    """Recognise text detection: probabilities of pixels that DBNet enlarges, CRAFT's two maps, and EAST's."""
    network = "text detection"
    channels = [each.channels for each in found]
    if len(found) == 1 and channels == [_OF_BOTH_SIDES] and found[0].tensor.axis(3) == _OF_BOTH_SIDES:
        text = f"{texts}: two numbers for each square of {found[0].pixels:g} pixels, last: CRAFT's regions"
        evidence = (speaks_for(Source.SHAPES, text, Part.KIND),)
        return _Product(network, "text detection: CRAFT's regions and what joins them", evidence)
    ends = graph.sources(found[0].name) == {"Sigmoid"}
    if len(found) == 1 and channels == [1] and ends and found[0].pixels == 1:
        if "ConvTranspose" in graph.upstream(found[0].name):
            text = f"{texts}: a ConvTranspose and a Sigmoid give a probability of each pixel, as in DBNet"
            evidence = (speaks_for(Source.OPERATORS, text, Part.KIND),)
            return _Product(network, "text detection: DBNet's probability of each pixel", evidence)
        text = f"{texts}: a Sigmoid gives a probability of each pixel"
        what = "the probability of each pixel: text detection such as DBNet's, or a foreground"
        return _Product("maps of an image", what, (speaks_for(Source.OPERATORS, text, Part.KIND),))
    if len(found) == 2 and 1 in channels and _OF_EAST & {*channels}:
        text = f"{texts}: a score, and the sides or corners of a text at each place"
        return _Product(network, "text detection as EAST's", (speaks_for(Source.SHAPES, text, Part.KIND),))
    return None

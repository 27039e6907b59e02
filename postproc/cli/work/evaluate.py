"""What ``postproc evaluate`` does: find the images, predict, measure, show the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from postproc.errors import ImageError, SchemaError
from postproc.evaluation.classification import ClassificationEvaluation, evaluate_classifications
from postproc.evaluation.collecting import Predictions, collect
from postproc.evaluation.detection import DetectionEvaluation, evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measuring import MeasuringPostProcessor
from postproc.pipeline import PostProcessor
from postproc.schema import Classification, RecognitionSpec, RecognitionVersion

if TYPE_CHECKING:
    from PIL import Image

    from postproc.evaluation.pictures import OpenImage

Evaluation = DetectionEvaluation | ClassificationEvaluation

MOST_SHOWN = 40  # labels in the table on the terminal
_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
_NAMED = 3  # images in a note


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of images.

    Parameters
    ----------
    paths : list of Path
    rows : dict of int to Path
        Those that the ground truth knows, by their rows in it.
    folder : Path, optional
        The folder that they are of, so that all images of the ground truth count.
    """

    paths: list[Path]
    rows: dict[int, Path]
    folder: Path | None = None


def find_images(arguments: Sequence[Path], truth: GroundTruth) -> ImageFiles:
    """Find the images of the ground truth in a folder, or take the files that are given.

    Raises
    ------
    SchemaError
        If a folder has none of them, or several files for one, or is given together with other paths.
    """
    folders = [path for path in arguments if path.is_dir()]
    if not folders:
        found = {row: path for path in arguments if (row := truth.find(path)) is not None}
        return ImageFiles(list(arguments), found)
    if len(arguments) > 1:
        raise SchemaError(
            f"give one folder of images, or files; got {folders[0]} and {len(arguments) - 1} more"
        )
    folder = folders[0]
    found = {row: folder / name for row, name in enumerate(truth.names) if (folder / name).is_file()}
    if len(found) < len(truth):
        exact = frozenset(found)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in _SUFFIXES:
                continue
            row = truth.find(path.relative_to(folder))
            if row is None or row in exact:
                continue
            if row in found:
                first, second = (one.relative_to(folder) for one in (found[row], path))
                raise SchemaError(
                    f"{folder}: {first} and {second} may both be the image "
                    f"{truth.names[row]!r} of {truth.source}; keep one, or name the folder of one"
                )
            found[row] = path
    if not found:
        raise SchemaError(
            f"{folder}: holds none of the {len(truth)} images of {truth.source}, such as {truth.names[0]!r}"
        )
    return ImageFiles([found[row] for row in sorted(found)], found, folder)


def predict_tensors(
    paths: Sequence[str],
    post: PostProcessor,
    ray_address: str | None,
    on_images: Callable[[int], None],
) -> Predictions:
    """Post-process saved tensors here, or on a Ray cluster: names, sizes and Recognitions, batch by batch."""
    from postproc.evaluation.predicting import predict_saved

    with ExitStack() as stack:
        predict: Callable[..., Iterator[Any]] = predict_saved
        if ray_address is not None:
            from postproc.evaluation.ray_job import connected, predict_with_ray

            stack.enter_context(connected(ray_address))
            predict = predict_with_ray
        for predicted in predict(paths, post):
            yield predicted
            on_images(len(predicted.names))


def measure(
    spec: RecognitionSpec,
    version: RecognitionVersion,
    truth: GroundTruth,
    predictions: Callable[[PostProcessor], Predictions],
    *,
    output: int,
    iou: float,
    max_detections: int,
    only_predicted: bool,
) -> Evaluation:
    """Predict what measuring asks for, and measure."""
    post = MeasuringPostProcessor(spec, version, output, max_detections=max_detections)
    collected = collect(truth, predictions(post), only_predicted=only_predicted)
    task = (version.post_processings or ())[output].task
    if isinstance(task, Classification):
        return evaluate_classifications(truth, collected)
    return evaluate_detections(
        truth, collected, iou=iou, max_detections=max_detections, yields=task.output.yields
    )


def notes(evaluation: Evaluation) -> Iterator[str]:
    """Say what a reader of the numbers has to know."""
    collected, truth = evaluation.collected, evaluation.truth
    told = "ids" if truth.categories.by == "ids" else "names"
    yield f"categories of {truth.source} are matched to labels by their {told}"
    if truth.categories.unknown:
        unknown = truth.categories.unknown
        yield (
            f"left out: objects of categories that are no labels of the spec, {', '.join(unknown[:_NAMED])}"
            f"{'' if len(unknown) <= _NAMED else f' and {len(unknown) - _NAMED} more'}"
        )
    for text, images in (
        ("without a prediction, so that all on them counts as missed", collected.missing),
        ("left out, since the ground truth does not know them", collected.unknown),
        ("of other proportions than the ground truth says: their boxes may not fit", collected.misshapen),
    ):
        if images:
            more = "" if len(images) <= _NAMED else " and others"
            yield f"{_counted(len(images), 'image')} {text}: {', '.join(images[:_NAMED])}{more}"


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the numbers as tables."""
    document = evaluation.to_dict()
    is_detection = document["task"] == "detection"
    if is_detection:
        coco = document["coco"]
        limit = document["coco_limit"]["max_detections"]
        table = Table(title=f"COCO's box AP and AR, {limit} an image and label at most", show_header=False)
        names = list(coco)
        for row in (names[:6], names[6:]):
            table.add_row(*(Text(name.replace("_", " "), "bold") for name in row))
            table.add_row(*(_share(coco[name]) for name in row), end_section=True)
        console.print(table)
        for remark in document["remarks"]:
            console.print(Text(f"{remark[0].upper()}{remark[1:]}."))
    else:
        shown = [(name, document[name]) for name in ("top1", "top5", "mAP") if document[name] is not None]
        console.print("   ".join(f"{name} {_share(value)}" for name, value in shown))
    console.print(_label_table(document, "objects" if is_detection else "images", is_detection))


def _label_table(document: dict[str, Any], things: str, is_detection: bool) -> Table:
    total, labels = document["total"], document["labels"]
    seen = [label for label in labels if label["objects"] or label["wrong"]]
    seen.sort(key=lambda label: -label["objects"])
    images = _counted(document["images"], "image")
    left_out = len(seen) - MOST_SHOWN
    captions = [f"{left_out} more labels: --json writes all"] if left_out > 0 else []
    if len(seen) < len(labels):
        captions.append(f"{_counted(len(labels) - len(seen), 'label')} neither there nor found")
    at = f", Jaccard index {document['iou']:g}" if is_detection else ""
    table = Table(title=f"{images}, at the version's thresholds{at}", caption="; ".join(captions) or None)
    table.add_column("label", max_width=24, no_wrap=True, overflow="ellipsis")
    for name in (things, "threshold", "precision", "recall", "F1", "box AP" if is_detection else "AP"):
        table.add_column(name, justify="right", no_wrap=True)
    mean = document["coco"]["AP"] if is_detection else document["mAP"]
    shares = [_share(total[name]) for name in ("precision", "recall", "f1")]
    table.add_row("all", str(total["objects"]), "", *shares, _share(mean), style="bold", end_section=True)
    for label in seen[:MOST_SHOWN]:
        shares = [_share(label[name]) for name in ("precision", "recall", "f1", "AP")]
        table.add_row(Text(label["name"]), str(label["objects"]), f"{label['threshold']:g}", *shares)
    return table


def image_opener(evaluation: Evaluation, files: ImageFiles) -> OpenImage:
    """Give what opens the images of a report, by their rows among those that count."""
    from postproc.images import load_image

    images = evaluation.collected.truth.images

    def open_image(row: int) -> Image.Image:
        path = files.rows.get(int(images[row]))
        if path is None:
            raise ImageError(f"not found in {files.folder}")
        return load_image(path)

    return open_image


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

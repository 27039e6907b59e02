"""The commands of ``postproc``."""

from __future__ import annotations

import json
import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

from postproc.cli_categories import Categories
from postproc.cli_demo import PICTURE_SIDE, DemoModel, run_demo, write_demo_dataset
from postproc.cli_export import Format, export_options, open_sink
from postproc.cli_run import DrawnImages, open_network, recognise_images, recognise_tensors
from postproc.cli_serve import keys_app, serve
from postproc.cli_warmup import warm_up_everything
from postproc.errors import ImageError, PostprocError, SchemaError
from postproc.kernels._jit import cache_directory
from postproc.pipeline import PostProcessor
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion, check_pair

if TYPE_CHECKING:
    from postproc.evaluation.collecting import Predictions

DocumentT = TypeVar("DocumentT", RecognitionSpec, RecognitionVersion, Preprocessing)


class _Commands(TyperGroup):
    """Ends a command with a message where what it was given is wrong or an extra is missing."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PostprocError as error:
            _complain(str(error))
            sys.exit(1)
        except ImportError as error:
            if error.name is not None:  # our own, which say what extra to install, name no module
                raise
            _complain(str(error))
            sys.exit(2)
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # the reader of a pipe has left, as `head` does
                raise
            _complain(str(error))
            sys.exit(1)


app = typer.Typer(
    cls=_Commands,
    help="From the raw output tensors of a recognition network to detections and classifications.",
    epilog="Start with [bold]postproc demo[/bold]: it needs no files of yours.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _file(metavar: str, help: str, *names: str) -> Any:
    """Declare an option, or without names an argument, that is a file to read."""
    kind = typer.Option if names else typer.Argument
    return kind(*names, metavar=metavar, help=help, exists=True, dir_okay=False, readable=True)


SpecFile = Annotated[Path, _file("SPEC.json", "What is recognised: the labels of each output.", "--spec")]
VersionFile = Annotated[
    Path, _file("VERSION.json", "How: a post-processing for each output of the spec.", "--version")
]


@app.command()
def validate(
    version: Annotated[Path, _file("VERSION.json", "The version to check.")],
    spec: Annotated[Path | None, _file("SPEC.json", "Check this too, and that they fit.", "--spec")] = None,
) -> None:
    """Check a version, and a spec with it: all that is wrong is listed, each with its JSON path."""
    problems: list[object] = []
    documents: list[Any] = []
    kinds: list[tuple[type[Any], Path | None]] = [(RecognitionVersion, version), (RecognitionSpec, spec)]
    for kind, path in kinds:
        if path is not None:
            try:
                documents.append(_load(kind, path))
            except SchemaError as error:
                problems += error.errors
    if spec is not None and not problems:
        try:
            check_pair(documents[1], documents[0])
        except SchemaError as error:
            problems += [f"{version}: {problem}" for problem in error.errors]
    if problems:
        for problem in problems:
            typer.echo(problem)
        raise typer.Exit(1)
    typer.echo(f"{version}: valid" if spec is None else f"{version}: valid, and fits {spec}")


@app.command(epilog="For example: postproc run --spec spec.json --version version.json model.onnx *.jpg")
def run(
    spec: SpecFile,
    version: VersionFile,
    model: Annotated[Path | None, _file("MODEL.onnx", "The network; left out with --tensors.")] = None,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE", help="The images to recognise things in.")
    ] = None,
    preprocessing: Annotated[
        Path | None,
        _file(
            "FILE.json",
            "How images become the network's inputs. Without it they are squashed to the input's size, "
            "RGB, 0 to 1.",
            "--preprocessing",
        ),
    ] = None,
    tensors: Annotated[
        Path | None,
        typer.Option(
            "--tensors",
            metavar="PATH",
            exists=True,
            help="Post-process saved tensors, and run no network: an .npz file, or a Parquet file or a "
            "folder of them, as dump writes them.",
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write the images there with what was found drawn on them."
        ),
    ] = None,
    show_discarded: Annotated[
        bool,
        typer.Option(
            "--show-discarded", help="Also give what scored between the discard threshold and its own."
        ),
    ] = False,
    max_predictions: Annotated[int, typer.Option(min=1, help="Most results an image and output.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that the network runs on at once.")] = 8,
    format: Annotated[
        Format,
        typer.Option(
            help="jsonl: v0.7's JSON, a line an image. coco: COCO results. parquet: a row a detection. voc "
            "and yolo: a folder of a file an image."
        ),
    ] = Format.JSONL,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File to write, or for voc and yolo a new folder, instead of stdout. It appears when all is "
            "written.",
        ),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="yolo: end each line with the score.")] = False,
    image_ids: Annotated[
        Path | None,
        _file(
            "COCO.json",
            "coco: whose image ids to use, by file name; else the names of images are numbers.",
            "--image-ids",
        ),
    ] = None,
    output_index: Annotated[
        int | None,
        typer.Option(min=0, help="coco, voc, yolo: the output of the spec, where several have boxes."),
    ] = None,
) -> None:
    """Recognise things in images: one line of JSON an image on stdout, or a file of another format.

    An image that cannot be read is reported on stderr, the others go on, and the exit code is 1.
    """
    options = export_options(format, show_discarded, scores, image_ids, output_index)
    if tensors is not None:
        for name, value in (("MODEL.onnx", model), ("--preprocessing", preprocessing), ("--draw", draw)):
            if value is not None:
                raise typer.BadParameter(f"runs no network, so {name} has no use", param_hint="--tensors")
        post = PostProcessor(_load(RecognitionSpec, spec), _load(RecognitionVersion, version))
        with open_sink(format, output, post.spec, [], options) as sink:
            for names, sizes, recognitions in recognise_tensors(
                tensors, post, show_discarded, max_predictions
            ):
                sink.write(names, sizes, recognitions)
        return

    if model is None:
        raise typer.BadParameter("give a network and images, or --tensors", param_hint="MODEL.onnx")
    if not images:
        raise typer.BadParameter("give at least one image after the network", param_hint="IMAGE")
    post = PostProcessor(_load(RecognitionSpec, spec), _load(RecognitionVersion, version))
    with open_sink(format, output, post.spec, images, options) as sink, _Progress(len(images)) as progress:
        runner, preprocessor = open_network(model, post, preprocessing)
        drawn = None if draw is None else DrawnImages(draw, images)
        for recognised in recognise_images(
            runner,
            preprocessor,
            images,
            batch_size=batch_size,
            show_discarded=show_discarded,
            max_predictions=max_predictions,
            on_unreadable=progress.fail,
        ):
            size = [recognised.image.height, recognised.image.width]
            sink.write([str(recognised.path)], size, recognised.recognitions)
            if drawn is not None:
                drawn.save(recognised)
            progress.advance()
    if drawn is not None:
        typer.echo(f"{drawn.count} of {len(images)} images drawn into {draw}", err=True)
    if progress.failures:
        raise typer.Exit(1)


@app.command(
    epilog="For example: postproc evaluate --spec spec.json --version version.json --truth truth.json "
    "model.onnx images/ --report report.html. To try it: postproc demo --dataset digits"
)
def evaluate(
    spec: SpecFile,
    version: VersionFile,
    truth: Annotated[
        Path,
        _file(
            "FILE",
            "What is on the images: COCO JSON, or for labels of whole images also CSV with a row "
            "'file,label' a pair. Categories are told by id if all ids are labels', else by name.",
            "--truth",
        ),
    ],
    model: Annotated[Path | None, _file("MODEL.onnx", "The network; left out with --tensors.")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR|IMAGE",
            exists=True,
            help="Folder of the images: all that the ground truth names count. Or files: only they do.",
        ),
    ] = None,
    tensors: Annotated[
        list[str] | None,
        typer.Option(
            "--tensors",
            metavar="PATH",
            help="Measure on saved tensors, and run no network: files or folders as dump writes them, or "
            ".npz files; may be given several times. All images of the ground truth count.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Post-process the tensors on a Ray cluster: local starts one here, auto is the one this "
            "machine is part of, else ray://HOST:10001. The numbers are the same.",
        ),
    ] = None,
    preprocessing: Annotated[
        Path | None,
        _file("FILE.json", "How images become the network's inputs; as for run.", "--preprocessing"),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all numbers there."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", dir_okay=False, help="Write charts and the worst mistakes, as one page."
        ),
    ] = None,
    iou: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Jaccard index from which on a box counts as right."),
    ] = 0.5,
    max_predictions: Annotated[
        int,
        typer.Option(min=1, help="Most boxes an image; COCO's numbers take 100 of an image and label."),
    ] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that the network runs on at once.")] = 8,
    output: Annotated[
        int, typer.Option("--output-index", min=0, help="Which output of the spec to measure.")
    ] = 0,
    categories: Annotated[
        Categories, typer.Option(help="What categories of the ground truth are told by.")
    ] = Categories.AUTO,
    skip_unknown: Annotated[
        bool,
        typer.Option("--skip-unknown", help="Leave out objects of categories that are no labels."),
    ] = False,
) -> None:
    """Measure a version on images whose content is known: COCO's AP and AR, precision, recall and F1.

    COCO's numbers are of all boxes that score above 0.001, precision, recall and F1 of those above the
    version's own thresholds. For labels of whole images: top-1 and top-5, average precision, and the same.
    """
    from postproc.cli_evaluate import (
        ImageFiles,
        Run,
        find_images,
        image_opener,
        measure,
        notes,
        predict_images,
        predict_tensors,
        show,
    )  # fmt: skip
    from postproc.evaluation.ground_truth import GroundTruth

    if tensors and (model is not None or images or preprocessing is not None):
        raise typer.BadParameter("runs no network: leave it and its images out", param_hint="--tensors")
    if ray is not None and not tensors:
        raise typer.BadParameter("works on saved tensors: give --tensors too", param_hint="--ray")
    if not tensors and (model is None or not images):
        raise typer.BadParameter("give a network and images, or --tensors", param_hint="MODEL.onnx")

    loaded = _load(RecognitionSpec, spec), _load(RecognitionVersion, version)
    check_pair(*loaded)
    known = GroundTruth.load(
        truth, loaded[0], output=output, categories=categories.value, skip_unknown=skip_unknown
    )
    files = find_images(images, known) if images else ImageFiles([], True)
    if known.table.roi != "BBOX":
        max_predictions = max(max_predictions, len(known.table.labels))
    with _Progress(len(files.paths) if images else len(known), shares_terminal=False) as progress:

        def predict(post: PostProcessor) -> Predictions:
            if model is None:
                return predict_tensors(tensors or [], post, max_predictions, ray, progress.advance)
            run = Run(model, preprocessing, batch_size, max_predictions)
            return predict_images(run, post, files.paths, progress.fail, progress.advance)

        evaluation = measure(
            *loaded,
            known,
            predict,
            output=output,
            iou=iou,
            only_predicted=not files.is_folder,
        )
    for note in notes(evaluation):
        typer.echo(f"note: {note}", err=True)
    show(evaluation, Console())
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n")
    if report is not None:
        from postproc.evaluation.report import write_report

        report.parent.mkdir(parents=True, exist_ok=True)
        title = f"{loaded[0].name or spec.stem}: {model.name if model else 'saved tensors'} on {truth.name}"
        write_report(report, evaluation, title=title, open_image=image_opener(evaluation, files.paths))
        typer.echo(f"report: {report.resolve()}", err=True)
    if progress.failures:
        raise typer.Exit(1)


@app.command(
    epilog="For example: postproc calibrate --spec spec.json --version version.json --truth truth.json "
    "model.onnx images/ --output calibrated.json, or --tensors DIR instead of a network and images"
)
def calibrate(
    spec: SpecFile,
    version: VersionFile,
    truth: Annotated[
        list[Path],
        _file(
            "FILE",
            "What is on the images: COCO JSON, or for labels of whole images also CSV. Given once for each "
            "output of the spec, in their order; or once, with --output-index.",
            "--truth",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(metavar="FILE.json", dir_okay=False, help="Where the version with new thresholds goes."),
    ],
    model: Annotated[Path | None, _file("MODEL.onnx", "The network; left out with --tensors.")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR|IMAGE",
            exists=True,
            help="Folder of the images: all that the ground truth names count. Or files: only they do.",
        ),
    ] = None,
    tensors: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            exists=True,
            help="Tensors saved by postproc dump, or .npz files, instead of a network and images. May be "
            "given several times.",
        ),
    ] = None,
    preprocessing: Annotated[
        Path | None,
        _file("FILE.json", "How images become the network's inputs; as for run.", "--preprocessing"),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Highest recall with at least this precision of each label, instead of best F1."),
    ] = None,
    false_positives: Annotated[
        float | None,
        typer.Option(help="Highest recall with at most so many false positives of each label an image."),
    ] = None,
    nms_grid: Annotated[
        str | None,
        typer.Option(metavar="0.3,0.45,...", help="Choose nms_threshold as well, from these and its own."),
    ] = None,
    min_examples: Annotated[
        int, typer.Option(min=1, help="Labels with fewer objects keep their threshold.")
    ] = 10,
    iou: Annotated[
        float, typer.Option(min=0.01, max=1, help="Jaccard index from which on a box counts as right.")
    ] = 0.5,
    lowest: Annotated[
        float,
        typer.Option(min=0, max=1, help="No threshold below this is chosen, unless the old one is lower."),
    ] = 0.001,
    folds: Annotated[int, typer.Option(min=0, help="Of the cross-validation; 0 for none.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="How often it is done, with other folds.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Which folds and resamplings.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that the network runs on at once.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads that post-process saved tensors.")] = 1,
    output_index: Annotated[
        int | None, typer.Option(min=0, help="Calibrate this output of the spec only; others stay.")
    ] = None,
    categories: Annotated[
        Categories, typer.Option(help="What categories of the ground truth are told by.")
    ] = Categories.AUTO,
    skip_unknown: Annotated[
        bool,
        typer.Option("--skip-unknown", help="Leave out objects of categories that are no labels."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
) -> None:
    """Choose each label's threshold from images whose content is known, and write a new version.

    The network and the post-processing run once: all thresholds there are, are read off that. What they gain
    is told by cross-validation, with its spread. Labels with too few examples keep their threshold.
    """
    from postproc import cli_calibrate as work
    from postproc.evaluation import GroundTruth
    from postproc.evaluation.calibration import Settings, with_thresholds
    from postproc.evaluation.calibration import calibrate as choose_thresholds
    from postproc.evaluation.choosing import Objective
    from postproc.evaluation.gathering import gather
    from postproc.evaluation.one_pass import OnePass

    if precision is not None and false_positives is not None:
        raise typer.BadParameter("give one objective", param_hint="--precision and --false-positives")
    if tensors and (model is not None or images):
        raise typer.BadParameter("runs no network: leave MODEL.onnx and images out", param_hint="--tensors")
    if not tensors and (model is None or not images):
        raise typer.BadParameter("give a network and images, or --tensors", param_hint="MODEL.onnx")
    work.check_target(output, version, force)
    objective = Objective()
    if precision is not None:
        objective = Objective("precision", precision)
    elif false_positives is not None:
        objective = Objective("false_positives", false_positives)
    settings = Settings(objective, min_examples, folds, repeats, seed=seed)
    loaded = _load(RecognitionSpec, spec), _load(RecognitionVersion, version)
    check_pair(*loaded)
    outputs = range(len(loaded[0].outputs)) if output_index is None else [output_index]
    if len(truth) != len(outputs):
        raise typer.BadParameter(
            f"expected one for each output, {len(outputs)}, or --output-index; got {len(truth)}",
            param_hint="--truth",
        )
    known = {
        row: GroundTruth.load(
            path, loaded[0], output=row, categories=categories.value, skip_unknown=skip_unknown
        )
        for row, path in zip(outputs, truth, strict=True)
    }
    plan = OnePass.of(*loaded, known, work.read_grid(nms_grid), lowest)
    failures = 0
    if tensors:
        with Console(stderr=True).status("post-processing"):
            predictions = work.predictions_of_tensors(plan, tensors, threads)
            gathered = gather(plan, predictions, iou=iou)
    else:
        from postproc.cli_evaluate import find_images

        files = find_images(images or [], next(iter(known.values())))
        with _Progress(len(files.paths), shares_terminal=False) as progress:
            predictions = work.predictions_of_images(
                plan, cast("Path", model), preprocessing, files.paths, batch_size,
                progress.fail, progress.advance,
            )  # fmt: skip
            gathered = gather(plan, predictions, iou=iou, only_predicted=not files.is_folder)
        failures = progress.failures
    calibrations = choose_thresholds(plan, gathered, settings)
    work.write_version(output, with_thresholds(json.loads(version.read_bytes()), calibrations))
    if as_json:
        typer.echo(json.dumps({"outputs": [item.to_dict() for item in calibrations]}, indent=2))
    else:
        for calibration in calibrations:
            work.show(calibration, Console())
    for note in work.notes(plan, gathered, calibrations):
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"the version with new thresholds: {output}", err=True)
    if failures:
        raise typer.Exit(1)


@app.command(epilog="For example: postproc inspect yolov8n.onnx --save yolov8n, then postproc run")
def inspect(
    model: Annotated[Path, _file("MODEL.onnx", "The network.")],
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write spec.json, version.json, preprocessing.json there."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        _file("FILE", "Names of the labels, one a line or JSON; else those in the file.", "--labels"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Size of the input, where the file leaves it free."),
    ] = None,
    take: Annotated[int, typer.Option(min=1, help="Which proposal to save, where several fit.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Let --save replace other files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
) -> None:
    """Find out what an ONNX network puts out, and propose the documents to run it with.

    Exit code 1 if nothing fits.
    """
    from postproc.cli_inspect import choose, inspection_json, show_inspection, show_saved
    from postproc.inspection import inspect_model

    inspection = inspect_model(model, labels=labels, size=_input_size(size))
    chosen = choose(inspection, take) if inspection.proposals else None
    if as_json:
        typer.echo(json.dumps(inspection_json(inspection), indent=2))
    elif save is None or chosen is None:
        show_inspection(inspection, model, Console())
    if chosen is None:
        raise typer.Exit(1)
    if save is not None:
        paths = chosen.save(save, force=force)
        if not as_json:
            show_saved(chosen, paths, model, Console())


@app.command()
def warmup(
    spec: Annotated[
        Path | None, _file("SPEC.json", "With --version: only what these need.", "--spec")
    ] = None,
    version: Annotated[
        Path | None, _file("VERSION.json", "With --spec: only what these need.", "--version")
    ] = None,
) -> None:
    """Compile the kernels, or load them, so that no image waits for it: a step of a container build."""
    started = time.perf_counter()
    with Console(stderr=True).status("compiling, up to a minute"):
        if spec is not None and version is not None:
            PostProcessor(_load(RecognitionSpec, spec), _load(RecognitionVersion, version)).warmup()
        elif spec is None and version is None:
            warm_up_everything()
        else:
            raise typer.BadParameter("one needs the other", param_hint="--spec and --version")
    seconds = time.perf_counter() - started
    directory = cache_directory()
    kept = (
        "kept in memory only: no cache directory can be written" if directory is None else f"in {directory}"
    )
    typer.echo(
        f"{'all kernels' if spec is None else 'the kernels of this version'} ready in {seconds:.1f} s, {kept}"
    )


class _SavedType(str, Enum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"


@app.command(
    epilog="For example: postproc dump --spec spec.json --version version.json model.onnx images/ "
    "--output tensors, then postproc run --tensors tensors"
)
def dump(
    spec: SpecFile,
    version: VersionFile,
    model: Annotated[Path, _file("MODEL.onnx", "The network.")],
    images: Annotated[list[Path], typer.Argument(metavar="DIR|IMAGE", help="Images, or folders of them.")],
    output: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Folder that the tensors go to.")
    ],
    preprocessing: Annotated[
        Path | None,
        _file("FILE.json", "How images become the network's inputs; as for run.", "--preprocessing"),
    ] = None,
    dtype: Annotated[
        _SavedType,
        typer.Option(help="float16 takes half the space and rounds; ids and sizes of images stay exact."),
    ] = _SavedType.FLOAT32,
    all_tensors: Annotated[
        bool,
        typer.Option("--all-tensors", help="Save all outputs, and not only those that the version needs."),
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that the network runs on at once.")] = 8,
) -> None:
    """Save a network's tensors for images, so that it runs once and versions are tried on what it said.

    Ended in whatever way, the same command goes on where it was. An image that cannot be read is reported on
    stderr and listed in the folder, the others go on, and the exit code is 1.
    """
    from postproc.cli_dump import dump_tensors, summary
    from postproc.evaluation.image_batches import image_files

    post = PostProcessor(_load(RecognitionSpec, spec), _load(RecognitionVersion, version))
    files = image_files(images)
    with _Progress(len(files)) as progress:
        dumped = dump_tensors(
            model,
            post,
            preprocessing,
            files,
            output,
            all_tensors=all_tensors,
            dtype=dtype.value,
            batch_size=batch_size,
            on_done=progress.advance,
            on_unreadable=progress.fail,
        )
    typer.echo(summary(dumped, output), err=True)
    if progress.failures:
        raise typer.Exit(1)


@app.command(epilog="For example, on a machine with an NVIDIA GPU: postproc doctor --gpu")
def doctor(
    providers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Execution provider of ONNX Runtime that has to work, CUDAExecutionProvider or just cuda; "
            "may be given several times.",
        ),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="As --providers CUDAExecutionProvider.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Examine this installation: what is there, what changes how it works, and a self-test.

    Every warning and failure says what to do. Exit code 1 if a check failed.
    """
    from postproc.cli_doctor import show_report
    from postproc.doctor import examine

    asked = [name.strip() for names in providers or () for name in names.split(",") if name.strip()]
    asked += ["CUDAExecutionProvider"] if gpu else []
    with Console(stderr=True).status("looking around") as status:

        def tell(step: str) -> None:
            # ONNX Runtime writes on stderr, which is read: nothing else may write there meanwhile.
            if step in ("providers", "network"):
                status.stop()
            else:
                status.start()
            status.update(_DOCTOR_STEPS.get(step, "looking around"))

        report = examine(asked, tell)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        show_report(report, Console())
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option(metavar="FILE.png", dir_okay=False, help="Where the drawn page goes.")
    ] = Path("postproc-demo.png"),
    model: Annotated[
        DemoModel, typer.Option(help="How the network was exported: grid, anchors and offsets, or boxes.")
    ] = DemoModel.YOLO,
    seed: Annotated[int, typer.Option(min=0, help="Which page; every number is another.")] = 0,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Instead, write pages there with their ground truth, to try postproc evaluate on.",
        ),
    ] = None,
    pages: Annotated[int, typer.Option(min=1, help="How many pages --dataset writes.")] = 20,
) -> None:
    """Find handwritten digits on a page: prints what was found, and draws it."""
    if dataset is not None:
        write_demo_dataset(dataset, pages, model, seed)
        typer.echo(
            f"{pages} pages and their ground truth in {dataset}. Measure the network on them:\n"
            f"postproc evaluate --spec {dataset}/spec.json --version {dataset}/version.json "
            f"--truth {dataset}/truth.json --preprocessing {dataset}/preprocessing.json "
            f"{dataset}/model.onnx {dataset}/pages --report {dataset}/report.html"
        )
        return
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(
            f"the page is written as PNG, so not to {output.name}", param_hint="--output"
        )
    with Console(stderr=True).status("reading the page; the first time, kernels are compiled for a while"):
        result = run_demo(model, seed)
    from postproc.drawing import draw_outputs

    output.parent.mkdir(parents=True, exist_ok=True)
    draw_outputs(result.page.image, [result.detections], min_side=PICTURE_SIDE).save(output)
    Console().print(result.table())
    typer.echo(
        f"{len(result.detections.labels)} detections: {result.found} of the page's {len(result.page.labels)} "
        "digits found, none of which the network saw in training.\n"
        f"The page, with boxes, labels and scores drawn on it: {output.resolve()}"
    )


app.command(epilog="For example: postproc serve --data service, then open http://127.0.0.1:8000")(serve)
app.add_typer(keys_app, name="keys")


_DOCTOR_STEPS = {
    "kernels": "checking the kernels; the first time, they are compiled for up to a minute",
    "threads": "checking several threads",
}


class _Progress:
    """A progress bar on stderr, where several images run and neither it nor the lines on stdout collide."""

    def __init__(self, total: int, shares_terminal: bool = True) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=total < 2 or not self._console.is_terminal or (shares_terminal and sys.stdout.isatty()),
            redirect_stdout=False,  # the lines of JSON are not for this console
        )
        self._task = self._bar.add_task("images", total=total)
        self.failures = 0

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, images: int = 1) -> None:
        """Count images as done."""
        self._bar.advance(self._task, images)

    def fail(self, error: ImageError) -> None:
        """Count an image as done, and say why it is not."""
        _complain(str(error), self._console)
        self.failures += 1
        self.advance()


def _input_size(text: str | None) -> tuple[int, int] | None:
    """Read ``WIDTHxHEIGHT``, or one number for both, as height and width."""
    if text is None:
        return None
    sides = text.split("x")
    size = (int(sides[-1]), int(sides[0])) if all(map(str.isdecimal, sides)) else (0, 0)
    if len(sides) > 2 or min(size) < 1:
        raise typer.BadParameter(f'expected "640x480" or "640", got {text!r}', param_hint="--size")
    return size


def _load(kind: type[DocumentT], path: Path) -> DocumentT:
    """Read a document; what is wrong with it is told with the file's name."""
    try:
        return kind.load(path)
    except SchemaError as error:
        raise SchemaError(*(f"{path}: {problem}" for problem in error.errors)) from None


def _complain(message: str, console: Console | None = None) -> None:
    text = Text.assemble(("error: ", "bold red"), message)
    (console or Console(stderr=True)).print(text, soft_wrap=True)

"""``postproc run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from postproc.cli.exit_codes import FAILED
from postproc.cli.options import (
    BatchSize,
    IntraOpThreads,
    Ray,
    RayGpus,
    SpecFile,
    VersionFile,
    cluster_of,
    file,
)
from postproc.cli.places import check_outputs, parser, read_tensors
from postproc.cli.terminal import Progress, load
from postproc.cli.work.export import STDOUT_FORMAT, Format, export_options, open_sink
from postproc.cli.work.run import (
    CutImages,
    DrawnImages,
    RunJob,
    recognise_images,
    recognise_tensors,
)
from postproc.exports.formats import EXPORT_FORMATS, formats_with
from postproc.pipeline import PostProcessor
from postproc.schema import RecognitionSpec, RecognitionVersion

_FOLDERS = " and ".join(name for name, item in EXPORT_FORMATS.items() if item.is_folder)


def run(
    spec: SpecFile,
    version: VersionFile,
    model: Annotated[Path | None, file("MODEL.onnx", "The network; left out with --tensors.")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            parser=parser(exists=False, folders=True, of_all=True),
            help="The images to recognise things in.",
        ),
    ] = None,
    preprocessing: Annotated[
        Path | None,
        file(
            "FILE.json",
            "How images become the network's inputs. Without it they are squashed to the input's size, "
            "RGB, 0 to 1.",
            "--preprocessing",
        ),
    ] = None,
    tensors: Annotated[
        str | None,
        typer.Option(
            "--tensors",
            metavar="PATH|URL",
            parser=read_tensors,
            help="Post-process saved tensors, and run no network: an .npz file, or a Parquet file or a "
            "folder of them, as dump writes them.",
        ),
    ] = None,
    ray: Ray = None,
    ray_gpus: RayGpus = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=parser(exists=False, files=False, folders=True),
            help="Write the images there with what was found drawn on them.",
        ),
    ] = None,
    show_discarded: Annotated[
        bool,
        typer.Option(
            "--show-discarded", help="Also give what scored between the discard threshold and its own."
        ),
    ] = False,
    max_predictions: Annotated[int, typer.Option(min=1, help="Most results an image and output.")] = 100,
    reduced_jpeg: Annotated[
        bool,
        typer.Option(
            "--reduced-jpeg",
            help="Decode JPEG images at a half, a quarter or an eighth of their sides where that leaves "
            "twice the sides that the network needs: faster, and of less memory. What the network sees "
            "differs from the whole image resized: at 4000x3000 to 640x480 by 0.2 grey levels on average, "
            "and up to 8 at edges.",
        ),
    ] = False,
    batch_size: BatchSize = 8,
    intra_op_threads: IntraOpThreads = None,
    format: Annotated[
        Format,
        typer.Option(help=" ".join(f"{name}: {item.summary}." for name, item in EXPORT_FORMATS.items())),
    ] = STDOUT_FORMAT,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=parser(exists=False, folders=True),
            help=f"File to write, or for {_FOLDERS} a new folder, instead of stdout. It appears when all is "
            "written.",
        ),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help=f"{formats_with('scores')}: end each line with the score.")
    ] = False,
    image_ids: Annotated[
        Path | None,
        file(
            "COCO.json",
            f"{formats_with('image_ids')}: whose image ids to use, by file name; else the names of images "
            "are numbers.",
            "--image-ids",
            copied=True,
        ),
    ] = None,
    output_index: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"{formats_with('output')}: the output of the spec, where several have boxes.",
        ),
    ] = None,
) -> None:
    """Recognise things in images: one line of JSON an image on stdout, or a file of another format.

    An image that cannot be read is reported on stderr, the others go on, and the exit code is 1.
    """
    cluster = cluster_of(ray, ray_gpus, tensors is None)
    read = (spec, version, model, preprocessing, tensors, image_ids)
    check_outputs({"--output": output}, [*read, *(images or [])])
    options = export_options(
        format, discarded=show_discarded, scores=scores, image_ids=image_ids, output=output_index
    )
    if tensors is not None:
        unused = {
            "MODEL.onnx": model,
            "--preprocessing": preprocessing,
            "--draw": draw,
            "--reduced-jpeg": reduced_jpeg or None,
        }
        for name, value in unused.items():
            if value is not None:
                raise typer.BadParameter(f"runs no network, so {name} has no use", param_hint="--tensors")
        post = PostProcessor(load(RecognitionSpec, spec), load(RecognitionVersion, version))
        cut = CutImages(max_predictions)
        with open_sink(format, output, post.spec, [], options) as sink:
            for names, sizes, recognitions in recognise_tensors(
                tensors, post, show_discarded, max_predictions, cluster
            ):
                sink.write(names, sizes, recognitions)
                cut.count(recognitions)
        cut.tell()
        return

    if model is None:
        raise typer.BadParameter("give a network and images, or --tensors", param_hint="MODEL.onnx")
    if not images:
        raise typer.BadParameter("give at least one image after the network", param_hint="IMAGE")
    if draw is not None and reduced_jpeg:
        raise typer.BadParameter("draws on whole images; leave --reduced-jpeg out", param_hint="--draw")
    post = PostProcessor(load(RecognitionSpec, spec), load(RecognitionVersion, version))
    with open_sink(format, output, post.spec, images, options) as sink, Progress(len(images)) as progress:
        from postproc.images.batches import consecutive
        from postproc.onnx_runner.image_network import open_network

        runner, preprocessor = open_network(
            model, post, preprocessing, intra_op_threads, reduced_jpeg=reduced_jpeg
        )
        drawn = None if draw is None else DrawnImages(draw, images)
        cut = CutImages(max_predictions)
        for predicted, pictures in recognise_images(
            model,
            runner,
            preprocessor,
            consecutive(images, batch_size),
            RunJob(show_discarded, max_predictions, draw is not None),
            progress.fail,
            cluster,
            intra_op_threads,
        ):
            sink.write(*predicted)
            cut.count(predicted.recognitions)
            if drawn is not None:
                drawn.save(predicted.names, pictures)
            progress.advance(len(predicted.names))
    if drawn is not None:
        typer.echo(f"{drawn.count} of {len(images)} images drawn into {draw}", err=True)
    cut.tell()
    if progress.failures:
        raise typer.Exit(FAILED)

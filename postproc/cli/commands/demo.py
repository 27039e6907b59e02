"""``postproc demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from postproc.cli.work.demo import PICTURE_SIDE, DemoModel, run_demo, write_demo_dataset


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
    from postproc.images.drawing import draw_outputs

    output.parent.mkdir(parents=True, exist_ok=True)
    draw_outputs(result.page.image, [result.detections], min_side=PICTURE_SIDE).save(output)
    Console().print(result.table())
    typer.echo(
        f"{len(result.detections.labels)} detections: {result.found} of the page's {len(result.page.labels)} "
        "digits found, none of which the network saw in training.\n"
        f"The page, with boxes, labels and scores drawn on it: {output.resolve()}"
    )

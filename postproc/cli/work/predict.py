"""The predictions that ``evaluate`` and ``calibrate`` go by, with progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from postproc.cli.terminal import Progress
from postproc.cli.work.run import open_network
from postproc.evaluation import predicting
from postproc.evaluation.collecting import Predictions
from postproc.pipeline import PostProcessor


def predict_images(
    post: PostProcessor,
    model: Path,
    preprocessing: Path | None,
    paths: Sequence[Path],
    progress: Progress,
    *,
    batch_size: int,
    max_predictions: int = 100,
) -> Predictions:
    """Run the network on image files, batch after batch; one that cannot be read is reported and left out."""
    runner, preprocessor = open_network(model, post, preprocessing)
    for predicted in predicting.predict_images(
        runner,
        preprocessor,
        paths,
        batch_size=batch_size,
        max_predictions=max_predictions,
        on_unreadable=lambda _, error: progress.fail(error),
    ):
        yield predicted
        progress.advance(len(predicted.names))

"""Detections in pixels of the images of their ground truth, without tensors of a network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.results import Detections, Recognitions


def in_pixels(
    truth: GroundTruth,
    names: Sequence[str | os.PathLike[str]],
    sizes: NDArray[np.int64] | Sequence[Sequence[int]],
    recognitions: Recognitions,
) -> Recognitions:
    """Give detections the form that metrics take, so that no tensor of a network is held.

    Parameters
    ----------
    truth : GroundTruth
        In pixels of whose images they are then. Images that it does not know keep no detections.
    names, sizes : of B images
        The sizes count where the ground truth says none.
    recognitions : Recognitions

    Raises
    ------
    SchemaError
        If the size of an image is said nowhere.
    """
    rows = [truth.find(name) for name in names]
    is_known = np.array([row is not None for row in rows], np.bool_)
    pixels = np.ones((len(rows), 2), np.int64)
    known = [row for row in rows if row is not None]
    pixels[is_known] = truth.batch(known, np.asarray(sizes, np.int64).reshape(-1, 2)[is_known]).sizes
    return Recognitions(
        tuple(
            MeasuredDetections.of(output[np.repeat(is_known, np.diff(output.offsets))], pixels)
            if isinstance(output, Detections)
            else output
            for output in recognitions.outputs
        )
    )


def without_objects(truth: GroundTruth) -> GroundTruth:
    """Give the images of a ground truth alone, which tell what `in_pixels` needs to know."""
    columns = ("labels", "boxes", "areas", "crowd", "ignored", "shapes")
    nothing: dict[str, Any] = {name: getattr(truth, name)[:0] for name in columns}
    return replace(truth, offsets=np.zeros_like(truth.offsets), **nothing)

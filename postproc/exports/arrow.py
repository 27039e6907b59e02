"""Results as an Arrow table, whose columns `postproc.results.arrow` describes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from postproc.results import Classifications, Recognitions
from postproc.results.arrow import arrow_table

if TYPE_CHECKING:
    import pyarrow


def to_arrow(
    results: Recognitions | Classifications,
    images: Sequence[str | os.PathLike[str]] | Sequence[int] | None = None,
    sizes: Any = None,
    *,
    discarded: bool = False,
) -> pyarrow.Table:
    """Give results as a `pyarrow.Table`, whose columns are described at the top of `postproc.results.arrow`.

    Parameters
    ----------
    results : Recognitions, or the Detections or Classifications of one output
    images : sequence of str or path, or of int, optional
        Name or number of each image; numbers in the batch by default.
    sizes : (2,) or (B, 2), optional
        Height and width in pixels of all images, or of each: adds the columns in pixels.
    discarded : bool
        Whether discarded candidates have rows too.

    Raises
    ------
    TensorError
        If names or sizes do not match the images.
    ImportError
        If pyarrow is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from postproc import Classification, PostProcessor
    >>> post = PostProcessor.for_classification(["cat", "dog"], Classification(output_tensor="scores"))
    >>> table = post({"scores": np.array([[0.75, 0.01]], np.float32)}).to_arrow(["a.jpg"])
    >>> table.select(["image", "label_name", "score"]).to_pylist()
    [{'image': 'a.jpg', 'label_name': 'cat', 'score': 0.75}]
    """
    outputs = results.outputs if isinstance(results, Recognitions) else (results,)
    return arrow_table(outputs, images, sizes, discarded=discarded)

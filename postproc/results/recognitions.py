"""All results of a batch, one of each output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from postproc.results.arguments import SizesLike, require_parts
from postproc.results.classifications import Classifications
from postproc.results.detections import Detections

if TYPE_CHECKING:
    import os

    import pyarrow


@dataclass(frozen=True, eq=False, slots=True)
class Recognitions:
    """All results of a batch: one `Detections` or `Classifications` per output of the spec.

    ``len(batch)`` counts images; ``batch[i]`` and ``batch[i:j]`` are the results of those images.

    Examples
    --------
    >>> from postproc import Classification, PostProcessor, Recognitions
    >>> output = Classification(output_tensor="scores")
    >>> post = PostProcessor.for_classification(["cat"], output, thresholds=0.5)
    >>> batches = [post({"scores": [[score]]}) for score in (0.75, 0.25)]
    >>> [image["outputs"][0]["labels"]["predicted"] for image in Recognitions.concatenate(batches).to_dicts()]
    [[{'label_id': 0, 'label_name': 'cat', 'score': 0.75, 'threshold': 0.5}], []]
    """

    outputs: tuple[Detections | Classifications, ...]

    def __len__(self) -> int:
        return len(self.outputs[0])

    def __getitem__(self, index: int | slice) -> Recognitions:
        return Recognitions(tuple(output[index] for output in self.outputs))

    def to_dicts(self) -> list[dict[str, Any]]:
        """v0.7's result of each image, ready for JSON."""
        images = zip(*(output.to_dicts() for output in self.outputs), strict=True)
        return [{"outputs": [{"labels": labels} for labels in image]} for image in images]

    def to_arrow(
        self,
        images: Sequence[str | os.PathLike[str]] | Sequence[int] | None = None,
        sizes: SizesLike | None = None,
        *,
        discarded: bool = False,
    ) -> pyarrow.Table:
        """Give an Arrow table, a row a detection; see `postproc.exports.arrow.to_arrow`.

        ``.to_pandas()`` and ``polars.from_arrow`` make data frames of it.
        """
        from postproc.results.arrow import arrow_table

        return arrow_table(self.outputs, images, sizes, discarded=discarded)

    @classmethod
    def concatenate(cls, parts: Sequence[Recognitions]) -> Recognitions:
        """Join the results of several batches of the same spec.

        Raises
        ------
        TensorError
            If there are no parts.
        """
        require_parts(parts)
        outputs = zip(*(part.outputs for part in parts), strict=True)
        return cls(tuple(type(output[0]).concatenate(output) for output in outputs))

"""What every evaluation has: its images, numbers, notes, tables and report."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from postproc.evaluation.coco_curves import CocoCurves
from postproc.evaluation.collected import Collected
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.image_files import ImageFiles, Paths, find_images
from postproc.evaluation.mistakes import Mistake
from postproc.evaluation.seen_images import some_of
from postproc.schema.problems import counted

if TYPE_CHECKING:
    from postproc.evaluation.pictures import OpenImage

_NAMED = 3  # categories in a note


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation(ABC):
    """How well a version finds what is on the images of a data set.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
        What was recognised in the images that count.
    """

    truth: GroundTruth
    collected: Collected

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON; None (null) where there is nothing to measure a number on."""

    @abstractmethod
    def curve(self, label: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Precision and recall of a label as its threshold falls, one point a score that counts."""

    @abstractmethod
    def label_scores(self, label: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Scores of a label's true and false positives as its threshold falls to the lowest."""

    @abstractmethod
    def mistakes(self, most: int) -> tuple[list[Mistake], list[Mistake]]:
        """Give the worst false positives and false negatives, up to so many of each."""

    def metric_curves(self) -> dict[str, CocoCurves]:
        """Give the curves that average precision is the mean of, by what is measured; none of labels."""
        return {}

    def notes(self) -> Iterator[str]:
        """Say what a reader of the numbers has to know of the images and categories."""
        truth, collected = self.truth, self.collected
        yield from (f"{truth.source}: {note}" for note in truth.notes)
        yield f"categories of {truth.source} are matched to labels by their {truth.categories.by}"
        if truth.categories.unknown:
            unknown = truth.categories.unknown
            yield (
                "left out: objects of categories that are no labels of the spec, "
                f"{', '.join(unknown[:_NAMED])}"
                f"{'' if len(unknown) <= _NAMED else f' and {len(unknown) - _NAMED} more'}"
            )
        for text, images in (
            ("without a prediction, so that all on them counts as missed", collected.missing),
            ("left out, since the ground truth does not know them", collected.unknown),
            ("of other proportions than the ground truth says: their boxes may not fit", collected.misshapen),
        ):
            if images:
                yield f"{counted(len(images), 'image')} {text}: {some_of(images)}"
        yield from collected.notes

    def to_text(self, width: int = 100) -> str:
        """Write the numbers as tables (extra ``cli``)."""
        from postproc.evaluation.tables import evaluation_tables, text_of

        return text_of(evaluation_tables(self), width)

    def to_frame(self) -> Any:
        """Give the numbers of each label as a data frame of pandas, or of polars where that alone is there.

        Raises
        ------
        ImportError
            If neither is installed.
        """
        from postproc.evaluation.frames import frame_of

        return frame_of(self.to_dict()["labels"])

    def to_html(self, *, title: str = "Evaluation", images: Paths | ImageFiles | None = None) -> str:
        """Give the page that `write_report` writes (extra ``eval``)."""
        from postproc.evaluation.report import render_report

        return render_report(self, title=title, open_image=self.image_opener(images))

    def write_report(
        self, path: str | os.PathLike[str], *, title: str, images: Paths | ImageFiles | None = None
    ) -> None:
        """Write numbers, charts and the worst mistakes as one HTML file, as `report.write_report` does.

        Parameters
        ----------
        path : path
        title : str
        images : path, several, or ImageFiles, optional
            Folder of the images, or files, to draw the mistakes on; by default they are told in words only.
        """
        from postproc.evaluation.report import write_report

        write_report(path, self, title=title, open_image=self.image_opener(images))

    def image_opener(self, images: Paths | ImageFiles | None) -> OpenImage | None:
        """Give what opens an image by its row among those that count; None without images."""
        if images is not None and not isinstance(images, ImageFiles):
            images = find_images(images, self.truth)
        return images.opener(self.collected.truth) if images is not None else None

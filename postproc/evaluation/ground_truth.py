"""What is really on the images: objects with boxes, or labels of whole images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import PurePosixPath
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.categories import CategoryMap, MatchBy, labels_of, map_categories
from postproc.evaluation.federation import Federation
from postproc.evaluation.shapes import Shapes
from postproc.evaluation.truth_formats import TruthFile, TruthSource, read_truth
from postproc.evaluation.truth_formats.image_index import unsized
from postproc.evaluation.truth_formats.truth_file import normal
from postproc.evaluation.units import check_units
from postproc.results.rows import images_of_rows
from postproc.schema import Labels, RecognitionSpec
from postproc.schema.problems import describe


@dataclass(frozen=True, eq=False, slots=True)
class TruthBatch:
    """Ground truth of some images, image after image.

    Parameters
    ----------
    images : (B,) int64
        Rows of the images in the whole ground truth.
    sizes : (B, 2) int64
        Height and width of each, in whose pixels boxes are.
    offsets : (B + 1,) int64
        The objects of image i are rows ``offsets[i]`` to ``offsets[i + 1]``.
    rows : (G,) int64
        Rows of the objects in the whole ground truth.
    labels : (G,) int64
        Rows of the spec's labels.
    boxes : (G, 4) float64
        x, y, width, height in pixels; zeros for labels of whole images.
    crowd : (G,) bool
        Whether it stands for many objects: what is found there is neither a true nor a false positive.
    ignored : (G,) bool
        Whether it need not be found, and whoever finds it counts as neither: crowds, and what a data set
        calls difficult.
    federation : Federation, optional
        Of these images, where what is on them is known of a part of the labels only, as in LVIS.
    """

    images: NDArray[np.int64]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    federation: Federation | None = None

    def __len__(self) -> int:
        return len(self.images)

    def image_of_each(self) -> NDArray[np.int64]:
        """Row in the whole ground truth of the image of each object, (G,)."""
        return self.images[images_of_rows(self.offsets)]

    def counted_objects(self) -> NDArray[np.int64]:
        """Row of the image, and label, of each object that counts, as ignored ones do not, (G, 2)."""
        return np.stack([self.image_of_each(), self.labels], axis=1)[~self.ignored]


@dataclass(frozen=True, eq=False, slots=True)
class GroundTruth:
    """Ground truth of a data set: what is on each image, for one output of a spec.

    Objects stand in the order of their images, and those of an image in the order of the file.

    Parameters
    ----------
    names : tuple of str
        File name of each image, as the file writes it.
    ids : (I,) int64
        COCO's id of each image; its row where the file has none.
    sizes : (I, 2) int64
        Height and width of each image; 0 where the file does not say.
    offsets, labels, boxes, crowd, ignored
        As in `TruthBatch`.
    areas : (G,) float64
        COCO's area of each object, by which it counts as small, medium or large.
    table : Labels
        The labels of the spec's output.
    categories : CategoryMap
        Whether categories were told by id or by name, and which were left out.
    shapes : Shapes
        Masks, keypoints and oriented boxes of the objects, as far as the file has any.
    federation : Federation, optional
        Of LVIS: which labels an image is known to lack, and of which it may have more.
    source : str
        Name of the file or folder.
    notes : tuple of str
        What a reader of the numbers has to know of how the file was read.

    Examples
    --------
    >>> from postproc.demo import spec_path
    >>> document = {
    ...     "images": [{"id": 1, "file_name": "page.png", "width": 640, "height": 480}],
    ...     "categories": [{"id": 7, "name": "7"}],
    ...     "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]}],
    ... }
    >>> truth = GroundTruth.load(document, spec_path("yolo"))
    >>> len(truth), truth.boxes.tolist(), truth.find("pages/page.png")
    (1, [[10.0, 20.0, 30.0, 40.0]], 0)
    """

    names: tuple[str, ...]
    ids: NDArray[np.int64]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    shapes: Shapes
    table: Labels
    categories: CategoryMap
    federation: Federation | None
    source: str
    notes: tuple[str, ...]
    _rows: dict[str, list[int]]

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] | dict[str, Any],
        spec: RecognitionSpec | dict[str, Any] | str | os.PathLike[str] | None = None,
        *,
        output: int = 0,
        categories: MatchBy = "auto",
        skip_unknown: bool = False,
        format: str | None = None,
        split: str | None = None,
        images: str | os.PathLike[str] | None = None,
    ) -> GroundTruth:
        """Read ground truth of any kind that ``docs/evaluation.md`` lists; which one, its content tells.

        COCO JSON, LVIS, a YOLO data set, Pascal VOC, Open Images, Parquet of `datasets`, DOTA, what
        ``postproc run`` writes; for labels of whole images also CSV with two columns, the file name of an
        image and a label. For an output of boxes every object needs a box; for one of whole images an object
        says that its category is on its image, and an image may have several.

        Categories are told by id where all ids are label ids of the spec, else by name; where a file knows
        them by their rows or names alone, by name, and by row where no name is a label's. Where a COCO file's
        ids and names both fit, but not to the same labels, say which counts. Categories that no object uses
        do not matter.

        Parameters
        ----------
        source : path or dict
            A file, a folder, or COCO's document.
        spec : RecognitionSpec, dict, JSON text or path, optional
            By default the labels are all categories of the file.
        output : int
            Which output of the spec the ground truth is for.
        categories : {"auto", "ids", "names"}
        skip_unknown : bool
            Leave out objects of categories that are no labels of the spec.
        format : str, optional
            A name of `truth_formats.FORMATS`, where the content may be of several kinds.
        split : str, optional
            Which part of a data set that has several; by default that for validation.
        images : path, optional
            Folder of the images, whose sizes are needed where a file has fractions of them and they do not
            lie beside it.

        Raises
        ------
        SchemaError
            If the file cannot be read or breaks a rule: lists JSON paths, or files and lines.
        """
        check_output(output)
        if categories not in get_args(MatchBy):
            raise SchemaError(f'categories: expected "auto", "ids" or "names", got {describe(categories)}')
        labels = None
        if spec is not None:
            spec = RecognitionSpec.load(spec)
            if not 0 <= output < len(spec.outputs):
                raise SchemaError(f"output: the spec has outputs 0 to {len(spec.outputs) - 1}, got {output}")
            labels = spec.outputs[output].labels
        needs_boxes = None if labels is None else labels.roi == "BBOX"
        given = TruthSource(source, images=images, split=split, output=output, needs_boxes=needs_boxes)
        read = read_truth(given, format)
        if labels is None:
            labels = labels_of(read.categories, read.has_boxes, read.source)
            rows = {key: row for row, key in enumerate(read.categories)}
            has_ids = all(isinstance(key, int) for key in read.categories)
            mapped = CategoryMap(rows, "names" if read.names_first else "ids", (), has_ids)
        else:
            if needs_boxes and not read.has_boxes:
                raise SchemaError(f"{read.source}: output {output} finds boxes, and this has none")
            mapped = map_categories(
                read.categories,
                frozenset(read.category_of_each),
                labels,
                read.source,
                categories,
                prefer="names" if read.names_first else "ids",
                skip_unknown=skip_unknown,
            )
        return cls._assembled(read, labels, mapped)

    @classmethod
    def _assembled(cls, read: TruthFile, labels: Labels, mapped: CategoryMap) -> GroundTruth:
        if labels.roi == "BBOX":
            images = read.image_of_each
            check_units(read.boxes, read.sizes[images], read.source, lambda row: read.names[images[row]])
        rows = np.array([mapped.rows.get(key, -1) for key in read.category_of_each], np.int64)
        order = np.argsort(read.image_of_each, kind="stable")
        order = order[rows[order] >= 0]
        if labels.roi != "BBOX":  # the same label twice on an image is one
            pairs = np.stack([read.image_of_each[order], rows[order]], axis=1)
            order = order[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]
        counts = np.bincount(read.image_of_each[order], minlength=len(read.names))
        by_name: dict[str, list[int]] = {}
        for row, name in enumerate(read.names):
            for key in dict.fromkeys(_keys(name, read.names_are_ids)):
                by_name.setdefault(key, []).append(row)
        return cls(
            names=read.names,
            ids=read.ids,
            sizes=read.sizes,
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            labels=rows[order],
            boxes=read.boxes[order],
            areas=read.areas[order],
            crowd=read.crowd[order],
            ignored=read.ignored[order],
            shapes=read.shapes[order],
            table=labels,
            categories=mapped,
            federation=_federation(read, mapped, len(labels.labels)),
            source=read.source,
            notes=read.notes,
            _rows=by_name,
        )

    def __len__(self) -> int:
        return len(self.names)

    def check_sizes(self, images: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Check boxes by sizes that the file does not say, as `load` does by those that it says.

        Parameters
        ----------
        images : (B,) int64
            Rows of images.
        sizes : (B, 2) int64
            Height and width of each, as predictions know them.

        Raises
        ------
        SchemaError
            If boxes look like another thing than x, y, width and height in pixels.
        """
        unsaid = (self.sizes[images] < 1).any(axis=1)
        if self.table.roi == "BBOX" and unsaid.any():
            batch = self.batch(images[unsaid], sizes[unsaid])
            owners = images_of_rows(batch.offsets)
            check_units(
                batch.boxes,
                batch.sizes[owners],
                self.source,
                lambda row: self.names[batch.images[owners[row]]],
            )

    def find(self, name: str | os.PathLike[str]) -> int | None:
        """Row of the image in a file; None if it has no ground truth.

        An image is found by its whole path, else by its file name, else by that without its ending, each in
        any Unicode normalisation; where the file knows images by their numbers alone, by that number.

        Raises
        ------
        SchemaError
            If several images fit.
        """
        for key in _keys(os.fspath(name), True):
            rows = self._rows.get(key, ())
            if len(rows) == 1:
                return rows[0]
            if rows:
                ending = [row for row in rows if _ends_alike(os.fspath(name), self.names[row])]
                if len(ending) == 1:
                    return ending[0]
                raise SchemaError(
                    f"{self.source}: the image {os.fspath(name)!r} may be any of "
                    f"{', '.join(repr(self.names[row]) for row in rows[:4])}; give it a name of its own"
                )
        return None

    def batch(self, images: Sequence[int] | NDArray[np.int64], sizes: Any = None) -> TruthBatch:
        """Ground truth of some images, in the order given.

        Parameters
        ----------
        images : sequence of int
            Rows of images.
        sizes : (B, 2), optional
            Height and width of each, for images whose size the file does not say.

        Raises
        ------
        SchemaError
            If the size of an image is said nowhere, and it is needed since the image has boxes.
        """
        rows = np.asarray(images, np.int64).reshape(-1)
        known = self.sizes[rows]
        if sizes is not None:
            known = np.where(known > 0, known, np.asarray(sizes, np.int64).reshape(-1, 2))
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        of_each = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[rows], counts)
        if self.table.roi == "BBOX" and (missing := np.flatnonzero((known < 1).any(axis=1))).size:
            row = int(rows[missing[0]])
            raise SchemaError(f"{self.source}: {unsized(row, self.names[row])}")
        return TruthBatch(
            rows,
            known,
            offsets,
            of_each,
            self.labels[of_each],
            self.boxes[of_each],
            self.crowd[of_each],
            self.ignored[of_each],
            None if self.federation is None else self.federation.take(rows),
        )


def check_output(output: int) -> None:
    """See that it may be an output of a spec: a whole number from 0.

    Raises
    ------
    SchemaError
        If not.
    """
    if isinstance(output, bool) or not isinstance(output, Integral) or output < 0:
        raise SchemaError(f"output: expected the row of an output, 0 or more, got {describe(output)}")


def _federation(read: TruthFile, mapped: CategoryMap, count: int) -> Federation | None:
    """Give what a file says of categories on images, by labels; None where it says nothing."""
    if (said := read.federation) is None:
        return None
    known = mapped.rows
    tables = []
    for pairs in (said.absent, said.not_exhaustive):
        table = np.zeros((len(read.names), count), np.bool_)
        kept = [(image, known[key]) for image, key in pairs if key in known]
        if kept:
            table[tuple(np.array(kept).T)] = True
        tables.append(table)
    frequencies = [""] * count
    for key, frequency in said.frequencies.items():
        if key in known:
            frequencies[known[key]] = frequency
    return Federation(tables[0], tables[1], tuple(frequencies))


def _keys(name: str, has_number: bool) -> list[str]:
    """Give what an image is looked up by, the most telling first."""
    path = _path(name)
    keys = [f"path {path}", f"name {path.name}", f"stem {path.stem}"]
    if has_number and path.stem.isascii() and path.stem.isdecimal():
        keys.append(f"number {path.stem.lstrip('0') or '0'}")
    return keys


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(normal(name).replace("\\", "/"))


def _ends_alike(path: str, name: str) -> bool:
    """Whether the whole of the shorter path is the end of the longer one."""
    a, b = (_path(text).parts for text in (path, name))
    length = min(len(a), len(b))
    return a[-length:] == b[-length:]

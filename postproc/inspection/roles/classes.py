"""Classes: a number a row that names its label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import INTEGERS, Node
from postproc.inspection.observed import Columns, Numbers, Observed
from postproc.inspection.provenance import Operators

# Of an index in a list of scores.
_COUNTING = {"ArgMax", "TopK", "Mod"}
_INDEXING = {"ArgMax", "TopK", "Mod", "Sub", "NonMaxSuppression", "NonZero"}
_NONE = -1  # fills a list up, as zeros do


@dataclass(frozen=True)
class Classes:
    """The class of each row.

    Parameters
    ----------
    columns : Columns
        Where they are: one column.
    first : int
        What the first label is called: 0, or 1 where 0 is the background.
    scores : Columns or None
        The scores of the rows: those of score 0 fill a list up, and their class says nothing.
    """

    columns: Columns
    first: int = 0
    scores: Columns | None = None

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators, the run and the names of labels say for and against it."""
        yield from self._operators(observed)
        rows = self._filled(observed)
        if rows is None or not rows.size:
            return
        name = self.columns.tensor
        odd = rows[(rows != rows.round()) | (rows < 0)]
        if odd.size:
            yield speaks_against(
                Source.RUN, f"{name}: {odd[0]:.3g} in a run is no class", Part.COLUMNS, Part.LABEL_OFFSET
            )
            return
        highest = int(rows.max())
        if highest > 1:  # scores of 0 and 1 are whole numbers too
            text = f"{name}: whole numbers up to {highest} in a run are classes"
            yield speaks_for(Source.RUN, text, Part.COLUMNS)
        if not rows.all():
            found = speaks_against if self.first else speaks_for
            yield found(Source.RUN, f"{name}: there is a class 0 in a run", Part.LABEL_OFFSET)
        yield from self._labels(highest, observed)

    def _operators(self, observed: Observed) -> Iterator[Evidence]:
        name = self.columns.tensor
        sources = observed.sources(self.columns) - {INTEGERS, "Constant"}
        tensor = next((tensor for tensor in observed.graph.outputs if tensor.name == name), None)
        if observed.has_integers(self.columns) or (tensor is not None and "int" in tensor.type):
            text = f"{name}: classes are integers in the graph"
            yield speaks_for(Source.OPERATORS, text, Part.COLUMNS)
            text = f"{name}: classes are indices ({', '.join(sorted(sources))}), which count from 0"
            if sources and sources <= _INDEXING and not self.first:
                yield speaks_for(Source.OPERATORS, text, Part.LABEL_OFFSET)
            elif sources and sources <= _COUNTING and self.first:
                yield speaks_against(Source.OPERATORS, text, Part.LABEL_OFFSET)
            begin = first_class(observed.graph.links, name)
            if begin is not None:
                found = speaks_for if begin == self.first else speaks_against
                text = f"{name}: by how the graph makes classes, they begin with {begin}"
                yield found(Source.OPERATORS, text, Part.LABEL_OFFSET)
        elif observed.has_fractions(self.columns):
            text = f"{name}: what layers and activations give ({', '.join(sorted(sources))}) is no class"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)

    def _filled(self, observed: Observed) -> Numbers | None:
        """Give the classes of the rows that are filled."""
        rows = observed.rows(self.columns)
        scores = None if self.scores is None else observed.rows(self.scores)
        if rows is None:
            return None
        if scores is not None and scores.size == rows.size:
            rows = rows.reshape(-1)[scores.reshape(-1) > 0]
        elif not rows.any():  # perhaps of rows of zeros
            return None
        filled: Numbers = rows[rows != _NONE]
        return filled

    def _labels(self, highest: int, observed: Observed) -> Iterator[Evidence]:
        labels = observed.graph.labels
        if labels is None or labels.ids is not None:
            return
        text = (
            f"{self.columns.tensor}: there is a class {highest} in a run, and {labels.source} names "
            f"{len(labels)} labels"
        )
        if highest >= len(labels) + self.first:
            yield speaks_against(Source.LABELS, text, Part.COLUMNS, Part.LABEL_OFFSET)
        elif self.first and highest == len(labels):
            yield speaks_for(Source.LABELS, text, Part.LABEL_OFFSET)


def first_class(links: Operators, name: str) -> int | None:
    """Tell the lowest class where a graph lists all of them, as torchvision's do, or adds to an index."""
    path = list(links.path(name))
    last = path[-1] if path else None
    if last is None:
        return None
    if last.operator == "Add":  # of a number to an index
        added = [number for row in (0, 1) if (number := links.integers_of(last, row)) is not None]
        indices = [part for part in last.inputs if part not in links.constants]
        is_index = len(indices) == 1 and links.sources(indices[0]) - {INTEGERS} <= _INDEXING
        return added[0][0] if is_index and len(added) == 1 and len(added[0]) == 1 else None
    if last.operator == "Range":
        starts = [links.integers_of(node, 1) for node in path if node.operator == "Slice"]
        begin = links.integers_of(last, 0)
        known = [sum(start) for start in starts if start is not None]
        return None if begin is None or len(known) != len(starts) else sum(begin) + sum(known)
    if last.operator == "Concat":
        values = [_filling(links, part) for part in last.inputs]
        known = [value for value in values if value is not None]
        return min(known) if len(known) == len(values) else None
    return None


def _filling(links: Operators, name: str) -> int | None:
    """Give the number that a tensor is filled with."""
    last = next(reversed(list(links.path(name))), None)
    value = last.attributes.get("value") if last is not None and last.operator == "ConstantOfShape" else None
    return value if isinstance(value, int) else None


def labels_behind(links: Operators, classes: str, scores: str) -> int | None:
    """Tell how many labels there are where the graph makes classes of indices in a list of scores.

    A class is the rest of a division by the number of labels; or, where the graph lists all classes from 1,
    there is a score for each of them and for the background.
    """
    if classes not in links.producers:
        return None
    *_, node = links.path(classes)
    begin = first_class(links, classes)
    if node.operator == "Add":
        return labels_behind(links, next(part for part in node.inputs if part not in links.constants), scores)
    second = node.inputs[1] if len(node.inputs) > 1 else ""
    if node.operator == "NonMaxSuppression":
        shape = links.shapes.get(second, ())
        return shape[1] if len(shape) == 3 else None
    if begin is not None:
        scoring = _first_scoring(links, scores)
        shape = () if scoring is None else links.shapes.get(scoring.outputs[0], ())
        return shape[-1] - begin if shape and shape[-1] is not None else None
    if node.operator == "Concat":  # of several levels
        counts = {labels_behind(links, part, scores) for part in node.inputs}
        return counts.pop() if len(counts) == 1 else None
    if node.operator == "Sub":  # index - index / labels * labels
        node = links.producers.get(second, node)
    if node.operator not in ("Mod", "Mul"):
        return None
    numbers = [links.integers_of(node, row) for row in range(len(node.inputs))]
    return next((number[0] for number in numbers if number is not None and len(number) == 1), None)


def _first_scoring(links: Operators, name: str) -> Node | None:
    """Find the Softmax that scores come from, of the first of several levels."""
    last = next(reversed(list(links.path(name))), None)
    if last is not None and last.operator == "Concat":
        return _first_scoring(links, last.inputs[0])
    return last if last is not None and last.operator == "Softmax" else None

"""Which label of a spec each category of a ground truth is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from postproc.errors import SchemaError
from postproc.schema import Labels, RecognitionSpec

CategoryKey = Literal["ids", "names"]
MatchBy = Literal["auto", "ids", "names"]
_LISTED = 8


@dataclass(frozen=True, slots=True)
class CategoryMap:
    """Rows of labels by the keys of categories, and what they were told apart by."""

    rows: dict[int | str, int]
    by: CategoryKey
    unknown: tuple[str, ...]
    has_ids: bool = True  # false: those of the labels are their rows, since the ground truth has names alone


def map_categories(
    categories: Mapping[int | str, str],
    used: Set[int | str],
    labels: Labels,
    source: str,
    by: MatchBy,
    *,
    prefer: CategoryKey,
    skip_unknown: bool,
) -> CategoryMap:
    """Find the label of each category, by its id or by its name.

    Parameters
    ----------
    categories : mapping
        Names of the categories, by their ids; a text as key has no id.
    used : set
        The ids of those that objects use; others may be no labels.
    labels : Labels
        Those of the spec's output.
    source : str
        What messages call the ground truth.
    by : {"auto", "ids", "names"}
        With "auto", `prefer` if all categories are known so, else the other if they are.
    prefer : {"ids", "names"}
        "ids" where categories have an id and a name, which must not contradict each other; "names" where ids
        are mere rows, which count only if no name is a label's.
    skip_unknown : bool
        Leave categories out that are no labels, unless all are.

    Raises
    ------
    SchemaError
        If categories are unknown, or ids and names both fit, but not to the same labels.
    """
    maps: dict[CategoryKey, dict[int | str, int]] = {
        "ids": _by_id(categories, labels),
        "names": _by_name(categories, labels),
    }
    if by == "auto":
        complete = [name for name, rows in maps.items() if used <= rows.keys()]
        differing = [
            key for key in categories if key in used and maps["ids"].get(key) != maps["names"].get(key)
        ]
        if prefer == "ids" and len(complete) == 2 and differing:
            raise _disagreement(differing[0], categories, labels, maps, source)
        # Ids of which only some are labels' say nothing: other data sets number from 1 as well.
        by = prefer if prefer in complete else complete[0] if complete else "names"
        if prefer == "names" and maps["names"] and any(isinstance(key, int) for key in categories):
            by = "names"
    rows = maps[by]
    unknown = tuple(_told(key, name) for key, name in categories.items() if key in used and key not in rows)
    if unknown and (not skip_unknown or not used & rows.keys()):
        raise SchemaError(
            f"{source}: these categories are no labels of the spec, by {by}: {_listing(unknown)}; the spec "
            f"has {_listing(f'{label.id} {label.name!r}' for label in labels.labels)}. Rename them, or leave "
            "objects of other categories out with skip_unknown (--skip-unknown)"
        )
    return CategoryMap(rows, by, unknown)


def labels_of(categories: Mapping[int | str, str], has_boxes: bool, source: str) -> Labels:
    """Labels that are the categories of a ground truth: their ids, or where they have none their rows.

    Raises
    ------
    SchemaError
        If there are none, or their names are too long for labels.
    """
    if not categories:
        raise SchemaError(f"{source}: has no categories, so that there is nothing to measure; give a spec")
    listed = [
        {"id": key if isinstance(key, int) else row, "name": name}
        for row, (key, name) in enumerate(categories.items())
    ]
    output = {"labels": listed, "exclusive": False, "roi": "BBOX" if has_boxes else "NONE"}
    try:
        return RecognitionSpec.load({"outputs": [{"labels": output}]}).outputs[0].labels
    except SchemaError as error:
        raise SchemaError(f"{source}: its categories are no labels: {error}") from None


def _by_id(categories: Mapping[int | str, str], labels: Labels) -> dict[int | str, int]:
    rows = {label.id: row for row, label in enumerate(labels.labels)}
    found: dict[int | str, int] = {}
    for key in categories:
        number = int(key) if isinstance(key, int) or (key.isascii() and key.isdigit()) else None
        if number in rows:
            found[key] = rows[number]
    return found


def _by_name(categories: Mapping[int | str, str], labels: Labels) -> dict[int | str, int]:
    counts = Counter(label.name for label in labels.labels)
    rows = {label.name: row for row, label in enumerate(labels.labels) if counts[label.name] == 1}
    return {key: rows[name] for key, name in categories.items() if name in rows}


def _disagreement(
    key: int | str,
    categories: Mapping[int | str, str],
    labels: Labels,
    maps: Mapping[CategoryKey, Mapping[int | str, int]],
    source: str,
) -> SchemaError:
    by_id, by_name = labels.labels[maps["ids"][key]], labels.labels[maps["names"][key]]
    return SchemaError(
        f"{source}: category {_told(key, categories[key])} has the id of the spec's label {by_id.name!r}, "
        f"but the name of the one with id {by_name.id}; say which counts: match by ids or by names "
        "(--categories ids or --categories names)"
    )


def _told(key: int | str, name: str) -> str:
    return repr(name) if isinstance(key, str) else f"{key} {name!r}"


def _listing(items: Iterable[str]) -> str:
    texts: Sequence[str] = list(items)
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more

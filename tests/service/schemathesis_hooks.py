"""Gives cases of schemathesis what no document says: ids of objects that are there, files, bodies that fit.

Schemathesis loads this module by SCHEMATHESIS_HOOKS. A part of the cases that it made as valid get the ids of
objects that earlier cases made, and bodies that are accepted; the others stay as they are.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import EnsureResourceAvailability

from postproc import demo
from postproc.service.http.bodies import FORM
from postproc.service.http.examples import MODEL, body_examples
from postproc.service.store.tables import LARGEST_ID
from tests.service.digits import IMAGE, SOURCE

_PARENTS = ("network", "spec")
_CREATED, _DELETED = 201, 204
_UPLOADS = {"fuzzing": 8, "stateful": 2}  # one of so many: to check a network takes a second

_EXAMPLES = body_examples()
_with_files: set[str] = set()  # ids of cases
_spared: set[str] = set()


class Known:
    """Ids of what is there, those of the start being given.

    The first of each kind is never deleted, and is what versions are made of, so that they stay.
    """

    def __init__(self, ids: dict[str, list[int]]) -> None:
        self._ids = ids
        self._parents = {version: {kind: self.first(kind) for kind in _PARENTS} for version in ids["version"]}
        self._turns: defaultdict[str, Counter[Any]] = defaultdict(Counter)

    def __contains__(self, kind_and_id: tuple[str, Any]) -> bool:
        kind, identifier = kind_and_id
        return identifier in self._ids[kind]

    def turn(self, key: str, every: int = 2) -> bool:
        """Tell whether it is the turn of a key: at first, and then at every so many calls."""
        self._turns[key]["calls"] += 1
        return (self._turns[key]["calls"] - 1) % every == 0

    def some(self, kind: str) -> int:
        """Return the ids of a kind in turns."""
        ids = self._ids[kind]
        self._turns[kind]["given"] += 1
        return ids[self._turns[kind]["given"] % len(ids)]

    def first(self, kind: str) -> int:
        """Return the id of what is never deleted."""
        return self._ids[kind][0]

    def runnable(self) -> int:
        """Return the spec of a version in turns."""
        return self._parents[self.some("version")]["spec"]

    def last(self, kind: str) -> int | None:
        """Return the id of what may be deleted."""
        return self._ids[kind][-1] if len(self._ids[kind]) > 1 else None

    def add(self, kind: str, document: dict[str, Any]) -> None:
        """Take up what was made."""
        self._ids[kind].append(document["task_id" if kind == "task" else "id"])
        if kind == "version":
            self._parents[document["id"]] = {of: document[f"{of}_id"] for of in _PARENTS}

    def remove(self, kind: str, identifier: int) -> None:
        """Leave out what was deleted, and what went with it."""
        if identifier in self._ids[kind]:
            self._ids[kind].remove(identifier)
        if kind == "version":
            self._parents.pop(identifier, None)
            return
        gone = [version for version, parents in self._parents.items() if parents[kind] == identifier]
        for version in gone:
            self.remove("version", version)


_known = Known(json.loads(os.environ["SCHEMATHESIS_IDS"]))


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Give a case what is there."""
    if case.meta is None:
        return
    phase = case.meta.phase.name.value
    label = case.operation.label
    if case.meta.generation.mode.is_positive and _known.turn(f"{phase} {label}"):
        if case.method == "POST":
            _give_body(case, phase)
        if phase != "stateful":  # links give the ids there
            _give_ids(case)
    if case.method == "DELETE":
        _spare(case)


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Take up what a case made or deleted."""
    kind = _made_by(case.operation.path)
    if case.method == "POST" and response.status_code == _CREATED and kind is not None:
        document = response.json()
        if kind != "spec" or document["outputs"] == _EXAMPLES["RecognitionSpec"]["outputs"]:
            _known.add(kind, document)
    elif case.method == "DELETE" and response.status_code == _DELETED:
        ((name, identifier),) = case.path_parameters.items()
        _known.remove(name.removesuffix("_id"), int(identifier))


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Drop what schemathesis cannot know of cases that were changed here.

    It takes any body that was given a file for a wrong one, and the unknown id of a DELETE for the one of its
    link.
    """
    if isinstance(failure, AcceptedNegativeData):
        return case.id not in _with_files
    return not (isinstance(failure, EnsureResourceAvailability) and case.id in _spared)


def _made_by(path: str) -> str | None:
    if path.endswith("/inference"):
        return "task"
    kinds = {"networks": "network", "specs": "spec", "versions": "version"}
    return kinds.get(path.rpartition("/")[2])


def _give_ids(case: Case) -> None:
    for name in case.path_parameters:
        if name == "name":
            case.path_parameters[name] = f"digits-{MODEL}"
            continue
        kind = name.removesuffix("_id")
        if case.method == "DELETE":
            identifier = _known.last(kind) or LARGEST_ID
        elif kind == "spec" and case.method == "POST":
            identifier = _known.runnable()
        else:
            identifier = _known.some(kind)
        case.path_parameters[name] = str(identifier) if kind == "version" else identifier


def _spare(case: Case) -> None:
    for name, value in case.path_parameters.items():
        if name.endswith("_id") and str(value) == str(_known.first(name.removesuffix("_id"))):
            case.path_parameters[name] = type(value)(LARGEST_ID)  # integer or text, as it was
            _spared.add(case.id)


def _give_body(case: Case, phase: str) -> None:
    kind = _made_by(case.operation.path)
    given = case.body if isinstance(case.body, dict) else {}
    if kind == "network" and (phase not in _UPLOADS or _known.turn(f"{phase} upload", _UPLOADS[phase])):
        case.body = {**_EXAMPLES["NetworkUpload"], "model.onnx": demo.model_path(MODEL).read_bytes()}
        _with_files.add(case.id)
    elif kind == "spec":
        case.body = {**given, "outputs": _EXAMPLES["RecognitionSpec"]["outputs"]}
    elif kind == "version":
        parents = {f"{parent}_id": _parent(parent, given) for parent in _PARENTS}
        case.body = {**given, **_EXAMPLES["NewVersion"], **parents}
    elif kind == "task" and case.media_type == FORM:
        case.body = {SOURCE: IMAGE}
        _with_files.add(case.id)
    elif kind == "task":
        options = {name: given[name] for name in ("show_discarded", "max_predictions") if name in given}
        case.body = {**_EXAMPLES["InferenceRequest"], **options}


def _parent(kind: str, given: dict[str, Any]) -> Any:
    """Return the spec or network of a new version: that of a link, if it is there."""
    identifier = given.get(f"{kind}_id")
    return identifier if (kind, identifier) in _known else _known.first(kind)

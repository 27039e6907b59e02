"""The rules that a spec and a version must keep together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from postproc.errors import SchemaError, SchemaProblem
from postproc.schema.labels import Labels
from postproc.schema.post_processing import Detection, PostProcessing
from postproc.schema.problems import counted, describe, first_of
from postproc.schema.resources import RecognitionSpec, RecognitionVersion

_KIND_OF_ROI = {"NONE": "classification", "BBOX": "detection"}


def check_pair(spec: RecognitionSpec, version: RecognitionVersion) -> None:
    """Check that a version fits a spec.

    Raises
    ------
    SchemaError
        If the version belongs to another spec, or its post-processings do not fit the spec's outputs
        in number, kind or count of thresholds. Lists the problems, 50 at most, with their paths in the
        version.
    """
    problems = first_of(_problems(spec, version), partial(SchemaProblem, ""))
    if problems:
        raise SchemaError(*problems)


def _problems(spec: RecognitionSpec, version: RecognitionVersion) -> Iterator[SchemaProblem]:
    yield from _id_problems(spec, version)
    yield from _count_problems(spec, version)
    pairs = zip(spec.outputs, version.post_processings or (), strict=False)  # the count is reported above
    for row, (output, post_processing) in enumerate(pairs):
        yield from _output_problems(row, output.labels, post_processing)


def _id_problems(spec: RecognitionSpec, version: RecognitionVersion) -> Iterator[SchemaProblem]:
    if spec.id is not None and version.spec_id is not None and spec.id != version.spec_id:
        yield SchemaProblem(
            "spec_id", f"expected {describe(spec.id)}, the id of the spec, got {describe(version.spec_id)}"
        )


def _count_problems(spec: RecognitionSpec, version: RecognitionVersion) -> Iterator[SchemaProblem]:
    expected = f"expected {counted(len(spec.outputs), 'post-processing')}, one per output of the spec"
    if version.post_processings is None:
        yield SchemaProblem(
            "post_processings", f"{expected}, got none; load the whole version, not a row of a list"
        )
    elif len(version.post_processings) != len(spec.outputs):
        yield SchemaProblem("post_processings", f"{expected}, got {len(version.post_processings)}")


def _output_problems(row: int, labels: Labels, post_processing: PostProcessing) -> Iterator[SchemaProblem]:
    path, kind, task = f"post_processings[{row}]", post_processing.kind, post_processing.task
    expected_kind = _KIND_OF_ROI[labels.roi]
    if kind != expected_kind:
        yield SchemaProblem(
            path, f'expected {expected_kind}, since outputs[{row}] has roi "{labels.roi}", got {kind}'
        )
    for field in ("thresholds", "nms_thresholds"):
        given = getattr(task, field, None)
        if isinstance(given, tuple) and len(given) != len(labels.labels):
            yield SchemaProblem(
                f"{path}.{kind}.{field}",
                f"expected {counted(len(labels.labels), 'threshold')}, one per label of outputs[{row}], "
                f"got {len(given)}",
            )
    if isinstance(task, Detection) and task.output.is_of_one_label and len(labels.labels) != 1:
        yield SchemaProblem(
            f"{path}.{kind}.{task.kind}.confidence",
            f'expected "product", since outputs[{row}] has {counted(len(labels.labels), "label")}, which '
            'objectness alone cannot tell apart, got "objectness"',
        )

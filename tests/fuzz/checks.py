"""The two checks: a whole case against the reference, a broken one against the error that it must raise."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

from postproc import (
    KeypointDetections,
    PostprocError,
    PostProcessor,
    QuantizedTensor,
    Recognitions,
    SchemaError,
    SegmentedDetections,
)
from tests import reference
from tests.array_forms import FORMS, WithArray, WithDlpack
from tests.comparison import assert_rows_equal
from tests.decoding.test_end_to_end import check_more
from tests.decoding.test_yolov8_obb import check_corners
from tests.decoding.test_yolov8_pose import check_keypoints
from tests.decoding.test_yolov8_seg import check_masks
from tests.fuzz.drawing import Drawn
from tests.fuzz.mutations import Broken, Mutation
from tests.kinds import kinds_with
from tests.pipelines import assert_same
from tests.random_cases.builder import Case
from tests.random_cases.narrow import SORTS, narrow
from tests.reference import Row
from tests.strategies import near_tie

MORE_THAN_BOXES = {
    "yolov8_pose": check_keypoints,
    "yolov8_obb": check_corners,
    "end_to_end": check_more,
}
MAY_HAVE_KEYPOINTS, MAY_HAVE_MASKS = kinds_with("keypoints"), kinds_with("prototypes_tensor")
NARROW_FORMS = (
    "Fortran order",
    "reversed",
    "every second",
    "unaligned",
    "read-only",
    "subclass",
    "__array__",
)
MASKS_EVERY = 20  # pixel by pixel, in Python
NEAR_TIE, EQUAL = "near tie", "equal"  # what becomes of a whole case
REFUSED, VALID, NOT_APPLICABLE = "refused", "valid", "not applicable"  # what becomes of a broken one


class FindingError(AssertionError):
    """The library did something else than it should."""


class _Formatting(logging.Handler):
    """Formats what is logged, so that a wrong message is an error, and shows none of it."""

    def handle(self, record: logging.LogRecord) -> bool:
        record.getMessage()
        return True


@contextmanager
def strictly() -> Iterator[None]:
    """Let warnings be errors, and nothing be shown that is logged."""
    logger, handler = logging.getLogger("postproc"), _Formatting()
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def check_whole(drawn: Drawn) -> str:
    """Compare a case with the reference, as drawn, without the discarded, and in two threads."""
    case = drawn.case
    if near_tie(case):
        return NEAR_TIE
    options = {**case.options, "show_discarded": True}
    expected = reference.run(case.spec, case.version, case.tensors, **options)
    with strictly():
        post = PostProcessor(*drawn.documents())
        everything = called(post, drawn.tensors(), options)
        assert_rows_equal(everything, expected, case.version, options)
        json.dumps(everything.to_dicts(), allow_nan=False)

        predicted = called(post, drawn.tensors(), {**options, "show_discarded": False})
        assert_rows_equal(predicted, only_predicted(expected), case.version, options)
        assert_predictions_same(predicted, everything)

        if drawn.batch > 1:
            threaded = PostProcessor(*drawn.documents(), num_threads=2)
            assert_same(called(threaded, drawn.tensors(), options), everything)
        has_masks = any("prototypes_tensor" in output for output in outputs_of(case.version))
        if has_masks and (drawn.seed % MASKS_EVERY or drawn.large):
            pass
        elif drawn.kind in MORE_THAN_BOXES:
            MORE_THAN_BOXES[drawn.kind](case)
        elif drawn.kind in MAY_HAVE_MASKS and isinstance(everything.outputs[0], SegmentedDetections):
            check_masks(case)
        elif drawn.kind in MAY_HAVE_KEYPOINTS and isinstance(everything.outputs[0], KeypointDetections):
            check_keypoints(case)
    check_narrow(drawn)
    return EQUAL


def check_narrow(drawn: Drawn) -> None:
    """Compare a case in half precision, or of quantised integers, with the float32 that these stand for."""
    rng = np.random.default_rng([drawn.seed, 3])
    made = narrow(drawn.case, rng, SORTS[drawn.seed % len(SORTS)], thresholds=not drawn.large)
    case = made.case
    tensors = {
        name: in_a_form(tensor, str(rng.choice(NARROW_FORMS))) if rng.random() < 0.3 else tensor
        for name, tensor in made.tensors.items()
    }
    with strictly():
        expected = PostProcessor(case.spec, case.version)(case.tensors, **case.options)
        threads = int(rng.choice([1, 2]))
        post = PostProcessor(case.spec, made.version, num_threads=threads)
        assert_same(called(post, tensors, case.options), expected)
    if not drawn.large and not near_tie(case) and not goes_beyond_one(case):
        rows = reference.run(case.spec, case.version, case.tensors, **case.options)
        assert_rows_equal(expected, rows, case.version, case.options)


def goes_beyond_one(case: Case) -> bool:
    """Say whether a score is above 1, as infinity is where integers stand for it: no factor of one may be."""
    options = {name: case.options.get(name) for name in ("input_size", "transforms", "batch_size")}
    outputs = reference.hypotheses(case.spec, case.version, case.tensors, **options)
    return any(one.score > 1 for images in outputs for found in images for one in found)


def in_a_form(tensor: Any, form: str) -> Any:
    """Bring a tensor of any numbers into a form."""
    if isinstance(tensor, QuantizedTensor):
        array = FORMS[form](tensor.array.copy())
        return QuantizedTensor(array, tensor.scale, tensor.zero_point, tensor.axis)
    return FORMS[form](tensor.copy())


def outputs_of(version: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what describes the tensors of each detection."""
    for post in version["post_processings"]:
        yield from (value for name, value in post.get("detection", {}).items() if name.endswith("_output"))


def called(post: PostProcessor, tensors: dict[str, Any], options: dict[str, Any]) -> Recognitions:
    """Call, and check that the tensors are what they were, byte for byte."""
    before = {name: memory(tensor) for name, tensor in tensors.items()}
    try:
        return post(tensors, **options)
    finally:
        for name, tensor in tensors.items():
            if memory(tensor) != before[name]:
                raise FindingError(f"tensor {name!r} was written to")


def memory(value: Any) -> bytes:
    """Return all of the memory that a tensor is of."""
    if isinstance(value, QuantizedTensor):
        value = value.array
    if isinstance(value, (WithArray, WithDlpack)):
        value = value._array
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        return repr(value).encode()
    root = value
    while isinstance(root.base, np.ndarray):
        root = root.base
    return root.tobytes() + repr((root.shape, root.strides, root.dtype)).encode()


def only_predicted(expected: list[list[list[Row]]]) -> list[list[list[Row]]]:
    """Return the rows that are left when the discarded are not asked for."""
    return [[[row for row in image if row.predicted] for image in images] for images in expected]


def assert_predictions_same(predicted: Recognitions, everything: Recognitions) -> None:
    """Check that the discarded change no prediction, bit for bit."""
    for one, other in zip(predicted.outputs, everything.outputs, strict=True):
        assert one.predicted.all()
        for name in one._columns():
            column = getattr(other, name)
            if isinstance(column, np.ndarray):
                assert_array_equal(getattr(one, name), column[other.predicted], strict=True)


def check_broken(drawn: Drawn, mutation: Mutation) -> str:
    """Break a case, and check that it is refused with the right error, or read as the reference reads it."""
    rng = np.random.default_rng([drawn.seed, 1])
    broken = mutation.applied(drawn, rng)
    if broken is None:
        return NOT_APPLICABLE
    with strictly():
        try:
            post = PostProcessor(broken.spec, broken.version)
            tensors = broken.tensors
            result = (
                called(post, tensors, broken.options)
                if isinstance(tensors, dict)
                else post(tensors, **broken.options)
            )
        except PostprocError as error:
            _check_error(error, broken, mutation)
            return REFUSED
        if mutation.must_fail:
            raise FindingError(f"accepted; expected {mutation.error.__name__}")
        if broken.compare:
            _compare(broken, result)
    return VALID


def _check_error(error: PostprocError, broken: Broken, mutation: Mutation) -> None:
    if not isinstance(error, (mutation.error, *mutation.or_else)):
        raise FindingError(
            f"expected {mutation.error.__name__}, got {type(error).__name__}: {error}"
        ) from error
    if not isinstance(error, mutation.error) or not broken.named:
        return
    if isinstance(error, SchemaError) and broken.by_path:
        paths = [problem.path for problem in error.errors]
        if not any(_is_at(path, wanted) for path in paths for wanted in broken.named):
            raise FindingError(f"names {paths}, not {' or '.join(broken.named)}: {error}") from error
    elif not any(text in str(error) for text in broken.named):
        raise FindingError(f"does not name {' or '.join(broken.named)}: {error}") from error


def _is_at(path: str, wanted: str) -> bool:
    """Say whether a path is the wanted one, below it, or the list of numbers that it is in."""
    if path == wanted or path.startswith((f"{wanted}.", f"{wanted}[")):
        return True
    while wanted.endswith("]"):
        wanted = wanted[: wanted.rindex("[")]
        if path == wanted:
            return True
    return False


def _compare(broken: Broken, result: Recognitions) -> None:
    case = broken.as_case()
    try:
        if near_tie(case):
            return
        expected = reference.run(case.spec, case.version, case.tensors, **case.options)
    except Exception as error:
        raise FindingError(f"accepted, but the reference cannot read it: {error!r}") from error
    assert_rows_equal(result, expected, case.version, case.options)

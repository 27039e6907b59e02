"""A spec and a version, compiled: tensors in, results out."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from postproc import tensors as tensors_gate
from postproc.call_options import CallOptions
from postproc.errors import SchemaError, TensorError
from postproc.lazy import lazy
from postproc.pipeline import interrupts
from postproc.pipeline.stages import Bound, ClassificationStage, DetectionStage, Stage
from postproc.pipeline.thresholds import (
    Changes,
    ThresholdsLike,
    changes_of,
    edited,
    is_plain,
    thresholds_of,
    without_numpy,
)
from postproc.pipeline.workers import Workers
from postproc.quantization import DTYPES
from postproc.results import Classifications, Detections, Recognitions
from postproc.results.labels import LabelTable
from postproc.schema import (
    Classification,
    Detection,
    DetectionOutput,
    Labels,
    PostProcessing,
    RecognitionSpec,
    RecognitionVersion,
    check_pair,
)
from postproc.schema.limits import MOST_LABELS
from postproc.schema.problems import describe
from postproc.transforms import ImageTransform

if TYPE_CHECKING:
    import onnx

    from postproc.fusing import FuseOptions

WARM_DTYPES = ("float32", "float64", "float16", "bfloat16", *DTYPES)
"""Data types of tensors that a warm-up knows."""

DocumentLike = Mapping[str, Any] | str | bytes | os.PathLike[str]


class PostProcessor:
    """Post-process the output tensors of one recognition version.

    Immutable, safe to call from many threads at once, picklable and cheap to build.

    Parameters
    ----------
    spec : RecognitionSpec, dict, JSON text or path
        What the outputs mean: labels, their ids and names.
    version : RecognitionVersion, dict, JSON text or path
        How each output comes from tensors.
    num_threads : int
        Threads that share the images of a batch. The kernels release the GIL; a batch of one uses one thread.

    Raises
    ------
    SchemaError
        If a document breaks a rule, or the two do not fit together; names every path.

    Examples
    --------
    >>> import numpy as np
    >>> from postproc import Classification, PostProcessor
    >>> post = PostProcessor.for_classification(["cat", "dog"], Classification(output_tensor="probabilities"))
    >>> batch = post({"probabilities": np.array([[0.9, 0.01]], np.float32)})
    >>> batch.outputs[0].label_names
    ['cat']
    """

    spec: RecognitionSpec

    def __init__(
        self,
        spec: RecognitionSpec | DocumentLike,
        version: RecognitionVersion | DocumentLike,
        num_threads: int = 1,
    ) -> None:
        self.__dict__["spec"] = RecognitionSpec.load(spec)
        self._read = RecognitionVersion.load(version)
        check_pair(self.spec, self._read)
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise SchemaError(f"num_threads: expected a positive integer, got {num_threads!r}")
        self._changes: dict[int, Changes] = {}
        post_processings = self._read.post_processings or ()
        self._compiled = tuple(
            _stage(output.labels, post_processing)
            for output, post_processing in zip(self.spec.outputs, post_processings, strict=True)
        )
        names = [name for stage in self._compiled for name in stage.tensor_names]
        self._tensor_names = tuple(dict.fromkeys(names))
        self._uses_input_size = any(stage.uses_input_size for stage in self._compiled)
        self._workers = Workers(num_threads)

    def __setattr__(self, name: str, value: object) -> None:
        # What else a subclass has is its own.
        if hasattr(PostProcessor, name) or (type(self) is PostProcessor and not name.startswith("_")):
            raise AttributeError(
                f"{name}: a PostProcessor does not change; `replace` makes one with other thresholds, the "
                "constructor one of other documents"
            )
        super().__setattr__(name, value)

    @lazy
    def version(self) -> RecognitionVersion:
        """How each output comes from tensors."""
        return RecognitionVersion.load(edited(self._read, self._changes)) if self._changes else self._read

    @lazy
    def stages(self) -> tuple[Stage, ...]:
        """Each output, compiled. Internal: for other parts of the package, and as they need it."""
        stages = list(self._compiled)
        for output, fields in self._changes.items():
            stages[output] = stages[output].replaced(fields)
        return tuple(stages)

    @classmethod
    def for_detection(
        cls,
        labels: Sequence[str],
        output: DetectionOutput,
        *,
        thresholds: ThresholdsLike = None,
        default_threshold: float | None = None,
        label_ids: Sequence[int] | None = None,
        num_threads: int = 1,
        **decision: Any,
    ) -> PostProcessor:
        """Make a post-processor of one detection output, without documents.

        Parameters
        ----------
        labels : sequence of str
            Label names, in the network's order.
        output : DetectionOutput
            Which tensors hold the boxes, such as ``YoloOutput(output_tensor="grid", anchors=[...])``.
        thresholds : float, sequence or dict, optional
            One for all labels, one per label, or by label name. Left out: v0.7's default for all.
        default_threshold : float, optional
            For the labels that thresholds by name leave out; for all where there are none.
        label_ids : sequence of int, optional
            Ids of the labels; their rows if left out.
        num_threads : int
            As of the constructor.
        **decision
            Further fields of `Detection`: ``nms_threshold``, ``input_size``, ...

        Raises
        ------
        SchemaError
            If a value breaks a rule of the schema.

        Examples
        --------
        >>> from postproc import PostProcessor, Yolov8Output
        >>> post = PostProcessor.for_detection(
        ...     ["cat", "dog"], Yolov8Output(output_tensor="output0"), thresholds={"cat": 0.4, "dog": 0.6}
        ... )
        >>> post.tensor_names
        ('output0',)
        >>> post.version.dump()["post_processings"][0]["detection"]["thresholds"]
        [0.4, 0.6]
        """
        kind = Detection.kind_of(output)
        task = {kind: output.dump(), **{name: without_numpy(value) for name, value in decision.items()}}
        return cls._for_one_output(
            labels, label_ids, "detection", task, thresholds, default_threshold, True, num_threads
        )

    @classmethod
    def for_classification(
        cls,
        labels: Sequence[str],
        classification: Classification,
        *,
        thresholds: ThresholdsLike = None,
        default_threshold: float | None = None,
        label_ids: Sequence[int] | None = None,
        exclusive: bool = True,
        num_threads: int = 1,
    ) -> PostProcessor:
        """Make a post-processor of one classification output, without documents.

        Parameters
        ----------
        labels : sequence of str
            Label names, in the network's order.
        classification : Classification
            Which tensor holds the scores.
        thresholds, default_threshold, label_ids, num_threads
            As of `for_detection`; thresholds given here replace those of `classification`.
        exclusive : bool
            Whether an image has one label; it only chooses the default thresholds.

        Raises
        ------
        SchemaError
            If a value breaks a rule of the schema.

        Examples
        --------
        >>> from postproc import Classification, PostProcessor
        >>> tags = Classification(output_tensor="logits", score_activation="sigmoid")
        >>> post = PostProcessor.for_classification(["wet", "dry"], tags, exclusive=False, label_ids=[3, 7])
        >>> post.spec.outputs[0].labels.exclusive
        False
        """
        task = Classification.load(classification).dump()
        return cls._for_one_output(
            labels, label_ids, "classification", task, thresholds, default_threshold, exclusive, num_threads
        )

    @classmethod
    def _for_one_output(
        cls,
        names: Sequence[str],
        label_ids: Sequence[int] | None,
        kind: Literal["detection", "classification"],
        task: dict[str, Any],
        thresholds: ThresholdsLike,
        default_threshold: float | None,
        exclusive: bool,
        num_threads: int,
    ) -> PostProcessor:
        if isinstance(names, (str, bytes)) or not isinstance(names, Sized) or not isinstance(names, Iterable):
            raise SchemaError(f"labels: expected a list of names, got {describe(names)}")
        if len(names) > MOST_LABELS:
            raise SchemaError(f"labels: expected at most {MOST_LABELS:,} labels, got {len(names):,}")
        for row, name in enumerate(names):
            if not isinstance(name, str):
                raise SchemaError(f"labels[{row}]: expected text, got {describe(name)}")
        if label_ids is not None and not isinstance(label_ids, Iterable):
            raise SchemaError(f"label_ids: expected a list of integers, got {describe(label_ids)}")
        listed = range(len(names)) if label_ids is None else islice(label_ids, len(names) + 1)
        ids = [label_id.item() if isinstance(label_id, np.generic) else label_id for label_id in listed]
        if len(ids) != len(names):
            found = len(label_ids) if isinstance(label_ids, Sized) else "others"
            raise SchemaError(f"label_ids: expected one per label, {len(names)}, got {found}")
        if thresholds is None and default_threshold is not None:
            thresholds = {}
        given = thresholds_of(thresholds, default_threshold, names)
        if given is not None:
            task = {**task, "thresholds": given}
        spec = {
            "name": "",
            "outputs": [
                {
                    "labels": {
                        "labels": [{"id": id_, "name": name} for id_, name in zip(ids, names, strict=True)],
                        "exclusive": exclusive,
                        "roi": "BBOX" if kind == "detection" else "NONE",
                    }
                }
            ],
        }
        return cls(spec, {"post_processings": [{kind: task}]}, num_threads)

    def replace(
        self,
        *,
        output: int = 0,
        thresholds: ThresholdsLike = None,
        default_threshold: float | None = None,
        nms_threshold: float | None = None,
        nms_thresholds: Sequence[float] | None = None,
        discard_threshold: float | None = None,
    ) -> PostProcessor:
        """Make a post-processor with another decision, and all else that this one has compiled.

        For hosts whose requests bring thresholds of their own: it takes a small part of the constructor's
        time, shares the worker threads, and warns of nothing that this one has warned of. What is left out
        stays as it is. Its first call, and its `version`, make what they need of it.

        Parameters
        ----------
        output : int
            Number of the output in the spec.
        thresholds, default_threshold
            As of `for_detection`; the default goes with thresholds by name, be they none, ``{}``.
        nms_threshold : float, optional
            In the place of the version's, or of its `nms_thresholds`.
        nms_thresholds : sequence of float, optional
            One per label, in the place of the version's, or of its `nms_threshold`.
        discard_threshold : float, optional

        Returns
        -------
        A new post-processor, whose `version` has the new values.

        Raises
        ------
        SchemaError
            If there is no such output, or its version with these values breaks a rule: as the constructor.

        Examples
        --------
        >>> from postproc import Classification, PostProcessor
        >>> post = PostProcessor.for_classification(["cat", "dog"], Classification(output_tensor="scores"))
        >>> post.replace(thresholds={"cat": 0.5}, default_threshold=0.9).version.dump()
        {'post_processings': [{'classification': {'output_tensor': 'scores', 'thresholds': [0.5, 0.9]}}]}
        """
        count = len(self._compiled)
        if type(output) is not int or not 0 <= output < count:
            raise SchemaError(f"output: expected the number of an output, 0 to {count - 1}, got {output!r}")
        stage = self._compiled[output]
        names = stage.table.names
        if thresholds is not None or default_threshold is not None:
            thresholds = thresholds_of(thresholds, default_threshold, names)
        changes = changes_of(
            thresholds=thresholds,
            nms_threshold=nms_threshold,
            nms_thresholds=nms_thresholds,
            discard_threshold=discard_threshold,
        )
        before = self._changes.get(output)
        replaced = {**self._changes, output: {**before, **changes} if before else changes}
        if not is_plain(stage.task, len(names), changes):
            version = RecognitionVersion.load(edited(self._read, replaced))
            check_pair(self.spec, version)
            task = (version.post_processings or ())[output].task
            replaced[output] = {
                name: None if value is None else getattr(task, name)
                for name, value in replaced[output].items()
            }
        post = object.__new__(type(self))
        post.__dict__.update(self.__dict__)
        post._changes = replaced
        for name in ("version", "stages"):
            post.__dict__.pop(name, None)
        return post

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Names of the tensors that a call needs, in the order of the documents, without duplicates."""
        return self._tensor_names

    @property
    def uses_input_size(self) -> bool:
        """Whether boxes of an output are in pixels of an `input_size`, which a call may replace."""
        return self._uses_input_size

    def to_onnx(
        self, shapes: Mapping[str, Sequence[int | str]], options: FuseOptions | None = None, **more: Any
    ) -> onnx.ModelProto:
        """Write this post-processing as a graph of ONNX's operators: see `postproc.fusing.to_onnx`.

        Parameters
        ----------
        shapes : mapping of str to sequence of int or str
            Of the tensors, by name; the first axis may be free, a name in its place.
        options : FuseOptions, optional
        **more
            ``dtypes`` and ``input_size``.

        Raises
        ------
        FusingError
            If something of it cannot be written.
        TensorError
            If shapes do not fit the documents.
        """
        from postproc.fusing import FuseOptions, to_onnx  # here, since few need it

        return to_onnx(self, shapes, FuseOptions() if options is None else options, **more)

    def warmup(self, dtypes: Collection[str] = ("float32",)) -> None:
        """Compile or load every kernel that a call uses, so that the first image does not wait for it.

        Parameters
        ----------
        dtypes : collection of str
            Names of the data types that tensors of calls are of. Those of 16 bits (float16, bfloat16, int16,
            uint16) share their kernels, and those of 8 bits (int8, uint8); of outputs with a `quantization`
            in the document these are compiled in any case.

        Raises
        ------
        TensorError
            If a name is none of a type that tensors can have.
        """
        if isinstance(dtypes, str) or (wrong := [name for name in dtypes if name not in WARM_DTYPES]):
            found = dtypes if isinstance(dtypes, str) else wrong
            raise TensorError(
                f"dtypes must be a collection of some of {', '.join(WARM_DTYPES)}; got {found!r}"
            )
        tensors_gate.warmup()
        forms = ["float16" if name == "bfloat16" else name for name in dtypes]
        for stage in self.stages:
            stage.warmup(forms)

    def __call__(
        self,
        tensors: Mapping[str, Any],
        show_discarded: bool = False,
        max_predictions: int = 100,
        input_size: Sequence[int] | None = None,
        transforms: Sequence[ImageTransform] | None = None,
        batch_size: int | None = None,
    ) -> Recognitions:
        """Post-process a batch.

        Parameters
        ----------
        tensors : mapping of str to array
            The network's output tensors; those of `tensor_names` are read, none is modified. NumPy arrays, or
            anything with ``__array__`` or ``__dlpack__`` on the CPU; float32, float16, bfloat16 or float64.
            Quantised ones of 8 or 16 bits as `QuantizedTensor`, or as the version's `quantization` says.
        show_discarded : bool
            Also return candidates between `discard_threshold` and their threshold.
        max_predictions : int
            Predicted and discarded candidates together, per image and output, at most; `is_cut` of results
            tells the images that have more.
        input_size : (height, width), optional
            Size in pixels of the network's input, for boxes in pixels of no tensor's size: takes the place of
            the document's `input_size`. If no output has boxes in pixels by its document, it says that all
            have, but those whose `coordinates` are declared normalized.
        transforms : sequence of ImageTransform, optional
            One per image: boxes come back relative to the original images, and clipped to them. Their input
            size takes the place of a declared `input_size`.
        batch_size : int, optional
            Number of images, which an `end_to_end_output` whose rows name their image does not show
            otherwise: images at the end may have no row. Elsewhere it is only checked.

        Raises
        ------
        TensorError
            If a tensor is missing or has the wrong rank, shape or dtype, or an option is out of range.
        """
        if interrupts.is_ending:
            interrupts.hold_daemons()
        if type(tensors) is not dict and not isinstance(tensors, Mapping):
            raise TensorError(f"tensors must be a mapping of names to arrays; got {type(tensors).__name__}")
        size_is_for_all = not self._uses_input_size
        options = CallOptions.checked(
            show_discarded, max_predictions, input_size, transforms, batch_size, size_is_for_all
        )
        # Plain loops: until Python 3.12 a comprehension is a call.
        bound: list[Bound] = []
        outputs: list[Detections | Classifications] = []
        try:
            for stage in self.stages:
                bound.append(stage.bind(tensors, options))
            if len(bound) > 1:
                self._check_batches(bound)
            for part in bound:
                outputs.append(self._workers.run(part.run, part.batch, part.join))
            return Recognitions(tuple(outputs))
        except SystemError as error:
            raise interrupts.cause_of(error) from None

    def _check_batches(self, bound: Sequence[Bound]) -> None:
        first = bound[0].batch
        for stage, other in zip(self.stages, bound, strict=True):
            if other.batch != first:
                raise TensorError(
                    f"tensors disagree on the number of images: {self.stages[0].tensor_names} have {first}, "
                    f"{stage.tensor_names} {other.batch}"
                )


interrupts.guard(PostProcessor.__call__.__code__)


def label_table(labels: Labels, post_processing: PostProcessing) -> LabelTable:
    """Give what rows of results refer to: the labels of an output, and the thresholds of its version."""
    return LabelTable(
        ids=np.array([label.id for label in labels.labels], np.int64),
        names=tuple(label.name for label in labels.labels),
        thresholds=tuple(map(float, post_processing.task.thresholds_for(labels))),
    )


def _stage(labels: Labels, post_processing: PostProcessing) -> Stage:
    task = post_processing.task
    table = label_table(labels, post_processing)
    if isinstance(task, Detection):
        return DetectionStage(task, table, task.nms_thresholds_for(labels))
    return ClassificationStage(task, table)

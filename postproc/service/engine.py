"""Runs networks on the images of requests; knows nothing of HTTP or of the database."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from postproc.errors import PostprocError
from postproc.images import Preprocessor
from postproc.onnx_network import OnnxNetwork
from postproc.onnx_session import options_for
from postproc.pipeline import PostProcessor
from postproc.service.batching import Batcher
from postproc.service.computing import NotTogetherError, compute, error_text
from postproc.service.errors import InputError, QueueFullError, not_found
from postproc.service.fetching import Fetcher
from postproc.service.inputs import Fetch, InputReader, PreparedInputs
from postproc.service.jobs import Job, Ticket
from postproc.service.metrics import Metrics
from postproc.service.sessions import SessionCache
from postproc.service.settings import ServiceSettings
from postproc.service.turns import Turns
from postproc.service.warming import Warmer
from postproc.service.work import NetworkFiles, Outcome, Work

__all__ = ["Engine", "NetworkFiles", "Outcome", "PreparedInputs", "Ticket", "Work"]

logger = logging.getLogger(__name__)

DELETED = "the network was deleted before this task ran"
UNLOADABLE = "the network cannot be loaded; the service's log says why"

_DRAIN = 5.0  # seconds that waiting tasks are given at the end
_MOST_PREPROCESSORS = 256
_MOST_REMEMBERED = 4096
_MOST_DECODERS = 16  # an image of the largest size takes about a gigabyte while it is decoded

Key: TypeAlias = "tuple[int | str, Path]"


class Engine:
    """Prepares inputs in the threads of requests, and runs networks in its own.

    The order of a request: `prepare`, `reserve`, write the task down, `submit`. Requests of the same network,
    version, options and input shapes that wait together share a network call. Where that fails they run one
    by one, so that none fails for another's sake, and later ones of the kind do so from the start.

    Parameters
    ----------
    settings : ServiceSettings
        The limits.
    metrics : Metrics
        Measures the stages.
    on_done : callable
        Takes the outcomes of tasks, each once, in the threads of the engine.
    fetch : callable, optional
        Takes the place of `Fetcher`.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        metrics: Metrics,
        on_done: Callable[[Sequence[Outcome]], None],
        *,
        fetch: Fetch | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        decoders = Turns(min(max(os.cpu_count() or 1, 2), _MOST_DECODERS))
        self._reader = InputReader(settings, fetch or Fetcher(settings), decoders, metrics.stage)
        self._sessions = SessionCache(self._load, settings.session_memory, metrics)
        self._on_done = on_done
        self._warmer = Warmer()
        self._batcher = Batcher(
            self._run,
            self._fail,
            length=settings.queue_length,
            max_bytes=settings.max_inputs_bytes,
            wait=settings.batch_wait,
            workers=settings.workers,
            timeout=settings.task_timeout,
        )
        metrics.watch_queue(lambda: self._batcher.places, lambda: self._batcher.bytes)
        self._lock = threading.Lock()
        self._preprocessors: OrderedDict[Key, Preprocessor] = OrderedDict()
        self._single: OrderedDict[Hashable, None] = OrderedDict()  # keys whose jobs cannot share a call
        # Ids of networks, which are never given twice: requests that found one before it went come late.
        self._deleted: OrderedDict[Hashable, None] = OrderedDict()

    def start(self) -> None:
        """Start the threads."""
        self._warmer.start()
        self._batcher.start()

    def stop(self) -> None:
        """Run what waits for some seconds; tasks that are left end in error. Returns when all are told."""
        self._warmer.stop()
        self._batcher.stop(_DRAIN)
        self._sessions.clear()

    @property
    def is_warm(self) -> bool:
        """Whether the kernels of all that `warm` was told of are compiled."""
        return self._warmer.is_idle

    def warm(self, posts: Iterable[PostProcessor]) -> None:
        """Compile the kernels of post-processors in the background, which takes one when it comes to it."""
        self._warmer.add(posts)

    def prepare(self, network: NetworkFiles, inputs: Sequence[Any]) -> PreparedInputs:
        """Make tensors of the inputs of a request; see `InputReader.read`.

        Raises
        ------
        InputError
            If an input cannot be used, or the network's files are gone.
        ApiError
            A 404 if the network was deleted.
        """
        try:
            preprocessor = self._preprocessor(network)
        except PostprocError:
            if network.id in self._deleted:
                raise not_found("network", network.id) from None
            logger.exception("the preprocessing of network %s cannot be used", network.id)
            raise InputError("network", "its files cannot be read; upload the network again") from None
        return self._reader.read(preprocessor, inputs)

    def reserve(self, inputs: PreparedInputs) -> Ticket:
        """Take a place in the queue, to be handed to `submit`, or given back with ``release()``.

        Raises
        ------
        QueueFullError
            If there is none, or no memory for the inputs: a 503 that says when to come again.
        """
        try:
            return self._batcher.reserve(inputs.nbytes)
        except QueueFullError:
            self._metrics.refused()
            raise

    def submit(self, task_id: int, work: Work, ticket: Ticket) -> None:
        """Queue a task on a place that was reserved."""
        inputs = cast(PreparedInputs, work.inputs)
        network = work.network
        kind = "tensors" if work.post is None else work.key
        key = (
            *(network.id, network.model, kind),
            *(work.show_discarded, work.max_predictions, inputs.shapes),
        )
        is_single = network.preprocessing.unbatched_by is not None or key in self._single
        most = 1 if is_single else self._settings.max_batch
        self._batcher.submit(Job(task_id, work, key, most, ticket))

    def forget_network(self, network_id: int | str) -> None:
        """Drop what is loaded of a network that was deleted; its waiting tasks end in error."""
        self._remember(self._deleted, network_id)
        self._batcher.cancel(lambda job: job.work.network.id == network_id, DELETED)
        self._sessions.forget(network_id)
        with self._lock:
            for key in [key for key in self._preprocessors if key[0] == network_id]:
                del self._preprocessors[key]

    def _preprocessor(self, network: NetworkFiles) -> Preprocessor:
        key = network.id, network.model
        with self._lock:
            if key in self._preprocessors:
                self._preprocessors.move_to_end(key)
                return self._preprocessors[key]
        preprocessor = Preprocessor(network.preprocessing, network.folder)
        with self._lock:
            self._preprocessors[key] = preprocessor
            while len(self._preprocessors) > _MOST_PREPROCESSORS:
                self._preprocessors.popitem(last=False)
        return preprocessor

    def _load(self, network: NetworkFiles) -> OnnxNetwork:
        options = options_for(self._settings.intra_op_threads)
        # Its threads would spin for a while after each run, and take the processor from those that decode:
        # 1.3 to 3 times fewer requests a second on two busy cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return OnnxNetwork(
            network.model,
            self._settings.providers,
            options,
            batched=network.preprocessing.batched_output,
            batched_input=network.preprocessing.batched_input,
        )

    def _run(self, jobs: Sequence[Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            self._metrics.took("wait", now - job.submitted)
        self._metrics.batch(len(jobs))
        files = jobs[0].work.network
        is_loaded = False
        try:
            with self._sessions.use(files) as network:
                is_loaded = True
                outcomes = self._outcomes(network, jobs)
        except Exception:
            if is_loaded:
                raise
            if files.id in self._deleted:
                return self._fail(jobs, DELETED)
            logger.exception("network %s cannot be loaded", files.id)
            return self._fail(jobs, UNLOADABLE)
        finally:
            if files.id in self._deleted:  # a late task may have loaded it again
                self._sessions.forget(files.id)
        self._tell(jobs, outcomes)

    def _outcomes(self, network: OnnxNetwork, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            data = compute(network, [job.work for job in jobs], self._metrics)
        except Exception as error:
            if len(jobs) == 1:
                logger.warning("task %d failed", jobs[0].task_id, exc_info=True)
                return [Outcome(jobs[0].task_id, None, error_text(error))]
            if not isinstance(error, NotTogetherError):
                logger.warning("a batch of %d failed; they run one by one", len(jobs), exc_info=True)
        else:
            return [Outcome(job.task_id, item, None) for job, item in zip(jobs, data, strict=True)]
        outcomes = [outcome for job in jobs for outcome in self._outcomes(network, [job])]
        if all(outcome.error is None for outcome in outcomes):
            self._remember(self._single, jobs[0].key)
        return outcomes

    def _remember(self, kept: OrderedDict[Hashable, None], key: Hashable) -> None:
        with self._lock:
            kept[key] = None
            while len(kept) > _MOST_REMEMBERED:
                kept.popitem(last=False)

    def _fail(self, jobs: Sequence[Job], error: str) -> None:
        self._tell(jobs, [Outcome(job.task_id, None, error) for job in jobs])

    def _tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        claimed = set(self._batcher.claim(jobs))
        self._on_done([outcome for job, outcome in zip(jobs, outcomes, strict=True) if job in claimed])

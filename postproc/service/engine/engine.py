"""Runs networks on the images of requests; knows nothing of HTTP or of the database."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from postproc.errors import PostprocError
from postproc.isolation import CrashError
from postproc.pipeline import PostProcessor
from postproc.service.engine.batching import Batcher
from postproc.service.engine.call_log import log_failure, tell_start, told
from postproc.service.engine.inputs import Fetch, InputReader, OpenedInputs, PreparedInputs
from postproc.service.engine.jobs import Job, Ticket
from postproc.service.engine.networks.calls import (
    Answer,
    HostSettings,
    LostError,
    NetworkCall,
    NetworkCaller,
    NetworkModel,
)
from postproc.service.engine.networks.process import HungError, NetworkProcess
from postproc.service.engine.networks.strikes import MOST_STRIKES, Strikes
from postproc.service.engine.preprocessors import Preprocessors
from postproc.service.engine.warming import Warmer
from postproc.service.errors import InputError, not_found
from postproc.service.fetch.fetcher import Fetcher
from postproc.service.metrics import Metrics
from postproc.service.settings import ServiceSettings
from postproc.service.work import STOPPED, UNLOADABLE, NetworkFiles, Outcome, Outcomes, Work

logger = logging.getLogger(__name__)

DELETED = "the network was deleted before this task ran"
HELD = (
    f"the network is held back, since its last {MOST_STRIKES} calls hung or crashed; POST {{path}} lets it "
    "run again, and so does a restart of the service"
)

_DRAIN = 5.0  # seconds that waiting tasks are given at the end
_MOST_REMEMBERED = 4096
_LARGE = 4 << 20  # bytes of a result that takes so long to write that to share a call saves nothing


class Engine:
    """Prepares inputs of requests, and runs networks.

    The order of a request: `open`, `prepare`, `reserve`, write the task down, `submit`. Requests of the same
    network, version, options and input shapes that wait together share a network call. Where that fails they
    run one by one, so that none fails for another's sake, and later ones of the kind do so from the start. So
    do those of large results, for which others would wait.

    Parameters
    ----------
    settings : ServiceSettings
        The limits.
    metrics : Metrics
        Measures the stages.
    outcomes : Outcomes
        Takes the outcomes of tasks, each once, in the threads of the engine.
    fetch : callable, optional
        Takes the place of `Fetcher`.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        metrics: Metrics,
        outcomes: Outcomes,
        *,
        fetch: Fetch | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._reader = InputReader(settings, fetch or Fetcher(settings), metrics.stage)
        self._processes: list[NetworkCaller] = []
        self._idle: list[NetworkCaller] = []
        self._preprocessors = Preprocessors()
        self._strikes = Strikes()
        self._is_stopping = False
        self._posts: WeakKeyDictionary[PostProcessor, bytes] = WeakKeyDictionary()
        self._outcomes = outcomes
        self._warmer = Warmer()
        self._batcher = Batcher(
            self._run,
            self._fail,
            length=settings.queue_length,
            max_bytes=settings.max_inputs_bytes,
            wait=settings.batch_wait,
            workers=settings.workers,
            timeout=settings.task_timeout,
            may_run=outcomes.has_room,
        )
        metrics.watch(
            postproc_queue_length=lambda: self._batcher.places,
            postproc_queue_bytes=lambda: self._batcher.bytes,
            postproc_queue_tenants=lambda: self._batcher.tenants,
            postproc_sessions=lambda: sum(process.last.networks for process in self._processes),
            postproc_session_bytes=lambda: sum(process.last.bytes for process in self._processes),
            postproc_networks_held=lambda: self._strikes.held,
        )
        self._lock = threading.Lock()
        self._single: OrderedDict[Hashable, None] = OrderedDict()  # keys whose jobs cannot share a call
        # Ids of networks, which are never given twice: requests that found one before it went come late.
        self._deleted: OrderedDict[Hashable, None] = OrderedDict()

    def start(self) -> None:
        """Start the threads, and the processes of networks."""
        for _ in range(self._settings.workers):
            self._processes.append(self.make_caller())
        self._idle = list(self._processes)
        self._processes[0].start()  # the others when they are needed, at once with it
        self._warmer.start()
        self._batcher.start()

    def make_caller(self) -> NetworkCaller:
        """Make one of the `workers` that run calls of networks."""
        settings = self._settings
        host = HostSettings(
            settings.network_memory,
            settings.max_result_bytes,
            settings.providers,
            settings.intra_op_threads,
        )
        return NetworkProcess(host, settings.run_seconds, settings.model_check_timeout)

    def stop(self) -> None:
        """Run what waits for some seconds; tasks that are left end in error. Returns when all are told."""
        self._warmer.stop()
        self._batcher.stop(_DRAIN)
        self._reader.close()
        self._is_stopping = True
        for process in self._processes:
            process.close()

    @property
    def held_networks(self) -> int:
        """How many networks are held back since their calls hung or crashed."""
        return self._strikes.held

    @property
    def is_away(self) -> bool:
        """Whether what runs networks is away; processes of this machine never are."""
        return False

    @property
    def is_warm(self) -> bool:
        """Whether the kernels of all that `warm` was told of are compiled."""
        return self._warmer.is_idle

    def warm(self, posts: Iterable[PostProcessor]) -> None:
        """Compile the kernels of post-processors in the background, which takes one when it comes to it."""
        self._warmer.add(posts)

    def open(self, network: NetworkFiles, inputs: Sequence[Any]) -> OpenedInputs:
        """Check the inputs of a request; see `InputReader.open`.

        Raises
        ------
        InputError
            If an input cannot be used, or the network's files are gone.
        ApiError
            A 404 if the network was deleted.
        """
        try:
            preprocessor = self._preprocessors.of(network)
        except PostprocError:
            if network.id in self._deleted:
                raise not_found("network", network.id) from None
            logger.exception("the preprocessing of network %s cannot be used", network.id)
            raise InputError("network", "its files cannot be read; upload the network again") from None
        return self._reader.open(preprocessor, inputs)

    async def prepare(self, tenant: str, opened: OpenedInputs) -> PreparedInputs:
        """Make tensors of the inputs of a request; see `InputReader.prepare`."""
        return await self._reader.prepare(tenant, opened)

    def reserve(self, inputs: PreparedInputs, tenant: str, *, is_due: bool = False) -> Ticket:
        """Take a tenant's place in the queue, to be handed to `submit`, or given back with ``release()``.

        For a task of another front end, which `is_due`, there are some more.

        Raises
        ------
        QueueFullError
            If there is none for it, or no memory for the inputs: a 503 that says when to come again.
        """
        return self._batcher.reserve(tenant, inputs.nbytes, is_due=is_due)

    def submit(self, task_id: int, work: Work, ticket: Ticket) -> None:
        """Queue a task on a place that was reserved; that of a network that is held back ends at once."""
        inputs = cast(PreparedInputs, work.inputs)
        network = work.network
        kind = "tensors" if work.post is None else work.key
        key = (
            *(network.id, network.model, kind),
            *(work.show_discarded, work.max_predictions, inputs.shapes),
        )
        is_single = network.preprocessing.unbatched_by is not None or key in self._single
        most = 1 if is_single else self._settings.max_batch
        job = Job(task_id, work, key, most, ticket, submitted=time.monotonic() - work.age)
        if self._strikes.is_held(network.id):
            self._fail([job], _held(network.id))
            ticket.release()
        else:
            self._batcher.submit(job)

    def had(self) -> Mapping[str, float]:
        """Return the seconds of calls that tenants have had; see `JobQueue.had`."""
        return self._batcher.had()

    def share(self, held: Mapping[str, int], had: Mapping[str, float]) -> None:
        """Count tasks and seconds of calls of other front ends as here, for places and turns."""
        self._batcher.share(held, had)

    def forget_network(self, network_id: int | str) -> None:
        """Drop what is loaded of a network that was deleted; its waiting tasks end in error."""
        self._remember(self._deleted, network_id)
        self._batcher.cancel(lambda job: job.work.network.id == network_id, DELETED)
        self._strikes.clear(network_id)
        for process in self._processes:
            process.forget(network_id)
        self._preprocessors.forget(network_id)

    def resume(self, network_id: int | str) -> None:
        """Let a network run again that is held back since its calls hung or crashed."""
        self._strikes.clear(network_id)

    def _run(self, jobs: Sequence[Job]) -> Sequence[Job]:
        tell_start(jobs, self._metrics)
        network = jobs[0].work.network
        process = self._take_process(network)
        try:
            self._run_on(process, jobs)
        except LostError as error:
            logger.warning("a call of network %s may run elsewhere: %s", network.id, error)
            self._metrics.count("postproc_calls_lost")
            self._fail(jobs, STOPPED)
        except (HungError, CrashError) as error:
            jobs = [job for job in jobs if not job.is_told]
            if self._is_stopping or not jobs:
                return ()
            text = self._struck(network, error)
            if len(jobs) > 1:  # one of them is at fault; the others' tenants have their turns in between
                return jobs
            self._fail(jobs, text)
        finally:
            self._idle.append(process)
            if network.id in self._deleted:  # a late task may have loaded it again
                process.forget(network.id)
        return ()

    def _take_process(self, network: NetworkFiles) -> NetworkCaller:
        """Take an idle process, which each call finds: if there is one, one that has run the network."""
        with self._lock:
            process = max(self._idle, key=lambda item: (network.id in item.networks, item.is_started))
            self._idle.remove(process)
        return process

    def _run_on(self, process: NetworkCaller, jobs: Sequence[Job]) -> bool:
        """Run jobs together, or one by one where that fails; return whether all ended well."""
        jobs = [job for job in jobs if not job.is_told]
        if not jobs:
            return True
        network = jobs[0].work.network
        if self._strikes.is_held(network.id):
            self._fail(jobs, _held(network.id))
            return False
        answer = self._called(process, jobs)
        self._strikes.clear(network.id)
        if answer.trouble is None:
            return True
        if not self._is_alone(jobs, answer):
            return False
        ended = [self._run_on(process, [job]) for job in jobs]
        if all(ended):
            self._run_one_by_one(jobs[0].key)
        return all(ended)

    def _called(self, process: NetworkCaller, jobs: Sequence[Job]) -> Answer:
        """Run jobs together; tells the results of those that have one."""
        work: Work = jobs[0].work
        inputs = [cast(PreparedInputs, job.work.inputs) for job in jobs]
        parts = {name: [item.tensors[name] for item in inputs] for name in inputs[0].tensors}
        with told(jobs, self._metrics.tracing) as tells:
            call = NetworkCall(
                NetworkModel.of(work.network),
                None if work.post is None else self._pickled(work.post),
                {},
                tuple(item.transform for item in inputs),
                work.show_discarded,
                work.max_predictions,
                tuple(job.work.request_id for job in jobs),
                tells.trace,
            )
            answer = tells.answer = process.run(call, parts, partial(self._give, jobs))
        if answer.network_seconds:
            self._metrics.took("network", answer.network_seconds)
        if answer.trouble is None:
            self._metrics.took("post", answer.post_seconds)
        self._metrics.loaded(answer.loads, answer.evictions, answer.trouble == "unloadable")
        return answer

    def _pickled(self, post: PostProcessor) -> bytes:
        with self._lock:
            pickled = self._posts.get(post)
        if pickled is None:
            pickled = pickle.dumps(post)  # which takes a second where it has 100,000 labels
            with self._lock:
                self._posts[post] = pickled
        return pickled

    def _give(self, jobs: Sequence[Job], row: int, text: str | None, error: str | None) -> None:
        job = jobs[row]
        if error is not None:
            log_failure(job, error)
        if text is None or len(text) > _LARGE:  # it may be too large
            self._run_one_by_one(job.key)
        self._tell([job], [job.outcome(text, error)])

    def _is_alone(self, jobs: Sequence[Job], answer: Answer) -> bool:
        """Tell the trouble of a call, unless its jobs may end well one by one: return whether they may."""
        network_id = jobs[0].work.network.id
        if answer.trouble == "unloadable":
            if network_id in self._deleted:
                self._fail(jobs, DELETED)
            else:
                logger.error("network %s cannot be loaded: %s", network_id, answer.log)
                self._fail(jobs, UNLOADABLE)
            return False
        if len(jobs) > 1:
            if answer.trouble != "apart":
                logger.warning("a batch of %d failed; they run one by one: %s", len(jobs), answer.log)
            return True
        log_failure(jobs[0], answer.log)
        self._fail(jobs, answer.error)
        return False

    def _struck(self, network: NetworkFiles, error: HungError | CrashError) -> str:
        """Count a call that hung or crashed, and return what is told of it."""
        self._metrics.count(
            "postproc_calls_ended", cause="hung" if isinstance(error, HungError) else "crashed"
        )
        if isinstance(error, CrashError):
            text = f"{error}; the process that ran the network was replaced"
        elif error.stage == "network":
            text = (
                f"the network did not end within {self._settings.run_seconds:g} s; use a smaller network or "
                "image, or have --run-seconds raised"
            )
        else:
            text = (
                f"the network did not load within {self._settings.model_check_timeout:g} s, "
                "--model-check-timeout of this service"
            )
        logger.warning("a call of network %s was ended: %s", network.id, text)
        if self._strikes.add(network.id):
            logger.error(
                "network %s is held back: %d calls in a row hung or crashed", network.id, MOST_STRIKES
            )
            self._batcher.cancel(lambda job: job.work.network.id == network.id, _held(network.id))
        return text

    def _run_one_by_one(self, key: Hashable) -> None:
        self._remember(self._single, key)
        self._batcher.limit(key)

    def _remember(self, kept: OrderedDict[Hashable, None], key: Hashable) -> None:
        with self._lock:
            kept[key] = None
            while len(kept) > _MOST_REMEMBERED:
                kept.popitem(last=False)

    def _fail(self, jobs: Sequence[Job], error: str) -> None:
        self._tell(jobs, [job.outcome(None, error) for job in jobs])

    def _tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        claimed = set(self._batcher.claim(jobs))
        ended = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if job in claimed]
        now = time.monotonic()
        for job, outcome in ended:
            if outcome.error != STOPPED:  # else it did not run, and may run elsewhere
                self._metrics.observe("postproc_task_seconds", now - job.submitted)
        self._outcomes.put([outcome for _, outcome in ended])


def _held(network_id: int | str) -> str:
    place = "networks/public" if isinstance(network_id, str) else "networks"
    return HELD.format(path=f"/v0.7/{place}/{network_id}/resume")

"""All that the routes use, made at the start of a service and closed at its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from starlette.concurrency import run_in_threadpool

from postproc.pipeline import PostProcessor
from postproc.service.catalogue import PublicModel, public_models
from postproc.service.engine.freed_memory import give_back_free_memory
from postproc.service.engine.postprocessors import PostProcessors
from postproc.service.errors import ApiError, not_found
from postproc.service.heart import Heart
from postproc.service.metrics import Metrics
from postproc.service.model_check.scheduler import CheckModel, CheckScheduler
from postproc.service.settings import ServiceSettings
from postproc.service.sharing import STRANGERS, Shares, Turns
from postproc.service.store.keys import Keys
from postproc.service.store.networks import NetworkStore
from postproc.service.store.opening import open_alone, open_shared
from postproc.service.store.outages import reason_of
from postproc.service.store.probing import DatabaseProbe
from postproc.service.store.reporting import Reporter
from postproc.service.store.specs import SpecStore
from postproc.service.store.tasks import TaskStore
from postproc.service.store.versions import VersionStore
from postproc.service.work import LOST, STOPPED, TASK_MARGIN, Outcomes

if TYPE_CHECKING:
    from postproc.service.engine.interface import InferenceEngine

logger = logging.getLogger(__name__)

_WARMED = 256  # versions whose kernels are compiled at the start: as many as `PostProcessors` holds
_LONGEST_PAUSE = 5.0  # seconds between two sweeps of old and of lost tasks
_END_SECONDS = 5.0  # that each step of the end may wait for the database
_THREADS = 32  # of anyio's pool, which has 40, and whose others read files of pages
_MOST_THREADS = 8  # of one tenant: they share the interpreter, and others find some at once
_ANSWERS = 256 << 20  # bytes of results on their way to clients
_ANSWERS_WAITING = 256  # that have no room; beyond them: 503

Result = TypeVar("Result")

MakeEngine: TypeAlias = "Callable[[ServiceSettings, Metrics, Outcomes], InferenceEngine]"


class Services:
    """The parts of a service.

    Parameters
    ----------
    settings : ServiceSettings
        Where things lie, and the limits.
    keys : mapping of str to str
        Keys, and their tenants, beside those of the database.
    make_engine : callable
        Makes the engine, given the settings, the metrics and what to call with outcomes.
    check_model : CheckModel
        Checks a network.
    metrics : Metrics
        What the engine counts in.

    Raises
    ------
    PostprocError
        If the data folder or the database cannot be used.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        keys: Mapping[str, str],
        make_engine: MakeEngine,
        check_model: CheckModel,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.lost: str | None = None  # why this service has to end, if another has taken its database
        self.on_lost: Callable[[], None] = lambda: None
        # Of a single process, or of front ends that share a database and a store.
        if settings.store is None:
            opened = open_alone(settings, self._lose)
        else:
            opened = open_shared(settings, self._lose, metrics)
        self.folders, self.database, self._lock = opened.folders, opened.database, opened.lock
        self.leased = opened.leased
        self.keys = Keys(self.database, keys)
        self.networks = NetworkStore(self.database)
        self.specs = SpecStore(self.database)
        self.versions = VersionStore(self.database)
        self.tasks = opened.leased or TaskStore(self.database)
        self.public = public_models()
        self.missing: list[str] = []  # folders of networks whose files are not there
        self.post_processors = PostProcessors()
        self.uploads = Shares(settings.max_uploads, times=1)  # a tenant's are half of them at most
        self.checks = CheckScheduler(check_model, settings)
        self.requests = Shares(settings.max_connections)  # under way
        self.threads = Turns(_THREADS, most=_MOST_THREADS)
        self.answers = Turns(_ANSWERS, most=_ANSWERS // 4, waiting=_ANSWERS_WAITING)
        self.reporter = Reporter(
            self.tasks.finish, metrics, settings.max_outcomes_bytes, shows=self.leased is None
        )
        self.probe = DatabaseProbe(self.database.check, self.tasks.check_writes)
        self.engine = make_engine(settings, metrics, self.reporter)
        metrics.watch(
            postproc_tasks_pending=lambda: self.tasks.unfinished,
            postproc_http_requests_under_way=lambda: self.requests.used,
            postproc_database_connections=lambda: self.database.connections,
            postproc_files_away=lambda: self.folders.is_away,
        )
        self.heart: Heart | None = None
        self._was_warm = False
        self._stopping = threading.Event()
        self._reading = threading.Lock()
        self._sweeper = threading.Thread(target=self._sweep, name="postproc-sweep", daemon=True)

    def resume(self, network_id: int | str) -> None:
        """Let a network run again that is held back, in every front end."""
        self.engine.resume(network_id)
        if self.leased is not None:
            self.leased.resume(network_id)

    def public_model(self, name: str) -> PublicModel:
        """Return a public model, or raise a 404."""
        if name not in self.public:
            raise not_found("public spec or network", f"{name!r}; there are {', '.join(self.public)}")
        return self.public[name]

    def post_processor(self, tenant: str, version_id: int) -> PostProcessor:
        """Return the post-processor of a version, which was read from the database before, or is now."""
        return self.post_processors.of(version_id, lambda: self.versions.documents(tenant, version_id))

    async def tenant_of(self, key: str) -> str | None:
        """Return whose key this is, or None.

        It is looked up in a turn of the tenant whose key it was the last time, or of the strangers.
        """
        return await self.run(self.keys.last_tenant_of(key) or STRANGERS, self.keys.tenant_of, key)

    async def run(self, tenant: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a thread, in a turn of the tenant's: one that floods keeps nobody waiting."""
        async with self.threads.turn(tenant):
            return await run_in_threadpool(function, *arguments)

    def start(self) -> None:
        """Tidy up what the last run left, then start the threads."""
        known = self.networks.folders()
        self.folders.sweep(known, take_all=self.settings.adopt)
        self._look_for_files(known)
        if self.leased is not None:
            self.leased.beat()  # before there are leases of its own
            self.heart = Heart(self.leased, self.settings.lease_seconds, self.engine, self.metrics)
            self.heart.start()
        stopped = self.tasks.fail_pending(STOPPED)
        if stopped:
            logger.warning("%d tasks of the last run end in error: it was stopped before that", stopped)
        self.reporter.start()
        self.engine.start()
        self.engine.warm([model.post for model in self.public.values()])
        self.engine.warm(self._stored())
        self._sweeper.start()

    def stop(self) -> None:
        """Stop the threads, and close the database; in bounded time, also where the database is away.

        What cannot be written then is left to the next start, which ends the tasks in error.
        """
        self._stopping.set()
        self.checks.close()
        self.engine.stop()
        self.reporter.stop(_END_SECONDS)
        last = threading.Thread(target=self._end, name="postproc-end", daemon=True)
        last.start()
        last.join(_END_SECONDS)
        if last.is_alive():
            logger.error("the database does not answer; it is left as it is")
        self._lock.close()
        self.folders.close()
        self.metrics.tracing.close()

    @property
    def is_stopping(self) -> bool:
        """Whether it is being stopped."""
        return self._stopping.is_set()

    @property
    def was_warm(self) -> bool:
        """Whether the kernels of the start are compiled; those of later versions may not be."""
        self._was_warm = self._was_warm or self.engine.is_warm
        return self._was_warm

    def _end(self) -> None:
        """End what is pending, and close the database, once nothing reads it any more."""
        self._sweeper.join()
        if self.heart is not None:
            self.heart.stop()
        try:
            stopped = self.tasks.fail_unfinished(STOPPED)
            if stopped:
                logger.warning("%d tasks end in error, since the service is stopped", stopped)
        except Exception as error:
            logger.error("tasks that did not run are left to the next start: %s", reason_of(error))
        with self._reading:
            self.database.close()

    def _stored(self) -> Iterator[PostProcessor]:
        """Give the post-processors of versions that are kept, those that matter most first."""
        with self._reading:
            found = [] if self._stopping.is_set() else self.versions.foremost(_WARMED)
        for tenant, identifier in found:
            with self._reading:
                if self._stopping.is_set():
                    return
                post = self._stored_one(tenant, identifier)
            if post is not None:
                yield post

    def _stored_one(self, tenant: str, identifier: int) -> PostProcessor | None:
        try:
            return self.post_processor(tenant, identifier)
        except ApiError:  # deleted in the meantime
            return None
        except Exception:  # a request for it will tell, too
            logger.exception("version %d cannot be read", identifier)
            return None

    def _sweep(self) -> None:
        pause = min(
            _LONGEST_PAUSE, max(0.05, min(self.settings.task_seconds, self.settings.task_timeout) / 4)
        )
        is_failing = False
        given_back = time.monotonic()
        while not self._stopping.wait(pause):
            if time.monotonic() - given_back >= _LONGEST_PAUSE / 2:
                give_back_free_memory()
                given_back = time.monotonic()
            try:
                self.tasks.expire(self.settings.task_seconds)
                self._end_lost()
                known = self.networks.folders()
                for network_id in self.folders.gone(self.networks.folders):
                    self.engine.forget_network(network_id)
                self.folders.expire(self.settings.swept_seconds, known)
                self._look_for_files(known)
            except Exception as error:  # the database may be back at the next turn
                if not is_failing:
                    logger.warning("old tasks cannot be removed for now: %s", reason_of(error))
                is_failing = True
            else:
                is_failing = False

    def _end_lost(self) -> None:
        seconds = self.settings.task_timeout + TASK_MARGIN - _LONGEST_PAUSE  # there is a turn until the end
        lost = self.tasks.end_lost(seconds, LOST, self.reporter.known)
        if lost:
            logger.error("%d tasks were lost, and end in error", lost)

    def _look_for_files(self, known: set[str]) -> None:
        """Count the networks without files, and log those that are new among them."""
        missing = self.folders.missing(known)
        # Those that were deleted meanwhile have no row any more.
        missing = sorted(set(missing) & self.networks.folders()) if missing else []
        for name in set(missing) - set(self.missing):
            logger.error("the files of a network are missing: %s", name)
        self.missing = missing

    def _lose(self, reason: str) -> None:
        logger.critical("%s; this service ends, since the database is no longer its own", reason)
        self.lost = reason
        self.on_lost()

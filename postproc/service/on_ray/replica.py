"""A replica: a process of networks of the single service, on a machine of a cluster."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from postproc.installing import install

try:
    from ray import serve
    from ray.serve import metrics
except ImportError as error:
    raise ImportError(f"networks on Ray Serve need an extra: {install('ray-serve')} ({error})") from error

from postproc import __version__
from postproc.isolation import CrashError
from postproc.service.catalogue import public_models
from postproc.service.engine.networks.calls import Answer, HostSettings, NetworkCall
from postproc.service.engine.networks.messages import Results
from postproc.service.engine.networks.process import HungError, NetworkProcess
from postproc.service.metrics import REPLICA_METRICS
from postproc.service.on_ray.messages import MOST_ONGOING, NetworkSource, ReplicaSettings, Reply
from postproc.service.store.copies import Copies, folder_for_all
from postproc.service.store.objects import DamagedError, ObjectStore
from postproc.service.tracing_setup import tracing_of_environment
from postproc.service.work import UNLOADABLE

logger = logging.getLogger("ray.serve")  # whose handlers write to the replica's log

DEPLOYMENT = "networks"
# Of which Serve is told that they are here; how many are loaded is for `NetworkMemory` to limit.
_MOST_NETWORKS = 256
_MOST_BYTES = 1 << 20  # of results that wait for those behind them
_HEALTH_SECONDS = 2.0  # between two looks at whether a replica lives; another takes its place as soon
_UPSCALE_SECONDS, _DOWNSCALE_SECONDS = 3.0, 600.0
_METRICS_SECONDS = 2.0  # between two words on how many calls wait; of Serve's 10 s a queue would be over


class NetworkReplica:
    """Runs calls of networks: each is loaded at its first call, and stays while there is room.

    Parameters
    ----------
    settings : ReplicaSettings
        The limits.
    """

    def __init__(self, settings: ReplicaSettings) -> None:
        self._settings = settings
        self._metrics = {name: _declared(name) for name in REPLICA_METRICS}
        threads = settings.intra_op_threads or max(1, round(settings.ray_cpus))
        host = HostSettings(settings.session_memory, settings.max_result_bytes, settings.providers, threads)
        self._copies = Copies(
            ObjectStore(settings.store),
            folder_for_all(settings.ray_copies),
            max_bytes=settings.store_cache,
            in_use=settings.in_use,
            count=self._count,
            prefix="postproc_replica",
        )
        self._running = threading.Lock()
        self._threads = ThreadPoolExecutor(MOST_ONGOING, "postproc-call")
        self._ids: dict[str, int | str] = {}
        self._tracing = tracing_of_environment("postproc-replica")
        self._process = NetworkProcess(host, settings.run_seconds, settings.model_check_timeout)
        self._process.start()

    async def __call__(
        self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], source: NetworkSource
    ) -> AsyncIterator[Results | Reply]:
        """Run a network on the inputs of some requests, as `NetworkProcess.run`.

        Yields
        ------
        list or Reply
            No results when it begins to run, then those that are large as they come, and its end.
        """
        self._ids[source.key] = call.model.id
        await self._known(source.key)
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Results | None] = asyncio.Queue()

        def tell(results: Results) -> None:
            loop.call_soon_threadsafe(told.put_nowait, results)

        running = loop.run_in_executor(self._threads, self._traced, call, parts, source, tell)
        running.add_done_callback(lambda _: told.put_nowait(None))
        while (results := await told.get()) is not None:
            yield results
        yield await running

    def about(self) -> dict[str, Any]:
        """Tell the release and the settings, in types that every release can read."""
        return {"release": __version__, "settings": self._settings.model_dump(mode="json")}

    def forget(self, network_ids: Sequence[int | str]) -> None:
        """Unload networks that were deleted."""
        for network_id in network_ids:
            self._process.forget(network_id)
        self._tell_loaded()

    def __del__(self) -> None:
        """End the process of networks; Serve calls this once no call runs."""
        if hasattr(self, "_process"):
            self._process.close()
            self._tracing.close()

    @serve.multiplexed(max_num_models_per_replica=_MOST_NETWORKS)  # type: ignore[untyped-decorator, unused-ignore]
    async def _known(self, key: str) -> _Known:
        """Have Serve send calls of this network here rather than elsewhere."""
        return _Known(self._process, self._ids[key])

    def _count(self, name: str, amount: float = 1, **labels: str) -> None:
        if amount:  # Ray takes none that is 0, such as the size of an empty file
            self._metrics[name].inc(amount, tags=labels)

    def _traced(self, call: NetworkCall, *given: Any) -> Reply:
        with self._tracing.span("replica", call.trace, network=call.model.id, requests=len(call)) as fail:
            reply = self._run(call, *given)
            if reply.trouble is not None:
                fail(reply.trouble)
        return reply

    def _run(
        self,
        call: NetworkCall,
        parts: Mapping[str, Sequence[NDArray[Any]]],
        source: NetworkSource,
        tell: Callable[[Results], None],
    ) -> Reply:
        results = _Results(tell)
        started = time.monotonic()
        try:
            model = replace(call.model, path=self._path(source))
            with self._running:
                tell([])
                answer = self._process.run(replace(call, model=model), parts, results.give)
        except OSError as error:  # the store is away, or this machine lacks room: another may run it
            reply = Reply(results.waiting, lost=str(error))
        except DamagedError as error:
            reply = Reply(answer=Answer("unloadable", UNLOADABLE, str(error)))
        except HungError as error:
            self._count("postproc_replica_calls_ended", cause="hung")
            reply = Reply(results.waiting, hung=error.stage)
        except CrashError as error:
            self._count("postproc_replica_calls_ended", cause="crashed")
            reply = Reply(results.waiting, crashed=error.cause)
        else:
            self._metrics["postproc_replica_network_seconds"].observe(answer.network_seconds)
            reply = Reply(results.waiting, answer)
        self._tell_loaded()
        _log(call, reply, time.monotonic() - started)
        return reply

    def _tell_loaded(self) -> None:
        self._metrics["postproc_replica_networks"].set(self._process.last.networks)
        self._metrics["postproc_replica_network_bytes"].set(self._process.last.bytes)

    def _path(self, source: NetworkSource) -> Path:
        if source.entries:
            return self._copies.fetch(source.key, source.entries) / source.model
        found = public_models().get(source.model)
        if found is None:
            raise DamagedError(f"this release has no public network {source.model!r}")
        return found.files.model


class _Results:
    """Results of a call, which are told as soon as they are much."""

    def __init__(self, tell: Callable[[Results], None]) -> None:
        self._tell = tell
        self._bytes = 0
        self.waiting: Results = []

    def give(self, row: int, text: str | None, error: str | None) -> None:
        """Take the result of a request."""
        self.waiting.append((row, text, error))
        self._bytes += len(text or "")
        if self._bytes > _MOST_BYTES:
            self._tell(self.waiting)
            self.waiting, self._bytes = [], 0


class _Known:
    """A network that a replica has run; Serve drops those that were used least recently."""

    def __init__(self, process: NetworkProcess, network_id: int | str) -> None:
        self._forget = partial(process.forget, network_id)

    def __del__(self) -> None:
        self._forget()


def application(settings: ReplicaSettings) -> serve.Application:
    """Make the application that Serve runs; in a configuration file, ``import_path`` names this function."""
    deployment: Any = serve.deployment(
        name=DEPLOYMENT,
        max_ongoing_requests=MOST_ONGOING,
        max_queued_requests=MOST_ONGOING * settings.ray_max_replicas,  # of one front end, which sends no more
        graceful_shutdown_timeout_s=settings.run_seconds + settings.model_check_timeout,
        ray_actor_options={"num_cpus": settings.ray_cpus, "num_gpus": settings.ray_gpus},
        autoscaling_config={
            "min_replicas": settings.ray_min_replicas,
            "max_replicas": settings.ray_max_replicas,
            "target_ongoing_requests": 1.0,  # whatever waits is work for one more
            "upscale_delay_s": _UPSCALE_SECONDS,
            "downscale_delay_s": _DOWNSCALE_SECONDS,
            "metrics_interval_s": _METRICS_SECONDS,
            "look_back_period_s": 3 * _METRICS_SECONDS,
        },
        health_check_period_s=_HEALTH_SECONDS,
    )
    bound: serve.Application = deployment(NetworkReplica).bind(settings)
    return bound


def _declared(name: str) -> Any:
    metric = REPLICA_METRICS[name]
    if metric.kind == "histogram":
        return metrics.Histogram(name, metric.text, list(metric.buckets))
    kinds: dict[str, Any] = {"counter": metrics.Counter, "gauge": metrics.Gauge}
    return kinds[metric.kind](name, metric.text, tuple(metric.labels))


def _log(call: NetworkCall, reply: Reply, seconds: float) -> None:
    logger.log(
        logging.WARNING if reply.trouble else logging.INFO,
        "a call of network %s with %d requests took %.3f s%s; request ids: %s",
        call.model.id,
        len(call),
        seconds,
        f" ({reply.trouble})" if reply.trouble else "",
        " ".join(filter(None, call.request_ids)) or "none",
    )

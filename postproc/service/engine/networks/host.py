"""Loads and runs networks within limits; knows nothing of processes, HTTP or the database."""

from __future__ import annotations

import pickle
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from postproc.errors import PostprocError
from postproc.onnx_runner.faults import is_out_of_memory
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import (
    CPU,
    CUDA,
    Provider,
    Session,
    TensorInfo,
    cuda_works,
    open_session,
    options_for,
)
from postproc.pipeline import PostProcessor
from postproc.service.engine.freed_memory import give_back_free_memory
from postproc.service.engine.networks.calls import (
    Answer,
    Give,
    HostSettings,
    NetworkCall,
    NetworkModel,
    Stage,
    Trouble,
)
from postproc.service.engine.networks.computing import NotTogetherError, compute, error_text
from postproc.service.engine.networks.memory import NetworkMemory
from postproc.service.work import UNLOADABLE

_MOST_POSTS, _MOST_POST_BYTES = 64, 1 << 20  # as pickles; in memory they take some twenty times as much
_FATAL = 4  # of ONNX Runtime's levels of its log


class NetworkHost:
    """Runs networks, one call at a time; each is loaded at its first call, and stays while there is room.

    Those that were used least recently make room for others. Where loading or running one still fails for
    lack of memory, all others are unloaded, and it is tried once more.

    Parameters
    ----------
    settings : HostSettings
        The limits.
    """

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._providers = _providers(settings)
        self._is_on_cpu = all(provider == CPU for provider in self._providers)
        self._memory = NetworkMemory(settings.memory, is_limited=self._is_on_cpu)
        self._guard = _Guard(self._memory)
        self._networks: OrderedDict[NetworkModel, OnnxNetwork] = OrderedDict()
        self._posts: OrderedDict[bytes, PostProcessor] = OrderedDict()  # by what they came as
        self._loads = self._evictions = 0  # of the call

    def run(self, call: NetworkCall, give: Give, on_stage: Callable[[Stage], None]) -> Answer:
        """Run a network and post-process its tensors.

        Parameters
        ----------
        call : NetworkCall
            What runs.
        give : callable
            Takes the result of each request, as it is made.
        on_stage : callable
            Is told where something is loaded, and where the network may run again.

        Returns
        -------
        Answer
            What else is to be told. Where it tells of trouble, no result was given.
        """
        self._guard.begin(on_stage)
        self._loads = self._evictions = 0
        started = time.perf_counter()
        trouble: Trouble | None = None
        error = log = ""
        try:
            self._run(call, give)
        except Exception as fault:
            trouble, error = self._trouble_of(fault)
            log = "".join(traceback.format_exception(fault))
        seconds = time.perf_counter() - started - self._guard.load_seconds - self._guard.network_seconds
        used = self._memory.used
        return Answer(
            trouble,
            error,
            log,
            self._guard.network_seconds,
            seconds,
            self._loads,
            self._evictions,
            len(self._networks),
            used,
            is_worn=not self._networks and used > self._memory.most // 10,
        )

    def stop(self) -> None:
        """Have the network that runs end after the node that it is at; from another thread."""
        self._guard.stop()

    def forget(self, network_id: int | str) -> Answer:
        """Unload a network that was deleted, and tell what is loaded then."""
        for model in [model for model in self._networks if model.id == network_id]:
            self._unload(model)
        return Answer(networks=len(self._networks), bytes=self._memory.used)

    def _run(self, call: NetworkCall, give: Give) -> None:
        post = None if call.post is None else self._post(call.post)
        try:
            results = self._computed(call, post)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            others = len(self._networks) - (call.model in self._networks)
            self._evictions += others
            for model in list(self._networks):  # this one, too: nobody knows what it is at
                self._unload(model)
            if not others:
                raise
            results = self._computed(call, post)
        for row, result in enumerate(results):
            if isinstance(result, str):
                give(row, result, None)
            else:
                give(row, None, error_text(result))

    def _computed(self, call: NetworkCall, post: PostProcessor | None) -> Iterator[str | PostprocError]:
        network = self._networks.get(call.model) or self._load(call.model)
        self._networks.move_to_end(call.model)
        return compute(network, post, call, self._settings.max_result_bytes)

    def _post(self, pickled: bytes) -> PostProcessor:
        if pickled not in self._posts:
            post: PostProcessor = pickle.loads(pickled)
            with self._guard.loading(), self._memory.uncounted():
                post.warmup()
            self._posts[pickled] = post
            size = sum(map(len, self._posts))
            while len(self._posts) > 1 and (len(self._posts) > _MOST_POSTS or size > _MOST_POST_BYTES):
                dropped, _ = self._posts.popitem(last=False)
                size -= len(dropped)
        self._posts.move_to_end(pickled)
        return self._posts[pickled]

    def _load(self, model: NetworkModel) -> OnnxNetwork:
        with self._guard.loading():
            # A third is what stays: the file as it is read, and weights laid out anew, go or are less.
            while self._networks and self._memory.used + 3 * model.size > self._memory.most:
                self._unload(next(iter(self._networks)))
                self._evictions += 1
            try:
                network = self._opened(model)
            except Exception as error:
                raise _UnloadableError from error
        self._loads += 1
        self._networks[model] = network
        return network

    def _opened(self, model: NetworkModel) -> OnnxNetwork:
        options = options_for(self._settings.intra_op_threads)
        # Its threads would spin for a while after each run, and take the processor from those that decode:
        # 1.3 to 3 times fewer requests a second on two busy cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._is_on_cpu:
            options.log_severity_level = _FATAL  # what it says of errors is in its exceptions
        with self._memory.limited():
            session = open_session(model.path, self._providers, options)
        return OnnxNetwork(
            _GuardedSession(session, self._guard),
            batched=model.batched_output,
            batched_input=model.batched_input,
        )

    def _unload(self, model: NetworkModel) -> None:
        self._networks.pop(model)
        give_back_free_memory()

    def _trouble_of(self, error: Exception) -> tuple[Trouble, str]:
        if isinstance(error, NotTogetherError):
            return "apart", ""
        if self._guard.is_stopped:
            return "stopped", ""
        if _is_out_of_memory(error):
            return "failed", (
                f"the network takes more memory than the {self._settings.memory:,} bytes that it may have; "
                "use a smaller one or smaller images, or have --session-memory raised"
            )
        return (
            ("unloadable", UNLOADABLE)
            if isinstance(error, _UnloadableError)
            else ("failed", error_text(error))
        )


class _UnloadableError(Exception):
    """A network cannot be loaded."""


def _is_out_of_memory(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, _UnloadableError) else error
    return cause is not None and is_out_of_memory(cause)


class _Guard:
    """What holds for the networks of a host while they run: limits, and the time that they take."""

    def __init__(self, memory: NetworkMemory) -> None:
        self._memory = memory
        self._on_stage: Callable[[Stage], None] = lambda stage: None
        self._options: Any = None  # of the run
        self.is_stopped = False
        self.load_seconds = self.network_seconds = 0.0

    def begin(self, on_stage: Callable[[Stage], None]) -> None:
        """Begin with a call."""
        self._on_stage = on_stage
        self.is_stopped = False
        self.load_seconds = self.network_seconds = 0.0

    def stop(self) -> None:
        """End the run, and those that follow in the same call; from another thread."""
        self.is_stopped = True
        options = self._options
        if options is not None:
            options.terminate = True

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Load something in the context."""
        self._on_stage("load")
        started = time.perf_counter()
        try:
            yield
        finally:
            self.load_seconds += time.perf_counter() - started
            self._on_stage("network")

    @contextmanager
    def running(self) -> Iterator[Any]:
        """Run a network in the context, with the options given."""
        import onnxruntime

        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = _FATAL
        self._options.terminate = self.is_stopped
        started = time.perf_counter()
        try:
            with self._memory.limited():
                yield self._options
        finally:
            self.network_seconds += time.perf_counter() - started
            self._options = None


class _GuardedSession:
    """A session of ONNX Runtime that runs within a guard."""

    def __init__(self, session: Session, guard: _Guard) -> None:
        self._session = session
        self._guard = guard

    def get_inputs(self) -> Sequence[TensorInfo]:
        return self._session.get_inputs()

    def get_outputs(self) -> Sequence[TensorInfo]:
        return self._session.get_outputs()

    def get_providers(self) -> Sequence[str]:
        return self._session.get_providers()

    def get_provider_options(self) -> Mapping[str, Mapping[str, str]]:
        found: Mapping[str, Mapping[str, str]] = getattr(self._session, "get_provider_options", dict)()
        return found

    def io_binding(self) -> Any:
        return self._session.io_binding()

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        session: Any = self._session
        with self._guard.running() as options:
            outputs: Sequence[Any] = session.run(output_names, input_feed, options)
        return outputs

    def run_with_iobinding(self, iobinding: Any) -> None:
        session: Any = self._session
        with self._guard.running() as options:
            session.run_with_iobinding(iobinding, options)


def _providers(settings: HostSettings) -> list[Provider]:
    """Return the providers, that of CUDA with the limit of its arena where it has none."""
    given = settings.providers or ((CUDA, CPU) if cuda_works() else (CPU,))
    limit = {"gpu_mem_limit": settings.memory, "arena_extend_strategy": "kSameAsRequested"}
    return [(provider, limit) if provider == CUDA else provider for provider in given]

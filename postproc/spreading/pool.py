"""Tasks that workers of a Ray cluster do, each in a process of its own; results come in the tasks' order."""

from __future__ import annotations

import logging
import pickle
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from postproc import __version__
from postproc.errors import PostprocError, RunnerError
from postproc.spreading.cluster import RayCluster, knock

logger = logging.getLogger("postproc.spreading")

Result = TypeVar("Result")

# How often a task is tried whose worker dies, which it may be the reason for.
TRIES = 3
# Workers that end before they have done anything, one after the other.
_MOST_FAILED_STARTS = 3
_PATIENCE_SECONDS = 600.0  # for the first worker: nodes may have to be started for it
_POLL_SECONDS = 1.0
# For which the head may be away. After 60 s of it Ray ends the process, as no handler of Python's can see.
_HEAD_SECONDS = 30.0
_KNOCK_EVERY_SECONDS = 2.0


class Task(NamedTuple):
    """Something to do: what errors call it, and what makes what a free worker is given."""

    name: str
    make: Callable[[], Any]


class Said(NamedTuple):
    """A line of the log of a worker."""

    logger: str
    level: int
    message: str


class _Failure(NamedTuple):
    error: Exception


class _Host:
    """A process of the cluster with a worker in it."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._make = make
        self._work: Callable[[Any], Any] | None = None
        self._said: list[Said] = []
        listener = _Listener(self._said)
        logging.getLogger("postproc").addHandler(listener)

    def look(self) -> tuple[str, str]:
        """Give the release and the machine: the first call, by which it is seen to run."""
        return __version__, platform.node()

    def do(self, given: Any) -> tuple[bytes, list[Said]]:
        """Do a task; errors that are told in plain words are a result, without Ray's traces.

        Pickled here: arrays that Ray brings lie in its store, which they would fill.
        """
        result: Any
        try:
            if self._work is None:
                self._work = self._make()
            result = self._work(given)
        except (PostprocError, ImportError) as error:
            result = _Failure(error)
        said = list(self._said)
        self._said.clear()
        return pickle.dumps(result, 5), said


class _Listener(logging.Handler):
    def __init__(self, said: list[Said]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(Said(record.name, record.levelno, record.getMessage()))


def map_on_workers(
    make: Callable[[], Callable[[Any], Result]],
    tasks: Iterable[Task],
    cluster: RayCluster,
    *,
    cpus: int = 1,
) -> Iterator[Result]:
    """Do tasks on the workers of the cluster that the process is connected to, and give results in order.

    Parameters
    ----------
    make : function
        Makes what a worker does tasks by, once in each.
    tasks : iterable of Task
        Taken as workers get free: no more than two a worker are under way or wait for those before them.
    cluster : RayCluster
        How many workers, and what each takes.
    cpus : int
        Cores of each.

    Raises
    ------
    RunnerError
        If the cluster has no room, workers do not start or are of another release, or a task ends its worker
        each of `TRIES` times; names the task.
    PostprocError, ImportError
        As `make` and what it gives raise it.
    """
    pool = _Pool(make, cluster, cpus)
    try:
        yield from pool.results(iter(tasks))
    finally:
        pool.end()


class _Pool:
    """The workers, and what each is at."""

    def __init__(self, make: Callable[[], Any], cluster: RayCluster, cpus: int) -> None:
        asked = {"num_cpus": cpus, "num_gpus": cluster.gpus}
        self._most = _room(asked, cluster.workers)
        self._asked = asked
        self._make = ray.put(make)
        self._host = ray.remote(_Host).options(**asked, max_restarts=0)
        self._starting: dict[Any, Any] = {}  # workers, by the references of their first calls
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, int]] = {}  # and the numbers of their tasks, by those of results
        self._tasks: dict[int, Task] = {}  # by their numbers, those that are not done
        self._waiting: deque[int] = deque()
        self._losses: dict[int, int] = {}
        self._done: dict[int, Any] = {}  # results that wait for those before them
        self._failed_starts = 0
        self._began: float | None = time.monotonic()  # None once a worker is there
        self._said: set[Said] = set()
        # Ray's client ends with its connection, and may not reach the head itself.
        client: Any = ray.util.client.ray  # which has no types
        self._head = None if client.is_connected() else ray.get_runtime_context().gcs_address
        self._knocked = time.monotonic()
        self._away_since: float | None = None

    def results(self, tasks: Iterator[Task]) -> Iterator[Any]:
        """Give the result of each task, in order."""
        begun = given = 0
        is_all = False
        while not (is_all and given == begun):
            while not is_all and begun - given < 2 * self._most and len(self._waiting) < self._most:
                task = next(tasks, None)
                is_all = task is None
                if task is not None:
                    self._tasks[begun] = task
                    self._waiting.append(begun)
                    begun += 1
            self._hand_out()
            if given in self._done:
                yield self._done.pop(given)
                given += 1
            elif self._tasks:
                self._wait()

    def end(self) -> None:
        """End all workers, whatever they are at."""
        actors = [*self._starting.values(), *self._idle, *(actor for actor, _ in self._busy.values())]
        for actor in actors:
            _kill(actor)

    def _hand_out(self) -> None:
        """Give tasks that wait to workers, and start some where there are too few."""
        while self._idle and self._waiting:
            number = self._waiting.popleft()
            given = self._tasks[number].make()
            actor = self._idle.pop()
            self._busy[actor.do.remote(given)] = actor, number
        room = self._most - len(self._starting) - len(self._idle) - len(self._busy)
        for _ in range(min(room, len(self._waiting) - len(self._starting))):
            new: Any = self._host.remote(self._make)
            self._starting[new.look.remote()] = new

    def _wait(self) -> None:
        """Wait until something has ended, for a little while."""
        self._look_for_head()
        ended, _ = ray.wait([*self._starting, *self._busy], num_returns=1, timeout=_POLL_SECONDS)
        for reference in ended:
            if reference in self._starting:
                self._started(reference, self._starting.pop(reference))
            else:
                self._ended(reference, *self._busy.pop(reference))
        if self._began is not None and time.monotonic() - self._began > _PATIENCE_SECONDS:
            raise RunnerError(
                f"the Ray cluster had no room for a worker, of {self._asked}, within "
                f"{_PATIENCE_SECONDS:.0f} s; wait for its other jobs, or ask for less"
            )

    def _look_for_head(self) -> None:
        """Raise a `RunnerError` where the head of the cluster has been away for too long."""
        now = time.monotonic()
        if self._head is None or now - self._knocked < _KNOCK_EVERY_SECONDS:
            return
        self._knocked = now
        try:
            knock(self._head)
            self._away_since = None
        except OSError as error:
            # Since it was first missed, and not last seen: nobody looks while results are worked on.
            self._away_since = self._away_since or now
            if now - self._away_since > _HEAD_SECONDS:
                raise RunnerError(
                    f"the head of the Ray cluster at {self._head} is gone: {error}; run it again once "
                    "there is one, or without --ray"
                ) from error

    def _started(self, reference: Any, actor: Any) -> None:
        try:
            release, node = ray.get(reference)
        except RayError as error:
            _kill(actor)
            self._failed_starts += 1
            if self._failed_starts == _MOST_FAILED_STARTS:
                raise RunnerError(
                    "workers of the Ray cluster do not start; each of its machines needs postproc with the "
                    f"same extras, and the same Python and Ray as here: {_last_line(error)}"
                ) from error
            return
        self._idle.append(actor)
        if release != __version__:
            raise RunnerError(
                f"postproc is {__version__} here and {release} on {node} of the Ray cluster, whose numbers "
                "may be others: install the same everywhere"
            )
        self._failed_starts, self._began = 0, None

    def _ended(self, reference: Any, actor: Any, number: int) -> None:
        name = self._tasks[number].name
        try:
            content, said = ray.get(reference)
        except RayTaskError as error:  # a fault of the program
            self._idle.append(actor)
            raise RunnerError(f"{name}: a worker of the Ray cluster failed: {_last_line(error)}") from error
        except RayError as error:  # the worker died, or its machine, or what it gave is lost
            _kill(actor)
            self._losses[number] = self._losses.get(number, 0) + 1
            if self._losses[number] == TRIES:
                raise RunnerError(
                    f"{name}: {TRIES} workers of the Ray cluster died over it, the last with: "
                    f"{_last_line(error)}; run it without --ray, or leave it out"
                ) from error
            self._waiting.appendleft(number)
            return
        self._idle.append(actor)
        for line in said:
            if line not in self._said:  # as each worker says it
                self._said.add(line)
                logging.getLogger(line.logger).log(line.level, "%s", line.message)
        result = pickle.loads(content)
        if isinstance(result, _Failure):
            raise result.error
        del self._tasks[number]
        self._done[number] = result


def _room(asked: dict[str, float], workers: int | None) -> int:
    """Count the workers that the cluster has room for where nothing else runs, up to `workers`."""
    all_nodes: Any = ray.nodes  # which has no types
    nodes = [node["Resources"] for node in all_nodes() if node["Alive"]]
    needs = {name: asked[f"num_{name.lower()}s"] for name in ("CPU", "GPU")}
    room = sum(
        min(int(node.get(name, 0) / need + 1e-9) for name, need in needs.items() if need) for node in nodes
    )
    if not room:
        told = ", ".join(f"{node.get('CPU', 0):g} cores and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise RunnerError(
            f"no machine of the Ray cluster has the {needs['CPU']:g} cores and {needs['GPU']:g} GPUs of a "
            f"worker; there are {told or 'none'}"
        )
    return room if workers is None else min(room, workers)


def _kill(actor: Any) -> None:
    with suppress(Exception):  # it may be gone, and so may the cluster
        ray.kill(actor)


def _last_line(error: BaseException) -> str:
    """Give what Ray says of a failure without the traces before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

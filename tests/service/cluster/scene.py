"""All parts of a service on one machine."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.s3 import use_s3
from tests.service import postgres
from tests.service.cluster.balancer import balancer
from tests.service.cluster.checks import LEASE, TIMEOUT
from tests.service.cluster.fronts import FrontEnd
from tests.service.cluster.processes import Program
from tests.service.cluster.ray_nodes import Nodes
from tests.service.cluster.s3 import BUCKET
from tests.service.on_ray.nodes import nodes
from tests.service.running import KEY, ROOT

# The head runs no networks. Two replicas of two cores find a node each; what is left is for measurements.
_CORES = 0, 3, 3
_REPLICAS, _OPTIONS = 2, ("--ray-cpus", "2", "--intra-op-threads", "1")
_SECONDS = 120

Deed = Callable[[], object]


@dataclass(frozen=True)
class Ground:
    """What front ends stand on.

    Parameters
    ----------
    folder : Path
        Of all that parts write.
    database : postgres.Cluster
        PostgreSQL.
    store : Program or None
        What stands for S3; None: the store is a folder.
    store_url : str
        As ``--store`` takes it.
    address : str
        Of the Ray cluster.
    """

    folder: Path
    database: postgres.Cluster
    store: Program | None
    store_url: str
    address: str

    @contextmanager
    def serving(
        self, app: str, replicas: int, *options: str, module: Sequence[str] = ("postproc.cli", "serve")
    ) -> Iterator[tuple[list[FrontEnd], Program]]:
        """Run two front ends with so many replicas, and a load balancer before them."""
        given = (
            *("--database", self.database.url(), "--store", self.store_url),
            *("--ray", self.address, "--ray-app", app),
            *("--ray-min-replicas", str(replicas), "--ray-max-replicas", str(replicas)),
            *("--ray-copies", str(self.folder / "copies")),
            *("--lease-seconds", str(LEASE), "--task-timeout", str(TIMEOUT)),
            *options,
        )
        fronts = [FrontEnd(self.folder / f"{app}-{row}", *given, module=module) for row in range(2)]
        before = balancer([front.port for front in fronts], self.folder)
        with ExitStack() as stack:
            for front in fronts:
                stack.callback(front.close)
            with ThreadPoolExecutor(len(fronts)) as threads:  # at once
                list(threads.map(FrontEnd.start, fronts))
            stack.callback(before.kill)
            before.start()
            yield fronts, before


@dataclass
class Scene:
    """What runs.

    Parameters
    ----------
    ground : Ground
        What front ends stand on.
    nodes : Nodes
        Of the Ray cluster.
    fronts : list of FrontEnd
        Two.
    balancer : Program
        Before them.
    keys : dict of str to str
        Key of each tenant.
    fallen : int
        How many front ends ended by themselves so far.
    """

    ground: Ground
    nodes: Nodes
    fronts: list[FrontEnd]
    balancer: Program
    keys: dict[str, str]
    fallen: int = 0

    def kills(self, rng: random.Random) -> dict[str, tuple[Deed, Deed]]:
        """Return how each part is killed, and started again."""
        front, database, store = rng.choice(self.fronts), self.ground.database, self.ground.store
        found: dict[str, tuple[Deed, Deed]] = {
            "front end": (front.kill, front.start),
            "replica": (lambda: self.nodes.kill_replica(rng), lambda: None),
            "worker node": (lambda: self.nodes.kill_worker(rng), self.nodes.start_worker),
            "head node": (self.nodes.kill_head, self.nodes.start_head),
            "PostgreSQL": (database.stop, database.start),
            "load balancer": (self.balancer.kill, self.balancer.start),
        }
        if store is not None:
            found["store"] = store.kill, store.start
        return found

    def supervise(self) -> bool:
        """Start front ends anew that have ended; return whether all are ready."""
        for front in self.fronts:
            if not front.is_alive:
                self.fallen += 1
                front.start()
        return all(front.is_ready() for front in self.fronts)

    def write_logs(self) -> None:
        """Stop front ends, and keep what they logged."""
        for row, front in enumerate(self.fronts):
            front.close()
            (self.ground.folder / f"front{row}.log").write_text("".join(front.lines))


@contextmanager
def scene(folder: Path, store: str, redis: bool = False) -> Iterator[Scene]:
    """Start all parts, and end them with the block.

    Parameters
    ----------
    folder : Path
        An empty one.
    store : str
        Its kind: ``s3`` or ``file``.
    redis : bool
        Whether Ray's state is in a Redis, which outlives the head.
    """
    programs = postgres.binaries()
    if programs is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    app = f"postproc{os.getpid()}"
    with ExitStack() as stack:
        server, url = _store(folder, store, stack)
        database = stack.enter_context(postgres.cluster(programs))
        if redis:
            _redis(folder, stack)
        cluster = stack.enter_context(nodes(_CORES))
        ground = Ground(folder, database, server, url, cluster.address)
        fronts, before = stack.enter_context(ground.serving(app, _REPLICAS, *_OPTIONS))
        keys = {"default": KEY, "stranger": _key(database.url())}
        yield Scene(ground, Nodes(cluster, app, redis), fronts, before, keys)


def _store(folder: Path, kind: str, stack: ExitStack) -> tuple[Program | None, str]:
    kept = folder / "store"
    kept.mkdir()
    if kind == "file":
        return None, f"file://{kept}"
    port = free_port()
    command = [sys.executable, "-m", "tests.service.cluster.s3", str(port), str(kept)]
    server = Program(command, port, folder / "s3.log")
    stack.callback(server.kill)
    server.start()
    # Nodes of the cluster and front ends inherit it.
    use_s3(stack.enter_context(pytest.MonkeyPatch.context()), server.url)
    return server, f"s3://{BUCKET}/files"


def _redis(folder: Path, stack: ExitStack) -> None:
    """Have nodes keep Ray's state in a Redis."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("Redis is not installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = Program(command, port, folder / "redis.log")
    stack.callback(server.kill)
    server.start()
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("RAY_REDIS_ADDRESS", f"127.0.0.1:{port}")


def _key(database: str) -> str:
    command = [sys.executable, "-m", "postproc.cli", "keys", "add", "stranger", "--database", database]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=_SECONDS)
    return made.stdout.strip()

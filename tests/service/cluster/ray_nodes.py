"""Nodes of a Ray cluster that die with all of their processes, and are started anew."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from tests.service.cluster.processes import descendants
from tests.service.waiting import wait_until

_PARAMETERS = "num_cpus", "node_ip_address", "object_store_memory", "temp_dir"
_MOST_STARTS = 3
_REPLICA_SECONDS = 60.0
_HEAD = "include_dashboard", "gcs_server_port", "dashboard_agent_listen_port"


class Nodes:
    """The nodes of a cluster, and the replicas on them.

    Parameters
    ----------
    cluster : Cluster
        Which runs.
    app : str
        The application of Ray Serve, whose name nobody else has on this machine.
    outlives_head : bool
        Whether the cluster's state outlives its head, so that the other nodes do.
    """

    def __init__(self, cluster: Cluster, app: str, outlives_head: bool = False) -> None:
        self._cluster, self._app, self._outlives_head = cluster, app, outlives_head
        self._workers = [_parameters(node, _PARAMETERS) for node in cluster.worker_nodes]
        self._head = _parameters(cluster.head_node, (*_PARAMETERS, *_HEAD))

    def kill_worker(self, rng: random.Random) -> None:
        """Kill a node that is not the head: its raylet, and with it whatever runs there."""
        node = rng.choice(sorted(self._cluster.worker_nodes, key=lambda node: node.unique_id))
        self._cluster.remove_node(node, allow_graceful=False)

    def start_worker(self) -> None:
        """Start as many nodes anew as are missing."""
        for given in self._workers[len(self._cluster.worker_nodes) :]:
            self._add(given)

    def kill_head(self) -> None:
        """Kill the head, with the cluster's state where that is in its memory alone."""
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)

    def start_head(self) -> None:
        """Start a head at the address of the former, and all nodes anew that cannot join it as they are.

        Ray's own nodes notice that after a minute without their head, and end.
        """
        if not self._outlives_head:
            for node in list(self._cluster.worker_nodes):
                self._cluster.remove_node(node, allow_graceful=False)
        self._add(self._head)
        self.start_worker()

    def _add(self, given: dict[str, Any]) -> None:
        """Start a node, once more where Ray gave up: a busy machine may not start one in its 30 s."""
        for left in reversed(range(_MOST_STARTS)):
            before = descendants(os.getpid())
            try:
                self._cluster.add_node(**given)
                return
            except Exception:
                for process in descendants(os.getpid()).keys() - before.keys():
                    os.kill(process, signal.SIGKILL)
                if not left:
                    raise

    def replicas(self) -> list[int]:
        """Return the processes of replicas."""
        name = f"ray::ServeReplica:{self._app}:".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(name):
                    found.append(int(path.parent.name))
            except OSError:  # it ended meanwhile
                continue
        return sorted(found)

    def kill_replica(self, rng: random.Random) -> None:
        """Kill one of the processes of replicas, once there is one."""
        wait_until(self.replicas, _REPLICA_SECONDS)
        os.kill(rng.choice(self.replicas()), signal.SIGKILL)


def _parameters(node: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(node._ray_params, name) for name in names}

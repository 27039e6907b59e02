"""Clients of some tenants, all of them the vendor's, who send images as long as they are told to."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests
from deepomatic.api.client import Client
from deepomatic.api.exceptions import BadStatus, HTTPRetryError, TaskError, TaskTimeout
from deepomatic.api.inputs import ImageInput

from tests.service.cluster.ledger import Ledger
from tests.service.vendor import IMAGE, check_same, expected, make_network, make_spec, make_version

T = TypeVar("T")

_SENDERS = 2  # of each tenant
_MOST_PENDING = 10  # tasks of a tenant, beyond which its senders wait
_PAUSE = 0.05, 0.15
_UPLOADS = 2.0, 4.0  # seconds between uploads
_MOST_VERSIONS = 3
_JOIN_SECONDS = 120


class Load:
    """Threads of clients.

    Each tenant has some that send images, and go on where they are refused; one that asks for tasks; and one
    user, whose client tries again by itself and waits for each result. The first uploads networks, too.

    Parameters
    ----------
    host : str
        The load balancer.
    keys : mapping of str to str
        Key of each tenant.
    ledger : Ledger
        Where they write down what they are told.
    """

    def __init__(self, host: str, keys: Mapping[str, str], ledger: Ledger, seed: int) -> None:
        self._host, self._keys, self._ledger = host, keys, ledger
        self._wanted = expected()
        self._stopping = threading.Event()
        self._versions = {tenant: [self._publish(self._client(tenant))] for tenant in keys}
        uploader = next(iter(keys))
        work: list[tuple[Callable[..., None], str]] = [(self._upload, uploader)]
        for tenant in keys:
            work += [(self._send, tenant)] * _SENDERS + [(self._watch, tenant), (self._use, tenant)]
        self._threads = [
            threading.Thread(target=self._work, args=(target, tenant, random.Random(seed + row)), daemon=True)
            for row, (target, tenant) in enumerate(work)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
            if thread.is_alive():
                self._ledger.complain("a client hangs")

    def _client(self, tenant: str, **options: Any) -> Client:
        return Client(api_key=self._keys[tenant], host=self._host, **options)

    def _publish(self, client: Client) -> int:
        return int(make_version(client, make_spec(client), make_network(client))["id"])

    def _work(self, target: Callable[..., None], tenant: str, rng: random.Random) -> None:
        options = {} if target == self._use else {"http_retry": None}
        client = self._client(tenant, **options)
        while not self._stopping.is_set():
            try:
                target(client, tenant, rng)
            except Exception as error:
                self._ledger.complain(f"{target.__name__}: {error!r}"[:1000])
                self._stopping.wait(0.5)

    def _ask(self, request: Callable[[], T]) -> T | None:
        """Return what a request returns; None where it is refused or gets no answer."""
        try:
            return request()
        except BadStatus as error:
            self._ledger.refuse(error.response)
        except requests.RequestException as error:
            self._ledger.count(f"no answer: {type(error).__name__}")
        self._stopping.wait(0.1)
        return None

    def _send(self, client: Client, tenant: str, rng: random.Random) -> None:
        if len(self._ledger.pending(tenant)) < _MOST_PENDING:
            version = client.RecognitionVersion.retrieve(rng.choice(self._versions[tenant]))
            inputs = [ImageInput(IMAGE, encoding="binary")]
            task = self._ask(lambda: version.inference(inputs=inputs, return_task=True, wait_task=False))
            if task is not None:
                self._ledger.promise(tenant, task.pk)
        self._stopping.wait(rng.uniform(*_PAUSE))

    def _watch(self, client: Client, tenant: str, rng: random.Random) -> None:
        pending = self._ledger.pending(tenant)[:100]
        if pending:
            for task in self._ask(lambda: list(client.Task.list(task_ids=pending))) or []:
                self._ledger.see(tenant, task.data())
        self._stopping.wait(rng.uniform(0.1, 0.3))

    def _use(self, client: Client, tenant: str, rng: random.Random) -> None:
        version = client.RecognitionVersion.retrieve(self._versions[tenant][0])
        try:
            task = version.inference(inputs=[ImageInput(IMAGE, encoding="binary")], return_task=True)
        except (HTTPRetryError, TaskTimeout, TaskError) as error:
            self._ledger.count(f"a user's {type(error).__name__}")
            return
        check_same(task["data"], self._wanted)
        self._ledger.promise(tenant, task.pk)
        self._ledger.see(tenant, task.data())
        self._ledger.count("a user's result")
        self._stopping.wait(rng.uniform(*_PAUSE))

    def _upload(self, client: Client, tenant: str, rng: random.Random) -> None:
        version = self._ask(lambda: self._publish(client))
        if version is not None:
            self._ledger.count("an upload")
            self._versions[tenant] = [*self._versions[tenant], version][-_MOST_VERSIONS:]
        self._stopping.wait(rng.uniform(*_UPLOADS))

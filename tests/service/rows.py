"""Rows of a database, for the tests of the stores."""

from __future__ import annotations

import uuid
from typing import Any

from postproc.service.store.database import Database
from postproc.service.store.networks import NetworkStore
from postproc.service.store.specs import SpecStore
from postproc.service.store.tables import Network, Spec, Version
from postproc.service.store.versions import VersionStore

TENANT, OTHER = "one", "other"


def add_network(database: Database, tenant: str = TENANT, **fields: Any) -> Network:
    given = {
        "name": "network",
        "description": "",
        "meta": {},
        "framework": "onnx",
        "preprocessing": {"inputs": []},
        "postprocessings": [],
        **fields,
    }
    return NetworkStore(database).add(tenant, given, uuid.uuid4().hex, {"inputs": [], "outputs": []})


def add_spec(database: Database, tenant: str = TENANT, **fields: Any) -> Spec:
    given = {"name": "spec", "description": "", "meta": {}, "outputs": [{"n": 1}], "extra": {}, **fields}
    return SpecStore(database).add(tenant, given)


def add_version(database: Database, spec: Spec, network: Network, **extra: Any) -> Version:
    return VersionStore(database).add(spec, network, [{"p": 1.0}], extra)

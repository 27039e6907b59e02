"""The objects of the API as JSON-ready dicts, made of the rows of the database."""

from __future__ import annotations

import json
from typing import Any

from postproc.service.reporting import Kept
from postproc.service.store.versions import NamedVersion
from postproc.service.tables import PENDING, Network, Spec, Task


def network_document(network: Network) -> dict[str, Any]:
    """Return a network."""
    return {
        "id": network.id,
        "name": network.name,
        "description": network.description,
        "metadata": network.meta,
        "framework": network.framework,
        "preprocessing": network.preprocessing,
        "postprocessings": network.postprocessings,
        "task_id": network.task_id,
        "create_date": network.create_date,
        "update_date": network.update_date,
    }


def spec_document(spec: Spec, with_outputs: bool = True) -> dict[str, Any]:
    """Return a spec; in lists without its outputs."""
    document = {
        **spec.extra,
        "id": spec.id,
        "name": spec.name,
        "description": spec.description,
        "metadata": spec.meta,
        "task_id": spec.task_id,
        "create_date": spec.create_date,
        "update_date": spec.update_date,
        "current_version_id": spec.current_version_id,
    }
    if with_outputs:
        document["outputs"] = spec.outputs
    return document


def version_document(named: NamedVersion, with_post_processings: bool = True) -> dict[str, Any]:
    """Return a version; in lists without its post-processings."""
    version = named.version
    document = {
        **version.extra,
        "id": version.id,
        "spec_id": version.spec_id,
        "spec_name": named.spec_name,
        "network_id": named.public_network or version.network_id,
        "network_name": named.network_name,
        "update_date": version.update_date,
    }
    if with_post_processings:
        document["post_processings"] = version.post_processings
    return document


def task_document(task: Task, kept: Kept | None = None) -> dict[str, Any]:
    """Return a task, with its outcome that waits to be written if the row has none yet."""
    status, error, data, date = task.status, task.error, task.data, task.date_updated
    if kept is not None and status == PENDING:
        status, error, data, date = kept.status, kept.error, kept.data, kept.date
    return {
        "id": task.id,
        "status": status,
        "error": error,
        "date_created": task.date_created,
        "date_updated": date,
        "data": None if data is None else json.loads(data),
        "subtasks": None,
    }

"""The objects of the API as JSON-ready dicts, made of the rows of the database."""

from __future__ import annotations

import json
from typing import Any

from postproc.service.store.versions import NamedVersion
from postproc.service.tables import Network, Spec, Task


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
        "network_id": version.network_id,
        "network_name": named.network_name,
        "update_date": version.update_date,
    }
    if with_post_processings:
        document["post_processings"] = version.post_processings
    return document


def task_document(task: Task) -> dict[str, Any]:
    """Return a task."""
    return {
        "id": task.id,
        "status": task.status,
        "error": task.error,
        "date_created": task.date_created,
        "date_updated": task.date_updated,
        "data": None if task.data is None else json.loads(task.data),
        "subtasks": None,
    }

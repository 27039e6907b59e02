"""The objects of the API as JSON-ready dicts, made of the rows of the database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from postproc.service.http.responses import json_text
from postproc.service.store.reporting import Kept
from postproc.service.store.tables import PENDING, Network, Spec
from postproc.service.store.tasks import TaskRow
from postproc.service.store.versions import NamedVersion


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


def task_texts(row: TaskRow, data: str | None) -> tuple[str, str, str]:
    """Return a task as JSON: what comes before its result, that, and what comes after."""
    text = json_text(
        {
            "id": row.id,
            "status": row.status,
            "error": row.error,
            "date_created": row.date_created,
            "date_updated": row.date_updated,
        }
    )
    return f'{text[:-1]},"data":', data or "null", ',"subtasks":null}'


def with_kept(row: TaskRow, kept: Kept | None) -> TaskRow:
    """Return a task with its outcome that waits to be written, if the row has none yet."""
    if kept is None or row.status != PENDING:
        return row
    return replace(row, status=kept.status, error=kept.error, date_updated=kept.date, size=kept.size)

"""Links of the OpenAPI document: which id of an answer goes where in the next request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_ID = "$response.body#/id"
_TASK = "$response.body#/task_id"

_RUNS = ("run_network", "run_spec", "run_version", "run_public_spec", "run_public_network")
_OF_A_NETWORK = (
    *("read_network", "update_network", "replace_network", "delete_network"),
    *("run_network", "resume_network"),
)
_OF_A_SPEC = ("read_spec", "update_spec", "replace_spec", "list_versions_of_spec", "run_spec", "delete_spec")
_OF_A_VERSION = ("read_version", "run_version", "delete_version")


def response_links() -> dict[str, dict[str, Any]]:
    """Return the links of each operation's good answer, by its operationId."""
    new_version = {"operationId": "create_version"}
    return {
        "create_network": {
            **_links(_OF_A_NETWORK, "path.network_id", _ID),
            "create_version": {**new_version, "description": "The `id` is the `network_id` of a version."},
        },
        "create_spec": {
            **_links(_OF_A_SPEC, "path.spec_id", _ID),
            "create_version": {**new_version, "description": "The `id` is the `spec_id` of a version."},
        },
        "create_version": {
            **_links(_OF_A_VERSION, "path.version_id", _ID),
            **_links(("run_spec",), "path.spec_id", "$response.body#/spec_id"),
        },
        **{
            name: {
                **_links(("read_task",), "path.task_id", _TASK),
                **_links(("list_tasks",), "query.task_ids", _TASK),
            }
            for name in _RUNS
        },
    }


def _links(operations: Iterable[str], parameter: str, expression: str) -> dict[str, Any]:
    return {name: {"operationId": name, "parameters": {parameter: expression}} for name in operations}

"""What a PATCH or a PUT changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from postproc.service.errors import InputError

READ_ONLY = ("id", "task_id", "create_date", "update_date", "spec_name", "network_name")


def changes_of(
    body: Mapping[str, Any],
    stored: Mapping[str, Any],
    immutable: Collection[str],
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the fields that a body changes.

    Read-only fields are passed over, so that an object may be sent back as it was read.

    Parameters
    ----------
    body : mapping
        What was sent.
    stored : mapping
        The object as it is.
    immutable : collection of str
        Fields that may be sent, but not changed.
    defaults : mapping
        What fields become that are left out: empty for a PATCH.

    Raises
    ------
    ApiError
        A 400 if an immutable field is another.
    """
    for name in immutable:
        if name in body and body[name] != stored[name]:
            raise InputError(name, "cannot be changed; leave it out, or make a new object")
    sent = {name: value for name, value in body.items() if name not in (*READ_ONLY, *immutable)}
    return {**defaults, **sent}

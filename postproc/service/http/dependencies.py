"""What routes ask for in their signatures."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyHeader
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from postproc.service.errors import ApiError, RefusedError
from postproc.service.http.bodies import BodyReader, json_object
from postproc.service.http.forms import FormReader
from postproc.service.services import Services
from postproc.service.store.tables import LARGEST_ID

_DIGITS = re.compile(r"-?[0-9]+")
_UPLOAD_SECONDS = 10.0  # after which an upload that was refused should come again

_header = APIKeyHeader(
    name="X-API-KEY", auto_error=False, description="As `postproc keys add` prints it.", scheme_name="key"
)


def _digits(value: Any) -> Any:
    """Refuse what pydantic takes for an integer beside its digits: ``1_0``, ``1.0``, spaces, a plus."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise PydanticCustomError("int_parsing", "expected an integer in decimal digits")
    return value


# In an annotation it stands behind the bounds: pydantic leaves bounds behind it out of the JSON Schema.
DIGITS = BeforeValidator(_digits)
Id = Annotated[int, Path(ge=1, le=LARGEST_ID), DIGITS]


async def _services(request: Request) -> Services:  # async: FastAPI runs the others in threads
    return cast(Services, request.app.state.services)


AllServices = Annotated[Services, Depends(_services)]


async def _body_reader(request: Request) -> BodyReader:
    return cast(BodyReader, request.app.state.bodies)


Bodies = Annotated[BodyReader, Depends(_body_reader)]


async def _tenant(
    request: Request, services: AllServices, key: Annotated[str | None, Security(_header)]
) -> str:
    tenant = None if key is None else await services.tenant_of(key)
    if tenant is None:
        found = "there is none" if key is None else "the one that came is not known"
        raise ApiError(
            401,
            f"expected a valid key in the header X-API-KEY; {found}",
            headers={"WWW-Authenticate": 'APIKey realm="postproc"'},
        )
    request.state.tenant = tenant
    request.state.place.move_to(tenant)
    return tenant


Tenant = Annotated[str, Depends(_tenant)]


async def _document(
    request: Request, services: AllServices, bodies: Bodies, tenant: Tenant
) -> AsyncIterator[dict[str, Any]]:
    async with bodies.in_memory(request, tenant, services.settings.max_document, False) as body:
        yield await services.run(tenant, json_object, body.content or b"")


JsonObject = Annotated[dict[str, Any], Depends(_document)]


@dataclass(frozen=True)
class StagedForm:
    """A form whose files are on the disk, in a folder that is removed unless it is published."""

    form: FormReader
    folder: FilePath


async def _upload(
    request: Request, services: AllServices, bodies: Bodies, tenant: Tenant
) -> AsyncIterator[StagedForm]:
    if not services.uploads.take(tenant):
        raise RefusedError(
            "too many networks, yours or all, are being uploaded or wait for their check; send this one "
            "again later",
            "uploads",
            _UPLOAD_SECONDS,
        )
    run = partial(services.run, tenant)
    try:
        folder = await run(services.folders.stage)
        try:
            async with bodies.on_disk(request, folder, run) as form:
                yield StagedForm(form, folder)
        finally:
            await run(services.folders.discard, folder)
    finally:
        services.uploads.give_back(tenant)


Uploaded = Annotated[StagedForm, Depends(_upload)]

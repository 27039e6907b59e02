"""Recognition specs: what is recognised."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from postproc.errors import SchemaError
from postproc.schema import RecognitionSpec
from postproc.service.errors import ApiError, InputError, wrong_document
from postproc.service.http.changes import READ_ONLY, changes_of
from postproc.service.http.dependencies import AllServices, Id, JsonObject, Tenant
from postproc.service.http.inference import INFERENCE_ROUTE, Inference
from postproc.service.http.openapi import errors, takes
from postproc.service.http.pagination import PagedById
from postproc.service.http.response_models import Listing, SpecAnswer, SpecRow, VersionRow
from postproc.service.http.responses import Json
from postproc.service.http.routing import TenantRoute
from postproc.service.http.streaming import list_rows
from postproc.service.store.tables import LARGEST_ID, as_columns
from postproc.service.work import TargetName

router = APIRouter(prefix="/v0.7/recognition/specs", tags=["recognition specs"], route_class=TenantRoute)

_GIVEN = ("name", "description", "metadata", "outputs")
_KNOWN = (*_GIVEN, "current_version_id")


@router.post(
    "",
    status_code=201,
    response_model=SpecAnswer,
    responses=errors(body=True),
    openapi_extra=takes(json="RecognitionSpec"),
)
def create_spec(services: AllServices, tenant: Tenant, document: JsonObject) -> Json:
    """Make a recognition spec. Its first version becomes its current one."""
    spec = _checked({**document, "id": None})
    fields = {**as_columns(spec, _GIVEN), "extra": _extra(document)}
    return Json(SpecAnswer.document(services.specs.add(tenant, fields)), 201)


@router.get("", response_model=Listing[SpecRow], responses=errors())
async def list_specs(services: AllServices, tenant: Tenant, page: PagedById) -> Response:
    """List the specs without their outputs, the oldest first."""
    return await list_rows(services, tenant, page, services.specs, SpecRow.document)


@router.get("/{spec_id}", response_model=SpecAnswer, responses=errors(404))
def read_spec(services: AllServices, tenant: Tenant, spec_id: Id) -> Json:
    """Read a spec."""
    return Json(SpecAnswer.document(services.specs.get(tenant, spec_id)))


@router.patch(
    "/{spec_id}",
    response_model=SpecAnswer,
    responses=errors(404, body=True),
    openapi_extra=takes(json="SpecChanges"),
)
def update_spec(services: AllServices, tenant: Tenant, spec_id: Id, document: JsonObject) -> Json:
    """Change the name, the description, the metadata or the current version of a spec."""
    return _update(services, tenant, spec_id, document, {})


@router.put(
    "/{spec_id}",
    response_model=SpecAnswer,
    responses=errors(404, body=True),
    openapi_extra=takes(json="SpecChanges"),
)
def replace_spec(services: AllServices, tenant: Tenant, spec_id: Id, document: JsonObject) -> Json:
    """Change a spec: a description or metadata that is left out becomes empty."""
    return _update(services, tenant, spec_id, document, {"description": "", "metadata": {}})


@router.delete("/{spec_id}", status_code=204, response_model=None, responses=errors(404))
def delete_spec(services: AllServices, tenant: Tenant, spec_id: Id) -> None:
    """Delete a spec and its versions; tasks that are under way finish."""
    services.specs.remove(tenant, spec_id)


@router.get("/{spec_id}/versions", response_model=Listing[VersionRow], responses=errors(404))
async def list_versions_of_spec(
    services: AllServices, tenant: Tenant, spec_id: Id, page: PagedById
) -> Response:
    """List the versions of a spec without their post-processings, the oldest first."""
    return await list_rows(services, tenant, page, services.versions, VersionRow.document, spec_id=spec_id)


@router.post(
    "/{spec_id}/inference",
    responses=errors(404, 409, body=True),
    **INFERENCE_ROUTE,
)
async def run_spec(services: AllServices, tenant: Tenant, spec_id: Id, inference: Inference) -> Json:
    """Recognise things in images with the current version of a spec."""
    spec = await services.run(tenant, services.specs.get, tenant, spec_id)
    current = spec.current_version_id
    if current is None:
        raise ApiError(409, f"spec {spec_id} has no current version: make one, or set current_version_id")
    return await inference.answer(TargetName("version", current))


def _update(
    services: AllServices, tenant: str, spec_id: int, document: dict[str, Any], defaults: dict[str, Any]
) -> Json:
    spec = services.specs.get(tenant, spec_id)
    stored = SpecAnswer.document(spec)
    changes = changes_of(document, stored, ("outputs",), defaults)
    _checked({**stored, **changes})
    current = changes.get("current_version_id")
    if current is not None and not (isinstance(current, int) and 1 <= current <= LARGEST_ID):
        raise InputError("current_version_id", "expected the id of a version of this spec, an integer")
    kept = as_columns(changes, _KNOWN)
    extra = _extra(changes)
    kept["extra"] = extra if defaults else {**spec.extra, **extra}
    return Json(SpecAnswer.document(services.specs.update(tenant, spec_id, kept)))


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    try:
        return RecognitionSpec.load(document).dump(defaults=True)
    except SchemaError as error:
        raise wrong_document(error) from None


def _extra(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in (*_KNOWN, *READ_ONLY)}

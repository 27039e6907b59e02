"""Networks: their upload, and what lies on the disk of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter, Request, Response

from postproc.errors import SchemaError
from postproc.schema.problems import closest, path_of
from postproc.service.errors import InputError, wrong_document
from postproc.service.http.changes import changes_of
from postproc.service.http.dependencies import AllServices, Id, JsonObject, Tenant, Uploaded
from postproc.service.http.disconnects import while_connected
from postproc.service.http.inference import INFERENCE_ROUTE, Inference
from postproc.service.http.openapi import errors, takes
from postproc.service.http.pagination import PagedById
from postproc.service.http.request_models import NetworkFields
from postproc.service.http.response_models import Listing, NetworkAnswer
from postproc.service.http.responses import Json
from postproc.service.http.routing import TenantRoute
from postproc.service.http.streaming import list_rows
from postproc.service.http.uploads import Upload, read_upload
from postproc.service.model_check.check import ModelReport
from postproc.service.services import Services
from postproc.service.store.tables import as_columns
from postproc.service.work import TargetName

router = APIRouter(prefix="/v0.7/networks", tags=["networks"], route_class=TenantRoute)

_IMMUTABLE = ("framework", "preprocessing", "postprocessings")


@router.post(
    "",
    status_code=201,
    response_model=NetworkAnswer,
    responses=errors(409, body=True),
    openapi_extra=takes(form="NetworkUpload"),
)
async def create_network(request: Request, services: AllServices, tenant: Tenant, uploaded: Uploaded) -> Json:
    """Upload a network.

    Exactly one part is the ONNX file, under any name; a file that the preprocessing names is a part of that
    name. The preprocessing is one part of JSON, or flattened, `preprocessing.inputs[0]image.target_size`.
    The network is checked before it is kept.
    """
    upload = await services.run(
        tenant,
        read_upload,
        uploaded.form,
        uploaded.folder,
        services.folders,
        services.settings.max_document,
    )
    report = await while_connected(
        request.receive,
        services.checks.check(tenant, upload.model, upload.fields.preprocessing, upload.folder),
    )
    return await services.run(tenant, _publish, services, tenant, upload, report)


@router.get("", response_model=Listing[NetworkAnswer], responses=errors())
async def list_networks(services: AllServices, tenant: Tenant, page: PagedById) -> Response:
    """List the networks, the oldest first."""
    return await list_rows(services, tenant, page, services.networks, NetworkAnswer.document)


@router.get("/{network_id}", response_model=NetworkAnswer, responses=errors(404))
def read_network(services: AllServices, tenant: Tenant, network_id: Id) -> Json:
    """Read a network."""
    return Json(NetworkAnswer.document(services.networks.get(tenant, network_id)))


@router.patch(
    "/{network_id}",
    response_model=NetworkAnswer,
    responses=errors(404, body=True),
    openapi_extra=takes(json="NetworkChanges"),
)
def update_network(services: AllServices, tenant: Tenant, network_id: Id, document: JsonObject) -> Json:
    """Change the name, the description or the metadata of a network."""
    return _update(services, tenant, network_id, document, {})


@router.put(
    "/{network_id}",
    response_model=NetworkAnswer,
    responses=errors(404, body=True),
    openapi_extra=takes(json="NetworkChanges"),
)
def replace_network(services: AllServices, tenant: Tenant, network_id: Id, document: JsonObject) -> Json:
    """Change a network: a description or metadata that is left out becomes empty."""
    return _update(services, tenant, network_id, document, {"description": "", "metadata": {}})


@router.delete("/{network_id}", status_code=204, response_model=None, responses=errors(404))
def delete_network(services: AllServices, tenant: Tenant, network_id: Id) -> None:
    """Delete a network and its versions; tasks that wait for it end in error."""
    folder = services.networks.get(tenant, network_id).folder
    services.folders.mark(folder)
    try:
        services.networks.remove(tenant, network_id)
    except BaseException:
        if folder in services.networks.folders():
            services.folders.settle(folder)
        raise
    services.engine.forget_network(network_id)
    services.folders.remove(folder)


@router.post(
    "/{network_id}/inference",
    responses=errors(404, body=True),
    **INFERENCE_ROUTE,
)
async def run_network(services: AllServices, tenant: Tenant, network_id: Id, inference: Inference) -> Json:
    """Run a network alone: the result is its tensors."""
    return await inference.answer(TargetName("network", network_id))


@router.post("/{network_id}/resume", status_code=204, response_model=None, responses=errors(404))
def resume_network(services: AllServices, tenant: Tenant, network_id: Id) -> None:
    """Let a network run again that is held back since three of its calls in a row hung or crashed."""
    services.resume(services.networks.get(tenant, network_id).id)


def _publish(services: Services, tenant: str, upload: Upload, report: ModelReport) -> Json:
    folders = services.folders
    folder = folders.publish(upload.staged)
    kept = as_columns(upload.fields.dump(defaults=True), NetworkFields.model_fields)
    kept["preprocessing"] = upload.fields.preprocessing.dump()
    try:
        network = services.networks.add(
            tenant, kept, folder, dataclasses.asdict(report), folders.entries(folder)
        )
    except BaseException:
        # Where the database does not tell, the row may be there: the files stay for the next start.
        if folder not in services.networks.folders():
            folders.set_aside(folder)
        raise
    folders.settle(folder)
    return Json(NetworkAnswer.document(network), 201)


def _update(
    services: AllServices, tenant: str, network_id: int, document: dict[str, Any], defaults: dict[str, Any]
) -> Json:
    stored = NetworkAnswer.document(services.networks.get(tenant, network_id))
    for name in document:
        if name not in stored:
            raise InputError(path_of((name,)), f"unknown field; {closest(name, stored)}")
    changes = changes_of(document, stored, _IMMUTABLE, defaults)
    try:
        NetworkFields.load({**stored, **changes})
    except SchemaError as error:
        raise wrong_document(error) from None
    kept = as_columns(changes, NetworkFields.model_fields)
    return Json(NetworkAnswer.document(services.networks.update(tenant, network_id, kept)))

"""The public specs and networks, which every tenant may read and run: those of `postproc demo`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from postproc.service.http.dependencies import AllServices, Tenant
from postproc.service.http.inference import INFERENCE_ROUTE, Inference
from postproc.service.http.openapi import errors
from postproc.service.http.pagination import Paged
from postproc.service.http.response_models import (
    Listing,
    NetworkAnswer,
    SpecAnswer,
    SpecRow,
    VersionRow,
)
from postproc.service.http.responses import Json
from postproc.service.http.routing import TenantRoute
from postproc.service.work import TargetName

router = APIRouter(prefix="/v0.7", tags=["public"], route_class=TenantRoute)

Name = Annotated[str, Path(description="Of a public spec or network.", examples=["digits-yolo"])]


@router.get("/recognition/public", response_model=Listing[SpecRow], responses=errors())
def list_public_specs(services: AllServices, tenant: Tenant, page: Paged) -> Json:
    """List the public specs without their outputs."""
    rows = [
        {name: value for name, value in model.spec.items() if name != "outputs"}
        for model in services.public.values()
    ]
    return Json(page.answer(rows))


@router.get("/recognition/public/{name}", response_model=SpecAnswer, responses=errors(404))
def read_public_spec(services: AllServices, tenant: Tenant, name: Name) -> Json:
    """Read a public spec."""
    return Json(services.public_model(name).spec)


@router.get("/recognition/public/{name}/versions", response_model=Listing[VersionRow], responses=errors(404))
def list_versions_of_public_spec(services: AllServices, tenant: Tenant, name: Name, page: Paged) -> Json:
    """List the one version of a public spec."""
    version = services.public_model(name).version
    rows = [{key: value for key, value in version.items() if key != "post_processings"}]
    return Json(page.answer(rows))


@router.post(
    "/recognition/public/{name}/inference",
    responses=errors(404, body=True),
    **INFERENCE_ROUTE,
)
async def run_public_spec(services: AllServices, tenant: Tenant, name: Name, inference: Inference) -> Json:
    """Recognise things in images with a public spec."""
    return await inference.answer(TargetName("version", name))


@router.get("/networks/public", response_model=Listing[NetworkAnswer], responses=errors())
def list_public_networks(services: AllServices, tenant: Tenant, page: Paged) -> Json:
    """List the public networks."""
    rows = [model.network for model in services.public.values()]
    return Json(page.answer(rows))


@router.get("/networks/public/{name}", response_model=NetworkAnswer, responses=errors(404))
def read_public_network(services: AllServices, tenant: Tenant, name: Name) -> Json:
    """Read a public network."""
    return Json(services.public_model(name).network)


@router.post(
    "/networks/public/{name}/inference",
    responses=errors(404, body=True),
    **INFERENCE_ROUTE,
)
async def run_public_network(services: AllServices, tenant: Tenant, name: Name, inference: Inference) -> Json:
    """Run a public network alone: the result is its tensors."""
    return await inference.answer(TargetName("network", name))


@router.post("/networks/public/{name}/resume", status_code=204, response_model=None, responses=errors(404))
def resume_public_network(services: AllServices, tenant: Tenant, name: Name) -> None:
    """Let a public network run again that is held back since three of its calls in a row hung or crashed."""
    services.resume(services.public_model(name).name)

"""Whose key it is."""

from __future__ import annotations

from fastapi import APIRouter

from postproc.service.http.dependencies import Tenant
from postproc.service.http.openapi import errors
from postproc.service.http.response_models import Account
from postproc.service.http.responses import Json

router = APIRouter(prefix="/v0.7/accounts", tags=["account"])


@router.get("/me", response_model=Account, responses=errors())
async def read_account(tenant: Tenant) -> Json:
    """Read whose key this is."""
    return Json({"name": tenant})

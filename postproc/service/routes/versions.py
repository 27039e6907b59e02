"""Recognition versions: how one network recognises what a spec describes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from postproc.errors import SchemaError, SchemaProblem
from postproc.onnx_runner.inputs import match_name
from postproc.pipeline import PostProcessor
from postproc.schema import RecognitionSpec, RecognitionVersion, check_pair
from postproc.schema.problems import closest, first_of, path_of
from postproc.service.errors import ApiError, InputError, not_found, wrong_document
from postproc.service.http.changes import READ_ONLY
from postproc.service.http.dependencies import AllServices, JsonObject, Tenant
from postproc.service.http.inference import INFERENCE_ROUTE, Inference
from postproc.service.http.openapi import errors, takes
from postproc.service.http.pagination import PagedById
from postproc.service.http.request_models import NetworkFields
from postproc.service.http.response_models import Listing, VersionAnswer, VersionRow
from postproc.service.http.responses import Json
from postproc.service.http.routing import TenantRoute
from postproc.service.http.streaming import list_rows
from postproc.service.store.tables import LARGEST_ID, Network, Spec, as_columns
from postproc.service.store.versions import NamedVersion
from postproc.service.work import TargetName

router = APIRouter(
    prefix="/v0.7/recognition/versions", tags=["recognition versions"], route_class=TenantRoute
)

_NEEDED = ("spec_id", "network_id", "post_processings")

VersionId = Annotated[
    str, Path(description="An integer, or the text of a public version.", examples=["digits-yolo"])
]


@router.post(
    "",
    status_code=201,
    response_model=VersionAnswer,
    responses=errors(409, body=True),
    openapi_extra=takes(json="NewVersion"),
)
def create_version(services: AllServices, tenant: Tenant, document: JsonObject) -> Json:
    """Make a version: checked against its spec, and for the tensors that its network has.

    The network is one of yours, or a public one by its text.
    """
    version = _checked(document)
    public_specs = "a public spec takes no further versions: make a spec with its outputs"
    spec = _parent(services.specs, tenant, document, "spec", public_specs)
    network = _network(services, tenant, document)
    post = _check_parents(spec, network, version)
    extra = {name: value for name, value in document.items() if name not in (*_NEEDED, *READ_ONLY)}
    row = services.versions.add(spec, network, version.dump()["post_processings"], extra)
    services.engine.warm([post])
    return Json(VersionAnswer.document(NamedVersion(row, spec.name, network.name, network.public_id)), 201)


@router.get("", response_model=Listing[VersionRow], responses=errors())
async def list_versions(services: AllServices, tenant: Tenant, page: PagedById) -> Response:
    """List the versions without their post-processings, the oldest first."""
    return await list_rows(services, tenant, page, services.versions, VersionRow.document)


@router.get("/{version_id}", response_model=VersionAnswer, responses=errors(404))
def read_version(services: AllServices, tenant: Tenant, version_id: VersionId) -> Json:
    """Read a version."""
    if version_id in services.public:
        return Json(services.public[version_id].version)
    return Json(VersionAnswer.document(services.versions.get(tenant, _number(version_id))))


@router.delete("/{version_id}", status_code=204, response_model=None, responses=errors(403, 404))
def delete_version(services: AllServices, tenant: Tenant, version_id: VersionId) -> None:
    """Delete a version for good; tasks that are under way finish."""
    if version_id in services.public:
        raise ApiError(403, f"version {version_id} is public, and cannot be deleted")
    services.versions.remove(tenant, _number(version_id))


@router.post(
    "/{version_id}/inference",
    responses=errors(404, body=True),
    **INFERENCE_ROUTE,
)
async def run_version(
    services: AllServices, tenant: Tenant, version_id: VersionId, inference: Inference
) -> Json:
    """Recognise things in images: the result is that of the task."""
    is_public = version_id in services.public
    return await inference.answer(TargetName("version", version_id if is_public else _number(version_id)))


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    if not 1 <= number <= LARGEST_ID:
        raise not_found("version", repr(text))
    return number


def _checked(document: Mapping[str, Any]) -> RecognitionVersion:
    missing = [
        SchemaProblem(name, "required field is missing; add it")
        for name in _NEEDED
        if document.get(name) is None
    ]
    try:
        version = RecognitionVersion.load({**document, "id": None})
    except SchemaError as error:
        raise wrong_document(SchemaError(*missing, *error.errors)) from None
    if missing:
        raise wrong_document(SchemaError(*missing))
    return version


def _network(services: AllServices, tenant: str, document: Mapping[str, Any]) -> Network:
    """Return the network of a new version, the tenant's or a public one."""
    public = services.public.get(document["network_id"])
    if public is None:
        names = f"public ones are {', '.join(services.public)}"
        network: Network = _parent(services.networks, tenant, document, "network", names)
        return network
    fields = as_columns(public.network, NetworkFields.model_fields)
    return services.networks.public(public.name, fields, public.report)


def _parent(store: Any, tenant: str, document: Mapping[str, Any], kind: str, of_public: str) -> Any:
    """Return the spec or the network of a new version; a 400, since the path of the request is right."""
    identifier = document[f"{kind}_id"]
    if not isinstance(identifier, int) or not 1 <= identifier <= LARGEST_ID:
        raise InputError(
            f"{kind}_id",
            f"expected the id of a {kind} of yours, an integer, got {identifier!r}; {of_public}",
        )
    try:
        return store.get(tenant, identifier)
    except ApiError as error:
        raise InputError(f"{kind}_id", error.message) from None


def _check_parents(spec: Spec, network: Network, version: RecognitionVersion) -> PostProcessor:
    """Check that a version fits its spec, and that its network has the tensors that it names."""
    described = RecognitionSpec.load({"outputs": spec.outputs})
    try:
        check_pair(described, version)
        post = PostProcessor(described, version.dump())
    except SchemaError as error:
        raise wrong_document(error) from None
    known = dict.fromkeys(tensor["name"] for kind in ("outputs", "inputs") for tensor in network.report[kind])
    missing = {name for name in post.tensor_names if match_name(name, known) is None}
    problems = (
        SchemaProblem(path_of(path), f"the network has no tensor {name!r}; {closest(name, known)}")
        for path, name in _places_of(missing, version.dump()["post_processings"], ("post_processings",))
    )
    if listed := first_of(problems, partial(SchemaProblem, "")):
        raise wrong_document(SchemaError(*listed))
    return post


def _places_of(
    texts: Collection[str], value: Any, path: tuple[int | str, ...]
) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield the paths at which one of these texts stands in a document, and the text."""
    if isinstance(value, str):
        if value in texts:
            yield path, value
    elif isinstance(value, (dict, list)):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places_of(texts, item, (*path, step))

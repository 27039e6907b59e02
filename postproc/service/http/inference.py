"""From the body of an inference request to a queued task."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from postproc.errors import SchemaError
from postproc.pipeline import PostProcessor
from postproc.schema import Preprocessing
from postproc.schema.problems import path_of
from postproc.service.errors import InputError, wrong_document
from postproc.service.http.bodies import Body, json_object
from postproc.service.http.dependencies import AllServices, Bodies, Tenant
from postproc.service.http.disconnects import while_connected
from postproc.service.http.form_values import restore
from postproc.service.http.forms import nested, split_name
from postproc.service.http.openapi import takes
from postproc.service.http.request_models import InferenceOptions, InferenceRequest
from postproc.service.http.response_models import Started
from postproc.service.http.responses import Json
from postproc.service.services import Services
from postproc.service.store.tables import Network
from postproc.service.work import FAILED, NetworkFiles, Outcome, Work

# What the decorators of routes that run something share.
INFERENCE_ROUTE: dict[str, Any] = {
    "status_code": 201,
    "response_model": Started,
    "openapi_extra": takes(json="InferenceRequest", form="InferenceForm"),
}


@dataclass(frozen=True)
class Target:
    """What runs on the inputs of a request."""

    network: NetworkFiles
    post: PostProcessor | None
    key: Hashable


async def start_inference(
    services: Services, request: Request, tenant: str, find: Callable[[], Target], body: Body
) -> dict[str, Any]:
    """Queue a task and return what the client is told of it.

    The inputs are decoded here, so that a broken image is told at once; the row is written before the
    task can run, and the task runs after the row is safe.

    Parameters
    ----------
    services : Services
        Of the service.
    request : Request
        Whose images are decoded as long as its client waits for it.
    tenant : str
        Whose request it is.
    find : callable
        Gives what runs, or raises a 404; called in a thread.
    body : Body
        Of the request.

    Raises
    ------
    ApiError
        A 400 that names the input that is wrong, or a 503 if too many tasks or results wait.
    """
    target, options, opened = await services.run(tenant, _open, services, tenant, find, body)
    inputs = await while_connected(request.receive, services.engine.prepare(tenant, opened))
    # Without waiting in between, so that what was decoded counts all the time.
    ticket = services.engine.reserve(inputs, tenant)
    work = Work(
        target.network,
        target.post,
        target.key,
        inputs,
        options.show_discarded,
        options.max_predictions,
        tenant,
    )
    submission = _Submission(services, tenant, work, ticket)
    try:
        return {"task_id": await services.run(tenant, submission)}
    except BaseException:
        submission.give_up()
        raise


def _open(
    services: Services, tenant: str, find: Callable[[], Target], body: Body
) -> tuple[Target, InferenceOptions, Any]:
    target = find()
    document = _read(body)
    try:
        options = InferenceOptions.load(document)
    except SchemaError as error:
        raise wrong_document(error) from None
    services.reporter.admit(tenant)
    return target, options, services.engine.open(target.network, list(options.inputs))


class _Submission:
    """Writes the row of a task and queues it, in a thread.

    A thread that has begun goes on where its request is cancelled, and one that has not may still begin.
    """

    def __init__(self, services: Services, tenant: str, work: Work, ticket: Any) -> None:
        self._services, self._tenant, self._work, self._ticket = services, tenant, work, ticket
        self._claim = threading.Lock()  # of whoever answers for the ticket; never released

    def __call__(self) -> int:
        """Return the id of the task."""
        if not self._claim.acquire(blocking=False):
            return 0  # the request was cancelled before, and nobody waits for it
        services = self._services
        try:
            task_id = services.tasks.add(self._tenant)
        except BaseException:
            self._ticket.release()
            raise
        try:
            services.engine.submit(task_id, self._work, self._ticket)
        except BaseException:
            self._ticket.release()
            services.reporter.put([Outcome(task_id, None, FAILED, self._tenant)])
            raise
        return task_id

    def give_up(self) -> None:
        """Release the ticket, unless the thread has begun, which then answers for it."""
        if self._claim.acquire(blocking=False):
            self._ticket.release()


@dataclass(frozen=True)
class InferenceCall:
    """The request of a route that runs something on images."""

    services: Services
    request: Request
    tenant: str
    body: Body

    async def answer(self, find: Callable[[], Target]) -> Json:
        """Queue a task, see `start_inference`, and answer with its id."""
        started = await start_inference(self.services, self.request, self.tenant, find, self.body)
        return Json(started, 201)


async def _inference(
    request: Request, services: AllServices, bodies: Bodies, tenant: Tenant
) -> AsyncIterator[InferenceCall]:
    async with bodies.in_memory(request, tenant, services.settings.max_body, True) as body:
        yield InferenceCall(services, request, tenant, body)


Inference = Annotated[InferenceCall, Depends(_inference)]


def version_target(services: Services, tenant: str, version_id: int) -> Target:
    """Return what runs for a version of a tenant, or raise a 404."""
    network = services.versions.network_of(tenant, version_id)
    post = services.post_processor(tenant, version_id)
    return Target(network_files(services, network), post, version_id)


def network_target(services: Services, network: Network) -> Target:
    """Return what runs for a network alone."""
    return Target(network_files(services, network), None, "tensors")


def network_files(services: Services, network: Network) -> NetworkFiles:
    """Return where a network lies, or raise a 404 for a public one that this release does not have."""
    if network.public_id is not None:
        return services.public_model(network.public_id).files
    return NetworkFiles(
        network.id,
        services.folders.folder(network.folder),
        services.folders.model(network.folder),
        Preprocessing.load(network.preprocessing),
    )


def _read(body: Body) -> dict[str, Any]:
    """Return the document of a body; the content of a form's file stands where base64 would."""
    if body.form is None:
        return json_object(body.content or b"")
    contents = []
    for part in body.form.files:
        path = split_name(part.name)
        if len(path) != 4 or path[0] != "inputs" or path[-1] != "source":
            raise InputError(
                path_of(path), "expected text, got a file; images are inputs[0].image.source, ..."
            )
        part.file.seek(0)
        contents.append((part.name, part.file.read()))
    document: dict[str, Any] = restore(nested([*body.form.fields, *contents]), InferenceRequest)
    return document

"""From the body of an inference request to a queued task."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request
from structlog.contextvars import get_contextvars

from postproc.errors import SchemaError
from postproc.pipeline import PostProcessor
from postproc.schema import Preprocessing
from postproc.schema.problems import path_of
from postproc.service.errors import InputError, QueueFullError, wrong_document
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
from postproc.service.sharing import TAKEN_OVER
from postproc.service.store.leases import Taken
from postproc.service.store.tables import Network
from postproc.service.work import FAILED, NetworkFiles, Outcome, TargetName, TaskRequest, Work

_PATIENCE = 2.0  # seconds that a task which was taken over waits for a place here, before others may have it
_PAUSE = 0.05

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
    services: Services, request: Request, tenant: str, name: TargetName, body: Body
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
    name : TargetName
        What runs.
    body : Body
        Of the request.

    Raises
    ------
    ApiError
        A 400 that names the input that is wrong, a 404 where there is nothing of that name, or a 503 if too
        many tasks or results wait.
    """
    tracing = services.metrics.tracing
    with tracing.span("open"):
        target, options, opened = await services.run(tenant, _open, services, tenant, name, body)
    inputs = await while_connected(request.receive, services.engine.prepare(tenant, opened))
    # Without waiting in between, so that what was decoded counts all the time.
    ticket = services.engine.reserve(inputs, tenant)
    work = replace(_work(target, options, inputs, tenant), trace=tracing.current())
    submission = _Submission(services, tenant, work, ticket, partial(_request_of, name, options, work))
    try:
        with tracing.span("acknowledge"):
            task_id = await services.run(tenant, submission)
        request.state.task = task_id  # for the log
        return {"task_id": task_id}
    except BaseException:
        submission.give_up()
        raise


async def run_again(services: Services, taken: Taken) -> None:
    """Queue a task that another front end took, and did not end.

    Until it is queued it is nobody's: requests of its tenant, who may send many, came later and do not go
    before it. For a place it waits some seconds.

    Raises
    ------
    ApiError
        If it cannot run, or, a 503, not here and now.
    """
    target, options, opened = await services.run(TAKEN_OVER, _open_again, services, taken)
    inputs = await services.engine.prepare(TAKEN_OVER, opened)
    ticket = await _place_of(services, inputs, taken.tenant)
    trace = services.metrics.tracing.current()
    work = replace(_work(target, options, inputs, taken.tenant), age=taken.age, trace=trace)
    try:
        await services.run(TAKEN_OVER, services.engine.submit, taken.task_id, work, ticket)
    except BaseException:
        ticket.release()
        raise


async def _place_of(services: Services, inputs: Any, tenant: str) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return services.engine.reserve(inputs, tenant, is_due=True)
        except QueueFullError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_PAUSE)


def _open(
    services: Services, tenant: str, name: TargetName, body: Body
) -> tuple[Target, InferenceOptions, Any]:
    target = target_of(services, tenant, name)  # before the body is parsed
    options, opened = _opened(services, tenant, target, _read(body))
    return target, options, opened


def _open_again(services: Services, taken: Taken) -> tuple[Target, InferenceOptions, Any]:
    request = taken.request
    target = target_of(services, taken.tenant, request.target)
    document = {**request.options, "inputs": _with_images(request)}
    options, opened = _opened(services, taken.tenant, target, document)
    return target, options, opened


def _opened(
    services: Services, tenant: str, target: Target, document: dict[str, Any]
) -> tuple[InferenceOptions, Any]:
    try:
        options = InferenceOptions.load(document)
    except SchemaError as error:
        raise wrong_document(error) from None
    services.reporter.admit(tenant)
    return options, services.engine.open(target.network, list(options.inputs))


def _work(target: Target, options: InferenceOptions, inputs: Any, tenant: str) -> Work:
    return Work(
        target.network,
        target.post,
        target.key,
        inputs,
        options.show_discarded,
        options.max_predictions,
        tenant,
        request_id=str(get_contextvars().get("request_id", "")),
    )


def _request_of(name: TargetName, options: InferenceOptions, work: Work) -> TaskRequest:
    """Return what another front end needs to run a request, whose inputs were checked."""
    inputs, images = [], []
    for item in options.inputs:
        image = dict(item["image"])
        source = image.pop("source")
        images.append(source.encode() if isinstance(source, str) else bytes(source))
        inputs.append({"image": image, "is_text": isinstance(source, str)})
    kept = {"show_discarded": options.show_discarded, "max_predictions": options.max_predictions}
    return TaskRequest(name, {**kept, "inputs": inputs}, images, work.request_id, work.trace)


def _with_images(request: TaskRequest) -> list[Any]:
    """Return the inputs of a request as they came."""
    return [
        {"image": {**item["image"], "source": image.decode() if item["is_text"] else image}}
        for item, image in zip(request.options["inputs"], request.images, strict=True)
    ]


class _Submission:
    """Writes the row of a task and queues it, in a thread.

    A thread that has begun goes on where its request is cancelled, and one that has not may still begin.
    """

    def __init__(
        self,
        services: Services,
        tenant: str,
        work: Work,
        ticket: Any,
        describe: Callable[[], TaskRequest],
    ) -> None:
        self._services, self._tenant, self._work, self._ticket = services, tenant, work, ticket
        self._describe = describe
        self._claim = threading.Lock()  # of whoever answers for the ticket; never released

    def __call__(self) -> int:
        """Return the id of the task."""
        if not self._claim.acquire(blocking=False):
            return 0  # the request was cancelled before, and nobody waits for it
        services = self._services
        try:
            task_id = services.tasks.add(self._tenant, self._describe)
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

    async def answer(self, name: TargetName) -> Json:
        """Queue a task, see `start_inference`, and answer with its id."""
        started = await start_inference(self.services, self.request, self.tenant, name, self.body)
        return Json(started, 201)


async def _inference(
    request: Request, services: AllServices, bodies: Bodies, tenant: Tenant
) -> AsyncIterator[InferenceCall]:
    async with bodies.in_memory(request, tenant, services.settings.max_body, True) as body:
        yield InferenceCall(services, request, tenant, body)


Inference = Annotated[InferenceCall, Depends(_inference)]


def target_of(services: Services, tenant: str, name: TargetName) -> Target:
    """Return what runs for a version or a network, a tenant's or a public one, or raise a 404."""
    is_version = name.kind == "version"
    if isinstance(name.id, str):
        model = services.public_model(name.id)
        return (
            Target(model.files, model.post, model.name)
            if is_version
            else Target(model.files, None, "tensors")
        )
    if not is_version:
        return Target(network_files(services, services.networks.get(tenant, name.id)), None, "tensors")
    network = services.versions.network_of(tenant, name.id)
    post = services.post_processor(tenant, name.id)
    return Target(network_files(services, network), post, name.id)


def network_files(services: Services, network: Network) -> NetworkFiles:
    """Return where a network lies, or raise a 404 for a public one that this release does not have."""
    if network.public_id is not None:
        return services.public_model(network.public_id).files
    services.folders.fetch(network.id, network.folder)
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

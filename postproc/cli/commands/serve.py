"""``postproc serve`` and ``postproc keys``: the HTTP service, and who may use it."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from postproc.cli.exit_codes import FAILED
from postproc.errors import PostprocError
from postproc.installing import install
from postproc.service.settings import DATABASE_VARIABLE, KEY_VARIABLE, ServiceSettings

if TYPE_CHECKING:
    from postproc.service.store.keys import Keys

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _size(text: str | int) -> int:
    """Read a number of bytes: ``1000``, ``64M``, ``2GiB``."""
    match = re.fullmatch(r"([0-9]+) ?([kmg]?)(i?b)?", str(text).lower())
    if match is None:
        raise typer.BadParameter(f"expected bytes such as 64M or 2GiB, got {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def _setting(
    name: str, *, is_size: bool = False, option: str | None = None, metavar: str | None = None
) -> Any:
    """Declare the option of a setting: its help, and with it what it means, are the setting's own."""
    field = ServiceSettings.model_fields[name]
    return typer.Option(
        option or f"--{name.replace('_', '-')}",
        help=field.description,
        metavar="BYTES" if is_size else metavar,
        parser=_size if is_size else None,
    )


def _default(name: str) -> Any:
    return ServiceSettings.model_fields[name].default


def _default_size(name: str) -> Any:
    """Return a default as a person writes it; `_size` reads it back."""
    size = _default(name)
    return f"{size >> 30}GiB" if size % (1 << 30) == 0 else f"{size >> 20}MiB"


def _database_url(text: str | None) -> Any:
    return typer.Option("--database", metavar="URL", envvar=DATABASE_VARIABLE, help=text)


Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", file_okay=False, help=ServiceSettings.model_fields["data"].description
    ),
]
DatabaseUrl = Annotated[str | None, _database_url(ServiceSettings.model_fields["database"].description)]
KeysDatabaseUrl = Annotated[
    str | None, _database_url("SQLAlchemy URL; the database of the folder's service if left out.")
]
DatabaseFile = Annotated[
    Path | None,
    typer.Option(
        "--database-file",
        metavar="FILE",
        dir_okay=False,
        help=ServiceSettings.model_fields["database_file"].description,
    ),
]

keys_app = typer.Typer(no_args_is_help=True, help="Add, list and remove the API keys of the HTTP service.")


def serve(
    data: Data = None,
    database: DatabaseUrl = None,
    database_file: DatabaseFile = None,
    store: Annotated[str | None, _setting("store", metavar="URL")] = None,
    store_cache: Annotated[int, _setting("store_cache", is_size=True)] = _default_size("store_cache"),
    lease_seconds: Annotated[float, _setting("lease_seconds")] = _default("lease_seconds"),
    ray: Annotated[str | None, _setting("ray", metavar="ADDRESS")] = None,
    ray_app: Annotated[str, _setting("ray_app", metavar="NAME")] = _default("ray_app"),
    ray_min_replicas: Annotated[int, _setting("ray_min_replicas")] = _default("ray_min_replicas"),
    ray_max_replicas: Annotated[int, _setting("ray_max_replicas")] = _default("ray_max_replicas"),
    ray_cpus: Annotated[float, _setting("ray_cpus")] = _default("ray_cpus"),
    ray_gpus: Annotated[float, _setting("ray_gpus")] = _default("ray_gpus"),
    ray_copies: Annotated[Path | None, _setting("ray_copies", metavar="DIR")] = None,
    host: Annotated[str, _setting("host", metavar="ADDRESS")] = _default("host"),
    port: Annotated[int, _setting("port")] = _default("port"),
    public_url: Annotated[str | None, _setting("public_url", metavar="URL")] = None,
    provider: Annotated[list[str] | None, _setting("providers", option="--provider", metavar="NAME")] = None,
    intra_op_threads: Annotated[int | None, _setting("intra_op_threads")] = None,
    log_probes: Annotated[bool, _setting("log_probes", option="--log-probes")] = False,
    cors: Annotated[list[str] | None, _setting("cors", metavar="ORIGIN")] = None,
    allow_urls: Annotated[bool, _setting("allow_urls", option="--allow-urls")] = False,
    url_timeout: Annotated[float, _setting("url_timeout")] = _default("url_timeout"),
    url_max_bytes: Annotated[int, _setting("url_max_bytes", is_size=True)] = _default_size("url_max_bytes"),
    max_body: Annotated[int, _setting("max_body", is_size=True)] = _default_size("max_body"),
    max_model: Annotated[int, _setting("max_model", is_size=True)] = _default_size("max_model"),
    max_image_pixels: Annotated[int, _setting("max_image_pixels")] = _default("max_image_pixels"),
    decode_memory: Annotated[int, _setting("decode_memory", is_size=True)] = _default_size("decode_memory"),
    reduced_jpeg: Annotated[bool, _setting("reduced_jpeg", option="--reduced-jpeg")] = False,
    max_inputs_bytes: Annotated[int, _setting("max_inputs_bytes", is_size=True)] = _default_size(
        "max_inputs_bytes"
    ),
    max_result_bytes: Annotated[int, _setting("max_result_bytes", is_size=True)] = _default_size(
        "max_result_bytes"
    ),
    max_outcomes_bytes: Annotated[int, _setting("max_outcomes_bytes", is_size=True)] = _default_size(
        "max_outcomes_bytes"
    ),
    max_connections: Annotated[int, _setting("max_connections")] = _default("max_connections"),
    max_uploads: Annotated[int, _setting("max_uploads")] = _default("max_uploads"),
    model_check_timeout: Annotated[float, _setting("model_check_timeout")] = _default("model_check_timeout"),
    queue_length: Annotated[int, _setting("queue_length")] = _default("queue_length"),
    batch_wait: Annotated[float, _setting("batch_wait")] = _default("batch_wait"),
    max_batch: Annotated[int, _setting("max_batch")] = _default("max_batch"),
    workers: Annotated[int, _setting("workers")] = _default("workers"),
    session_memory: Annotated[int, _setting("session_memory", is_size=True)] = _default_size(
        "session_memory"
    ),
    run_seconds: Annotated[float, _setting("run_seconds")] = _default("run_seconds"),
    task_seconds: Annotated[float, _setting("task_seconds")] = _default("task_seconds"),
    task_timeout: Annotated[float, _setting("task_timeout")] = _default("task_timeout"),
    adopt: Annotated[bool, _setting("adopt", option="--adopt")] = False,
    wait: Annotated[float, _setting("wait")] = _default("wait"),
    swept_seconds: Annotated[float, _setting("swept_seconds")] = _default("swept_seconds"),
) -> None:
    """Serve recognition versions over HTTP: the v0.7 API at /v0.7, its documentation at /docs, a page at /.

    Without any API key, one is made for the tenant "default": printed once where stderr is a terminal, else
    written to the file first-key of the data folder. The environment variable POSTPROC_API_KEY gives another
    one. SIGTERM ends the service after the requests that are under way. With --store any number of services
    share a database and the networks' files; a data folder of its own may be left out then. With --ray a
    cluster runs the networks.
    """
    given = dict(locals())
    provider_names = given.pop("provider")
    given["cors"] = tuple(given["cors"] or ())
    given["providers"] = tuple(provider_names) if provider_names else None
    with _data_folder(given.pop("data"), store is not None) as folder:
        settings = settings_from(data=folder, **given)
        from_environment = os.environ.get(KEY_VARIABLE)
        with explained_import():
            from postproc.service.serving import run
        with _logged_errors():
            run(settings, {from_environment: "default"} if from_environment else {})


@keys_app.command("add")
def add_key(
    tenant: Annotated[  # called NAME, Typer 0.16 would show its type
        str,
        typer.Argument(metavar="NAME", help="Whose key it is; keys of the same name open the same objects."),
    ],
    data: Data = None,
    database: KeysDatabaseUrl = None,
    database_file: DatabaseFile = None,
) -> None:
    """Make an API key and print it: it is seen this once only. A running service knows it at once."""
    with _opened_keys(data, database, database_file) as keys:
        typer.echo(keys.add(tenant))


@keys_app.command("list")
def list_keys(
    data: Data = None, database: KeysDatabaseUrl = None, database_file: DatabaseFile = None
) -> None:
    """List the API keys by their ids; the keys themselves are not kept."""
    table = Table("id", "name", "made")
    with _opened_keys(data, database, database_file) as keys:
        for key in keys.all():
            table.add_row(key.prefix, key.tenant, key.create_date)
    Console().print(table)


@keys_app.command("remove")
def remove_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `postproc keys list` shows it.")],
    data: Data = None,
    database: KeysDatabaseUrl = None,
    database_file: DatabaseFile = None,
) -> None:
    """Make an API key invalid, at once; what it made stays."""
    with _opened_keys(data, database, database_file) as keys:
        keys.remove(key_id)
    typer.echo(f"key {key_id} removed")


@contextmanager
def _data_folder(data: Path | None, has_store: bool) -> Iterator[Path]:
    """Give the data folder; where a store has the files, and none is named, one that goes at the end."""
    if data is not None:
        yield data
    elif has_store:
        with tempfile.TemporaryDirectory(prefix="postproc-", ignore_cleanup_errors=True) as name:
            yield Path(name)
    else:
        raise typer.BadParameter("a folder is needed, but for a service with --store", param_hint="--data")


def settings_from(**values: Any) -> ServiceSettings:
    """Make settings of what a command was given, or say which option is wrong."""
    try:
        return ServiceSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise typer.BadParameter(f"{first['msg']}, got {first['input']!r}", param_hint=f"--{name}") from None


@contextmanager
def _opened_keys(data: Path | None, database: str | None, database_file: Path | None) -> Iterator[Keys]:
    """Open the keys of a service: of the database that is given, or else of the one that its folder names."""
    if data is None and database is None and database_file is None:
        raise typer.BadParameter("a folder is needed, or the --database of front ends", param_hint="--data")
    with explained_import():
        from postproc.service.store.database import Database
        from postproc.service.store.identity import check_keys, settings_of
        from postproc.service.store.keys import Keys
    if database is not None or database_file is not None:
        settings = settings_from(data=data or Path(), database=database, database_file=database_file)
    elif data is not None and data.is_dir():
        settings = settings_of(data)
    else:
        raise PostprocError(f"{data} does not exist; `postproc serve --data {data}` makes it")
    is_remembered = settings.database is not None and database is None
    opened = Database(settings)
    try:
        try:
            check_keys(data, opened)
        except PostprocError as error:
            hint = f"; {data} keeps no password: if it needs one, give --database-file or {DATABASE_VARIABLE}"
            raise PostprocError(f"{error}{hint if is_remembered else ''}") from None
        yield Keys(opened)
    finally:
        opened.close()


@contextmanager
def _logged_errors() -> Iterator[None]:
    """Say what ends the service as the rest of its log is said."""
    try:
        yield
    except (PostprocError, OSError, ImportError) as error:
        if sys.stderr.isatty():  # where the command line says it
            raise
        logging.getLogger("postproc.service").error("the service ends: %s", error)
        raise typer.Exit(FAILED) from None


@contextmanager
def explained_import() -> Iterator[None]:
    """Say which extra brings what cannot be imported."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("", "postproc"):
            raise
        raise ImportError(f"the service needs an extra: {install('serve')} ({error})") from error


__all__ = [
    "add_key",
    "explained_import",
    "keys_app",
    "list_keys",
    "remove_key",
    "serve",
    "settings_from",
]

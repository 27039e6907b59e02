"""``postproc store``: a service brought to another database and another place of its files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from postproc.cli.commands.serve import explained_import, settings_from
from postproc.service.settings import ServiceSettings

store_app = typer.Typer(no_args_is_help=True, help="Bring an HTTP service to another database and store.")


@store_app.callback()
def _store() -> None:
    pass  # so that `copy` is a subcommand, though it is the only one


def _option(name: str, metavar: str, text: str, **more: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=text, **more)


_FROM_URL = "SQLAlchemy URL of its database; of a folder, the one that it names if left out."
_TO_URL = "SQLAlchemy URL of an empty database; a file in the new folder if left out."


@store_app.command("copy")
def copy(
    from_data: Annotated[
        Path | None, _option("--from-data", "DIR", "Data folder of a service.", file_okay=False)
    ] = None,
    from_database: Annotated[
        str | None, _option("--from-database", "URL", _FROM_URL, envvar="POSTPROC_FROM_DATABASE")
    ] = None,
    from_store: Annotated[
        str | None, _option("--from-store", "URL", "Store of a service, in place of its folder.")
    ] = None,
    to_data: Annotated[
        Path | None, _option("--to-data", "DIR", "A new data folder.", file_okay=False)
    ] = None,
    to_database: Annotated[
        str | None, _option("--to-database", "URL", _TO_URL, envvar="POSTPROC_TO_DATABASE")
    ] = None,
    to_store: Annotated[
        str | None, _option("--to-store", "URL", "A new store, in place of a folder: s3://bucket/prefix.")
    ] = None,
) -> None:
    """Copy a service that does not run, with all keys, objects, tasks and files, and the ids that they have.

    From a data folder and its database to a store and PostgreSQL, or back. The source stays as it is: do not
    start it again, or there are two. Where it is interrupted, the same command goes on.
    """
    source = _side("from", from_data, from_database, from_store)
    target = _side("to", to_data, to_database, to_store)
    with explained_import():
        from postproc.service.store.copying import copy_service
    with tempfile.TemporaryDirectory(prefix="postproc-") as scratch:
        copied = copy_service(source, target, Path(scratch), lambda line: typer.echo(line, err=True))
    rows = ", ".join(f"{count} of {name}" for name, count in copied.rows.items())
    typer.echo(f"copied {copied.files} files, and rows: {rows}")


def _side(name: str, data: Path | None, database: str | None, store: str | None) -> ServiceSettings:
    if (data is None) == (store is None):
        raise typer.BadParameter(
            "expected a folder or a store, one of the two", param_hint=f"--{name}-data, --{name}-store"
        )
    if store is not None and database is None:
        raise typer.BadParameter(
            "what belongs to a store is in PostgreSQL: give its URL", param_hint=f"--{name}-database"
        )
    if data is not None and database is None and name == "from":
        with explained_import():
            from postproc.service.store.identity import settings_of
        return settings_of(data)
    return settings_from(data=data or Path(), database=database, store=store)


__all__ = ["copy", "store_app"]

"""Databases and services for the tests of the HTTP service."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine, text

from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database
from tests.service.postgres import Cluster, binaries, cluster
from tests.service.serving import Serving, serving

_numbers = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _plain_log() -> None:
    """Send the service's own log through Python's, as the command does; pytest keeps that of each test."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Give a function that makes an empty database on PostgreSQL and returns its URL."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with cluster(programs) as server:
        engine = create_engine(
            server.url().replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
        )

        def make() -> str:
            name = f"test{next(_numbers)}"
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            return server.url(name)

        yield make
        engine.dispose()


@pytest.fixture
def own_postgres() -> Iterator[Cluster]:
    """Give a PostgreSQL server for a single test, which may stop it."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with cluster(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceSettings:
    """Give settings with an empty database, of each kind."""
    url = request.getfixturevalue("postgres")() if request.param == "postgresql" else None
    return ServiceSettings(data=tmp_path, database=url)


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    """Give an empty database, of each kind."""
    opened = Database(settings)
    opened.prepare("identity")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve an app with a fake engine, shared by the tests of a file."""
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running

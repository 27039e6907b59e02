"""API keys: whose they are, and that they are not kept."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from postproc.errors import PostprocError
from postproc.service.store.database import Database
from postproc.service.store.keys import Keys
from postproc.service.store.tables import ApiKey


def test_key_opens_its_tenant_and_nothing_else(database: Database) -> None:
    keys = Keys(database)
    one, other = keys.add("one"), keys.add("other")
    assert (keys.tenant_of(one), keys.tenant_of(other)) == ("one", "other")
    for wrong in ("", "x", one[:-1], f"{one} ", one.upper(), "\udcff", "é"):
        assert keys.tenant_of(wrong) is None


def test_key_of_the_same_prefix_is_told_apart(database: Database) -> None:
    keys = Keys(database)
    key = keys.add("one")
    with database.writing() as session:
        row = session.scalars(select(ApiKey)).one()
        session.add(ApiKey(tenant="x", prefix=row.prefix, digest="0" * 64, create_date=row.create_date))
    assert keys.tenant_of(key) == "one"


def test_key_is_not_in_the_database(database: Database) -> None:
    key = Keys(database).add("one")
    with database.reading() as session:
        row = session.scalars(select(ApiKey)).one()
    assert key not in (row.digest, row.prefix, row.tenant)
    assert len(key) >= 43


def test_key_removed_opens_nothing(database: Database) -> None:
    keys = Keys(database)
    key = keys.add("one")
    keys.remove(keys.all()[0].prefix)
    assert keys.tenant_of(key) is None
    with pytest.raises(PostprocError, match="there is no key"):
        keys.remove("00000000")


def test_key_of_the_environment_opens_its_tenant(database: Database) -> None:
    keys = Keys(database, {"secret": "default"})
    assert keys.tenant_of("secret") == "default"
    keys.ensure(unexpected)
    assert keys.all() == []


def test_ensure_makes_a_key_where_there_is_none_and_hands_it_over_before_it_is_valid(
    database: Database,
) -> None:
    keys = Keys(database)
    handed: list[tuple[str, str | None]] = []
    keys.ensure(lambda key: handed.append((key, keys.tenant_of(key))))
    [(key, tenant)] = handed
    assert tenant is None
    assert keys.tenant_of(key) == "default"
    keys.ensure(unexpected)


def test_ensure_makes_no_key_that_nobody_has(database: Database) -> None:
    keys = Keys(database)
    with pytest.raises(AssertionError):
        keys.ensure(unexpected)
    assert keys.all() == []


def unexpected(key: str) -> None:
    raise AssertionError


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_key_of_an_unprintable_name_is_refused(database: Database, name: str) -> None:
    with pytest.raises(PostprocError, match="printable"):
        Keys(database).add(name)

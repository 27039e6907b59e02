"""Rows of one tenant: kept, listed, changed and removed, on every kind of database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from postproc.service.errors import ApiError
from postproc.service.store.database import Database
from postproc.service.store.networks import NetworkStore
from postproc.service.store.specs import SpecStore
from postproc.service.store.tables import ERROR, PENDING, SUCCESS, Network, Task
from postproc.service.store.tasks import TaskStore
from postproc.service.store.versions import VersionStore
from tests.service.rows import OTHER, TENANT, add_network, add_spec, add_version


def test_network_is_kept_as_given(database: Database) -> None:
    metadata = {"b": [1, 2.5, None, "é☃\u2028"], "a": {"x": True}}
    added = add_network(database, name="123", meta=metadata)
    read = NetworkStore(database).get(TENANT, added.id)
    assert (read.name, read.meta, list(read.meta)) == ("123", metadata, ["b", "a"])
    task = TaskStore(database).get(TENANT, read.task_id or 0)
    assert task.status == SUCCESS


@pytest.mark.parametrize("kind", ["network", "spec", "version", "task"])
def test_get_of_another_tenant_is_a_404(database: Database, kind: str) -> None:
    network, spec = add_network(database), add_spec(database)
    version = add_version(database, spec, network)
    task = TaskStore(database).add(TENANT)
    stores: dict[str, tuple[Any, int]] = {
        "network": (NetworkStore(database), network.id),
        "spec": (SpecStore(database), spec.id),
        "version": (VersionStore(database), version.id),
        "task": (TaskStore(database), task),
    }
    store, identifier = stores[kind]
    store.get(TENANT, identifier)
    for tenant, number in ((OTHER, identifier), (TENANT, identifier + 100)):
        with pytest.raises(ApiError, match=f"there is no {kind} {number}") as raised:
            store.get(tenant, number)
        assert raised.value.status == 404


@pytest.mark.parametrize("kind", ["network", "spec", "version"])
def test_remove_of_another_tenant_removes_nothing(database: Database, kind: str) -> None:
    network, spec = add_network(database), add_spec(database)
    version = add_version(database, spec, network)
    stores: dict[str, tuple[Any, int]] = {
        "network": (NetworkStore(database), network.id),
        "spec": (SpecStore(database), spec.id),
        "version": (VersionStore(database), version.id),
    }
    store, identifier = stores[kind]
    with pytest.raises(ApiError):
        store.remove(OTHER, identifier)
    store.get(TENANT, identifier)


def test_update_of_another_tenant_changes_nothing(database: Database) -> None:
    network, spec = add_network(database), add_spec(database)
    with pytest.raises(ApiError):
        NetworkStore(database).update(OTHER, network.id, {"name": "x"})
    with pytest.raises(ApiError):
        SpecStore(database).update(OTHER, spec.id, {"name": "x"})
    assert NetworkStore(database).get(TENANT, network.id).name == "network"
    assert SpecStore(database).get(TENANT, spec.id).name == "spec"


def test_list_pages_are_complete_and_of_one_tenant(database: Database) -> None:
    own = [add_network(database, name=f"n{row}").id for row in range(7)]
    add_network(database, OTHER)
    store = NetworkStore(database)
    pages = [store.list(TENANT, offset, 3, max_bytes=9999) for offset in (0, 3, 6, 9)]
    assert [count for count, _ in pages] == [7, 7, 7, 7]
    assert [network.id for _, rows in pages for network in rows] == own
    assert store.list("nobody", 0, 10, max_bytes=9999) == (0, [])
    foreign = add_network(database, OTHER).id
    found = store.listed(TENANT, [own[3], foreign, own[1], 10**6])
    assert [network.id for network in found] == [own[1], own[3]]


def test_first_version_becomes_current_and_later_ones_do_not(database: Database) -> None:
    network, spec = add_network(database), add_spec(database)
    first, _ = add_version(database, spec, network), add_version(database, spec, network)
    assert SpecStore(database).get(TENANT, spec.id).current_version_id == first.id


def test_foremost_versions_are_the_current_ones_then_the_newest(database: Database) -> None:
    network, spec, foreign = add_network(database), add_spec(database), add_spec(database, OTHER)
    bare = add_spec(database)
    ids = [
        add_version(database, one, network).id
        for one in (spec, spec, foreign, spec, foreign, spec, bare, bare)
    ]
    SpecStore(database).update(TENANT, spec.id, {"current_version_id": ids[3]})
    VersionStore(database).remove(TENANT, ids[6])  # a spec without a current version
    found = VersionStore(database).foremost(7)
    assert [identifier for _, identifier in found] == [ids[row] for row in (3, 2, 7, 5, 4, 1, 0)]
    assert [tenant for tenant, _ in found] == [TENANT, OTHER, TENANT, TENANT, OTHER, TENANT, TENANT]
    assert VersionStore(database).foremost(2) == found[:2]


def test_first_version_of_many_at_once_becomes_current(database: Database) -> None:
    network, spec = add_network(database), add_spec(database)
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda _: add_version(database, spec, network), range(16)))
    current = SpecStore(database).get(TENANT, spec.id).current_version_id
    assert current in {version.id for version in versions}
    assert VersionStore(database).list(TENANT, 0, 100, spec_id=spec.id, max_bytes=9)[0] == 16


def test_row_of_a_public_network_is_made_once_and_follows_the_release(database: Database) -> None:
    store, spec = NetworkStore(database), add_spec(database)

    def row(description: str) -> int:
        fields = {"name": "digits", "description": description, "meta": {}, "framework": "onnx"}
        documents = {"preprocessing": {"inputs": []}, "postprocessings": []}
        return store.public("digits-yolo", {**fields, **documents}, {"outputs": [description]}).id

    with ThreadPoolExecutor(8) as pool:
        identifiers = set(pool.map(row, ["one"] * 16))
    assert identifiers == {row("two")}
    with database.reading() as session:
        network = session.scalars(select(Network)).one()
    assert (network.description, network.report, network.public_id) == (
        "two",
        {"outputs": ["two"]},
        "digits-yolo",
    )
    assert store.folders() == set()
    version = add_version(database, spec, network)
    assert VersionStore(database).get(TENANT, version.id).public_network == "digits-yolo"
    own = add_version(database, spec, add_network(database))
    named = VersionStore(database).listed(TENANT, [own.id, version.id])
    assert [(row.version.id, row.public_network) for row in named] == [
        (version.id, "digits-yolo"),
        (own.id, None),
    ]
    assert VersionStore(database).network_of(TENANT, own.id).public_id is None


def test_network_remove_takes_versions_along(database: Database) -> None:
    network, other, spec = add_network(database), add_network(database), add_spec(database)
    gone, kept = add_version(database, spec, network), add_version(database, spec, other)
    NetworkStore(database).remove(TENANT, network.id)
    store = VersionStore(database)
    with pytest.raises(ApiError):
        store.get(TENANT, gone.id)
    assert store.get(TENANT, kept.id).network_name == "network"
    assert SpecStore(database).get(TENANT, spec.id).current_version_id is None
    assert NetworkStore(database).folders() == {other.folder}
    with pytest.raises(ApiError):
        TaskStore(database).get(TENANT, network.task_id or 0)


def test_spec_remove_takes_versions_along(database: Database) -> None:
    network, spec = add_network(database), add_spec(database)
    version = add_version(database, spec, network)
    SpecStore(database).remove(TENANT, spec.id)
    with pytest.raises(ApiError):
        VersionStore(database).get(TENANT, version.id)


def test_current_version_removed_leaves_none(database: Database) -> None:
    network, spec = add_network(database), add_spec(database)
    version = add_version(database, spec, network)
    VersionStore(database).remove(TENANT, version.id)
    assert SpecStore(database).get(TENANT, spec.id).current_version_id is None


def test_current_version_of_another_spec_is_refused(database: Database) -> None:
    network, spec, other = add_network(database), add_spec(database), add_spec(database)
    foreign = add_version(database, other, network)
    with pytest.raises(ApiError, match="current_version_id: expected a version of spec"):
        SpecStore(database).update(TENANT, spec.id, {"current_version_id": foreign.id})
    own = add_version(database, spec, network)
    SpecStore(database).update(TENANT, spec.id, {"current_version_id": None})
    assert (
        SpecStore(database).update(TENANT, spec.id, {"current_version_id": own.id}).current_version_id
        == own.id
    )


def test_version_of_a_network_deleted_meanwhile_is_a_409(database: Database) -> None:
    network, spec = add_network(database), add_spec(database)
    NetworkStore(database).remove(TENANT, network.id)
    with pytest.raises(ApiError, match="was deleted") as raised:
        add_version(database, spec, network)
    assert raised.value.status == 409


def test_ids_are_never_given_twice(database: Database) -> None:
    first = add_network(database)
    NetworkStore(database).remove(TENANT, first.id)
    assert add_network(database).id > first.id


def test_tasks_finish_together_and_once(database: Database) -> None:
    store = TaskStore(database)
    done, failed, waiting = (store.add(TENANT) for _ in range(3))
    store.finish([(done, '{"a": 1}', None), (failed, None, "why")])
    store.finish([(done, None, "too late")])
    _, rows = store.list(TENANT, [done, failed, waiting], 0, 9, max_bytes=999)
    assert [(task.status, task.size, task.error) for task in rows] == [
        (SUCCESS, 8, None),
        (ERROR, 0, "why"),
        (PENDING, 0, None),
    ]
    assert store.texts(TENANT, [done, failed, waiting]) == {done: '{"a": 1}'}
    assert store.texts(OTHER, [done]) == {}
    assert [store.get(TENANT, done, small).data for small in (0, 7, 8)] == [None, None, '{"a": 1}']


def test_tasks_list_leaves_out_unknown_ids_and_other_tenants(database: Database) -> None:
    store = TaskStore(database)
    own, foreign = store.add(TENANT), store.add(OTHER)
    count, tasks = store.list(TENANT, [own, own, foreign, 10**30, -1, 0, 12345], 0, 10, max_bytes=999)
    assert (count, [task.id for task in tasks]) == (1, [own])
    assert store.list(TENANT, [], 0, 10, max_bytes=999) == (0, [])


def test_tasks_expire_after_they_ended_and_not_while_pending(database: Database) -> None:
    store = TaskStore(database)
    done, waiting, network = store.add(TENANT), store.add(TENANT), add_network(database)
    store.finish([(done, "{}", None)])
    assert store.expire(1000) == 0
    assert store.expire(-1000) == 1  # a limit in the future: all that ended is old
    assert [
        task.id for task in store.list(TENANT, [done, waiting, network.task_id or 0], 0, 9, max_bytes=999)[1]
    ] == sorted([waiting, network.task_id or 0])


def test_fail_pending_ends_waiting_tasks_only(database: Database) -> None:
    store = TaskStore(database)
    done, waiting = store.add(TENANT), store.add(TENANT)
    store.finish([(done, "{}", None)])
    assert store.fail_pending("stopped") == 1
    assert store.get(TENANT, waiting).error == "stopped"
    assert store.get(TENANT, done).status == SUCCESS


def test_fail_pending_ends_tasks_from_before_the_clock_was_set_back(database: Database) -> None:
    store = TaskStore(database)
    waiting = store.add(TENANT)
    with database.writing() as session:
        session.execute(update(Task).values(date_created="2999-01-01T00:00:00.000000Z"))
    assert store.fail_pending("stopped") == 1
    assert store.get(TENANT, waiting).error == "stopped"
    assert store.fail_pending("stopped") == 0


def test_fail_unfinished_ends_those_of_its_own_process_only(database: Database) -> None:
    store, other = TaskStore(database), TaskStore(database)
    done, waiting, foreign = store.add(TENANT), store.add(TENANT), other.add(TENANT)
    store.finish([(done, "1", None)])
    assert store.fail_unfinished("stopped") == 1
    assert store.get(TENANT, waiting).error == "stopped"
    assert [store.get(TENANT, task).status for task in (done, foreign)] == [SUCCESS, PENDING]
    assert store.fail_unfinished("stopped") == 0


def test_writers_at_once_all_succeed(database: Database) -> None:
    store = TaskStore(database)
    with ThreadPoolExecutor(16) as pool:
        identifiers = list(pool.map(lambda _: store.add(TENANT), range(100)))
    assert len(set(identifiers)) == 100
    assert store.list(TENANT, identifiers, 0, 1000, max_bytes=999)[0] == 100


def test_page_of_tasks_ends_where_results_get_large(database: Database) -> None:
    store = TaskStore(database)
    ids = [store.add(TENANT) for _ in range(5)]
    lengths = zip(ids, (90, 5, 0, 90, 0), strict=True)
    store.finish([(number, '"' + "x" * length + '"', None) for number, length in lengths])
    pages = [store.list(TENANT, ids, 0, 9, max_bytes=limit)[1] for limit in (10, 99, 999)]
    sizes = [[row.size for row in page] for page in pages]
    assert sizes == [[92, 7], [92, 7, 2], [92, 7, 2, 92, 2]]
    assert store.list(TENANT, ids, 1, 2, max_bytes=999)[0] == 5
    assert [row.id for row in store.list(TENANT, ids, 0, 2, ids[1], max_bytes=999)[1]] == ids[2:4]


@pytest.mark.parametrize(
    "column", ["name", "description", "framework", "meta", "preprocessing", "postprocessings"]
)
def test_size_of_a_network_has_all_that_lists_show(database: Database, column: str) -> None:
    large = {
        "name": "x" * 5000,
        "description": "x" * 5000,
        "framework": "x" * 5000,
        "postprocessings": ["x" * 5000],
    }
    add_network(database)
    add_network(database, **{column: large.get(column, {"text": "x" * 5000})})
    [small, other] = NetworkStore(database).list(TENANT, 0, 9, max_bytes=9999)[1]
    assert small.size < 100
    assert 5000 <= other.size < 5100


def test_size_of_a_spec_and_of_a_version_have_all_that_lists_show(database: Database) -> None:
    large = {"text": "x" * 5000}
    network = add_network(database, name="x" * 5000)
    for fields in ({}, {"name": "x" * 5000}, {"description": "x" * 5000}, {"meta": large}, {"extra": large}):
        spec = add_spec(database, **fields)
    add_version(database, spec, add_network(database), **large)
    add_version(database, spec, network)
    add_version(database, add_spec(database, name="x" * 5000), add_network(database))
    specs = SpecStore(database).list(TENANT, 0, 9, max_bytes=99_999)[1]
    assert [row.size // 5000 for row in specs] == [0, 1, 1, 1, 1, 1]
    versions = VersionStore(database).list(TENANT, 0, 9, max_bytes=99_999)[1]
    assert [row.size // 5000 for row in versions] == [1, 1, 1]


def test_page_of_specs_ends_where_rows_get_large(database: Database) -> None:
    store = SpecStore(database)
    ids = [add_spec(database, meta={"text": "x" * length}).id for length in (90, 5, 0, 90, 0)]
    pages = [[row.id for row in store.list(TENANT, 0, 9, max_bytes=limit)[1]] for limit in (10, 139, 999)]
    assert pages == [ids[:2], ids[:3], ids]
    assert [row.id for row in store.list(TENANT, 0, 2, ids[1], max_bytes=999)[1]] == ids[2:4]

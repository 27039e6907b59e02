"""The four commands on files in a store, without a cluster."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postproc import TensorError, stores
from postproc.errors import StoreError
from postproc.saved_tensors.dump_folder import DumpFolder
from postproc.stores import StoredPath
from tests.cli.offline import invoke, make_digits, numbers, outcome, upload
from tests.cli.test_run import folder  # noqa: F401
from tests.s3 import s3_bucket

pytest.importorskip("obstore")

DOCUMENTS = ("--spec", "spec.json", "--version", "version.json")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_bucket() as url:
        yield url


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("digits")
    make_digits(made)
    return made


def test_commands_give_the_same_of_files_in_a_store_and_write_the_same_there(
    bucket: str, digits: Path, tmp_path: Path
) -> None:
    upload(digits, f"{bucket}/digits")
    plain = outcome(str(digits), str(tmp_path))
    assert [code for code, _ in (plain["evaluate"], plain["dump"], plain["run"])] == [0, 1, 1]
    assert numbers(plain)["total"]["recall"] > 0.9
    assert "error: image 'PLACE/pages/x.png': not an image" in plain["run"][1]
    stored = outcome(f"{bucket}/digits", f"{bucket}/out")
    assert sorted(stored) == sorted(plain)
    for name, expected in plain.items():
        assert stored[name] == expected, name


@pytest.mark.usefixtures("folder")
def test_url_that_is_not_there_is_misuse_and_names_it(bucket: str) -> None:
    for option, kind in (("--spec", "File"), ("--truth", "Path"), ("--preprocessing", "File")):
        result = invoke("evaluate", option, f"{bucket}/none.json")
        assert result.exit_code == 2
        assert f"{kind} '{bucket}/none.json' does not exist." in result.stderr
    result = invoke("run", *DOCUMENTS, "model.onnx", "s3://key:secret@bucket/a.png")
    assert result.exit_code == 2
    assert "keys in the environment and not in the URL" in result.stderr


@pytest.mark.usefixtures("folder")
def test_store_that_does_not_answer_is_an_error_with_its_url(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        missing = invoke("run", "--spec", f"{bucket}/spec.json", "--version", "version.json")
        unreadable = invoke("run", *DOCUMENTS, "model.onnx", f"{bucket}/a.png")
    assert (missing.exit_code, unreadable.exit_code) == (2, 1)
    assert f"the store {bucket}/spec.json does not answer" in missing.stderr
    assert unreadable.stderr.startswith(f"error: the store {bucket}/a.png does not answer: ")
    assert "see whether the URL, the keys in the environment" in unreadable.stderr


@pytest.mark.usefixtures("folder")
def test_output_whose_store_does_not_take_it_is_told_at_once_or_stays_on_this_machine(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", *DOCUMENTS, "model.onnx", "a.png", "--output")
    result = invoke(*arguments, "s3://no-bucket/out.jsonl")
    assert (result.exit_code, "the store s3://no-bucket/out.jsonl does not" in result.stderr) == (2, True)
    with pytest.raises(StoreError, match=r"^s3://no-bucket/a: there is no such bucket"):
        StoredPath("s3://no-bucket/a").put(b"content")

    def refuse(place: StoredPath, content: Path) -> None:
        raise StoreError(f"the store {place} does not answer")

    monkeypatch.setattr(StoredPath, "put", refuse)
    result = invoke(*arguments, f"{bucket}/out.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: the store {bucket}/out.jsonl does not answer; what was to be")
    kept = Path(result.stderr.rpartition("what was to be written there is at ")[2].strip())
    assert json.loads(kept.read_text())["location"] == "a.png"
    shutil.rmtree(kept.parent)


@pytest.mark.usefixtures("folder")
def test_folder_of_a_store_that_holds_files_is_not_written_to(bucket: str) -> None:
    StoredPath(f"{bucket}/labels/own.xml").put(b"by hand")
    result = invoke(
        "run", *DOCUMENTS, "model.onnx", "a.png", "--format", "voc", "--output", f"{bucket}/labels"
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {bucket}/labels: expected a new or empty folder" in result.stderr


def test_second_dump_into_a_folder_of_a_store_writes_over_no_part(bucket: str) -> None:
    place = StoredPath(f"{bucket}/dumped")
    first, second = (DumpFolder(place, {"network": "one"}) for _ in range(2))
    with first.part() as path:
        path.write_bytes(b"first")
    with (
        pytest.raises(TensorError, match=r"s3://bucket/dumped: another process is dumping"),
        second.part() as path,
    ):
        path.write_bytes(b"second")
    assert (place / "part-00000.parquet").read_bytes() == b"first"


def test_names_of_objects_may_have_what_urls_quote(bucket: str, tmp_path: Path) -> None:
    odd = StoredPath(f"{bucket}/odd") / "a b/100%20#1?é.txt"
    odd.put(b"content")
    assert StoredPath(f"{bucket}/odd").below() == [odd]
    odd.fetch(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == odd.read_bytes() == b"content"
    with odd.open() as file:
        file.seek(3)
        assert file.read() == b"tent"
    odd.unlink()
    assert not odd.exists()
    with pytest.raises(FileNotFoundError, match="No such file or directory: 's3://bucket/odd/a b/"):
        odd.read_bytes()
    assert StoredPath((tmp_path / "a b").as_uri()).local == tmp_path / "a b"


def test_commands_load_neither_ray_nor_obstore_unless_asked() -> None:
    modules = "postproc.cli.app, postproc.evaluation, postproc.spreading.images, postproc.spreading.tensors"
    code = f"import sys, {modules}; print({{'ray', 'obstore'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_url_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    stores._opened.cache_clear()
    result = invoke("run", "--spec", "s3://bucket/spec.json")
    assert result.exit_code == 2
    assert "[store]" in result.stderr

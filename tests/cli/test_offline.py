"""The four commands on files in a store, without a cluster."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from postproc import RunnerError, TensorError, stores
from postproc.errors import PostprocError, StoreError
from postproc.onnx_runner.fetching import fetch_network
from postproc.saved_tensors.dump_folder import DumpFolder
from postproc.spreading.cluster import RayCluster
from postproc.stores import StoredPath, is_url, place_of
from tests.cli.commands import invoke
from tests.cli.offline import make_digits, numbers, outcome, upload
from tests.s3 import s3_bucket

boto3 = pytest.importorskip("boto3")
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
    for secret in ("secret", "sec/ret"):
        result = invoke("run", *DOCUMENTS, "model.onnx", f"s3://key:{secret}@bucket/a.png")
        assert result.exit_code == 2
        assert "keys in the environment and not in the URL" in result.stderr
        assert secret not in result.stderr


ODD_URLS = (
    *("s3://bucket/a/../b", "s3://bucket/a//b", "s3://bucket/./a", "s3://bucket/a\n", "s3://bucket/\udcff"),
    *("s3://bucket?a/b", "s3://[a/b", "s3://a b/c", "S3://bucket/a", "file:///", "file://folder/a"),
)


def test_url_that_a_store_takes_no_name_from_is_misuse(bucket: str) -> None:
    for url in ODD_URLS:
        result = invoke("run", "--spec", url)
        assert (result.exit_code, "store: expected" in result.stderr) == (2, True), url


def test_path_with_what_only_urls_begin_with_may_be_given(tmp_path: Path) -> None:
    assert place_of(f"{tmp_path}/s3://bucket/a") == tmp_path / "s3:/bucket/a"
    assert place_of("./s3://bucket/a") == Path("s3:/bucket/a")


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
    assert ("NoSuchBucket: The" in result.stderr, "<" in result.stderr) == (True, False)
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


@pytest.mark.usefixtures("folder")
def test_names_of_outputs_in_a_store_are_not_both_of_a_file_and_of_a_folder(bucket: str) -> None:
    StoredPath(f"{bucket}/both/file").put(b"content")
    network = ("model.onnx", "a.png")
    result = invoke("evaluate", "--truth", "spec.json", *network, "--json", f"{bucket}/both")
    assert (result.exit_code, f"File '{bucket}/both' is a directory." in result.stderr) == (2, True)
    result = invoke("dump", *DOCUMENTS, *network, "--output", f"{bucket}/both/file")
    assert (result.exit_code, f"Directory '{bucket}/both/file' is a file." in result.stderr) == (2, True)


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_with_a_file_of_a_store_names_its_url(bucket: str) -> None:
    for name in ("spec.json", "version.json", "preprocessing.json"):
        StoredPath(f"{bucket}/wrong/{name}").put(b"nothing")
        options = dict(zip(DOCUMENTS[::2], DOCUMENTS[1::2], strict=True))
        options[f"--{name.removesuffix('.json')}"] = f"{bucket}/wrong/{name}"
        result = invoke("run", *(part for pair in options.items() for part in pair), "model.onnx", "a.png")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {bucket}/wrong/{name}"), result.stderr


@pytest.mark.usefixtures("folder")
def test_interrupt_while_a_store_takes_the_output_leaves_nothing_here(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(place: StoredPath, content: Path) -> None:
        assert content.is_relative_to(tmp_path / "temporary")
        raise KeyboardInterrupt

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(StoredPath, "put", interrupt)
    result = invoke("run", *DOCUMENTS, "model.onnx", "a.png", "--output", f"{bucket}/out.jsonl")
    assert (result.exit_code, list((tmp_path / "temporary").iterdir())) == (130, [])


def test_ray_without_an_address_is_refused() -> None:
    with pytest.raises(RunnerError, match=r"^address: expected auto, "):
        RayCluster("")


@pytest.mark.parametrize("gpus", [1.5, -1, float("inf"), float("nan")])
def test_gpus_that_no_worker_can_take_are_refused(gpus: float) -> None:
    with pytest.raises(RunnerError, match=r"^gpus: expected a part of one, such as 0\.5, or whole ones, got"):
        RayCluster("local", gpus)


@pytest.mark.parametrize(("text", "begin"), [("s3:/bucket/x", "s3:/"), ("http://a/x", "http://")])
def test_what_is_nearly_the_url_of_a_store_is_no_path(text: str, begin: str) -> None:
    assert is_url(text)
    with pytest.raises(PostprocError, match=f"expected s3://.* got one that begins with '{begin}'$"):
        place_of(text)


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
    here = StoredPath(tmp_path.as_uri())
    for name in ("a b", "100%20#1?é.txt"):
        assert StoredPath((tmp_path / name).as_uri()).local == (here / name).local == tmp_path / name
    (tmp_path / "100%20").touch()
    assert [(file.name, file.is_file()) for file in here.below()] == [("100%20", True), ("copy", True)]
    assert (here / "100%20").relative_to(here) == PurePosixPath("100%20")


def test_what_consoles_make_for_a_folder_is_no_file(bucket: str) -> None:
    client = boto3.client("s3", region_name="us-east-1")
    place = StoredPath(f"{bucket}/by-console")
    for key in ("by-console/", "by-console/sub/"):
        client.put_object(Bucket="bucket", Key=key)
    assert not place.exists()
    (place / "sub/empty.txt").put(b"")
    assert place.below() == [place / "sub/empty.txt"]


@pytest.mark.usefixtures("folder")
def test_folder_may_be_a_whole_bucket(bucket: str) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="whole")
    result = invoke("run", *DOCUMENTS, "model.onnx", "a.png", "--format", "voc", "--output", "s3://whole")
    assert (result.exit_code, result.output) == (0, "")
    assert StoredPath("s3://whole").below() == [StoredPath("s3://whole/a.xml")]
    result = invoke("evaluate", *DOCUMENTS, "model.onnx", "a.png", "--truth", "s3://whole")
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("folder")
def test_whole_bucket_is_no_file(bucket: str) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="empty")
    network = ("model.onnx", "a.png")
    result = invoke("run", *DOCUMENTS, *network, "--output", "s3://empty/")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: s3://empty: expected the name of a file")
    result = invoke("evaluate", "--truth", "spec.json", *network, "--json", "s3://empty")
    assert (result.exit_code, "File 's3://empty' is a directory." in result.stderr) == (2, True)


@pytest.mark.usefixtures("folder")
def test_nothing_is_written_over_what_is_read(bucket: str) -> None:
    StoredPath(f"{bucket}/found.jsonl").put(b"found")
    Path("saved").mkdir()
    found = ("--truth", "spec.json", "--detections", f"{bucket}/found.jsonl")
    saved = ("--tensors", "saved", "--format", "parquet")
    for arguments, target in (
        (("run", *DOCUMENTS, "model.onnx", "a.png", "--output"), "model.onnx"),
        (("run", *DOCUMENTS, "model.onnx", "a.png", "--output"), Path("a.png").resolve().as_uri()),
        (("run", *DOCUMENTS, *saved, "--output"), "saved/new.parquet"),
        (("evaluate", *found, "--report"), f"{bucket}/found.jsonl"),
        (("calibrate", *found, "--force", "--output"), "./spec.json"),
    ):
        result = invoke(*arguments, target)
        assert result.exit_code == 2, result.output
        assert "is what the command reads: give another name" in " ".join(result.stderr.split())


@pytest.mark.usefixtures("folder")
def test_image_at_a_url_is_not_drawn_over_by_another_of_its_paths(tmp_path: Path) -> None:
    before = Path("a.png").read_bytes()
    (tmp_path / "link").symlink_to(Path.cwd(), target_is_directory=True)
    result = invoke("run", *DOCUMENTS, "model.onnx", f"{(tmp_path / 'link').as_uri()}/a.png", "--draw", ".")
    assert (result.exit_code, Path("a.png").read_bytes()) == (0, before)
    assert Path("a-2.png").is_file()


def test_weights_of_a_network_are_fetched_beside_it_only(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    outside, source, target = (tmp_path / name for name in ("outside", "source", "target"))
    names = (str(outside / "weights"), "./weights")
    tensors = []
    for name in names:
        path = Path(f"{source}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(4))
        tensors.append(onnx.TensorProto(name=name, dims=[1], data_type=1, data_location=1))
        tensors[-1].external_data.add(key="location", value=name)
    graph = onnx.helper.make_graph([], "graph", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), source / "model.onnx")
    fetch_network(StoredPath(source.as_uri()) / "model.onnx", target / "model.onnx")
    assert not outside.exists()
    assert sorted(path.name for path in target.iterdir()) == ["model.onnx", "weights"]


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

"""The way to the cache of compiled kernels: nobody else can have laid it, or what is loaded at its end."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from numba.core import config

from postproc.kernels import _trusted_paths
from postproc.kernels._trusted_paths import DistrustError, TrustedDirectory
from tests.kernels.test_cache_faults import AS_ROOT, directory_of, only_warning, root
from tests.kernels.test_jit import import_anew, loaded_and_compiled, package, set_cache_directory

__all__ = ["package", "root"]  # the fixtures

pytestmark = [
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT"),
    pytest.mark.skipif(os.name == "nt", reason="modes and owners of directories are POSIX's"),
]
OTHER = 12345  # another user


def give(path: Path) -> None:
    os.lchown(path, OTHER, 0)


def move_behind_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target.name)


def move_behind_link_of_another(path: Path) -> None:
    move_behind_link(path)
    give(path)


def move_behind_directory_of_another(path: Path) -> None:
    """Lead there by a link of one's own, through where another may change everything."""
    middle = path.with_name("middle")
    middle.mkdir()
    path.rename(middle / "target")
    path.symlink_to("middle/../middle/target")
    give(middle)


@AS_ROOT
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(give, "cache belongs to another user (uid 12345)", id="parent of another user"),
        pytest.param(lambda path: path.chmod(0o777), "every user may write to", id="parent open to all"),
        pytest.param(move_behind_link_of_another, "cache belongs to another user", id="link of another user"),
        pytest.param(
            move_behind_directory_of_another, "middle belongs to another user", id="link through another's"
        ),
    ],
)
def test_cache_that_another_user_could_lead_to_is_not_used(
    root: Path, change: Callable[[Path], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    import_anew().doubled_and_one(20)
    change(root)
    kernel = import_anew().doubled_and_one
    assert kernel(20) == 41
    assert loaded_and_compiled(kernel) == (0, 1)
    assert reason in only_warning(caplog)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(move_behind_link, id="link of this user"),
        pytest.param(lambda path: path.chmod(0o1777), id="sticky parent"),
        pytest.param(lambda path: path.chmod(0o2775), id="parent open to its group"),
        pytest.param(lambda path: path.chmod(0o555), id="parent read only"),
        pytest.param(lambda path: path.chmod(0o711), id="parent that may be searched only"),
    ],
)
def test_cache_that_only_trusted_users_lead_to_is_used(
    root: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    import_anew().doubled_and_one(20)
    change(root)
    kernel = import_anew().doubled_and_one
    kernel(20)
    assert loaded_and_compiled(kernel) == (1, 0)
    assert not caplog.records


def test_cache_in_the_package_behind_links_is_used(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package.parent / "links").mkdir()
    (package.parent / "links" / "tiny").symlink_to("../tiny")
    (tmp_path / "kept").mkdir()
    (package / "__pycache__").symlink_to(tmp_path / "kept")
    monkeypatch.syspath_prepend(package.parent / "links")
    for expected in [(0, 1), (1, 0)]:
        kernel = import_anew().doubled_and_one
        kernel(20)
        assert loaded_and_compiled(kernel) == expected
    assert directory_of(kernel).parent == package.parent / "links" / "tiny" / "__pycache__"


@AS_ROOT
def test_cache_that_is_swapped_after_it_was_chosen_is_not_used(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = import_anew().doubled_and_one
    assert (kernel(20), kernel(1.25)) == (41, 3.5)
    kernel = import_anew().doubled_and_one
    kernel(20)
    move_behind_link_of_another(directory_of(kernel))
    assert kernel(1.25) == 3.5
    assert loaded_and_compiled(kernel) == (1, 1)
    assert "belongs to another user" in only_warning(caplog)


def _replace_by_link(path: Path) -> None:
    path.rename(path.with_suffix(".target"))
    path.symlink_to(path.with_suffix(".target").name)


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@AS_ROOT
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"], ids=["index", "code"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(give, id="of another user"),
        pytest.param(lambda path: path.chmod(0o666), id="open to all"),
        pytest.param(_replace_by_link, id="link"),
        pytest.param(_replace_by_pipe, id="pipe"),
    ],
)
def test_file_that_another_user_could_have_written_is_compiled_anew_and_replaced(
    root: Path, suffix: str, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    kernel = import_anew().doubled_and_one
    kernel(20)
    (path,) = directory_of(kernel).glob(f"callers.*{suffix}")
    change(path)
    for expected in [(0, 1), (1, 0)]:
        kernel = import_anew().doubled_and_one
        assert kernel(20) == 41
        assert loaded_and_compiled(kernel) == expected
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@AS_ROOT
@pytest.mark.parametrize("options", ["lowerdir=lower,upperdir=upper,workdir=work", "lowerdir=lower:upper"])
def test_cache_in_a_layer_of_a_container_is_used(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """With a layer that can be written above it, and with none."""
    import_anew().doubled_and_one(20)
    layers = tmp_path / "layers"
    layers.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(layers)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"tmpfs may not be mounted here: {done.stderr.strip()}")
    try:
        for name in ("upper", "work", "merged"):
            (layers / name).mkdir()
        shutil.copytree(root, layers / "lower")
        done = subprocess.run(
            ["mount", "-t", "overlay", "-o", options, "overlay", "merged"],
            cwd=layers,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"an overlay may not be mounted here: {done.stderr.strip()}")
        try:
            set_cache_directory(monkeypatch, layers / "merged")
            kernel = import_anew().doubled_and_one
            kernel(20)
            assert directory_of(kernel).is_relative_to(layers / "merged")
            assert loaded_and_compiled(kernel) == (1, 0)
        finally:
            subprocess.run(["umount", str(layers / "merged")], check=True)
    finally:
        subprocess.run(["umount", str(layers)], check=True)


def test_cache_keeps_no_descriptor(root: Path) -> None:
    kernel = import_anew().doubled_and_one
    kernel(20)  # numba opens some
    before = len(os.listdir("/dev/fd"))
    kernel(1.25)
    again = import_anew().doubled_and_one
    assert (again(20), again(1.25)) == (41, 3.5)
    assert loaded_and_compiled(again) == (2, 0)
    assert len(os.listdir("/dev/fd")) == before


def test_cache_directory_is_where_it_was_when_the_process_changes_its_directory(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    set_cache_directory(monkeypatch, "cache")
    kernel = import_anew().doubled_and_one
    kernel(20)
    monkeypatch.chdir(tmp_path / "other")
    kernel(1.25)
    assert directory_of(kernel).is_relative_to(tmp_path / "cache")
    assert not list((tmp_path / "other").iterdir())


def test_directory_reads_and_writes_where_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "name").write_bytes(b"there")
    with TrustedDirectory(tmp_path / "here") as directory:
        directory.write("name", [b"he", b"re"])
        (tmp_path / "here").rename(tmp_path / "moved")
        (tmp_path / "here").symlink_to("there")
        assert directory.read("name") == b"here"
        directory.write("other", [b"more"])
    assert {path.name for path in (tmp_path / "moved").iterdir()} == {"name", "other"}
    assert (tmp_path / "there" / "name").read_bytes() == b"there"


def test_directory_at_the_end_may_not_be_open_to_all_even_if_sticky(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    (tmp_path / "open" / "link").symlink_to(".")
    for path in ("open", "open/link"):
        with pytest.raises(DistrustError, match=r"every user may write to .*open"):
            TrustedDirectory(tmp_path / path)
    TrustedDirectory(tmp_path / "open" / "made", make=True).close()
    assert (tmp_path / "open" / "made").stat().st_mode & 0o7777 == 0o755


def test_directory_behind_links_that_go_round_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError, match=r"one|two"):
        TrustedDirectory(tmp_path / "one")
    assert len(os.listdir("/dev/fd")) == before


def test_directory_is_made_behind_a_link_that_leads_to_none_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new/folder")
    with TrustedDirectory(tmp_path / "link" / "cache", make=True) as directory:
        directory.write("name", [b"x"])
    assert (tmp_path / "new" / "folder" / "cache" / "name").read_bytes() == b"x"


def test_directory_errors_tell_the_whole_path(tmp_path: Path) -> None:
    with TrustedDirectory(tmp_path) as directory, pytest.raises(FileNotFoundError, match=str(tmp_path)):
        directory.read("missing")
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "missing")):
        TrustedDirectory(tmp_path / "missing" / "folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=str(tmp_path / "file")):
        TrustedDirectory(tmp_path / "file" / "folder", make=True)


_LOOK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from paths._trusted_paths import DistrustError, TrustedDirectory
for folder in sys.argv[2:]:
    try:
        TrustedDirectory(Path(folder)).close()
        print("used")
    except DistrustError as error:
        print(error)
"""


@AS_ROOT
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize("owner", [OTHER, 0], ids=["own package", "package of root"])
def test_user_namespace_makes_no_stranger_trusted(owner: int) -> None:
    with tempfile.TemporaryDirectory() as name:  # the user may not enter pytest's folder
        home = Path(name)
        package = home / "paths"
        package.mkdir()
        for module in ("_sources.py", "_trusted_paths.py"):
            shutil.copy(Path(_trusted_paths.__file__).with_name(module), package)
        users = {home: OTHER, home / "own": OTHER, home / "foreign": OTHER + 1, package: owner}
        for path, user in users.items():
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
            os.chown(path, user, user)
        os.chown(package / "_trusted_paths.py", owner, owner)
        # In it all users but one have one number, which is that of the owner of "/", too.
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
        ended = subprocess.run(
            ["unshare", "-r", python, "-c", _LOOK, home, home / "own", home / "foreign"],
            user=OTHER,
            group=OTHER,
            extra_groups=(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if "unshare failed" in ended.stderr:
            pytest.skip("user namespaces are forbidden here")
    assert ended.stderr == ""
    own, foreign = ended.stdout.splitlines()
    assert own == "used"
    assert "foreign belongs to another user" in foreign

"""A directory whose path, links and files are judged by what is opened, not by what was there before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from postproc.kernels._trusted_paths import DistrustError, TrustedDirectory

pytestmark = pytest.mark.skipif(os.name == "nt", reason="owners and modes are POSIX's")
AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a file away"
)
STRANGER = 54321


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Give a directory with a cache that holds a file."""
    home = tmp_path / "home"
    directory_at(home / "a" / "cache").write("kernel", [b"co", b"de"])
    yield home
    for parent, folders, files in os.walk(home):  # pytest removes it
        for name in (*folders, *files):
            if not os.path.islink(os.path.join(parent, name)):
                os.chmod(os.path.join(parent, name), 0o755)


def directory_at(path: Path) -> TrustedDirectory:
    return TrustedDirectory(path, Path(__file__))


def refused(path: Path, message: str) -> None:
    """Check that nothing is read there, nor written."""
    directory = directory_at(path)
    for call in (
        directory.check,
        directory.check_writing,
        lambda: directory.read("kernel"),
        lambda: directory.write("new", [b"x"]),
    ):
        with pytest.raises(DistrustError, match=message):
            call()
    assert not (path / "new").exists()


def test_file_is_written_whole_and_read(home: Path) -> None:
    directory = directory_at(home / "a" / "cache")
    assert directory.read("kernel") == b"code"
    directory.write("kernel", [b"new"])
    assert directory.read("kernel") == b"new"
    assert os.listdir(home / "a" / "cache") == ["kernel"]
    with pytest.raises(FileNotFoundError):
        directory.read("missing")
    with pytest.raises(FileNotFoundError):
        directory_at(home / "missing").check()


def test_directories_and_files_are_closed_to_others_under_any_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        directory_at(home / "b" / "c" / "d").write("kernel", [b"code"])
    finally:
        os.umask(before)
    for path in (home / "b", home / "b" / "c", home / "b" / "c" / "d", home / "b" / "c" / "d" / "kernel"):
        assert not path.stat().st_mode & 0o022
    assert directory_at(home / "b" / "c" / "d").read("kernel") == b"code"


@AS_ROOT
@pytest.mark.parametrize("part", [".", "a", "a/cache"])
def test_path_with_a_part_of_another_user_is_refused(home: Path, part: str) -> None:
    os.chown(home / part, STRANGER, STRANGER)
    refused(home / "a" / "cache", f"{(home / part).name} belongs to another user .uid {STRANGER}.")


@pytest.mark.parametrize("part", [".", "a", "a/cache"])
def test_path_with_a_part_that_all_may_write_is_refused(home: Path, part: str) -> None:
    os.chmod(home / part, 0o777)
    refused(home / "a" / "cache", f"every user may write to .*{(home / part).name},")


def test_path_through_a_directory_with_the_sticky_bit_is_used_and_that_itself_is_not(home: Path) -> None:
    os.chmod(home / "a", 0o1777)
    assert directory_at(home / "a" / "cache").read("kernel") == b"code"
    refused(home / "a", "every user may write")


@AS_ROOT
def test_links_are_followed_where_they_are_a_trusted_users(home: Path) -> None:
    link = home / "link"
    link.symlink_to("a/../a")
    assert directory_at(link / "cache").read("kernel") == b"code"
    absolute = home / "absolute"
    absolute.symlink_to(link)
    assert directory_at(absolute / "cache").read("kernel") == b"code"
    os.lchown(link, STRANGER, STRANGER)
    refused(absolute / "cache", "link belongs to another user")


@AS_ROOT
def test_last_part_may_be_a_link_and_what_it_leads_to_is_judged(home: Path) -> None:
    link = home / "link"
    link.symlink_to(home / "a" / "cache")
    assert directory_at(link).read("kernel") == b"code"
    os.chown(home / "a", STRANGER, STRANGER)
    refused(link, "a belongs to another user")


def test_links_in_a_circle_are_an_error(home: Path) -> None:
    (home / "one").symlink_to("other")
    (home / "other").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        directory_at(home / "one").check()


@AS_ROOT
def test_file_of_another_user_or_that_all_may_write_or_a_link_is_not_read(home: Path) -> None:
    directory, file = directory_at(home / "a" / "cache"), home / "a" / "cache" / "kernel"
    os.chmod(file, 0o646)
    with pytest.raises(DistrustError, match=r"every user may write to .*kernel"):
        directory.read("kernel")
    os.chmod(file, 0o644)
    os.chown(file, STRANGER, STRANGER)
    with pytest.raises(DistrustError, match="kernel belongs to another user"):
        directory.read("kernel")
    file.rename(home / "elsewhere")
    file.symlink_to(home / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        directory.read("kernel")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DistrustError, match="expected a file"):
        directory.read("kernel")


@AS_ROOT
def test_what_is_put_in_place_of_a_directory_after_a_check_is_judged_again(home: Path) -> None:
    directory = directory_at(home / "a" / "cache")
    directory.check()
    foreign = home / "foreign"
    foreign.mkdir()
    (foreign / "kernel").write_bytes(b"foreign code")
    os.chown(foreign, STRANGER, STRANGER)
    (home / "a").rename(home / "b")
    (home / "a").mkdir()
    (home / "a" / "cache").symlink_to(foreign)
    refused(home / "a" / "cache", "foreign belongs to another user")


@AS_ROOT
def test_owner_of_the_package_is_trusted(home: Path) -> None:
    package = home / "package.py"
    package.touch()
    for path in (package, home / "a", home / "a" / "cache", home / "a" / "cache" / "kernel"):
        os.chown(path, STRANGER, STRANGER)
    assert TrustedDirectory(home / "a" / "cache", package).read("kernel") == b"code"
    os.chmod(home / "a" / "cache", 0o775)  # a group may write
    assert TrustedDirectory(home / "a" / "cache", package).read("kernel") == b"code"


def test_nothing_stays_open(home: Path) -> None:
    directory = directory_at(home / "a" / "cache")
    before = set(os.listdir("/dev/fd"))
    for _ in range(3):
        directory.read("kernel")
        directory.check_writing()
        with pytest.raises(FileNotFoundError):
            directory.read("missing")
        os.chmod(home / "a", 0o777)
        with pytest.raises(DistrustError):
            directory.read("kernel")
        os.chmod(home / "a", 0o755)
    assert len(os.listdir("/dev/fd")) == len(before)

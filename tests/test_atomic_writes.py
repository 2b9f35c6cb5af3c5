"""Atomic writes: no half of a file is ever seen, and nothing is left of a process that was killed."""

import os
import signal
import stat
from pathlib import Path

import pytest

from elekit.datasets.files import check_writable, write_atomically

resource = pytest.importorskip("resource")


@pytest.fixture(params=["no name until complete", "named"])
def folder(request, tmp_path, monkeypatch):
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def text(content: str):
    return lambda partial: partial.write_text(content)


def killed(action) -> None:
    """Run the action in a copy of this process, which must be ended by SIGKILL."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("at", ["write", "fsync", "replace"])
def test_a_killed_writer_changes_nothing_and_the_next_one_cleans_up(folder, monkeypatch, before, at):
    path = folder / "file"
    if before:
        path.write_text(before)

    def writer():
        def write(partial):
            partial.write_text("half")
            if at == "write":
                die()

        if at != "write":
            monkeypatch.setattr(os if at == "fsync" else Path, at, die)
        write_atomically(path, write)

    killed(writer)
    assert (path.read_text() if path.exists() else None) == before
    if at != "replace" and hasattr(os, "O_TMPFILE"):
        assert names(folder) == (["file"] if before else [])
    write_atomically(folder / "another", text("whole"))
    assert names(folder) == (["another", "file"] if before else ["another"])


def test_the_file_of_a_living_writer_is_not_removed(folder):
    def outer(partial):
        partial.write_text("outer")
        write_atomically(folder / "file", text("inner"))
        write_atomically(folder / "another", text("inner"))
        assert (folder / "file").read_text() == "inner"

    write_atomically(folder / "file", outer)
    assert (folder / "file").read_text() == "outer" and names(folder) == ["another", "file"]


def test_permissions_follow_the_umask_or_the_old_file(folder):
    umask = os.umask(0o027)
    try:
        write_atomically(folder / "new", text(""))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o640
    (folder / "new").chmod(0o604)
    write_atomically(folder / "new", text("again"))
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o604


def test_links_are_followed_and_names_may_be_long(folder):
    (folder / "link").symlink_to(folder / "sub" / "real")
    write_atomically(folder / "link", text("content"))
    assert (folder / "link").is_symlink() and (folder / "sub" / "real").read_text() == "content"
    write_atomically(folder / ("é" * 127 + "x"), text("255 bytes"))
    assert (folder / ("é" * 127 + "x")).read_text() == "255 bytes"


def test_what_is_no_file_stays_what_it_is(folder):
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDWR | os.O_NONBLOCK)
    write_atomically(folder / "pipe", text("through"))
    check_writable(folder / "pipe")
    assert os.read(reader, 100) == b"through" and stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    os.close(reader)
    for write in (lambda path: write_atomically(path, text("")), check_writable):
        (folder / "round").unlink(missing_ok=True)
        (folder / "round").symlink_to(folder / "round")
        for path, reason in ((folder, "Is a directory"), (folder / "round", "Too many levels")):
            with pytest.raises(OSError, match=f"cannot write {path}: {reason}.*an older file there is unchanged"):
                write(path)
    assert names(folder) == ["pipe", "round"]


def test_the_check_before_a_training_reserves_the_space_and_leaves_nothing(folder):
    check_writable(folder / "new" / "file", 5_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1]))
    try:
        with pytest.raises(OSError, match="cannot write .*file: File too large"):
            check_writable(folder / "new" / "file", 5_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (folder / "file").write_text("old")
    check_writable(folder / "file", 5_000)
    with pytest.raises(NotADirectoryError):
        check_writable(folder / "file" / "below")
    assert names(folder) == ["file"] and (folder / "file").read_text() == "old"

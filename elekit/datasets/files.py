"""Folders of shipped and cached files, downloads, atomic writes, and locks."""

import contextlib
import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from elekit.graphs._optional import extra

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PACKAGE = Path(__file__).resolve().parents[1]
# Shipped data and models, read-only: in the wheel, or else in the checkout.
SHIPPED = _PACKAGE / "_data" if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent / "data"


def cache_folder() -> Path:
    """Folder of downloads and of results that take long to compute; it need not exist."""
    own, shared = os.environ.get("ELEKIT_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else Path(shared or Path.home() / ".cache") / "elekit"


def local_file(*names: str) -> Path | None:
    """The first existing of these paths in `$ELEKIT_DATA_DIR`; None without one."""
    folder = os.environ.get("ELEKIT_DATA_DIR")
    return next((path for name in names if folder and (path := Path(folder) / name).exists()), None)


def download(url: str, name: str, sha256: str | None = None) -> Path:
    """Download a file into the cache, unless it is there.

    Where the publisher gives no sha256, that of the first download is kept beside the file as `name.sha256`, and no
    other file is accepted later. Raises ValueError if the sha256 differs or the download fails.
    """
    path = cache_folder() / name
    record = path.with_name(f"{name}.sha256")
    expected = record.read_text().strip() if sha256 is None and record.exists() else sha256

    def check(file: Path, origin: str, fix: str) -> str:
        with open(file, "rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if expected not in (None, found):
            raise ValueError(f"{origin} has the sha256 {found[:16]}..., expected is {str(expected)[:16]}...; {fix}")
        return found

    def fetch(partial: Path) -> None:
        try:
            pooch.HTTPDownloader()(url, str(partial), None)
        except OSError as error:
            raise ValueError(f"cannot download {url}: {error}") from error
        check(partial, url, "it is not used" if sha256 else f"delete {record} if you trust the new file")

    if not path.exists():
        with extra("data"):
            import pooch
        write_atomically(path, fetch)
    found = check(path, str(path), "delete it to download it again")
    if expected is None:
        write_atomically(record, lambda partial: partial.write_text(f"{found}\n"))
    return path


def cache_arrays(path: Path, **arrays: Any) -> None:
    """Write compressed arrays after a sha256 of them; a cache that cannot be written is ignored."""
    import numpy as np  # keeps this module light

    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    data = packed.getvalue()
    with contextlib.suppress(OSError):
        write_atomically(path, lambda partial: partial.write_bytes(hashlib.sha256(data).digest() + data))


def cached_arrays(path: Path) -> dict[str, Any] | None:
    """The arrays of `cache_arrays`; None if the file is missing, damaged, or not one of these."""
    import numpy as np

    try:
        content = path.read_bytes() if path.is_file() else b""
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return dict(stored)
    except Exception:  # whatever it is, the arrays are computed again
        return None


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file, flush it to disk, then give it the name `path`.

    Links are followed. A new file gets the permissions of the umask, a replaced file keeps its own. A device or pipe
    is written directly. If that fails (disk full, read-only folder), it raises OSError and an older file at `path` is
    unchanged. Concurrent writers do not mix: the last one to finish wins.
    """
    with _named_errors(path):
        target = _target(path)
        if target is None:
            write(Path(path))
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(target.parent) as (partial, name):
            write(partial)
            if target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            with open(partial, "rb+") as written:
                os.fsync(written.fileno())
            if partial != name:
                os.link(partial, name, src_dir_fd=0)  # a folder makes os.link follow the link in /proc
            name.replace(target)
        with contextlib.suppress(OSError):  # the name is on disk once the folder is; some systems cannot flush one
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def check_writable(path: str | Path, size: int = 1) -> None:
    """Raise the OSError of `write_atomically` if a file of so many bytes cannot be written to `path` now."""
    with _named_errors(path):
        target = _target(path)
        if target is not None:
            folder = next(parent for parent in target.parents if parent.exists())
            with _unfinished(folder) as (partial, _), open(partial, "rb+") as opened:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(opened.fileno(), 0, max(1, size))
                opened.write(b"0")


@contextlib.contextmanager
def _named_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        reason = failed.strerror or str(failed)
        message = f"cannot write {path}: {reason}; an older file there is unchanged"
        raise OSError(failed.errno or 0, message) from failed


def _target(path: str | Path) -> Path | None:
    """The file that `path` leads to; None for a device or pipe."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        return None
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A new file in the folder, to be written by this path and then renamed from that name.

    Where the system can, the file has no name until it is complete, and nothing is left of a process that is killed.
    Elsewhere its name is left, and removed by the next writer in the folder: the file of a living writer is locked.
    """
    for old in folder.glob(".elekit-*.partial"):
        with contextlib.suppress(OSError), open(old, "rb+") as opened:
            if _lock(opened.fileno()):
                old.unlink()
    name = folder / f".elekit-{secrets.token_hex(8)}.partial"
    handle, partial = _create(folder, name)
    try:
        if fcntl is None:  # Windows renames no open file
            os.close(handle)
        yield partial, name
    finally:
        name.unlink(missing_ok=True)
        if fcntl is not None:
            os.close(handle)


def _create(folder: Path, name: Path) -> tuple[int, Path]:
    """The descriptor of a new locked file, and the path to write to: `name`, or one that holds while it is open."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux, or a file system without such files
        handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
        partial = Path(f"/proc/self/fd/{handle}")
        if partial.exists():
            _lock(handle)
            return handle, partial
        os.close(handle)
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        _lock(handle, wait=True)
        if name.exists():  # no other writer took it for abandoned before it was locked
            return handle, name
        os.close(handle)


def _lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed; False if another process holds the lock or files cannot be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(path: str | Path, guarded: str | Path, busy: str, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock file within the block, against other processes and threads, and remove it at the end.

    The system releases the lock of a process that dies; its file is left, and removed by the next one that locks it.

    Args:
        path: The lock file; its folder is made if needed.
        guarded: What the lock is for, to be named in errors.
        busy: Message of the TimeoutError if the lock is held elsewhere.
        wait: Seconds to wait for it.

    Raises:
        TimeoutError: If the lock is held elsewhere for longer than `wait`.
        OSError: If the folder cannot be written.
    """
    path = Path(path)
    with _named_errors(guarded):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=wait)
    if not lock.is_locked:
        raise TimeoutError(busy)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is held: whoever waits for this file sees that it is gone, and makes a new one
        lock.release()

"""Folders of shipped and cached files, downloads, and atomic writes."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elekit.graphs._optional import extra

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
    """Download a file into the cache, unless it is there; a ValueError if it has another sha256."""
    with extra("data"):
        import pooch
    known = None if sha256 is None else f"sha256:{sha256}"
    return Path(pooch.retrieve(url, known_hash=known, fname=name, path=cache_folder()))


def cache_arrays(path: Path, **arrays: Any) -> None:
    """Write a compressed numpy file; a cache that cannot be written is ignored."""
    import numpy as np  # keeps this module light

    def write(partial: Path) -> None:
        with open(partial, "wb") as opened:
            np.savez_compressed(opened, **arrays)

    with contextlib.suppress(OSError):
        write_atomically(path, write)


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, flush it to disk, then rename it to `path`.

    If that fails (disk full, read-only folder), it raises OSError and an older file at `path` is unchanged.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as failed:
        reason = failed.strerror or str(failed)
        message = f"cannot write {path}: {reason}; an older file there is unchanged"
        raise OSError(failed.errno or 0, message) from failed
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)

"""Where files are kept, and writing them so that no reader ever meets half of one (floor 0)."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from elekit.graphs._optional import extra

_PACKAGE = Path(__file__).resolve().parents[1]
# Shipped data and models, read-only: of the checkout, or of the wheel where there is none.
SHIPPED = _PACKAGE / "_data" if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent / "data"


def cache_folder() -> Path:
    """Folder of downloads and of results that take long to compute.

    Returns:
        `$ELEKIT_CACHE_DIR`, otherwise `elekit` in `$XDG_CACHE_HOME` or `~/.cache`. It need not exist.
    """
    own, shared = os.environ.get("ELEKIT_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else Path(shared or Path.home() / ".cache") / "elekit"


def download(url: str, name: str, sha256: str | None = None) -> Path:
    """Download a file into the cache, unless it is there.

    Args:
        url: Address of the file.
        name: File name in `cache_folder()`.
        sha256: Hash of the file in hexadecimal; None skips the check.

    Returns:
        Path of the file in the cache.

    Raises:
        ValueError: If the file has another hash.
    """
    with extra("data"):
        import pooch
    known = None if sha256 is None else f"sha256:{sha256}"
    return Path(pooch.retrieve(url, known_hash=known, fname=name, path=cache_folder()))


def cache_arrays(path: Path, **arrays) -> None:
    """A compressed numpy file in the cache; where it cannot be written, things are only slower next time."""
    import numpy as np  # loads here, not with `import elekit`

    def write(partial: Path):
        with open(partial, "wb") as opened:
            np.savez_compressed(opened, **arrays)

    with contextlib.suppress(OSError):
        write_atomically(path, write)


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, flush it to disk, then rename it into place.

    The old file stays whole until the new one is. Where that fails (disk full, read-only folder) the temporary file
    is removed, the old one stays, and an OSError names the path.
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
        raise OSError(
            failed.errno or 0, f"cannot write {path}: {reason}; what stood there before is unchanged"
        ) from failed
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)

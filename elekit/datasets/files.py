"""Where files are kept, and writing them so that no reader ever meets half of one (floor 0)."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[2] / "data"  # data and models that come with the package


def cache_folder() -> Path:
    """Folder of what is downloaded or made once: `$ELEKIT_CACHE_DIR`, otherwise the user's cache."""
    import pooch  # loads here, not with `import elekit`

    return Path(os.environ.get("ELEKIT_CACHE_DIR") or pooch.os_cache("elekit"))


def cache_arrays(path: Path, **arrays) -> None:
    """A compressed numpy file in the cache; where it cannot be written, things are only slower next time."""
    import numpy as np  # loads here, not with `import elekit`

    def write(partial: Path):
        with open(partial, "wb") as opened:
            np.savez_compressed(opened, **arrays)

    with contextlib.suppress(OSError):
        write_atomically(path, write)


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
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

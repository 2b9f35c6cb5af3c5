"""Files of a registry: in a folder, or at any address that fsspec reads, such as s3://bucket/losses."""

import contextlib
import functools
import os
import secrets
from pathlib import Path
from typing import Any

from elekit.datasets.files import write_atomically


class Store:
    """Files by their names below an address.

    Args:
        address: A folder, or an address with a protocol of fsspec.

    Raises:
        ValueError: If no package for the protocol is installed, or there is none.
    """

    def __init__(self, address: str | Path):
        from fsspec.core import url_to_fs  # comes with torch
        from fsspec.implementations.local import LocalFileSystem

        self.address = str(address)
        try:
            self._files, root = url_to_fs(self.address)
        except (ValueError, ImportError) as error:
            raise ValueError(f"{self.address} is no folder and no address that can be read: {error}") from None
        self._root = str(root).rstrip("/")
        self.folder = Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    def path(self, name: str) -> str:
        """The full path of a file."""
        return f"{self._root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return bool(self._files.exists(self.path(name)))

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, sorted; none if it does not exist."""
        self._files.invalidate_cache()
        try:
            found: list[Any] = self._files.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(one).rstrip("/").rsplit("/", 1)[-1] for one in found)

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError if there is none."""
        return bytes(self._files.cat_file(self.path(name)))

    def create(self, name: str, data: bytes) -> None:
        """Write a new file, whole or not at all.

        Raises:
            FileExistsError: If there is one of this name already, even if another process has just written it.
            OSError: If it cannot be written.
        """
        with self._named(name):
            if self.folder is not None:
                self._create_local(Path(self.path(name)), data)
                return
            self._files.makedirs(self.path(name).rsplit("/", 1)[0], exist_ok=True)
            if self.exists(name):  # object stores without exclusive writing check here alone
                raise FileExistsError(self.path(name))
            try:
                self._files.pipe_file(self.path(name), data, mode="create")
            except NotImplementedError:
                self._files.pipe_file(self.path(name), data)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file over an older one."""
        with self._named(name):
            if self.folder is not None:
                write_atomically(self.path(name), lambda partial: partial.write_bytes(data))
            else:
                self._files.pipe_file(self.path(name), data)

    def check_writable(self) -> None:
        """Raise the OSError of `create` if nothing can be written here now."""
        name = f".probe-{secrets.token_hex(8)}"
        self.create(name, b"")
        with contextlib.suppress(OSError):
            self._files.rm_file(self.path(name))

    def download(self, folder: str, target: Path) -> None:
        """Copy the files of a folder (not those in folders of it) to a local folder, `artefact.json` last."""
        for name in sorted(self.names(folder), key=lambda name: name.endswith(".json")):
            if not self._files.isdir(self.path(f"{folder}/{name}")):
                write_atomically(target / name, functools.partial(_write, self.read(f"{folder}/{name}")))

    @contextlib.contextmanager
    def _named(self, name: str) -> Any:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(error.errno or 0, f"cannot write {name} in {self.address}: {reason}") from error

    @staticmethod
    def _create_local(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with open(partial, "xb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            os.link(partial, path)  # fails if the name exists, and is atomic
        finally:
            partial.unlink(missing_ok=True)


def _write(content: bytes, partial: Path) -> None:
    partial.write_bytes(content)

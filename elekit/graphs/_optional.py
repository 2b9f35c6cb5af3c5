"""Packages of extras are imported when they are first used, and a missing one names its extra."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Imports in the block belong to an extra of elekit; a missing package raises an error that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "elekit"):
            raise
        message = f"{package} is not installed; install it with: pip install 'elekit[{name}]'"
        raise ModuleNotFoundError(message, name=error.name) from None


class LazyModule(ModuleType):
    """A module of an extra that is imported when one of its attributes is first used."""

    def __init__(self, name: str, extra: str) -> None:
        super().__init__(name)
        self._extra = extra

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # introspection imports nothing
            raise AttributeError(attribute)
        with extra(self._extra):
            value = getattr(importlib.import_module(self.__name__), attribute)
        setattr(self, attribute, value)
        return value

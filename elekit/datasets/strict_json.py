"""JSON of files that anybody may have written: bounded, and without what Python's parser lets pass."""

import json
import math
import stat
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 64_000_000
MAX_DEPTH = 64  # of nested lists and objects
MAX_DIGITS = 20  # of an integer


def read_json(path: str | Path, max_bytes: int = MAX_BYTES) -> Any:
    """The content of a JSON file, see `parse_json`; FileNotFoundError if it is missing."""
    return parse_json(read_bounded(path, max_bytes).decode())


def read_bounded(path: str | Path, max_bytes: int) -> bytes:
    """The bytes of a regular file; a ValueError if it is none (a pipe never ends) or larger."""
    held = Path(path).stat()
    if not stat.S_ISREG(held.st_mode):
        raise ValueError(f"{path} is not a file")
    if held.st_size > max_bytes:
        raise ValueError(f"{path} has {held.st_size:,} bytes, at most {max_bytes:,} are read")
    return Path(path).read_bytes()


def parse_json(text: str) -> Any:
    """Parse JSON strictly.

    Args:
        text: The document.

    Returns:
        Its value: finite numbers, texts that can be written as UTF-8, at most MAX_DEPTH levels.

    Raises:
        ValueError: If it is no JSON, or holds NaN, infinity, an integer of many digits or a key twice.
    """
    try:
        value = json.loads(
            text, parse_float=_finite, parse_int=_integer, parse_constant=_refuse, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value, MAX_DEPTH)
    return value


def _check(value: Any, levels: int) -> None:
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair
    elif isinstance(value, list | dict):
        if not levels:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        for one in value:
            _check(one, levels - 1)
        for one in value.values() if isinstance(value, dict) else ():
            _check(one, levels - 1)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= MAX_DIGITS else _refuse(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number[:MAX_DIGITS]} is no number that it may hold")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"it holds {name[:60]!r} twice")
        made[name] = value
    return made

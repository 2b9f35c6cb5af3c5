"""What plain values from a file may be: small checks, composed into one description of the file."""

import math
import numbers
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""Raises a ValueError if a value is not what it must be; the text says where the value is."""

# control characters reach terminals; marks of direction and half surrogate pairs make names read as others
_HIDDEN = {"Cc", "Cs"}
_DIRECTIONS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def anything(value: Any, where: str) -> None:
    """Any value."""


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number from low to high."""

    def check(value: Any, where: str) -> None:
        given = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (given and math.isfinite(value) and low <= value <= high):
            limits = "" if math.isinf(high) else f" from {low:,} to {high:,}"
            raise ValueError(f"{where} must be a number{limits}, got {cut(value)}")

    return check


def whole(low: int, high: int) -> Check:
    """An integer from low to high."""

    def check(value: Any, where: str) -> None:
        given = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not (given and low <= value <= high):
            raise ValueError(f"{where} must be a whole number from {low:,} to {high:,}, got {cut(value)}")

    return check


def text(most: int = 1_000, visible: bool = False) -> Check:
    """A text of at most so many characters; visible: without control characters and marks of direction."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"{where} must be a text of at most {most:,} characters, got {cut(value)}")
        if visible and any(unicodedata.category(c) in _HIDDEN or c in _DIRECTIONS for c in value):
            raise ValueError(f"{where} must not hold control characters, got {cut(value)}")

    return check


def one_of(*values: Any) -> Check:
    """One of these values, of the same type."""

    def check(value: Any, where: str) -> None:
        if not any(type(value) is type(one) and value == one for one in values):
            raise ValueError(f"{where} must be one of {', '.join(map(repr, values))}, got {cut(value)}")

    return check


def maybe(other: Check) -> Check:
    """None, or what the other check accepts."""
    return lambda value, where: None if value is None else other(value, where)


def items(each: Check, most: int, least: int = 0) -> Check:
    """A list (or tuple) of so many values."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            held = f"{len(value):,}" if isinstance(value, list | tuple) else cut(value)
            raise ValueError(f"{where} must be a list of {least:,} to {most:,} values, got {held}")
        for i, one in enumerate(value):
            each(one, f"{where}[{i}]")

    return check


def by_name(each: Check, name: Check) -> Check:
    """An object with any names that a check accepts."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object, got {cut(value)}")
        for key, one in value.items():
            name(key, f"a name in {where}")
            each(one, f"{where}[{cut(key)}]")

    return check


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] = {}, others: Check | None = None) -> Check:
    """An object with these fields; others: what further fields may be, None if there must be none."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object, got {cut(value)}")
        if missing := ", ".join(required.keys() - value.keys()):
            raise ValueError(f"{where} lacks {missing}")
        for key, one in value.items():
            known = required.get(key) or optional.get(key) or others
            if known is None:
                raise ValueError(f"{where} has a field {cut(key)} that this version does not know; upgrade elekit")
            known(one, f"{where}.{key}"[:200])

    return check


def require_positive(**counts: int) -> None:
    """Raise ValueError if a count is below 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def cut(value: Any) -> str:
    """A value in at most 60 characters; what cannot be written is escaped."""
    shown = (
        ascii(value[:60]) if isinstance(value, str) else ascii(value) if not isinstance(value, list | dict) else ""
    )
    shown = shown or f"{type(value).__name__} of {len(value):,}"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."

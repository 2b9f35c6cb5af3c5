"""The fixed texts of a card, from texts.toml, and the templates of its statements, from statements.toml."""

import functools
import math
import tomllib
from pathlib import Path
from typing import Any

import jinja2

from elekit.evaluation.formatting import counted, figure, joined, percent

HERE = Path(__file__).parent
TEXTS = tomllib.loads((HERE / "texts.toml").read_text(encoding="utf-8"))
STATEMENTS: dict[str, dict] = tomllib.loads((HERE / "statements.toml").read_text(encoding="utf-8"))


def between(low: float, high: float, write=figure) -> str:
    """ " (95 % interval 0.21 to 0.25)", or "" if there is none."""
    return f" (95 % interval {write(low)} to {write(high)})" if math.isfinite(low) and math.isfinite(high) else ""


FUNCTIONS = {  # that write figures, in the templates
    "between": between,
    "counted": counted,
    "figure": figure,
    "joined": joined,
    "percent": percent,
    "tenths": lambda share: f"{100 * share:.1f} %",
    "two_digits": "{:.2f}".format,
}


@functools.cache
def _template(text: str) -> jinja2.Template:
    return jinja2.Template(text, undefined=jinja2.StrictUndefined)  # plain text; the page escapes it


def filled(text: str, values: dict[str, Any]) -> str:
    """A template of statements.toml with its values."""
    return _template(text).render(FUNCTIONS | values)

"""The fixed texts of a card, from texts.toml, and the templates of its statements, from statements.toml."""

import functools
import tomllib
from pathlib import Path
from typing import Any

from elekit.card.phrases import between, counted, figure, joined, percent, tenths, two_digits

HERE = Path(__file__).parent
TEXTS = tomllib.loads((HERE / "texts.toml").read_text(encoding="utf-8"))
STATEMENTS: dict[str, dict] = tomllib.loads((HERE / "statements.toml").read_text(encoding="utf-8"))
WRITERS = {write.__name__: write for write in (between, counted, figure, joined, percent, tenths, two_digits)}


@functools.cache
def _template(text: str):
    import jinja2

    return jinja2.Template(text, undefined=jinja2.StrictUndefined)  # plain text; the page escapes it


def filled(text: str, values: dict[str, Any]) -> str:
    """A template of statements.toml with its values."""
    return _template(text).render(WRITERS | values)

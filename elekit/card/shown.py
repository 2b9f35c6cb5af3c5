"""A card inside a notebook or a dashboard."""

import html
from dataclasses import dataclass
from pathlib import Path

from elekit.datasets.files import SHIPPED as DATA

SHIPPED = DATA / "cards" / "molecules7.html"
"""The card of the shipped loss, as `python data/build/recipes.py card` makes it."""


@dataclass(frozen=True, repr=False)
class Framed:
    """A page in a frame of its own: it can reach neither the notebook around it nor anything else."""

    page: str
    height: int

    def __repr__(self) -> str:
        return f"a loss card of {len(self.page):,} letters; shown in a notebook"

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="loss card" sandbox="allow-scripts" srcdoc="{html.escape(self.page)}" '
            f'style="width:100%;height:{self.height}px;border:1px solid #999999"></iframe>'
        )


def show(card, height: int = 700) -> Framed:
    """A card, or the HTML file of one, to be the last line of a cell. height: in pixels, at least 100.

    Raises ValueError for another file and a smaller height, OSError for a file that cannot be read.
    """
    from elekit.card.changes import read_card

    if height < 100:
        raise ValueError(f"a card needs at least 100 pixels, got {height}")
    if isinstance(card, (str, Path)):
        read_card(card)  # refuses what is no card
        return Framed(Path(card).read_text(encoding="utf-8"), height)
    return Framed(card.html, height)

"""A card inside a notebook or a dashboard."""

import html
from dataclasses import dataclass
from pathlib import Path

from elekit.datasets.files import SHIPPED as DATA

SHIPPED = DATA / "cards" / "molecules7.html"
"""The card of the shipped loss."""


@dataclass(frozen=True, repr=False)
class Framed:
    """A page in a sandboxed frame: it can reach neither the notebook around it nor the network."""

    page: str
    height: int

    def __repr__(self) -> str:
        return f"a loss card of {len(self.page):,} characters; shown in a notebook"

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="loss card" sandbox="allow-scripts" srcdoc="{html.escape(self.page)}" '
            f'style="width:100%;height:{self.height}px;border:1px solid #999999"></iframe>'
        )


def show(card, height: int = 700) -> Framed:
    """Show a card in a notebook, as the last line of a cell.

    Args:
        card: A `Card`, or the path of a card's HTML file.
        height: Height of the frame in pixels, at least 100.

    Returns:
        An object that notebooks display.

    Raises:
        ValueError: If the file is not a loss card, or if `height` is below 100.
        OSError: If the file cannot be read.
    """
    from elekit.card.changes import read_card

    if height < 100:
        raise ValueError(f"height must be at least 100 pixels, got {height}")
    if isinstance(card, (str, Path)):
        read_card(card)  # raises if it is not a card
        return Framed(Path(card).read_text(encoding="utf-8"), height)
    return Framed(card.html, height)

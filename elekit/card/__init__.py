"""The loss card: one HTML file that says what a learned loss rewards, how sure that is, and how it was found (floor 4).

    card = ele.card.make("molecules7")
    card.save("card.html")

`measure` asks everything once, `statements` makes every sentence of what was measured, `page` writes the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elekit.card.changes import Changes, changes, read_card
from elekit.card.measured import Measured
from elekit.card.shown import SHIPPED, show
from elekit.card.statements import Statement, statements

if TYPE_CHECKING:
    from elekit.datasets import Dataset
    from elekit.model.artifact import Artifact

__all__ = [
    "SHIPPED", "Card", "Changes", "Measured", "Statement", "changes", "make", "read_card", "show", "statements",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Card:
    """What was measured of a loss, what may be said of it, what changed since an older one, and the page of it all."""

    measured: Measured
    statements: list[Statement]
    changes: Changes | None
    html: str

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all. Raises OSError, naming the file, where it cannot be written."""
        from elekit.datasets.files import write_atomically

        write_atomically(path, lambda partial: partial.write_text(self.html, encoding="utf-8"))
        return Path(path)


def make(
    artifact: "Artifact | str | Path",
    data: "Dataset | str | None" = None,
    *,
    repeats: "Mapping[str, Artifact] | str | Path | None" = None,
    surrogate: str | None = None,
    compare: "Artifact | str | Path | None" = None,
    seed: int = 0,
    command: str = "",
    progress: bool = False,
) -> Card:
    """Measure a learned loss and write down what may be said of it.

    artifact: a loss, its folder, or the name of a shipped one. data: what it is asked about, and whose test split is
    predicted; a data set's name reads it with the artifact's own split; None = that which a shipped artifact is called
    after, otherwise none, and the card says what could not be measured. repeats: the same training done again
    (artifacts by name, or a folder of them), for the marks of what holds in all of them; None = those that lie beside
    the artifact. surrogate: the predictor to judge, None = the first. compare: an older card's HTML file, or an older
    artifact, which is then measured as well. command: what made the card, told in its last line.
    About 2 minutes on two cores for molecules7. Raises ValueError for what does not fit, and an ArtifactError or an
    OSError for what cannot be read.
    """
    from elekit.card.measure import measure
    from elekit.card.page import page
    from elekit.card.subject import subject

    asked = subject(artifact, data, repeats=repeats, surrogate=surrogate, seed=seed)
    old = None
    if isinstance(compare, (str, Path)) and Path(compare).is_file():
        old = read_card(compare)
    elif compare is not None:
        older = subject(compare, asked.data, repeats={}, seed=seed)
        measured = measure(older, progress=progress)
        old = measured, statements(measured)
    found = measure(asked, progress=progress)
    if command:
        found.facts["made"]["command"] = command
    said = statements(found)
    since = changes(old[0].facts["loss"]["name"], old[1], said) if old is not None else None
    return Card(found, said, since, page(found, said, since))

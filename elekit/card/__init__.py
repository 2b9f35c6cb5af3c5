"""The loss card: one HTML file with what a learned loss rewards, how certain that is, and how it was measured.

    card = ele.card.make("molecules7")
    card.save("card.html")

`measure` computes all figures, `statements` turns them into statements, and `page` renders the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elekit.card.changes import Changes, changes, read_card
from elekit.card.limits import Limit, read_limits
from elekit.card.notebook import SHIPPED, show
from elekit.card.results import Results
from elekit.card.statement import Statement
from elekit.card.statements import statements
from elekit.widgets.page import plain_values

if TYPE_CHECKING:
    from elekit.datasets import Dataset
    from elekit.graphs.budget import Clock
    from elekit.model.artifact import Artifact
    from elekit.operation import Registry

__all__ = [
    "SHIPPED", "Card", "Changes", "Limit", "Results", "Statement", "changes", "make", "read_card", "read_limits",
    "show", "statements",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Card:
    """A loss card.

    Args:
        results: What was measured.
        statements: What the card states.
        changes: What changed since an older card; None if none was given.
        html: The page.
    """

    results: Results
    statements: list[Statement]
    changes: Changes | None
    html: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, atomically.

        Args:
            path: The HTML file to write.

        Returns:
            The path.

        Raises:
            OSError: If the file cannot be written.
        """
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
    limits: "Sequence[Limit] | str | Path | None" = None,
    seed: int = 0,
    command: str = "",
    budget: "float | Clock | None" = None,
    replicate: bool = False,
    registry: "Registry | str | Path | None" = None,
    progress: bool = False,
) -> Card:
    """Measure a learned loss and make its card. Takes about a quarter of an hour on one core for molecules7.

    Args:
        artifact: A loss, its folder, or the name of a shipped one.
        data: The data set to measure on, whose test split is predicted; or its name, read with the artifact's own
            split. None for the data set with the artifact's name, if there is one; without data the card lists what
            could not be measured.
        repeats: Further trainings of the same loss, by name or as a folder of artifacts, to check which statements
            hold in all of them. None for those stored beside the artifact.
        surrogate: Name of the predictor to judge; None for the first.
        compare: An older card's HTML file, or an older artifact, which is then measured as well.
        limits: Acceptance limits, or a TOML file of them (see `read_limits`); the card shows whether each is met.
        seed: Seed of everything that is sampled.
        command: The command that made the card, for its last line.
        budget: Seconds for the whole card; then, as after Ctrl-C, it lists what could not be measured.
        replicate: Measure everything again on other graphs with another seed, and state how many intervals hold the
            new figures; takes twice the time.
        registry: Registry of versions, or its address: the card shows the stage of this version, its gates and the
            history, and compares it with the version in operation unless `compare` names another.
        progress: Show a progress bar.

    Returns:
        The card.

    Raises:
        ValueError: If data, repeats or `compare` do not fit the artifact, or if a limit is not valid.
        ArtifactError: If an artifact cannot be read, or has no such surrogate.
        OSError: If a file cannot be read.
    """
    from elekit.card.context import make_context
    from elekit.card.measure import measure
    from elekit.card.page import render

    stated = read_limits(limits) if isinstance(limits, (str, Path)) else list(limits or ())  # before hours of work
    context = make_context(
        artifact, data, repeats=repeats, surrogate=surrogate, seed=seed, budget=budget, replicate=replicate
    )
    operation = None
    if registry is not None:
        from elekit.card.operation import operation_facts

        operation, in_operation = operation_facts(context.artifact, registry)
        compare = in_operation if compare is None else compare
    old = None
    if isinstance(compare, (str, Path)) and Path(compare).is_file():
        old = read_card(compare)
    elif compare is not None:
        half = context.clock.part(1 / 2)
        older = measure(make_context(compare, context.dataset, repeats={}, seed=seed, budget=half), progress=progress)
        old = older, statements(older)
    results = measure(context, progress=progress)
    if operation is not None:
        results.facts["operation"] = plain_values(operation)
    results.facts["limits"] = plain_values([asdict(limit) for limit in stated])
    if command:
        results.facts["made"]["command"] = command
    found = statements(Results.from_json(results.to_json()))  # from the figures as the card keeps them: in six digits
    since = changes(old[0].facts["loss"]["name"], old[1], found) if old is not None else None
    return Card(results, found, since, render(results, found, since))

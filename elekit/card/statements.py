"""All statements of a card."""

from elekit.card import statements_loss, statements_use
from elekit.card.limits import limit_statements
from elekit.card.results import Results
from elekit.card.statement import Statement, Writer


def statements(results: Results) -> list[Statement]:
    """Return everything that a card states.

    Args:
        results: What was measured.

    Returns:
        The statements in the order of the card.
    """
    makers, write = (*statements_loss.MAKERS, *statements_use.MAKERS), Writer(results)
    found = [statement for make in makers for statement in make(results, write)]
    return [*found, *limit_statements(results.facts.get("limits", []), found, write)]

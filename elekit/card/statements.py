"""All statements of a card."""

from elekit.card import statements_loss, statements_use
from elekit.card.results import Results
from elekit.card.statement import Statement


def statements(results: Results) -> list[Statement]:
    """Return everything that a card states.

    Args:
        results: What was measured.

    Returns:
        The statements in the order of the card.
    """
    return [one for make in (*statements_loss.MAKERS, *statements_use.MAKERS) for one in make(results)]

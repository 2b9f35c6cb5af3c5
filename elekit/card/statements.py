"""Every sentence that a card says about its loss, made from what was measured and from nothing else."""

import elekit.card.said_of_loss
import elekit.card.said_of_use  # noqa: F401 - they register what they say
from elekit.card.measured import Measured
from elekit.card.statement import NOT_CHECKED, SPEAKERS, Statement

__all__ = ["NOT_CHECKED", "Statement", "statements"]


def statements(measured: Measured) -> list[Statement]:
    """Everything that may be said of what was measured."""
    return [statement for speak in SPEAKERS for statement in speak(measured)]

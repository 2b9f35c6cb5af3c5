"""`Prepare`: how the rows of a table become graphs, and which of them are left out."""

from dataclasses import dataclass

from elekit.graphs import smiles


@dataclass(frozen=True)
class Prepare:
    """Options of `from_frame` and `load` for the graphs of a new vocabulary.

    Args:
        aromatic: Whether the bonds of aromatic rings have the label "aromatic"; False = alternating single and double
            bonds.
    """

    aromatic: bool = smiles.AROMATIC

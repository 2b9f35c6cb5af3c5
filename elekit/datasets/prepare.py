"""`Prepare`: how the rows of a table become graphs, and which of them are left out."""

import functools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from elekit.graphs import _schema, smiles
from elekit.graphs._optional import LazyModule

if TYPE_CHECKING:
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize
else:
    rdMolStandardize = LazyModule("rdkit.Chem.MolStandardize.rdMolStandardize", "chem")

FRAGMENTS, CHARGES, RARE = ("all", "largest"), ("keep", "neutralize", "none"), ("skip", "other")

_COUNT = _schema.whole(1, 2**31)
_OPTIONS = _schema.fields(
    {},
    {
        **dict.fromkeys(("min_nodes", "min_count"), _COUNT),
        **dict.fromkeys(("max_nodes", "subset"), _schema.maybe(_COUNT)),
        "fragments": _schema.one_of(*FRAGMENTS),
        "charges": _schema.one_of(*CHARGES),
        "rare": _schema.one_of(*RARE),
        "aromatic": _schema.one_of(True, False),
    },
)


@dataclass(frozen=True)
class Prepare:
    """How the rows of a table become graphs; `Dataset.report` counts what each option leaves out.

    Args:
        subset: Read so many rows, drawn by the seed of the splits; None reads all.
        fragments: "largest" keeps the largest fragment of a SMILES, without the counterions of a salt.
        charges: "neutralize" moves hydrogens so that charges vanish where they can, "none" also skips rows with
            charged atoms (such as nitro groups) that remain.
        aromatic: Whether the bonds of aromatic rings have the label "aromatic"; False = alternating single and double
            bonds. A given vocabulary decides itself.
        min_nodes: Rows of smaller graphs are skipped.
        max_nodes: Rows of larger graphs are skipped; None = no limit.
        min_count: Labels in fewer rows are rare; in a given vocabulary, those that it lacks.
        rare: "skip" skips rows with rare labels. "other" replaces those of nodes by the one label "other", and "*",
            any atom, in molecules.

    Raises:
        ValueError: If an option has another type or is out of range.
    """

    subset: int | None = None
    fragments: str = "all"
    charges: str = "keep"
    aromatic: bool = smiles.AROMATIC
    min_nodes: int = 1
    max_nodes: int | None = None
    min_count: int = 1
    rare: str = "skip"

    def __post_init__(self) -> None:
        _OPTIONS(vars(self), "prepare")

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON-serializable dictionary.

        Returns:
            The options that differ from their defaults by name.
        """
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}

    @classmethod
    def from_json(cls, options: dict[str, Any]) -> Self:
        """Inverse of `to_json`.

        Args:
            options: Some of the options by name.

        Returns:
            The options, with defaults for the others.

        Raises:
            ValueError: If an option is unknown, or its value is none of the possible ones.
        """
        _OPTIONS(options, "prepare")
        return cls(**options)

    @property
    def standardizes(self) -> bool:
        """Whether molecules change before they become graphs."""
        return self.fragments != "all" or self.charges != "keep"

    def standardized(self, mol: "Chem.Mol") -> tuple["Chem.Mol", list[str]]:
        """Apply `fragments` and `charges` to a molecule.

        Args:
            mol: A sanitized molecule of RDKit.

        Returns:
            The molecule that becomes a graph, and names of what was left out or changed.
        """
        changed: list[str] = []
        largest, uncharger = _standardizers()
        if self.fragments == "largest" and (rest := largest.choose(mol)).GetNumAtoms() < mol.GetNumAtoms():
            mol, changed = rest, [*changed, "smaller fragments"]
        if self.charges != "keep":
            neutral = uncharger.uncharge(mol)
            if _charges(neutral) != _charges(mol):
                mol, changed = neutral, [*changed, "charges"]
        return mol, changed


@functools.cache
def _standardizers() -> tuple[Any, Any]:
    return rdMolStandardize.LargestFragmentChooser(), rdMolStandardize.Uncharger()


def _charges(mol: "Chem.Mol") -> list[int]:
    return [atom.GetFormalCharge() for atom in mol.GetAtoms()]

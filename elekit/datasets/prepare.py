"""`Prepare`: how the rows of a table become graphs, and which of them are left out."""

import functools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from elekit.graphs import _schema, smiles
from elekit.graphs._optional import LazyModule
from elekit.graphs.constraints import Constraints
from elekit.graphs.packed import PackedGraphs

if TYPE_CHECKING:
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize
else:
    rdMolStandardize = LazyModule("rdkit.Chem.MolStandardize.rdMolStandardize", "chem")

OTHER, ANY_ATOM = "other", "*"  # labels that replace rare ones, of other graphs and of molecules
USUAL = 0.95  # share of the graphs against which the largest is compared
FEW = 20  # graphs, for which there is no advice
LARGE = 40  # nodes, up to which a graph needs no advice
RARE_SHARE, MANY_RARE = 0.001, 10  # of the graphs, of labels
FRAGMENTS, CHARGES, RARE = ("all", "largest"), ("keep", "neutralize", "none"), ("skip", "other")
STRUCTURES = {
    "any": Constraints(), "connected": Constraints(connected=True), "tree": Constraints(tree=True),
    "arborescence": Constraints(tree=True, one_root=True),
}  # fmt: skip

_COUNT = _schema.whole(1, 2**31)
_OPTIONS = _schema.fields(
    {},
    {
        **dict.fromkeys(("min_nodes", "min_count"), _COUNT),
        **dict.fromkeys(("max_nodes", "subset"), _schema.maybe(_COUNT)),
        "fragments": _schema.one_of(*FRAGMENTS),
        "charges": _schema.one_of(*CHARGES),
        "rare": _schema.one_of(*RARE),
        "structure": _schema.one_of(*STRUCTURES),
        "aromatic": _schema.one_of(True, False),
    },
)


class DataWarning(UserWarning):
    """Options of `Prepare` that would save much time."""


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
        structure: "connected", "tree" (without cycles) or "arborescence" (a directed tree with one root) skips rows
            of other graphs.

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
    structure: str = "any"

    def __post_init__(self) -> None:
        _OPTIONS(vars(self), "prepare")

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON-serializable dictionary.

        Returns:
            `aromatic`, and the options that differ from their defaults, by name.
        """
        return {
            one.name: value
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default or one.name == "aromatic"
        }

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

    def advice(self, graphs: PackedGraphs) -> tuple[str, ...]:
        """Options that would save much time, or make training easier.

        Args:
            graphs: The graphs of a new data set.

        Returns:
            Sentences that name the problem, the option, and how many graphs it skips.
        """
        found, n = list[str](), len(graphs)
        if n < FEW:
            return ()
        sizes = graphs.sizes.cpu().numpy()
        usual, largest = int(np.quantile(sizes, USUAL, method="lower")), int(sizes.max())
        if largest > max(LARGE, 3 * usual):
            limit = int(sizes[sizes <= 2 * usual].max())
            skipped = int((sizes > limit).sum())
            found.append(
                f"the largest graph has {largest:,} nodes, {USUAL:.0%} have at most {usual}; large graphs are slow "
                f"to train on and decode, and prepare=Prepare(max_nodes={limit}) skips {skipped:,} of {n:,} graphs"
            )
        K = graphs.vocabulary.K
        row, label = divmod(np.unique(graphs.rows.cpu().numpy() * K + graphs.node_labels.cpu().numpy()), K)
        counts, least = np.bincount(label, minlength=K), max(2, int(np.ceil(RARE_SHARE * n)))
        rare = (counts > 0) & (counts < least)
        if rare.sum() > MANY_RARE:
            rows = len(np.unique(row[rare[label]]))
            found.append(
                f"{int(rare.sum())} of {K - 1} node labels are in fewer than {least} of {n:,} graphs; "
                f"prepare=Prepare(min_count={least}) skips {rows:,} graphs that have one, "
                f"prepare=Prepare(min_count={least}, rare='other') replaces these labels by one"
            )
        return tuple(found)

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

"""Molecules as counts of their parts, and the psi made of such counts: parts that stand in texts stand here.

Source of the neighbourhoods: Rogers and Hahn (2010); the groups are those of RDKit's `Chem.Fragments`.
"""

import functools
from collections import Counter
from collections.abc import Sequence

import networkx as nx
import numpy as np
import torch
from rdkit import Chem, rdBase
from rdkit.Chem import Fragments
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from scipy import sparse
from torch import Tensor, nn

from elekit.graphs import projections
from elekit.graphs.graph import Graph
from elekit.graphs.smiles import to_smiles

RADIUS = 3
SEEN = 3  # a part counts that stands in so many of the outputs
REMEMBERED = 50_000  # molecules whose parts are kept


@functools.cache
def _morgan():
    return GetMorganGenerator(radius=RADIUS)


def neighborhoods(molecule: Chem.Mol) -> dict[str, int]:
    """What stands within 0, 1, 2 and 3 bonds of each atom."""
    found = _morgan().GetSparseCountFingerprint(molecule).GetNonzeroElements()
    return {str(part): count for part, count in found.items()}


def groups(molecule: Chem.Mol) -> dict[str, int]:
    """Elements, charges, bonds, rings by size and by their atoms, functional groups, separate parts."""
    found = Counter(net_charge=Chem.GetFormalCharge(molecule), parts=len(Chem.GetMolFrags(molecule)))
    for atom in molecule.GetAtoms():
        found[atom.GetSymbol()] += 1
        found["H"] += atom.GetTotalNumHs()
        if atom.GetFormalCharge():
            found[f"{atom.GetSymbol()} of charge {atom.GetFormalCharge():+d}"] += 1
    for bond in molecule.GetBonds():
        found[f"{bond.GetBondType()} bond{' in a ring' * bond.IsInRing()}"] += 1
    for ring in molecule.GetRingInfo().AtomRings():
        atoms = [molecule.GetAtomWithIdx(i) for i in ring]
        aromatic = "aromatic " * all(atom.GetIsAromatic() for atom in atoms)
        found[f"{aromatic}ring of {len(ring)}"] += 1
        found[f"{aromatic}ring of {''.join(sorted(atom.GetSymbol() for atom in atoms))}"] += 1
    for name, counted in _fragments():
        found[name] += counted(molecule)
    return {part: count for part, count in found.items() if count}


@functools.cache
def _fragments() -> tuple:
    return tuple((name, counted) for name, counted in vars(Fragments).items() if name.startswith("fr_"))


def exact(molecule: Chem.Mol) -> dict[str, int]:
    """The same with their numbers: "C = 18" is another part than "C = 19", as it is in a formula."""
    return {f"{part} = {count}": 1 for part, count in groups(molecule).items()}


def chains(molecule: Chem.Mol) -> dict[str, int]:
    """Pieces of carbon outside rings: the longest way through each, and the same with its double bonds."""
    carbons, found = nx.Graph(), Counter()
    carbons.add_nodes_from(a.GetIdx() for a in molecule.GetAtoms() if a.GetSymbol() == "C" and not a.IsInRing())
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if carbons.has_node(ends[0]) and carbons.has_node(ends[1]):
            carbons.add_edge(*ends, double=bond.GetBondType() == Chem.BondType.DOUBLE)
    for atoms in nx.connected_components(carbons):
        piece = carbons.subgraph(atoms)
        chain = f"chain of {nx.diameter(piece) + 1}"
        found[chain] += 1
        found[f"{chain}, double bonds {sum(double for *_, double in piece.edges(data='double'))}"] += 1
    return dict(found)


KINDS = {"neighbourhoods": neighborhoods, "groups": groups, "exact": exact, "chains": chains}


@functools.lru_cache(REMEMBERED)
def parts_of(kind: str, smiles: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and counts of the parts of one molecule; of what RDKit refuses there are none."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    found = KINDS[kind](molecule) if molecule is not None else {}
    return tuple(found), tuple(found.values())


class Counts:
    """Molecules as rows: `log(1 + |count|)` of each part, times how rare it is; each kind of parts of unit length.

    Parts, and how rare they are, come from `graphs`: `1 + log((1 + n) / (1 + m))`, m of n graphs have the part.
    """

    def __init__(self, kinds: Sequence[str], graphs: Graph, at_least: int = SEEN):
        self.kinds, self.parts, self.rarity = tuple(kinds), [], []
        smiles = to_smiles(graphs)
        for kind in self.kinds:
            held = Counter(part for one in smiles if one for part in parts_of(kind, one)[0])
            kept = sorted(part for part, count in held.items() if count >= at_least)
            self.parts.append({part: column for column, part in enumerate(kept)})
            holders = np.array([held[part] for part in kept])
            self.rarity.append((1 + np.log((1 + len(graphs)) / (1 + holders))).astype(np.float32))

    def __len__(self) -> int:
        """How many columns there are."""
        return sum(map(len, self.parts))

    def kind(self) -> Tensor:
        """(F,) the number of the kind that each column is of."""
        return torch.repeat_interleave(torch.tensor([len(known) for known in self.parts]))

    def rows(self, graphs: Graph) -> sparse.csr_matrix:
        """(B, F) float32."""
        smiles, blocks = to_smiles(graphs), []
        for kind, known, rarity in zip(self.kinds, self.parts, self.rarity):
            row, column, value = [], [], []
            for number, one in enumerate(smiles):
                for part, count in zip(*parts_of(kind, one)) if one else ():
                    if part in known:
                        row.append(number)
                        column.append(known[part])
                        value.append(np.log1p(abs(count)))
            shape = (len(smiles), len(known))
            block = sparse.csr_matrix((np.array(value, dtype=np.float32), (row, column)), shape=shape)
            block = block @ sparse.diags(rarity)
            length = np.sqrt(block.multiply(block).sum(1).A1) if len(smiles) else np.zeros(0)
            blocks.append(sparse.diags(1 / np.maximum(length, 1e-12)).astype(np.float32) @ block)
        return sparse.hstack(blocks).tocsr().astype(np.float32)


class CountEmbedding(nn.Module):
    """psi of counted parts: a weight for each part, then unit length. With all weights 1 nothing is learned.

    For molecules as such, the vertices; it has no gradient in the graph, so that candidates are what it decodes to.
    """

    def __init__(self, counts: Counts):
        super().__init__()
        self.counts = counts
        self.log_weight = nn.Parameter(torch.zeros(len(counts)))
        self.log_scale = nn.Parameter(torch.zeros(len(counts.kinds)))  # of a whole kind of parts
        self.register_buffer("kind", counts.kind(), persistent=False)

    def forward(self, graphs: Graph) -> Tensor:
        return self.weighted(torch.from_numpy(self.counts.rows(graphs).toarray()))

    def weighted(self, rows: Tensor) -> Tensor:
        """(B, D = F) points of rows of counts, or of what is predicted of them."""
        return projections.sphere(rows * (self.log_weight + self.log_scale[self.kind]).exp())

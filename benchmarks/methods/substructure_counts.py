"""Molecules as weighted counts of their substructures, and the psi of such counts.

Sources: neighborhoods by Rogers and Hahn (2010); functional groups are those of RDKit's `Chem.Fragments`.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import torch
from rdkit import Chem, rdBase
from rdkit.Chem import Fragments
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from scipy import sparse
from torch import Tensor, nn

from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.smiles import to_smiles

MORGAN_RADIUS = 3
MIN_GRAPHS = 3  # a part is counted if at least this many outputs have it
CACHE_SIZE = 50_000  # molecules


@functools.cache
def _morgan():
    return GetMorganGenerator(radius=MORGAN_RADIUS)


def neighborhoods(molecule: Chem.Mol) -> dict[str, int]:
    """Environments within 0, 1, 2 and 3 bonds of each atom."""
    found = _morgan().GetSparseCountFingerprint(molecule).GetNonzeroElements()
    return {str(part): count for part, count in found.items()}


def groups(molecule: Chem.Mol) -> dict[str, int]:
    """Elements, charges, bonds, rings by size and by atoms, functional groups, connected components."""
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
    for name, count_fragments in _fragments():
        found[name] += count_fragments(molecule)
    return {part: count for part, count in found.items() if count}


@functools.cache
def _fragments() -> tuple:
    return tuple((name, function) for name, function in vars(Fragments).items() if name.startswith("fr_"))


def exact(molecule: Chem.Mol) -> dict[str, int]:
    """`groups` with their counts as part of the name: as in a formula, "C = 18" and "C = 19" are different parts."""
    return {f"{part} = {count}": 1 for part, count in groups(molecule).items()}


def chains(molecule: Chem.Mol) -> dict[str, int]:
    """Acyclic carbon chains: the diameter of each, alone and with its number of double bonds."""
    carbons, found = nx.Graph(), Counter[str]()
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


PART_KINDS = {"neighborhoods": neighborhoods, "groups": groups, "exact": exact, "chains": chains}


@functools.lru_cache(CACHE_SIZE)
def parts_of(kind: str, smiles: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and counts of the parts of a molecule; empty if RDKit rejects the SMILES."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    found = PART_KINDS[kind](molecule) if molecule is not None else {}
    return tuple(found), tuple(found.values())


class SubstructureCounts:
    """Molecules as rows of `log(1 + |count|)` times an inverse document frequency; unit length per kind of parts.

    The parts and their frequencies come from `graphs`: `1 + log((1 + n) / (1 + m))` if m of n graphs have the part.
    """

    def __init__(self, kinds: Sequence[str], graphs: GraphBatch, min_graphs: int = MIN_GRAPHS):
        self.kinds, self.parts, self.frequency_weights = tuple(kinds), [], []
        smiles = to_smiles(graphs)
        for kind in self.kinds:
            holders = Counter(part for one in smiles if one for part in parts_of(kind, one)[0])
            kept = sorted(part for part, count in holders.items() if count >= min_graphs)
            self.parts.append({part: column for column, part in enumerate(kept)})
            counts = np.array([holders[part] for part in kept])
            self.frequency_weights.append((1 + np.log((1 + len(graphs)) / (1 + counts))).astype(np.float32))

    def __len__(self) -> int:
        """Number of columns."""
        return sum(map(len, self.parts))

    def kind_of_column(self) -> Tensor:
        """(F,) index of the kind of parts of each column."""
        return torch.repeat_interleave(torch.tensor([len(columns) for columns in self.parts]))

    def rows(self, graphs: GraphBatch) -> sparse.csr_matrix:
        """(B, F) float32."""
        smiles, blocks = to_smiles(graphs), []
        for kind, columns, weights in zip(self.kinds, self.parts, self.frequency_weights):
            row, column, value = [], [], []
            for number, one in enumerate(smiles):
                for part, count in zip(*parts_of(kind, one)) if one else ():
                    if part in columns:
                        row.append(number)
                        column.append(columns[part])
                        value.append(np.log1p(abs(count)))
            shape = (len(smiles), len(columns))
            block = sparse.csr_matrix((np.array(value, dtype=np.float32), (row, column)), shape=shape)
            block = block @ sparse.diags(weights)
            length = np.sqrt(block.multiply(block).sum(1).A1) if len(smiles) else np.zeros(0)
            blocks.append(sparse.diags(1 / np.maximum(length, 1e-12)).astype(np.float32) @ block)
        return sparse.hstack(blocks).tocsr().astype(np.float32)


class CountEmbedding(nn.Module):
    """psi of substructure counts: one weight per part, then unit length. All weights are 1 at the start.

    It is defined for discrete graphs only and has no gradient with respect to the graph.
    """

    history: list[dict[str, Any]]
    kind: Tensor

    def __init__(self, counts: SubstructureCounts):
        super().__init__()
        self.counts = counts
        self.log_weight = nn.Parameter(torch.zeros(len(counts)))
        self.log_scale = nn.Parameter(torch.zeros(len(counts.kinds)))  # one per kind of parts
        self.register_buffer("kind", counts.kind_of_column(), persistent=False)

    def forward(self, graphs: Graph) -> Tensor:
        return self.weighted(self.rows(graphs))

    def rows(self, graphs: GraphBatch) -> Tensor:
        """(B, F) counts."""
        return torch.from_numpy(self.counts.rows(graphs).toarray())

    def weighted(self, rows: Tensor) -> Tensor:
        """(B, D = F) points of rows of counts, or of predicted rows."""
        return projections.sphere(rows * (self.log_weight + self.log_scale[self.kind]).exp())

"""Molecules as labeled graphs: SMILES in and out, validity, randomized SMILES (floor 1; RDKit lives here).

Kekulized: an aromatic ring has alternating single and double bonds. Of the two ways to draw one, the graph
holds the one that RDKit derives from the canonical SMILES, so that equal molecules give equal graphs.
Stereochemistry is left out. The node label is the element with its formal charge ("N+", "O-").
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from elekit.graphs._optional import LazyModule
from elekit.graphs.graph import Graph, GraphVocabulary, label_tensors

if TYPE_CHECKING:
    from rdkit import Chem, rdBase
else:
    Chem, rdBase = LazyModule("rdkit.Chem", "chem"), LazyModule("rdkit.rdBase", "chem")

EDGE_LABELS = ("single", "double", "triple")
LARGEST_COORDINATION = 12
BLOCK_SIZE = 4_096  # graphs written at a time


@dataclass(frozen=True)
class ParsedSmiles:
    """What became of one SMILES: either (canonical, nodes, edges), or a reason why it was refused."""

    canonical: str = ""
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[int, int, str], ...] = ()
    error: str = ""


def parse_smiles(smiles: str) -> ParsedSmiles:
    """One SMILES as a kekulized labeled graph in canonical form, or the reason why there is none."""
    if not isinstance(smiles, str) or not smiles.strip():
        return ParsedSmiles(error="empty SMILES")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:
            return ParsedSmiles(error="RDKit refuses the SMILES")
        # A second reading, of the canonical form, fixes atom order and Kekule form; its result is the identity.
        canonical = _canonical(mol)
        mol = Chem.MolFromSmiles(canonical)
        if mol is None:
            return ParsedSmiles(error="RDKit refuses its own canonical SMILES")
        if mol.GetNumAtoms() == 0:
            return ParsedSmiles(error="no atoms")
        Chem.Kekulize(mol, clearAromaticFlags=True)
        nodes = tuple(_node_label(atom) for atom in mol.GetAtoms())
        bonds = _bonds(mol)
        if any(name not in EDGE_LABELS for *_, name in bonds):
            return ParsedSmiles(error="a bond that is neither single, double nor triple")
        if _write(nodes, bonds) != canonical:
            return ParsedSmiles(error="not told by elements, charges and bonds alone (radical or unusual valence)")
    return ParsedSmiles(canonical, nodes, tuple(bonds))


def _canonical(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereo, isotopes, atom maps and explicit hydrogens: a molecule's identity."""
    mol = Chem.Mol(mol)
    Chem.RemoveStereochemistry(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    return Chem.MolToSmiles(Chem.RemoveHs(mol))


def _bonds(mol: Chem.Mol) -> list[tuple[int, int, str]]:
    """(begin, end, bond type in lower case) of each bond."""
    return [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondType().name.lower()) for b in mol.GetBonds()]


@functools.cache
def bond_type(label: str) -> Chem.BondType:
    """RDKit's bond type of one of EDGE_LABELS."""
    return {"single": Chem.BondType.SINGLE, "double": Chem.BondType.DOUBLE, "triple": Chem.BondType.TRIPLE}[label]


def _node_label(atom: Chem.Atom) -> str:
    charge = atom.GetFormalCharge()
    return atom.GetSymbol() + ("+" if charge > 0 else "-") * abs(charge)


@functools.cache
def element_and_charge(label: str) -> tuple[str, int]:
    """("N", 1) of "N+"; ValueError for a label that is no element with an optional charge."""
    symbol = label.rstrip("+-")
    try:
        Chem.GetPeriodicTable().GetAtomicNumber(symbol)
    except RuntimeError:
        raise ValueError(f"{label!r} is no chemical element with an optional charge") from None
    return symbol, label.count("+") - label.count("-")


@functools.cache
def valence(label: str) -> int:
    """Largest sum of bond orders of an atom: that of the neutral element with as many electrons (N+ as C, O- as F).

    RDKit sets no limit for most metals (its table says -1): they get the largest coordination number.
    """
    symbol, charge = element_and_charge(label)
    table = Chem.GetPeriodicTable()
    electrons = table.GetAtomicNumber(symbol) - charge
    largest = max(table.GetValenceList(max(0, electrons)))
    if largest >= 0:
        return largest
    return 0 if charge and electrons <= 0 else LARGEST_COORDINATION


def molecule_vocabulary(node_labels: Iterable[str], max_nodes: int) -> GraphVocabulary:
    """Vocabulary of molecules with these atoms; capacities are valences, bond orders 1, 2, 3."""
    labels = tuple(sorted(set(node_labels), key=lambda label: (element_and_charge(label)[1] != 0, label)))
    return GraphVocabulary(labels, EDGE_LABELS, max_nodes, tuple(valence(label) for label in labels), (1, 2, 3))


def is_molecular(vocabulary: GraphVocabulary) -> bool:
    """Whether graphs of this vocabulary can be read as molecules."""
    try:
        return vocabulary.edge_labels == EDGE_LABELS and all(element_and_charge(v) for v in vocabulary.node_labels)
    except ValueError:
        return False


def from_smiles(smiles: str | Sequence[str], vocabulary: GraphVocabulary | None = None) -> Graph:
    """Molecules as a batch of graphs; ValueError names the first SMILES that is refused and why."""
    smiles = [smiles] if isinstance(smiles, str) else list(smiles)
    if not smiles:
        raise ValueError("no SMILES given: from_smiles needs at least one")
    readings = [parse_smiles(s) for s in smiles]
    for i, (text, reading) in enumerate(zip(smiles, readings)):
        if reading.error:
            raise ValueError(f"SMILES {i}, {text!r}: {reading.error}")
    return from_parsed(readings, vocabulary)


def from_parsed(readings: Sequence[ParsedSmiles], given: GraphVocabulary | None = None) -> Graph:
    """Readings (none refused) as a batch of graphs; without a vocabulary one is made of what they hold."""
    if given is None:
        given = molecule_vocabulary({v for r in readings for v in r.nodes}, max(len(r.nodes) for r in readings))
    return Graph.from_labels(*label_tensors([(r.nodes, r.edges) for r in readings], given), given)


def to_smiles(graph: Graph) -> list[str | None]:
    """Canonical SMILES of each (rounded) graph, None where RDKit does not sanitize it."""
    names = graph.vocabulary
    written: list[str | None] = [None] * len(graph)
    for rows, block in graph.blocks(BLOCK_SIZE):
        node_labels, edge_labels = (t.cpu() for t in block.labels())
        for row, nodes, edges in zip(rows.tolist(), node_labels, edge_labels):
            atoms = nodes.nonzero()[:, 0]
            kept = edges[atoms][:, atoms]
            bonds = [(i, j, names.edge_labels[kept[i, j] - 1]) for i, j in kept.triu(1).nonzero().tolist()]
            written[row] = _write([names.node_labels[k - 1] for k in nodes[atoms].tolist()], bonds)
    return written


def _write(nodes: Sequence[str], bonds: Sequence[tuple[int, int, str]]) -> str | None:
    mol = Chem.RWMol()
    for label in nodes:
        symbol, charge = element_and_charge(label)
        atom = Chem.Atom(symbol)
        atom.SetFormalCharge(charge)
        mol.AddAtom(atom)
    for i, j, name in bonds:
        mol.AddBond(i, j, bond_type(name))
    with rdBase.BlockLogs():
        if not nodes or Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
        return Chem.MolToSmiles(mol)


def is_valid(graph: Graph) -> torch.Tensor:
    """(B,) bool: RDKit sanitizes the molecule."""
    return torch.tensor([s is not None for s in to_smiles(graph)])


def canonicalized(graph: Graph) -> Graph:
    """The same molecules in the Kekule form and atom order of `from_smiles`; what is no molecule stays as it is.

    A decoder may draw an aromatic ring the other way round: the same molecule, another labeled graph. A molecule
    that RDKit charges otherwise (N(=O)=O) stays as it is where the vocabulary lacks the charged atoms.
    """
    known = set(graph.vocabulary.node_labels)
    node_labels, edge_labels = graph.labels()
    for b, smiles in enumerate(to_smiles(graph)):
        reading = parse_smiles(smiles) if smiles else None
        if reading and not reading.error and known.issuperset(reading.nodes):
            nodes, edges = label_tensors([(reading.nodes, reading.edges)], graph.vocabulary)
            node_labels[b], edge_labels[b] = nodes[0], edges[0]
    return Graph.from_labels(node_labels, edge_labels, graph.vocabulary).to(graph.nodes)


def kekule_forms(smiles: str, vocabulary: GraphVocabulary | None = None) -> Graph:
    """Every way to draw the double bonds of one molecule's aromatic rings, as a batch of graphs of one node order.

    The first is not always that of `from_smiles`. Raises ValueError for a SMILES that is refused.
    """
    reading = parse_smiles(smiles)
    if reading.error:
        raise ValueError(f"SMILES {smiles!r}: {reading.error}")
    mol = Chem.MolFromSmiles(reading.canonical)
    drawn = []
    for form in Chem.ResonanceMolSupplier(mol, Chem.ResonanceFlags.KEKULE_ALL) or [mol]:
        if [_node_label(atom) for atom in form.GetAtoms()] == list(reading.nodes):  # charges stay where they are
            drawn.append(replace(reading, edges=tuple(_bonds(form))))
    return from_parsed(drawn, vocabulary)


def randomize_smiles(smiles: Sequence[str], seed: int) -> list[str]:
    """Each molecule written from a random atom on, along a random path; the same seed writes the same.

    SMILES that RDKit refuses come back as they are. About 0.1 ms each.
    """
    written = []
    with rdBase.BlockLogs():
        for i, text in enumerate(smiles):
            mol = Chem.MolFromSmiles(text)
            drawn = (
                Chem.MolToRandomSmilesVect(mol, 1, randomSeed=1 + (seed * 1_000_003 + i) % (2**31 - 2))
                if mol
                else [text]
            )
            written.append(drawn[0])
    return written

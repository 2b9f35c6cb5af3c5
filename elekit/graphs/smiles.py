"""Molecules as labeled graphs: SMILES in and out, validity, Kekule forms, randomized SMILES. Needs RDKit.

Graphs are kekulized: an aromatic ring has alternating single and double bonds, in the form that RDKit derives from
the canonical SMILES, so that equal molecules give equal graphs. Stereochemistry and isotopes are dropped. The node
label is the element with its formal charge ("N+", "O-").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from elekit.graphs._optional import LazyModule
from elekit.graphs.graph import (
    Graph,
    GraphBatch,
    GraphVocabulary,
    from_edge_lists,
    label_tensors,
    short,
    to_edge_lists,
)

if TYPE_CHECKING:
    from rdkit import Chem, rdBase
else:
    Chem, rdBase = LazyModule("rdkit.Chem", "chem"), LazyModule("rdkit.rdBase", "chem")

EDGE_LABELS = ("single", "double", "triple")
LARGEST_COORDINATION = 12
DROPPED = {  # what graphs leave out of a SMILES: its name in reports, and how it is written
    "stereochemistry": re.compile(r"[@/\\]"),
    "isotopes": re.compile(r"\[\d+[A-Za-z]"),
    "atom maps": re.compile(r":\d+\]"),
    "explicit hydrogens": re.compile(r"\[\d*H(:\d+)?\]"),
}
NAME = "a name after the SMILES"

# RDKit recurses along chains, and its search for rings takes minutes from about 1,000 rings on: larger input ends or
# hangs the process. The largest molecule of ChEBI-20 has 574 atoms, 69 rings and 1,598 characters.
MAX_CHARACTERS, MAX_ATOMS, MAX_RINGS = 5_000, 1_000, 300
MAX_CHARGE = 15  # OpenSMILES, 3.1.4; RDKit's charges overflow at 128
MAX_KEKULE_ATOMS = 32  # of conjugated rings; the time of RDKit's enumeration grows exponentially
MAX_KEKULE_FORMS = 1_000

_ATOM = re.compile(r"\[[^\[\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")
_RING_CLOSURE = re.compile(r"%\(\d+\)|%\d\d|\d")
_CHARGE = re.compile(r"[+-](\d+)")
_STEREO_GROUPS = re.compile(r"\|(?:,?(?:[ao&]\d*:\d+(?:,\d+)*|r))*\|")  # extensions that RDKit's SMILES do not need


@dataclass(frozen=True)
class ParsedSmiles:
    """A molecule, or an error: why the SMILES was rejected. canonical: its SMILES without stereochemistry.

    dropped: what the graph leaves out, of `DROPPED` and `NAME`.
    """

    canonical: str = ""
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[int, int, str], ...] = ()
    error: str = ""
    dropped: tuple[str, ...] = field(default=(), compare=False)


def molecule_of(text: object) -> Chem.Mol:
    """Read a SMILES with RDKit; all SMILES from outside pass through here.

    A name after a blank or tab is not passed to RDKit, which would also ignore everything after a character that is
    not ASCII or a line break.

    Args:
        text: One SMILES, possibly followed by a name.

    Returns:
        The sanitized molecule.

    Raises:
        ValueError: If it is no SMILES, too large, or has parts that RDKit would ignore; the message is the reason.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError("empty SMILES")
    if len(text) > 2 * MAX_CHARACTERS:  # before anything that reads all of it
        raise ValueError(f"more than {MAX_CHARACTERS:,} characters")
    smiles, *name = re.split(r"[ \t]+", text.strip(), maxsplit=1)
    reason = _reason_to_refuse(smiles, "".join(name))
    if reason:
        raise ValueError(reason)
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError("RDKit refuses the SMILES")
    return mol


def _reason_to_refuse(smiles: str, name: str) -> str:
    """Why a SMILES must not reach RDKit, "" if it may; takes time linear in its length."""
    if len(smiles) > MAX_CHARACTERS:
        return f"more than {MAX_CHARACTERS:,} characters"
    strange = next((c for c in smiles if not "!" <= c <= "~"), "") or next(iter(set(name) & set("\n\r\v\f\0")), "")
    if strange:
        return f"no SMILES: the character {strange!a}"
    if name.startswith("|") and not _STEREO_GROUPS.fullmatch(name.split()[0]):
        return "a CXSMILES extension (|...|), which may change the molecule"
    atoms = _ATOM.findall(smiles)
    if len(atoms) > MAX_ATOMS:
        return f"more than {MAX_ATOMS:,} atoms"
    if len(_RING_CLOSURE.findall(_ATOM.sub("", smiles))) > 2 * MAX_RINGS:
        return f"more than {MAX_RINGS} rings"
    if any(len(n) > 3 or int(n) > MAX_CHARGE for atom in atoms for n in _CHARGE.findall(atom)):
        return f"a charge beyond {MAX_CHARGE}"
    return ""


def parse_smiles(smiles: str) -> ParsedSmiles:
    """Parse one SMILES to a kekulized graph in canonical form. A name may follow the SMILES after a blank."""
    try:
        mol = molecule_of(smiles)
        # Parsing the canonical form fixes atom order and Kekule form.
        canonical = _canonical(mol)
        with rdBase.BlockLogs():
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
            return ParsedSmiles(error="not determined by elements, charges and bonds (radical or unusual valence)")
    except (ValueError, RuntimeError) as error:  # RDKit raises both
        return ParsedSmiles(error=str(error).strip().partition("\n")[0][:100] or "RDKit fails")
    written, *name = smiles.split(maxsplit=1)
    dropped = [part for part, pattern in DROPPED.items() if pattern.search(written)]
    return ParsedSmiles(canonical, nodes, tuple(bonds), dropped=(*dropped, *([NAME] if name else ())))


def _canonical(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereochemistry, isotopes, atom maps and explicit hydrogens."""
    mol = Chem.Mol(mol)
    Chem.RemoveStereochemistry(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    with rdBase.BlockLogs():
        return Chem.MolToSmiles(Chem.RemoveHs(mol))


def _bonds(mol: Chem.Mol) -> list[tuple[int, int, str]]:
    """(begin, end, bond type in lower case) of each bond."""
    return [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondType().name.lower()) for b in mol.GetBonds()]


@functools.cache
def bond_type(label: str) -> Chem.BondType:
    """RDKit's bond type of one of EDGE_LABELS."""
    if label not in EDGE_LABELS:
        raise KeyError(label)
    found: Chem.BondType = Chem.BondType.names[label.upper()]
    return found


def _node_label(atom: Chem.Atom) -> str:
    charge = atom.GetFormalCharge()
    return atom.GetSymbol() + ("+" if charge > 0 else "-") * abs(charge)


@functools.cache
def element_and_charge(label: str) -> tuple[str, int]:
    """Split a node label such as "N+" into ("N", 1); a ValueError if it is no element with an optional charge."""
    symbol = label.rstrip("+-")
    try:
        Chem.GetPeriodicTable().GetAtomicNumber(symbol)
    except RuntimeError:
        raise ValueError(f"{label!r} is no chemical element with an optional charge") from None
    return symbol, label.count("+") - label.count("-")


@functools.cache
def valence(label: str) -> int:
    """Largest sum of bond orders of an atom: that of the isoelectronic neutral element (N+ as C, O- as F).

    RDKit's table has no limit for most metals (-1); they get the largest coordination number, 12.
    """
    symbol, charge = element_and_charge(label)
    table = Chem.GetPeriodicTable()
    electrons = table.GetAtomicNumber(symbol) - charge
    largest = max(table.GetValenceList(max(0, electrons)))
    if largest >= 0:
        return largest
    return 0 if charge and electrons <= 0 else LARGEST_COORDINATION


def molecule_vocabulary(node_labels: Iterable[str], max_nodes: int) -> GraphVocabulary:
    """Vocabulary of molecules, neutral atoms first: capacities are valences, bond orders 1, 2, 3."""
    labels = tuple(sorted(set(node_labels), key=lambda label: (element_and_charge(label)[1] != 0, label)))
    return GraphVocabulary(labels, EDGE_LABELS, max_nodes, tuple(valence(label) for label in labels), (1, 2, 3))


def is_molecular(vocabulary: GraphVocabulary) -> bool:
    """Test whether node labels are elements with charges and edge labels are `EDGE_LABELS`."""
    try:
        return vocabulary.edge_labels == EDGE_LABELS and all(element_and_charge(v) for v in vocabulary.node_labels)
    except ValueError:
        return False


def from_smiles(smiles: str | Sequence[str], vocabulary: GraphVocabulary | None = None) -> Graph:
    """Convert SMILES to graphs.

    Args:
        smiles: One or more SMILES.
        vocabulary: Labels of the channels; None uses the atoms that occur.

    Returns:
        A batch of discrete graphs.

    Raises:
        ValueError: If there is no SMILES, one is rejected, or a molecule does not fit the vocabulary.
    """
    smiles = [smiles] if isinstance(smiles, str) else list(smiles)
    if not smiles:
        raise ValueError("no SMILES given: from_smiles needs at least one")
    molecules = [parse_smiles(s) for s in smiles]
    for i, (text, molecule) in enumerate(zip(smiles, molecules)):
        if molecule.error:
            raise ValueError(f"SMILES {i}, {short(text)}: {molecule.error}")
    return from_parsed(molecules, vocabulary)


def from_parsed(molecules: Sequence[ParsedSmiles], vocabulary: GraphVocabulary | None = None) -> Graph:
    """Convert parsed SMILES without errors to a batch; without a vocabulary, of the atoms that occur."""
    if vocabulary is None:
        labels = {label for one in molecules for label in one.nodes}
        vocabulary = molecule_vocabulary(labels, max(len(one.nodes) for one in molecules))
    return from_edge_lists([(one.nodes, one.edges) for one in molecules], vocabulary)


def to_smiles(graph: GraphBatch) -> list[str | None]:
    """Convert graphs to canonical SMILES.

    Args:
        graph: B molecules, rounded.

    Returns:
        B SMILES; None for graphs that RDKit does not sanitize, and for those with more than 1,000 atoms or 300 rings.
    """
    return [_write(nodes, bonds) for nodes, bonds in to_edge_lists(graph)]


def _write(nodes: Sequence[str], bonds: Sequence[tuple[int, int, str]]) -> str | None:
    if not is_readable_size(len(nodes), len(bonds)):
        return None
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


def is_readable_size(atoms: int, bonds: int) -> bool:
    """Whether RDKit handles a molecule of this size: 1,000 atoms and 300 rings at most."""
    return atoms <= MAX_ATOMS and bonds - atoms < MAX_RINGS


def is_valid(graph: GraphBatch) -> torch.Tensor:
    """(B,) bool: RDKit sanitizes the molecule."""
    return torch.tensor([s is not None for s in to_smiles(graph)])


def canonicalized(graph: Graph) -> Graph:
    """Convert molecules to the Kekule form and atom order of `from_smiles`.

    Decoders may place the double bonds of an aromatic ring the other way: the same molecule, but another graph.
    Invalid molecules are unchanged, as are those that RDKit rewrites with charges that the vocabulary lacks, such as
    N(=O)=O.
    """
    known = set(graph.vocabulary.node_labels)
    node_labels, edge_labels = graph.labels()
    for b, smiles in enumerate(to_smiles(graph)):
        molecule = parse_smiles(smiles) if smiles else None
        if molecule and not molecule.error and known.issuperset(molecule.nodes):
            nodes, edges = label_tensors([(molecule.nodes, molecule.edges)], graph.vocabulary)
            node_labels[b], edge_labels[b] = nodes[0], edges[0]
    return Graph.from_labels(node_labels, edge_labels, graph.vocabulary).to(graph.nodes)


def kekule_forms(smiles: str, vocabulary: GraphVocabulary | None = None) -> Graph:
    """All ways to place the double bonds of the aromatic rings of a molecule, as graphs of one node order.

    A ValueError for rings of more than 32 conjugated atoms; at most 1,000 forms.
    """
    molecule = parse_smiles(smiles)
    if molecule.error:
        raise ValueError(f"SMILES {short(smiles)}: {molecule.error}")
    mol = Chem.MolFromSmiles(molecule.canonical)
    rings = {i for bond in mol.GetBonds() if bond.GetIsConjugated() and bond.IsInRing()
             for i in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())}  # fmt: skip
    if len(rings) > MAX_KEKULE_ATOMS:
        raise ValueError(f"SMILES {short(smiles)}: more than {MAX_KEKULE_ATOMS} atoms in conjugated rings")
    forms = []
    for form in Chem.ResonanceMolSupplier(mol, Chem.ResonanceFlags.KEKULE_ALL, MAX_KEKULE_FORMS) or [mol]:
        if [_node_label(atom) for atom in form.GetAtoms()] == list(molecule.nodes):  # skip forms that move charges
            forms.append(replace(molecule, edges=tuple(_bonds(form))))
    return from_parsed(forms, vocabulary)


def randomize_smiles(smiles: Sequence[str], seed: int) -> list[str]:
    """Rewrite each SMILES from a random atom along a random path (0.1 ms each); rejected SMILES are unchanged."""
    randomized = []
    for i, text in enumerate(smiles):
        own_seed = 1 + (seed * 1_000_003 + i) % (2**31 - 2)
        try:
            randomized.append(Chem.MolToRandomSmilesVect(molecule_of(text), 1, randomSeed=own_seed)[0])
        except ValueError:
            randomized.append(text)
    return randomized

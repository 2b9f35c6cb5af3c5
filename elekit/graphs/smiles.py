"""Molecules as labeled graphs: SMILES in and out, validity, Kekule forms, randomized SMILES. Needs RDKit.

The node label is the element with its formal charge ("N+", "O-"). Stereochemistry and isotopes are dropped. Equal
molecules give equal graphs, whichever way they are drawn. The edge labels of a vocabulary say which form is read:

- With "aromatic", the bonds of aromatic rings have that label. Their double bonds do not tell which of their atoms
  carry hydrogens, so the label of these atoms says so ("NH", "C+H"); a neutral carbon needs none.
- Without, graphs are kekulized: an aromatic ring has alternating single and double bonds, placed as RDKit places
  those of the canonical SMILES.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from elekit.graphs._optional import LazyModule
from elekit.graphs.graph import (
    EdgeList,
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

EDGE_LABELS = ("single", "double", "triple", "aromatic")
ORDERS = (1, 2, 3, 1)  # of the bonds that are sure; an atom has at most one double bond more in aromatic rings
AROMATIC = True  # whether the vocabularies made from SMILES have "aromatic", unless `aromatic=` is given
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
WRITTEN = "written at"  # name of a property of RDKit's atoms

_ATOM = re.compile(r"\[[^\[\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")
_RING_CLOSURE = re.compile(r"%\(\d+\)|%\d\d|\d")
_CHARGE = re.compile(r"[+-](\d+)")
_LABEL = re.compile(r"([A-Z*][a-z]*)([+-]*)(H*)")
_STEREO_GROUPS = re.compile(r"\|(?:,?(?:[ao&]\d*:\d+(?:,\d+)*|r))*\|")  # extensions that RDKit's SMILES do not need


@dataclass(frozen=True)
class ParsedSmiles:
    """A molecule, or an error: why the SMILES was rejected. canonical: its SMILES without stereochemistry.

    dropped: what the graph leaves out, of `DROPPED` and `NAME`, and by standardization.
    """

    canonical: str = ""
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[int, int, str], ...] = ()
    error: str = ""
    dropped: tuple[str, ...] = field(default=(), compare=False)


def molecule_of(text: object, remove_hydrogens: bool = True) -> Chem.Mol:
    """Read a SMILES with RDKit; all SMILES from outside pass through here.

    A name after a blank or tab is not passed to RDKit, which would also ignore everything after a character that is
    not ASCII or a line break.

    Args:
        text: One SMILES, possibly followed by a name.
        remove_hydrogens: Whether hydrogens that are written as atoms become a property of their neighbors.

    Returns:
        The sanitized molecule, with its atoms in the order in which they are written.

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
        parameters = Chem.SmilesParserParams()
        parameters.removeHs = remove_hydrogens  # type: ignore[assignment]
        mol = Chem.MolFromSmiles(smiles, parameters)
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


def parse_smiles(
    smiles: str,
    aromatic: bool = AROMATIC,
    standardize: Callable[[Chem.Mol], tuple[Chem.Mol, list[str]]] | None = None,
) -> ParsedSmiles:
    """Parse one SMILES to a graph in canonical form. A name may follow the SMILES after a blank.

    Args:
        smiles: One SMILES.
        aromatic: Label the bonds of aromatic rings "aromatic", False = "single" and "double".
        standardize: Returns the molecule to use in place of one, and names of what it left out.

    Returns:
        The molecule, or the reason why it is rejected.
    """
    try:
        mol, changed = molecule_of(smiles), list[str]()
        if standardize is not None:
            with rdBase.BlockLogs():
                mol, changed = standardize(mol)
        # Parsing the canonical form fixes the order of atoms and the Kekule form.
        canonical = Chem.MolToSmiles(_bare(mol))
        with rdBase.BlockLogs():
            mol = mol if canonical == smiles else Chem.MolFromSmiles(canonical)
            if mol is None:
                return ParsedSmiles(error="RDKit refuses its own canonical SMILES")
            if mol.GetNumAtoms() == 0:
                return ParsedSmiles(error="no atoms")
            if not aromatic:
                Chem.Kekulize(mol, clearAromaticFlags=True)
        nodes = tuple(map(_node_label, _atoms(mol)))
        bonds = _bonds(mol)
        if any(name not in EDGE_LABELS for *_, name in bonds):
            return ParsedSmiles(error="a bond that is neither single, double nor triple")
        if write_smiles(nodes, bonds) != canonical:
            return ParsedSmiles(error="not determined by elements, charges and bonds (radical or unusual valence)")
    except (ValueError, RuntimeError) as error:  # RDKit raises both
        return ParsedSmiles(error=str(error).strip().partition("\n")[0][:100] or "RDKit fails")
    written, *name = smiles.split(maxsplit=1)
    dropped = [part for part, pattern in DROPPED.items() if pattern.search(written)]
    return ParsedSmiles(canonical, nodes, tuple(bonds), dropped=(*dropped, *([NAME] if name else ()), *changed))


def written_at(smiles: str, graph: EdgeList) -> list[int]:
    """Where in a SMILES the nodes of its graph are written.

    Args:
        smiles: A SMILES, however it is written.
        graph: The graph of this molecule, as `from_smiles` numbers its nodes.

    Returns:
        For each node, the offset of the first character of its atom. Empty if this is not the graph of the SMILES: a
        label or the pairs of bonded atoms differ.
    """
    try:
        mol = molecule_of(smiles, remove_hydrogens=False)
    except ValueError:
        return []
    start = smiles.index(text := smiles.split(maxsplit=1)[0])  # without a name
    offsets = [start + match.start() for match in _ATOM.finditer(text)]
    if len(offsets) != mol.GetNumAtoms():
        return []
    for atom, offset in zip(_atoms(mol), offsets):
        atom.SetIntProp(WRITTEN, offset)
    mol = _bare(mol)
    Chem.MolToSmiles(mol)  # stores the canonical order of atoms, that of the nodes
    order = list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
    nodes, edges = graph
    atoms = [mol.GetAtomWithIdx(i) for i in order]
    if [element_and_charge(label) for label in nodes] != [(a.GetSymbol(), a.GetFormalCharge()) for a in atoms]:
        return []
    bonds = [mol.GetBondBetweenAtoms(order[i], order[j]) for i, j, _ in edges]
    if None in bonds or len(bonds) != mol.GetNumBonds():
        return []
    return [atom.GetIntProp(WRITTEN) for atom in atoms]


def _bare(mol: Chem.Mol) -> Chem.Mol:
    """The molecule without stereochemistry, isotopes, atom maps and explicit hydrogens."""
    mol = Chem.Mol(mol)
    Chem.RemoveStereochemistry(mol)
    hydrogens = False
    for atom in _atoms(mol):
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
        hydrogens |= atom.GetAtomicNum() == 1
    with rdBase.BlockLogs():
        return Chem.RemoveHs(mol) if hydrogens else mol


def _atoms(mol: Chem.Mol) -> Iterator[Chem.Atom]:
    """The atoms, several times faster than `mol.GetAtoms()`."""
    return map(mol.GetAtomWithIdx, range(mol.GetNumAtoms()))


def _bonds(mol: Chem.Mol) -> list[tuple[int, int, str]]:
    """(begin, end, bond type in lower case) of each bond."""
    bonds = map(mol.GetBondWithIdx, range(mol.GetNumBonds()))
    return [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondType().name.lower()) for b in bonds]


@functools.cache
def _atom(label: str) -> Chem.Atom:
    """RDKit's atom of a node label, for copies."""
    symbol, charge = element_and_charge(label)
    atom = Chem.Atom(symbol)
    atom.SetFormalCharge(charge)
    atom.SetNumExplicitHs(hydrogens(label))
    return atom


@functools.cache
def _bond_type(label: str) -> Chem.BondType:
    """RDKit's bond type of one of EDGE_LABELS."""
    if label not in EDGE_LABELS:
        raise KeyError(label)
    found: Chem.BondType = Chem.BondType.names[label.upper()]
    return found


def _node_label(atom: Chem.Atom) -> str:
    charge, symbol = atom.GetFormalCharge(), atom.GetSymbol()
    known = not atom.GetIsAromatic() or (symbol == "C" and not charge)  # hydrogens by the bonds
    return symbol + ("+" if charge > 0 else "-") * abs(charge) + ("" if known else "H" * atom.GetTotalNumHs())


@functools.cache
def element_and_charge(label: str) -> tuple[str, int]:
    """Split a node label such as "N+" into ("N", 1); a ValueError if it is no element with an optional charge."""
    found = _LABEL.fullmatch(label)
    try:
        with rdBase.BlockLogs():  # RDKit logs a stack trace for other labels
            Chem.GetPeriodicTable().GetAtomicNumber(found[1] if found else "")
    except RuntimeError:
        found = None
    if found is None:
        raise ValueError(f"{label!r} is no chemical element with an optional charge") from None
    return found[1], found[2].count("+") - found[2].count("-")


@functools.cache
def hydrogens(label: str) -> int:
    """Number of hydrogens in the node label of an aromatic atom: 1 of "N+H", 0 of "H"."""
    found = _LABEL.fullmatch(label)
    return len(found[3]) if found else 0


@functools.cache
def valence(label: str) -> int:
    """Largest sum of bond orders of an atom: that of the isoelectronic neutral element (N+ as C, O- as F).

    Hydrogens of the label count as bonds. RDKit's table has no limit for most metals (-1); they get the largest
    coordination number, 12.
    """
    symbol, charge = element_and_charge(label)
    table = Chem.GetPeriodicTable()
    electrons = table.GetAtomicNumber(symbol) - charge
    largest = max(table.GetValenceList(max(0, electrons)))
    if largest < 0:
        largest = 0 if charge and electrons <= 0 else LARGEST_COORDINATION
    return max(0, largest - hydrogens(label))


def molecule_vocabulary(node_labels: Iterable[str], max_nodes: int, aromatic: bool = AROMATIC) -> GraphVocabulary:
    """Vocabulary of molecules, neutral atoms first: capacities are valences, bond orders 1, 2, 3.

    Args:
        node_labels: Elements with charges, of `ParsedSmiles.nodes`.
        max_nodes: Number of node slots, >= 1.
        aromatic: Whether it has the edge label "aromatic", of order 1.

    Returns:
        The vocabulary.

    Raises:
        ValueError: If a label is no element with an optional charge.
    """
    labels = tuple(sorted(set(node_labels), key=lambda label: (element_and_charge(label)[1] != 0, label)))
    bonds = len(EDGE_LABELS) - (not aromatic)
    capacity = tuple(valence(label) for label in labels)
    return GraphVocabulary(labels, EDGE_LABELS[:bonds], max_nodes, capacity, ORDERS[:bonds])


def is_aromatic(vocabulary: GraphVocabulary) -> bool:
    """Test whether molecules of a vocabulary have bonds with the label "aromatic"."""
    return EDGE_LABELS[-1] in vocabulary.edge_labels


def is_molecular(vocabulary: GraphVocabulary) -> bool:
    """Test whether node labels are elements with charges and edge labels are `EDGE_LABELS`, all or without the last.

    Only with "aromatic" may node labels have hydrogens.
    """
    aromatic = is_aromatic(vocabulary)
    try:
        atoms = all(element_and_charge(v) and (aromatic or not hydrogens(v)) for v in vocabulary.node_labels)
    except ValueError:
        return False
    return atoms and vocabulary.edge_labels == EDGE_LABELS[: len(EDGE_LABELS) - (not aromatic)]


def from_smiles(
    smiles: str | Sequence[str], vocabulary: GraphVocabulary | None = None, *, aromatic: bool = AROMATIC
) -> Graph:
    """Convert SMILES to graphs.

    Args:
        smiles: One or more SMILES.
        vocabulary: Labels of the channels; None uses the atoms that occur.
        aromatic: Without a vocabulary, whether aromatic bonds have a label of their own.

    Returns:
        A batch of discrete graphs.

    Raises:
        ValueError: If there is no SMILES, one is rejected, or a molecule does not fit the vocabulary.
    """
    smiles = [smiles] if isinstance(smiles, str) else list(smiles)
    if not smiles:
        raise ValueError("no SMILES given: from_smiles needs at least one")
    aromatic = is_aromatic(vocabulary) if vocabulary else aromatic
    molecules = [parse_smiles(s, aromatic) for s in smiles]
    for i, (text, molecule) in enumerate(zip(smiles, molecules)):
        if molecule.error:
            raise ValueError(f"SMILES {i}, {short(text)}: {molecule.error}")
    return from_parsed(molecules, vocabulary, aromatic)


def from_parsed(
    molecules: Sequence[ParsedSmiles], vocabulary: GraphVocabulary | None = None, aromatic: bool = AROMATIC
) -> Graph:
    """Convert parsed SMILES without errors to a batch; without a vocabulary, of the atoms that occur."""
    if vocabulary is None:
        labels = {label for one in molecules for label in one.nodes}
        vocabulary = molecule_vocabulary(labels, max(len(one.nodes) for one in molecules), aromatic)
    return from_edge_lists([(one.nodes, one.edges) for one in molecules], vocabulary)


def to_smiles(graph: GraphBatch) -> list[str | None]:
    """Convert graphs to canonical SMILES.

    Args:
        graph: B molecules, rounded.

    Returns:
        B SMILES; None for graphs that RDKit does not sanitize, such as rings of aromatic bonds that have no Kekule
            form, and for those with more than 1,000 atoms or 300 rings.
    """
    return [write_smiles(nodes, bonds) for nodes, bonds in to_edge_lists(graph)]


def write_smiles(nodes: Sequence[str], bonds: Sequence[tuple[int, int, str]]) -> str | None:
    """The canonical SMILES of node labels and edges, as in `to_smiles`."""
    mol = _sanitized(nodes, bonds)
    return None if mol is None else Chem.MolToSmiles(mol)


def _sanitized(nodes: Sequence[str], bonds: Sequence[tuple[int, int, str]]) -> Chem.RWMol | None:
    if not nodes or not is_readable_size(len(nodes), len(bonds)):
        return None
    with rdBase.BlockLogs():
        mol = to_mol(nodes, bonds)
        fine = Chem.SanitizeMol(mol, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE
    return mol if fine else None


def to_mol(nodes: Sequence[str], bonds: Sequence[tuple[int, int, str]]) -> Chem.RWMol:
    """An RDKit molecule of node labels and edges, not sanitized."""
    mol = Chem.RWMol()
    for label in nodes:
        mol.AddAtom(_atom(label))
    for i, j, name in bonds:
        count = mol.AddBond(i, j, _bond_type(name))
        if name == EDGE_LABELS[-1]:
            for part in (mol.GetBondWithIdx(count - 1), mol.GetAtomWithIdx(i), mol.GetAtomWithIdx(j)):
                part.SetIsAromatic(True)
    return mol


def is_readable_size(atoms: int, bonds: int) -> bool:
    """Whether RDKit handles a molecule of this size: 1,000 atoms and 300 rings at most."""
    return atoms <= MAX_ATOMS and bonds - atoms < MAX_RINGS


def is_valid(graph: GraphBatch) -> torch.Tensor:
    """(B,) bool: RDKit sanitizes the molecule."""
    return torch.tensor(
        [_sanitized(nodes, bonds) is not None for nodes, bonds in to_edge_lists(graph)], dtype=torch.bool
    )


def is_canonical(graph: GraphBatch) -> torch.Tensor:
    """(B,) bool: RDKit sanitizes the molecule, and `from_smiles` gives it the same labels.

    With "aromatic", other graphs stand for the same molecule: an aromatic ring of single and double bonds, aromatic
    bonds where there is no aromatic ring, "NH" outside of such rings.
    """
    if not is_aromatic(graph.vocabulary):
        return is_valid(graph)
    return torch.tensor([_is_canonical(*lists) for lists in to_edge_lists(graph)], dtype=torch.bool)


def _is_canonical(nodes: Sequence[str], bonds: Sequence[tuple[int, int, str]]) -> bool:
    mol = _sanitized(nodes, bonds)
    return mol is not None and [*map(_node_label, _atoms(mol))] == [*nodes] and _bonds(mol) == [*bonds]


def canonicalized(graphs: GraphBatch) -> Graph:
    """Convert molecules to the form and atom order of `from_smiles`.

    Decoders may draw an aromatic ring another way: the same molecule, but another graph.
    Invalid molecules are unchanged, as are those that RDKit rewrites with charges that the vocabulary lacks, such as
    N(=O)=O.
    """
    graph, known = graphs.dense(), set(graphs.vocabulary.node_labels)
    (node_labels, edge_labels), N = graph.labels(), graph.slots()
    for b, smiles in enumerate(to_smiles(graph)):
        molecule = parse_smiles(smiles, is_aromatic(graph.vocabulary)) if smiles else None
        if molecule and not molecule.error and known.issuperset(molecule.nodes):
            nodes, edges = label_tensors([(molecule.nodes, molecule.edges)], graph.vocabulary)
            node_labels[b], edge_labels[b] = nodes[0, :N], edges[0, :N, :N]
    return Graph.from_labels(node_labels, edge_labels, graph.vocabulary).to(graph.nodes)


def kekule_forms(smiles: str, vocabulary: GraphVocabulary | None = None) -> Graph:
    """All ways to place the double bonds of the aromatic rings of a molecule, as graphs of one node order.

    The one graph of `from_smiles` in a vocabulary with "aromatic". A ValueError for rings of more than 32 conjugated
    atoms; at most 1,000 forms.
    """
    if vocabulary and is_aromatic(vocabulary):
        return from_smiles(smiles, vocabulary)
    molecule = parse_smiles(smiles, aromatic=False)
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
    return from_parsed(forms, vocabulary, aromatic=False)


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

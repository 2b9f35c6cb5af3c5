"""English descriptions of small organic molecules, composed from their structure.

The wording follows chemical ontologies such as ChEBI: a first sentence names a parent (a ring system if
there is one, otherwise the longest carbon chain), its heteroatoms, multiple bonds and substituents with
positions, and a second sentence lists the classes the molecule belongs to. Positions follow
lowest-locant rules, so that the first sentence is meant to determine the molecule.
"""

from itertools import groupby, pairwise

import ring_names
from rdkit import Chem
from rdkit.rdBase import BlockLogs
from ring_names import MULTIPLIERS, STEMS, OutOfScope, join, unsaturation

COUNTS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight")
# Substituent names that need no brackets.
SIMPLE = {
    "fluoro",
    "oxo",
    "hydroxy",
    "imino",
    "amino",
    "nitrilo",
    "formyl",
    "carboxy",
    "carbamoyl",
    "cyano",
    "acetyl",
    "hydrazinyl",
    "hydrazinylidene",
    "ethenyl",
    "ethynyl",
    "methylidene",
    "ethylidene",
    "propylidene",
    "cyclopropyl",
    "cyclobutyl",
    *(stem + end for stem in STEMS[1:] for end in ("yl", "oxy", "anoyl")),
}

# Functional classes in the order in which they are listed: (name, SMARTS).
CLASSES = tuple(
    (name, Chem.MolFromSmarts(smarts))
    for name, smarts in (
        ("carboxylic acid", "[CX3](=O)[OX2H1]"),
        ("lactone", "[#6][#6R](=O)[#8R]"),
        ("carbonate ester", "[#6][#8]C(=O)[#8][#6]"),
        ("carbamate ester", "[#7]C(=O)[OX2][#6]"),
        ("carboxylic ester", "[CX3;!R;!$(C(=O)([#7,#8])[#7,#8])](=O)[OX2][#6]"),
        ("urea", "[NX3]C(=O)[NX3]"),
        ("hydroxamic acid", "[CX3](=O)[NX3][OX2H1]"),
        ("hydrazide", "[CX3](=O)[NX3][NX3]"),
        ("lactam", "[#6][#6R](=O)[#7R]"),
        ("carboxamide", "[CX3;!R;!$(C(=O)([#7,#8])[#7,#8])](=O)[NX3;!$(N[#7,#8])]"),
        ("aldehyde", "[$([CX3H1][#6]),$([CX3H2])]=O"),
        ("ketone", "[#6][#6](=O)[#6]"),
        ("nitrile", "[NX1]#[CX2][#6]"),
        ("cyanamide", "[NX3]C#N"),
        ("oxime", "[CX3]=[NX2][OX2H1]"),
        ("oxime ether", "[CX3]=[NX2][OX2][#6]"),
        ("hydrazone", "[CX3]=[NX2][NX3]"),
        ("azine", "[CX3]=[NX2][NX2]=[CX3]"),
        ("amidine", "[NX3][CX3;!$(C([NX3])[NX3])]=[NX2;!$(N[#7,#8])]"),
        ("guanidine", "[NX3][CX3]([NX3])=[NX2]"),
        ("imidate ester", "[CX3](=[NX2])[OX2][#6]"),
        ("imine", "[CX3;!$(C[#7,#8])]=[NX2;!$(N[#7,#8])]"),
        ("primary alcohol", "[CX4;H2,H3][OX2H1]"),
        ("secondary alcohol", "[CX4;H1][OX2H1]"),
        ("tertiary alcohol", "[CX4;H0][OX2H1]"),
        ("primary amine", "[NX3;H2][CX4]"),
        ("secondary amine", "[NX3;H1]([CX4])[CX4]"),
        ("tertiary amine", "[NX3;H0]([CX4])([CX4])[CX4]"),
        ("acetal", "[CX4]([OX2][#6])[OX2][#6]"),
        ("epoxide", "[OX2]1[CX4][CX4]1"),
        ("cyclic ether", "[OX2R;r4,r5,r6,r7]([#6;!$([#6]=[O,N])])[#6;!$([#6]=[O,N])]"),
        ("ether", "[OX2;!R]([#6;!$([#6]=[O,N])])[#6;!$([#6]=[O,N])]"),
        ("alkene", "[CX3;!a]=[CX3;!a]"),
        ("alkyne", "[CX2]#[CX2]"),
        ("organofluorine compound", "[#6]F"),
        ("heteroarene", "[a;!#6]"),
        ("arene", "c1ccccc1"),
    )
)


def describe(smiles):
    """Describe the molecule `smiles` in one or two English sentences; the text ignores the SMILES form.

    Scope: connected, neutral molecules of 1 to 7 heavy atoms C, N, O, F without isotopes and radicals,
    whose ring systems have at most two rings each. Anything else raises ValueError naming the molecule;
    stereo marks are ignored.
    """
    with BlockLogs():
        mol = _load(smiles)
    try:
        parent = _parent(_Structure(mol))
    except OutOfScope as error:
        raise ValueError(f"cannot describe {smiles!r}: {error}") from None
    text = f"The molecule is {parent}."
    classes = [name for name, query in CLASSES if mol.HasSubstructMatch(query)]
    if classes:
        text += f" It is {join([_article(c) for c in classes])}."
    return text


def _load(smiles):
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(f"cannot describe {smiles!r}: not a valid SMILES")
    atoms = list(mol.GetAtoms())
    if not 1 <= len(atoms) <= 7 or len(Chem.GetMolFrags(mol)) != 1:
        raise ValueError(f"cannot describe {smiles!r}: not one molecule of 1 to 7 heavy atoms")
    if any(
        a.GetSymbol() not in "CNOF" or a.GetFormalCharge() or a.GetNumRadicalElectrons() or a.GetIsotope()
        for a in atoms
    ):
        raise ValueError(f"cannot describe {smiles!r}: only neutral C, N, O and F atoms are in scope")
    # Canonical atom order settles every remaining choice, such as the Kekule form of a ring.
    return Chem.MolFromSmiles(Chem.MolToSmiles(mol, isomericSmiles=False))


class _Structure:
    """Adjacency of the Kekule form: `symbol[i]`, `bonds[i] = {neighbor: order}`, ring systems."""

    def __init__(self, mol):
        self.aromatic_six = {
            frozenset(r) for r in mol.GetRingInfo().AtomRings() if len(r) == 6 and ring_names.is_azine(mol, r)
        }
        rings = [set(r) for r in mol.GetRingInfo().AtomRings()]
        mol = Chem.Mol(mol)
        Chem.Kekulize(mol, clearAromaticFlags=True)
        self.symbol = [a.GetSymbol() for a in mol.GetAtoms()]
        self.bonds = [{} for _ in self.symbol]
        for b in mol.GetBonds():
            i, j = b.GetBeginAtomIdx(), b.GetEndAtomIdx()
            self.bonds[i][j] = self.bonds[j][i] = int(b.GetBondTypeAsDouble())
        self.systems = []
        for ring in rings:
            for other in [s for s in self.systems if s & ring]:
                self.systems.remove(other)
                ring = ring | other
            self.systems.append(ring)

    def system_of(self, atom):
        return next((s for s in self.systems if atom in s), None)

    def others(self, atom, source):
        return [j for j in self.bonds[atom] if j != source]

    def terminal_group(self, atom):
        """Whether a carbon is named as part of a group (cyano, carboxy, carbamoyl), not of a chain."""
        kinds = [(self.symbol[j], k) for j, k in self.bonds[atom].items()]
        return ("N", 3) in kinds or (("O", 2) in kinds and any(k in kinds for k in (("O", 1), ("N", 1))))

    def chains(self, start=None, source=None):
        """Longest carbon chains as tuples of atoms: those that begin at `start`, away from `source`."""
        carbons = {i for i, s in enumerate(self.symbol) if s == "C" and self.system_of(i) is None}
        inner = {i for i in carbons if not self.terminal_group(i)} or carbons
        starts = inner if start is None else {start}
        paths, longest = [(i,) for i in starts], []
        while paths:
            longest = paths
            paths = [(*p, j) for p in paths for j in self.bonds[p[-1]] if j in inner - {source, *p}]
        return longest

    def multiple_bonds(self, order):
        """Sorted (locant, locant, order) of the multiple bonds inside the numbered atoms `order`."""
        place = {a: n for n, a in enumerate(order, 1)}
        return sorted(
            (place[a], place[b], k)
            for a in order
            for b, k in self.bonds[a].items()
            if k > 1 and place.get(b, 0) > place[a]
        )

    def substituents(self, order, source=None):
        """Sorted (name, locant) of everything attached to the numbered atoms `order`, but `source`."""
        return sorted(
            (_branch(self, j, a), n)
            for n, a in enumerate(order, 1)
            for j in self.bonds[a]
            if j not in order and j != source
        )


# -- parents ---------------------------------------------------------------------------------------------


def _parent(g):
    """Noun phrase of the whole molecule: parent with its multiple bonds, heteroatoms and substituents."""
    if g.systems:
        best = max((len(s), sum(g.symbol[a] != "C" for a in s)) for s in g.systems)
        options = [
            _ring_option(g, order, base)
            for s in g.systems
            if (len(s), sum(g.symbol[a] != "C" for a in s)) == best
            for base, order in ring_names.numberings(g, s)
        ]
    elif "C" in g.symbol:
        options = [_chain_option(g, order) for order in g.chains()]
    else:
        return _carbon_free(g)
    _, name, size, subs = min(options)
    phrase = _article(name)
    if subs:
        phrase += (", " if " with " in name else " ") + "carrying " + _list_substituents(subs, size)
    return phrase


def _ring_option(g, order, base):
    subs = g.substituents(order)
    key = (ring_names.rank(g, order, base), _locants(subs), subs)
    return key, ring_names.name(g, order, base), len(order), subs


def _chain_option(g, order):
    subs, bonds = g.substituents(order), g.multiple_bonds(order)
    key = (-len(bonds), [b[:2] for b in bonds], bonds, -len(subs), _locants(subs), subs)
    return key, STEMS[len(order)] + unsaturation([(a, k) for a, _, k in bonds], len(order)), len(order), subs


def _carbon_free(g):
    names = {
        ("N",): "ammonia",
        ("O",): "water",
        ("F",): "hydrogen fluoride",
        ("N", "N"): "hydrazine",
        ("N", "O"): "hydroxylamine",
    }
    name = names.get(tuple(sorted(g.symbol)))
    if name is None or any(k > 1 for b in g.bonds for k in b.values()):
        raise OutOfScope("no carbon to name it after")
    return name


# -- substituents ----------------------------------------------------------------------------------------


def _branch(g, atom, source):
    """Prefix of the substituent that begins at `atom` and hangs on `source`; complex ones in brackets."""
    name = _branch_name(g, atom, source)
    return name if name in SIMPLE else f"({name})"


def _branch_name(g, atom, source):
    order, rest = g.bonds[atom][source], g.others(atom, source)
    symbol = g.symbol[atom]
    if g.system_of(atom) is not None:
        return _ring_branch(g, atom, source)
    if symbol == "F":
        return "fluoro"
    if symbol == "O":
        return ("oxo" if order == 2 else "hydroxy") if not rest else _oxy(_branch(g, rest[0], atom))
    if symbol == "N":
        base = ("", "amino", "imino", "nitrilo")[order]
        prefix = _prefixes([(_branch(g, j, atom), 0) for j in rest])
        return {"aminoamino": "hydrazinyl", "aminoimino": "hydrazinylidene"}.get(prefix + base, prefix + base)
    return _carbonyl(g, atom, source) or _chain_branch(g, atom, source)


def _oxy(name):
    """Prefix of an -O-R group from the prefix of R: methyl gives methoxy, acetyl gives acetyloxy."""
    bare = _bare(name)
    if bare.endswith(tuple(stem + "yl" for stem in STEMS[1:])) and "cyclo" not in bare:
        return bare[:-2] + "oxy"
    return name + "oxy"


def _bare(name):
    """Name without its enclosing brackets; `_branch` sets them around the whole of a complex name."""
    return name[1:-1] if name.startswith("(") else name


def _carbonyl(g, atom, source):
    """Name of a cyano or acyl group on a single bond, or None if `atom` starts a plain chain."""
    rest = sorted((g.bonds[atom][j], g.symbol[j], j) for j in g.others(atom, source))
    if g.bonds[atom][source] != 1 or not rest:
        return None
    if rest[-1][:2] == (3, "N"):
        return "cyano"
    order, symbol, last = rest[-1]
    if (order, symbol) != (2, "O") or g.others(last, atom):
        return None
    if len(rest) == 1:
        return "formyl"
    name = _branch(g, rest[0][2], atom)
    if name == "hydroxy":
        return "carboxy"
    if g.symbol[rest[0][2]] == "N":
        bare = _bare(name)
        return bare[:-5] + "carbamoyl" if bare.endswith("amino") else name + "carbonyl"
    acyl = {s + "yl": s2 + "anoyl" for s, s2 in pairwise(STEMS[1:7])} | {"methyl": "acetyl"}
    if g.symbol[rest[0][2]] != "C" or g.system_of(rest[0][2]) is not None:
        return name + "carbonyl"
    return acyl.get(name)


def _chain_branch(g, atom, source):
    ending = ("", "yl", "ylidene", "ylidyne")[g.bonds[atom][source]]
    options = []
    for order in g.chains(atom, source):
        subs, bonds = g.substituents(order, source), g.multiple_bonds(order)
        stem = STEMS[len(order)] + unsaturation([(a, k) for a, _, k in bonds], len(order))[:-1]
        stem = stem[:-2] if not bonds else stem
        key = (-len(bonds), bonds, -len(subs), _locants(subs), subs)
        shown = subs if len(order) > 1 else [(s, 0) for s, _ in subs]
        options.append((key, _prefixes(shown) + stem + ending))
    return min(options)[1]


def _ring_branch(g, atom, source):
    ending = ("", "yl", "ylidene")[g.bonds[atom][source]]
    options = []
    for base, order in ring_names.numberings(g, g.system_of(atom)):
        subs, where = g.substituents(order, source), order.index(atom) + 1
        name = ring_names.name(g, order, base)
        if name.startswith("cyclo") and name.endswith("ane"):
            name = name[:-3] + ending if where == 1 else f"{name[:-1]}-{where}-{ending}"
        else:
            name = (f"({name})" if " " in name else name.removesuffix("e")) + f"-{where}-{ending}"
        key = (ring_names.rank(g, order, base), where, _locants(subs), subs)
        options.append((key, _prefixes(subs) + name))
    return min(options)[1]


# -- wording ---------------------------------------------------------------------------------------------


def _locants(subs):
    return sorted(n for _, n in subs)


def _grouped(subs):
    """(name, locants) for each different substituent, in alphabetical order of the name."""
    ordered = sorted(subs, key=lambda s: (s[0].lstrip("(-,0123456789"), s))
    return [(name, sorted(n for _, n in group)) for name, group in groupby(ordered, key=lambda s: s[0])]


def _prefixes(subs):
    """Substituent part of a compound name: "2-hydroxy-", "dimethyl", "ethyl(methyl)"; locant 0 is silent."""
    text = ""
    for name, where in _grouped(subs):
        count = MULTIPLIERS[len(where)]
        if name.startswith("(") and count:
            count = {"di": "bis", "tri": "tris"}.get(count, count + "kis")
        if 0 in where:
            text += count + (f"({name})" if text and name[0] != "(" else name)
        else:
            text += ("-" if text else "") + ",".join(map(str, where)) + "-" + count + name
    return text


def _list_substituents(subs, size):
    """List: "a hydroxy substituent at position 2 and two methyl substituents at positions 3 and 5"."""
    parts = []
    for name, where in _grouped(subs):
        plural = len(where) > 1
        text = f"{COUNTS[len(where)]} {name} substituents" if plural else f"{_article(name)} substituent"
        if size > 1:
            places = sorted(set(where)) if len(set(where)) == 1 else where
            text += f" at position{'s' * (len(places) > 1)} {join(list(map(str, places)))}"
        parts.append(text)
    return join(parts)


def _article(name):
    """`name` behind its indefinite article: "a urea", "an ((aminomethyl)amino)", "a 1,3-dioxolane"."""
    word = name.lstrip("(")
    return ("an " if word[0] in "aeiou" and word != "urea" else "a ") + name

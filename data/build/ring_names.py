"""Numbering and names of rings and bicyclic ring systems, for `describe`.

Single rings get Hantzsch-Widman or retained names (oxolane, piperidine, furan), pairs of rings get von
Baeyer names (bicyclo[2.1.0]pentane, spiro[2.3]hexane) with their heteroatoms spelled out. A structure
`g` offers `symbol[i]`, `bonds[i] = {neighbor: order}`, `aromatic_six` and `multiple_bonds(order)`.
"""

from itertools import permutations

STEMS = ("", "meth", "eth", "prop", "but", "pent", "hex", "hept")
MULTIPLIERS = ("", "", "di", "tri", "tetra", "penta", "hexa", "hepta")

# Retained names, by the elements in numbering order.
AROMATIC_FIVE = {"OCCCC": "furan", "NCCCC": "pyrrole", "NNCCC": "pyrazole", "NCNCC": "imidazole"}
AROMATIC_SIX = {
    "CCCCCC": "benzene",
    "NCCCCC": "pyridine",
    "NNCCCC": "pyridazine",
    "NCNCCC": "pyrimidine",
    "NCCNCC": "pyrazine",
}
SATURATED = {
    "NCCCC": "pyrrolidine",
    "NNCCC": "pyrazolidine",
    "NCNCC": "imidazolidine",
    "NCCCCC": "piperidine",
    "NCCNCC": "piperazine",
    "OCCNCC": "morpholine",
}

# Hantzsch-Widman endings of saturated rings by size: (with nitrogen, without).
ENDINGS = {
    3: ("iridine", "irane"),
    4: ("etidine", "etane"),
    5: ("olidine", "olane"),
    6: ("inane", "ane"),
    7: ("epane", "epane"),
}


class OutOfScope(ValueError):
    """The structure has no name in this small nomenclature."""


def is_azine(mol, ring):
    """Whether a ring of six is benzene-like: three double bonds inside it in every Kekule form."""
    atoms = [mol.GetAtomWithIdx(i) for i in ring]
    return (
        all(a.GetIsAromatic() for a in atoms)
        and not any(a.GetSymbol() != "C" and (a.GetTotalNumHs() or a.GetDegree() > 2) for a in atoms)
        and not any(b.GetBondTypeAsDouble() >= 2 for a in atoms for b in a.GetBonds())
    )


def numberings(g, system):
    """All admissible (base name, atoms in numbering order) of the ring system `system`, a set of atoms."""
    inside = {a: sorted(b for b in g.bonds[a] if b in system) for a in system}
    joints = sorted(a for a in system if len(inside[a]) > 2)
    if not joints:
        loop = _paths(inside, min(system), min(system))[0]
        cycle = (min(system), *loop)
        size = len(cycle)
        turns = [cycle[k:] + cycle[:k] for k in range(size)]
        return [("cyclo", path) for t in turns for path in (t, t[::-1])]
    if len(joints) == 1 and len(inside[joints[0]]) == 4:
        loops = _paths(inside, joints[0], joints[0])
        return [
            (f"spiro[{len(a)}.{len(b)}]", (*a, joints[0], *b))
            for a in loops
            for b in loops
            if not set(a) & set(b) and len(a) <= len(b)
        ]
    if len(joints) == 2 and all(len(inside[a]) == 3 for a in joints):
        options = []
        for start, end in (joints, joints[::-1]):
            for a, b, c in permutations(_paths(inside, start, end)):
                if len(a) >= len(b) >= len(c):
                    options.append((f"bicyclo[{len(a)}.{len(b)}.{len(c)}]", (start, *a, end, *b[::-1], *c)))
        return options
    raise OutOfScope("a ring system of more than two rings")


def _paths(inside, start, end):
    """Interiors of the walks from `start` to `end` through atoms of two ring bonds."""
    found = []
    for atom in inside[start]:
        path, previous = [], start
        while atom != end:
            path.append(atom)
            previous, atom = atom, next(b for b in inside[atom] if b != previous)
        found.append(tuple(path))
    return found


def rank(g, order, base):
    """Sort key of a numbering: O, else N, first in a single ring; then low locants for heteroatoms, O
    before N, N-H before =N, low locants for multiple bonds."""
    hetero = [(n, a) for n, a in enumerate(order, 1) if g.symbol[a] != "C"]
    return (
        "ONC".index(g.symbol[order[0]]) if base == "cyclo" else 0,
        [n for n, _ in hetero],
        ["ON".index(g.symbol[a]) for _, a in hetero],
        [max(g.bonds[a].values()) for _, a in hetero],
        _multiple_bonds(g, order),
    )


def name(g, order, base):
    """Name of the numbered ring system, with heteroatoms and multiple bonds that the name leaves open."""
    elements, bonds = "".join(g.symbol[a] for a in order), _multiple_bonds(g, order)
    size, extra = len(order), []
    if base != "cyclo":
        text = base + STEMS[size] + "ane"
        extra = _heteroatoms(elements)
    elif frozenset(order) in g.aromatic_six:
        return AROMATIC_SIX.get(elements) or _replacement(elements) + "ine"
    elif size == 5 and elements[0] != "C" and bonds == [(2, 3, 2), (4, 5, 2)]:
        return AROMATIC_FIVE.get(elements) or _replacement(elements) + "ole"
    elif set(elements) == {"C"}:
        where = [(size if (a, b) == (1, size) else a, k) for a, b, k in bonds]
        ending = unsaturation(sorted(where), size)
        return "cyclo" + STEMS[size] + (ending.replace("-1-", "") if len(bonds) == 1 else ending)
    else:
        text = SATURATED.get(elements) or _replacement(elements) + ENDINGS[size]["N" not in elements]
    for kind, word in ((2, "double"), (3, "triple")):
        pairs = [f"positions {a} and {b}" for a, b, k in bonds if k == kind]
        if len(pairs) == 1:
            extra.append(f"a {word} bond between {pairs[0]}")
        elif pairs:
            extra.append(f"{word} bonds between {join(pairs)}")
    return text + (" with " + join(extra) if extra else "")


def _multiple_bonds(g, order):
    return [] if frozenset(order) in g.aromatic_six else g.multiple_bonds(order)


def _heteroatoms(elements):
    """["oxygen at position 2", "nitrogen at positions 3 and 5"] as far as present."""
    parts = []
    for symbol, word in (("O", "oxygen"), ("N", "nitrogen")):
        where = [str(n) for n, e in enumerate(elements, 1) if e == symbol]
        if where:
            parts.append(f"{word} at position{'s' * (len(where) > 1)} {join(where)}")
    return parts


def _replacement(elements):
    """Hantzsch-Widman prefix without its final a: "ox", "1,3-diaz", "1,2,4-triaz", "1,3-oxaz"."""
    where = [n for e in "ON" for n, element in enumerate(elements, 1) if element == e]
    oxygen, nitrogen = elements.count("O"), elements.count("N")
    text = MULTIPLIERS[oxygen] + "oxa" if oxygen else ""
    if nitrogen:
        text = text.removesuffix("a" if nitrogen == 1 else "") + MULTIPLIERS[nitrogen] + "aza"
    return (",".join(map(str, where)) + "-" if len(where) > 1 else "") + text[:-1]


def unsaturation(bonds, size):
    """Ending of a hydrocarbon name for multiple `bonds`, pairs (locant, order): "ane", "-1-en-3-yne"."""
    text = ""
    for order, ending in ((2, "en"), (3, "yn")):
        where = [n for n, k in bonds if k == order]
        if where:
            locants = "" if size == 2 else "-" + ",".join(map(str, where)) + "-"
            text += ("a" if len(where) > 1 and not text else "") + locants + MULTIPLIERS[len(where)] + ending
    return (text or "an") + "e"


def join(parts):
    """Enumerate `parts`: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

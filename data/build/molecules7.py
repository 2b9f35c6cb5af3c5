"""Every small stable molecule: 1 to 7 heavy atoms over C, N, O and F, with English descriptions.

An exhaustive set needs no download and no license, and its coverage can be proved. As in GDB-11 and
QM9, the valence rules give the candidates and a stated table of stability filters (`FILTERS`) keeps the
plausible ones. The enumeration has two stages: saturated skeletons grow by one atom at a time (chains,
branches and ring closures), then bond orders are raised on each skeleton. Canonical (aromatic) SMILES
is the identity of a molecule, so tautomers count as different molecules. Rebuild the shipped file
with ``python data/build/molecules7.py``.
"""

import argparse
import csv
import hashlib
import io
import random
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from describe import describe
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from elekit.datasets.files import write_atomically

VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1}
MAX_RINGS = 2  # independent rings: with 7 atoms a third one means a strained cage
MAX_HETEROATOMS = 3  # N, O and F together; more on so few carbons tend to be reactive

COLUMNS = ("smiles", "random_smiles", "description")


class Filter(NamedTuple):
    """A forbidden substructure. `early`: blind to bond orders, so skeletons can already be pruned."""

    name: str
    smarts: str
    reason: str
    early: bool = False


# The early filters are hereditary: a forbidden skeleton stays forbidden however atoms are added or bond
# orders raised, because their patterns constrain elements and connectivity only.
FILTERS = (
    Filter("peroxide", "[#8]~[#8]", "weak O-O bond", True),
    Filter("heteroatom-fluorine", "[#7,#8,#9]~[#9]", "N-F, O-F and F-F are strong oxidants", True),
    Filter("heteroatom chain", "[#7,#8]~[#7,#8]~[#7,#8]", "N-N-N, N-N-O and O-N-O chains decompose", True),
    Filter("fused three-rings", "*~1~*~2~*~1~*~2", "two three-rings sharing a bond (bicyclobutane)", True),
    Filter("hetero spiropentane", "[#7,#8]~1~*~*~1~2~*~*~2", "strained epoxides and aziridines open", True),
    Filter("three-ring fused to four-ring", "*~1~*~2~*~1~*~*~2", "strained as in housane", True),
    Filter("fused four-rings", "*~1~*~*~2~*~1~*~*~2", "bicyclo[2.2.0] opens to a diene", True),
    Filter("bicyclo[1.1.1]", "*~1~*~2~*~*~1~*~2", "cage of four-rings", True),
    Filter("weak bond in three-ring", "[#7,#8]~1~[#7,#8]~*~1", "strained ring with N-N or N-O", True),
    Filter("weak bond in four-ring", "[#7,#8]~1~[#7,#8]~*~*~1", "strained ring with N-N or N-O", True),
    Filter("cumulated double bonds", "*=*=*", "allenes, ketenes and isocyanates are reactive"),
    Filter("triple bond in ring", "*#@*", "a linear unit does not fit a ring of fewer than 8 atoms"),
    Filter("sp2 atom in three-ring", "*=,:[r3]", "strained, as in cyclopropene, cyclopropanone"),
    Filter("alkene or imine on four-ring", "[#6,#7]=,:[r4]", "strained; only C=O is kept"),
    Filter("double bond at ring fusion", "[x3,x4]=,:;@*", "anti-Bredt, or strained in small fused rings"),
    Filter("aromatic seven-ring", "[a;r7]", "ten-electron rings count as aromatic by rule only"),
    Filter("quinoid methylene", "[c]=[CX3]", "tautomer of a methyl arene"),
    Filter("azo or nitroso", "N=,#[N,O]", "diazenes lose N2, nitroso compounds turn into oximes"),
    Filter(
        "hydrazine or hydroxylamine",
        "[N;!$(N=*);!$(N[#6]=O)][N,O;!$(N=*);!$(N[#6]=O)]",
        "a single N-N or N-O bond needs a C=N or an acyl group",
    ),
    Filter("enol", "[OX2H1][CX3]=[#6]", "tautomer of a ketone or aldehyde"),
    Filter(
        "enamine",
        "[NX3;!$(N[#6]=O)][CX3]=[CX3;!$(C[#6]=,#[O,N])]",
        "tautomer of an imine, or hydrolyses, unless an acceptor is conjugated",
    ),
    Filter("enol ether", "[OX2;!$(O[#6]=O)][CX3]=[CX3;!$(C[#6]=,#[O,N])]", "hydrolyses, as enamines do"),
    Filter("imidic acid", "[OX2H1][CX3]=N", "tautomer of an amide"),
    Filter("methanimine", "[CX3;H2]=N", "CH2=N units trimerise"),
    Filter("N-acyl or N-vinyl imine", "[#6]=[NX2;!R][#6]=,#*", "hydrolyses or polymerises"),
    Filter("open imine", "[#6;!$([CX3]N)]=[NX2;!R;!$(N[#7,#8])]", "hydrolyses; amidines are kept"),
    Filter("ring-bound imino group", "[#6;R]=[NX2;H1]", "tautomer of an amino group"),
    Filter("open hydrazone", "[#6]=[NX2;!R][NX3;!$(N[#6]=O)]", "turns into an azine, unless acylated"),
    Filter("hemiacetal or gem-diol", "[CX4]([OH1])[#8]", "loses water or an alcohol"),
    Filter("aminal or hemiaminal", "[CX4](N)[#7,#8]", "opens to an imine"),
    Filter("acetal in small ring", "[CX4;r3,r4]([#8])[#8]", "strain makes the acetal open"),
    Filter("alpha-fluoro ether or amine", "[CX4](F)[#7,#8]", "expels fluoride"),
    Filter("secondary alkyl fluoride", "[CX4;!$(C(F)F)](F)([#6])[#6]", "loses HF; CH2F, CF2, CF3 are kept"),
    Filter("activated fluoride", "[CX4;!$(C(F)F)](F)[#6]=,#*", "allylic, propargylic or next to C=O, C=N"),
    Filter("beta-fluoro amine", "[CX4;!$(C(F)F)](F)[CX4][NX3;!$(N[#6]=*)]", "cyclises to an aziridinium"),
    Filter("acyl or imidoyl fluoride", "F[CX3]=[O,N]", "hydrolyses at once"),
    Filter("heteroatom on alkyne", "[#7,#8,F]C#C", "ynols, ynamines and fluoroalkynes are unstable"),
    Filter("cyanate or cyanogen fluoride", "[#8,F]C#N", "trimerises or rearranges"),
    Filter("carbonic or carbamic acid", "[OX2H1][CX3](=O)[#7,#8]", "loses CO2"),
    Filter("amino aldehyde", "[CX3;H1;$(C[#6])]=O.[NX3;H1,H2;!$(N[#6]=*);!$(NN=*)]", "condenses with itself"),
    Filter("hydroxy aldehyde", "[CX3;H1;$(C[#6])]=O.[OX2;H1;$(O[CX4])]", "closes to a hemiacetal"),
    Filter("conjugated diyne", "*#CC#*", "polymerises; cyanoalkynes too"),
    Filter("acyl cyanide", "[#6](=O)C#N", "hydrolyses to cyanide"),
    Filter("anhydride", "[#6](=[O,N])[#8][#6]=[O,N]", "acylates water and amines at once"),
)


@cache
def _pattern(smarts):
    return Chem.MolFromSmarts(smarts)


def rejected_by(mol, early=False):
    """Name of the first rule that rejects a sanitized RDKit `mol`, or None if it is kept.

    With `early` only the hereditary rules apply; these hold for any skeleton of a kept molecule.
    """
    if mol.GetNumBonds() - mol.GetNumAtoms() + 1 > MAX_RINGS:
        return "too many rings"
    if sum(a.GetSymbol() != "C" for a in mol.GetAtoms()) > MAX_HETEROATOMS:
        return "too many heteroatoms"
    for rule in FILTERS:
        if (rule.early or not early) and mol.HasSubstructMatch(_pattern(rule.smarts)):
            return rule.name
    return None


def _single_atoms():
    return [Chem.MolFromSmiles(element) for element in sorted(VALENCE)]


def _sanitized(mol):
    """Sanitize the editable `mol` with implicit hydrogens only; every valence here is legal by design."""
    mol = mol.GetMol()
    Chem.SanitizeMol(mol)
    return mol


def _free(mol):
    """Hydrogens on each atom: the bonds it can still form."""
    return [a.GetTotalNumHs() for a in mol.GetAtoms()]


def _grow(skeletons):
    """Saturated skeletons with one more atom, without duplicates, sorted by SMILES.

    Every connected graph has an atom whose removal leaves it connected, so attaching one new atom to
    each set of atoms with a free valence (several at once close rings) reaches every skeleton.
    """
    grown = {}
    for mol in skeletons:
        hosts = [i for i, h in enumerate(_free(mol)) if h]
        rings_left = MAX_RINGS - (mol.GetNumBonds() - mol.GetNumAtoms() + 1)
        for element, valence in VALENCE.items():
            for degree in range(1, min(valence, rings_left + 1) + 1):
                for chosen in combinations(hosts, degree):
                    new = Chem.RWMol(mol)
                    index = new.AddAtom(Chem.Atom(element))
                    for host in chosen:
                        new.AddBond(host, index, Chem.BondType.SINGLE)
                    new = _sanitized(new)
                    smiles = Chem.MolToSmiles(new)
                    if smiles not in grown:
                        grown[smiles] = None if rejected_by(new, early=True) else new
    return [mol for _, mol in sorted(grown.items()) if mol is not None]


def _raise_bond_orders(skeleton):
    """Canonical SMILES of the kept molecules on one saturated `skeleton`.

    No atom takes part in two multiple bonds (cumulated double bonds are rejected), so the multiple bonds
    of a molecule form a matching of the skeleton; all matchings are visited, in bond order.
    """
    free, options = _free(skeleton), []
    for bond in skeleton.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        room = min(free[a], free[b], 1 if bond.IsInRing() else 2)
        options.append((bond.GetIdx(), a, b, room))
    kinds = (Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)

    def matchings(start, used):
        yield ()
        for k in range(start, len(options)):
            index, a, b, room = options[k]
            if a not in used and b not in used:
                for kind in kinds[:room]:
                    for rest in matchings(k + 1, used | {a, b}):
                        yield ((index, kind), *rest)

    seen, kept = set(), set()
    for raised in matchings(0, frozenset()):
        mol = Chem.RWMol(skeleton)
        for index, kind in raised:
            mol.GetBondWithIdx(index).SetBondType(kind)
        smiles = Chem.MolToSmiles(_sanitized(mol))
        if smiles not in seen:
            seen.add(smiles)
            mol = Chem.MolFromSmiles(smiles)  # the filters see the molecule as its users will
            if rejected_by(mol) is None:
                kept.add(Chem.MolToSmiles(mol))
    return kept


def enumerate_molecules(max_atoms=7):
    """All kept molecules of 1..`max_atoms` heavy atoms: canonical SMILES, sorted by (atoms, SMILES).

    `max_atoms` is in 1..7 (the filters presume small rings); raises ValueError otherwise. Seven atoms
    take about half a minute in one process, five take about a second.
    """
    if not 1 <= max_atoms <= 7:
        raise ValueError(f"max_atoms must be in 1..7, not {max_atoms}")
    with BlockLogs():
        found, skeletons = [], _single_atoms()
        for size in range(1, max_atoms + 1):
            if size > 1:
                skeletons = _grow(skeletons)
            found += sorted({s for mol in skeletons for s in _raise_bond_orders(mol)})
    return found


def random_smiles(smiles, seed=0):
    """One non-canonical SMILES of `smiles`, drawn from an atom order seeded by (seed, smiles)."""
    mol = Chem.MolFromSmiles(smiles)
    order = list(range(mol.GetNumAtoms()))
    random.Random(f"{seed}:{smiles}").shuffle(order)
    return Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)


def build(path, max_atoms=7, seed=0):
    """Write the data set to the csv `path` (columns `COLUMNS`) in one atomic step; return its sha256 (hex).

    The content depends on `max_atoms`, `seed` (an int, for the random SMILES) and the RDKit version only.
    Raises OSError, with the old file untouched, if `path` cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for smiles in enumerate_molecules(max_atoms):
        rows.writerow((smiles, random_smiles(smiles, seed), describe(smiles)))
    content = text.getvalue().encode()
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def main():
    """Rebuild the csv, write its checksum beside it in the format of sha256sum, and print it."""
    data = Path(__file__).parents[2] / "data" / "molecules7.csv"
    parser = argparse.ArgumentParser(description="Rebuild the molecules7 data set.")
    parser.add_argument("--out", type=Path, default=data, help="csv file to write (default: %(default)s)")
    out = parser.parse_args().out
    line = f"{build(out)}  {out.name}\n"
    write_atomically(out.with_suffix(".sha256"), lambda temporary: temporary.write_text(line))
    print(line, end="")


if __name__ == "__main__":
    main()

"""Property tests of the molecules7 data set: exhaustive oracle, filters, shipped files, descriptions."""

import csv
import hashlib
import os
import random
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import molecules7
import networkx as nx
import pytest
from describe import describe
from rdkit import Chem
from rdkit.rdBase import BlockLogs

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "molecules7.csv"
ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


@pytest.fixture(scope="module")
def rows():
    with open(DATA, newline="") as file:
        return list(csv.DictReader(file))


def _bond_orders(edges, free):
    """All bond orders 1..3 of `edges` within the free valences."""
    if not edges:
        yield ()
        return
    (a, b), *rest = edges
    for order in range(1, min(3, free[a], free[b]) + 1):
        left = dict(free)
        left[a] -= order
        left[b] -= order
        for others in _bond_orders(rest, left):
            yield (order, *others)


def brute_force(size):
    """Every molecule of `size` atoms by valence alone, from the graph atlas: canonical SMILES."""
    found = set()
    for graph in nx.graph_atlas_g():
        if len(graph) != size or not nx.is_connected(graph):
            continue
        edges = list(graph.edges)
        swaps = list(nx.vf2pp_all_isomorphisms(graph, graph))
        for elements in product("CFNO", repeat=size):
            if any(tuple(elements[s[i]] for i in range(size)) < elements for s in swaps):
                continue  # a symmetric labeling of the same graph comes first
            if sum(e != "C" for e in elements) > molecules7.MAX_HETEROATOMS:
                continue
            for orders in _bond_orders(edges, {i: molecules7.VALENCE[e] for i, e in enumerate(elements)}):
                mol = Chem.RWMol()
                for element in elements:
                    mol.AddAtom(Chem.Atom(element))
                for (a, b), order in zip(edges, orders):
                    mol.AddBond(a, b, ORDERS[order])
                Chem.SanitizeMol(mol)
                found.add(Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(mol))))
    return found


# For each rule a molecule it rejects and a close relative that is kept.
CASES = {
    "too many rings": ("C12C3C1CC3C2", "C1CC2CCC1C2"),
    "too many heteroatoms": ("OC(=O)C(=O)O", "OC(=O)C=O"),
    "peroxide": ("COOC", "COCC"),
    "heteroatom-fluorine": ("CNF", "CCF"),
    "heteroatom chain": ("c1nn[nH]c1", "c1cn[nH]c1"),
    "fused three-rings": ("C12CC1C2", "C1CCC1"),
    "hetero spiropentane": ("C1CC12CO2", "C1CC12CC2"),
    "three-ring fused to four-ring": ("C12CC1CC2", "C12CC1CCC2"),
    "fused four-rings": ("C12CCC1CC2", "C12CCC1CCC2"),
    "bicyclo[1.1.1]": ("C12CC(C1)C2", "C12CC(C1)CC2"),
    "weak bond in three-ring": ("C1NN1", "C1CN1"),
    "weak bond in four-ring": ("C1CNO1", "C1CCO1"),
    "cumulated double bonds": ("C=C=CC", "C=CC=C"),
    "triple bond in ring": ("C1CCC#CCC1", "C1CCC=CCC1"),
    "sp2 atom in three-ring": ("C1CC1=O", "C1CC1O"),
    "alkene or imine on four-ring": ("C1CC=C1", "C1CC(=O)C1"),
    "double bond at ring fusion": ("C12=CCC(C1)CC2", "C12C=CC(C1)CC2"),
    "aromatic seven-ring": ("c1c[nH]occ[nH]1", "C1=CCC=CCC1"),
    "quinoid methylene": ("C=c1nnc(=C)[nH]1", "Cc1nnc(C)[nH]1"),
    "azo or nitroso": ("CN=NC", "CC=NN=CC"),
    "hydrazine or hydroxylamine": ("CNO", "CC=NO"),
    "enol": ("OC=CC", "OCC=C"),
    "enamine": ("CN(C)C=C", "CN(C)C=CC=O"),
    "enol ether": ("COC=C", "COCC=C"),
    "imidic acid": ("CC(O)=NC", "CC(=O)NC"),
    "methanimine": ("C=NO", "CC=NO"),
    "N-acyl or N-vinyl imine": ("NC=NC(C)=O", "NC=NCC"),
    "open imine": ("CC=NC", "NC=NC"),
    "ring-bound imino group": ("N=C1CCCN1", "NC1=NCCC1"),
    "open hydrazone": ("CC=NNC", "CC=NNC=O"),
    "hemiacetal or gem-diol": ("CC(O)OC", "COCOC"),
    "aminal or hemiaminal": ("NCO", "NCCO"),
    "acetal in small ring": ("C1OCO1", "C1OCCO1"),
    "alpha-fluoro ether or amine": ("COCF", "COCCF"),
    "secondary alkyl fluoride": ("CC(C)F", "CC(F)F"),
    "activated fluoride": ("C=CCF", "C=CCCF"),
    "beta-fluoro amine": ("NCCF", "OCCF"),
    "acyl or imidoyl fluoride": ("CC(=O)F", "CC(=C)F"),
    "heteroatom on alkyne": ("COC#C", "COCC#C"),
    "cyanate or cyanogen fluoride": ("COC#N", "CNC#N"),
    "carbonic or carbamic acid": ("CNC(=O)O", "CNC(=O)OC"),
    "amino aldehyde": ("NCC=O", "CN(C)CC=O"),
    "hydroxy aldehyde": ("OCC=O", "OCC(C)=O"),
    "conjugated diyne": ("C#CC#C", "C#CC=C"),
    "acyl cyanide": ("CC(=O)C#N", "CC(=O)CC#N"),
    "anhydride": ("O=COC=O", "O=COCC=O"),
}


@pytest.mark.parametrize("size", range(1, 6))
def test_complete_against_brute_force(size):
    with BlockLogs():
        mols = {s: Chem.MolFromSmiles(s) for s in brute_force(size)}
    expected = sorted(s for s, mol in mols.items() if molecules7.rejected_by(mol) is None)
    got = [s for s in molecules7.enumerate_molecules(size) if Chem.MolFromSmiles(s).GetNumAtoms() == size]
    assert got == expected


def test_every_filter_rejects_one_molecule_and_passes_a_neighbor():
    names = {rule.name for rule in molecules7.FILTERS} | {"too many rings", "too many heteroatoms"}
    assert set(CASES) == names
    for name, (bad, good) in CASES.items():
        assert molecules7.rejected_by(Chem.MolFromSmiles(bad)) == name
        assert molecules7.rejected_by(Chem.MolFromSmiles(good)) is None, name


def test_early_filters_are_blind_to_bond_orders():
    for rule in molecules7.FILTERS:
        if rule.early:
            assert not set(rule.smarts) & set("=:@-HXxRrvDa!$"), rule.name


@pytest.mark.parametrize("size", [0, 8, -1])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(ValueError, match="1..7"):
        molecules7.enumerate_molecules(size)


def test_shipped_file_matches_its_checksum_and_order(rows):
    digest, name = (ROOT / "data" / "molecules7.sha256").read_text().split()
    assert name == DATA.name and digest == hashlib.sha256(DATA.read_bytes()).hexdigest()
    assert b"\r" not in DATA.read_bytes() and tuple(rows[0]) == molecules7.COLUMNS
    smiles = [r["smiles"] for r in rows]
    keys = [(Chem.MolFromSmiles(s).GetNumAtoms(), s) for s in smiles]
    assert keys == sorted(set(keys)) and len(rows) == 9605


def test_shipped_molecules_are_in_scope(rows):
    for row in rows:
        mol = Chem.MolFromSmiles(row["smiles"])
        assert Chem.MolToSmiles(mol) == row["smiles"]
        assert Chem.CanonSmiles(row["random_smiles"]) == row["smiles"]
        assert molecules7.rejected_by(mol) is None and "." not in row["smiles"]
        Chem.Kekulize(mol, clearAromaticFlags=True)
        for atom in mol.GetAtoms():
            used = sum(b.GetBondTypeAsDouble() for b in atom.GetBonds()) + atom.GetTotalNumHs()
            assert used == molecules7.VALENCE[atom.GetSymbol()]
            assert not atom.GetFormalCharge() and not atom.GetNumRadicalElectrons()
            assert atom.GetChiralTag() == Chem.ChiralType.CHI_UNSPECIFIED


def test_rebuild_is_the_head_of_the_shipped_file(tmp_path):
    path = tmp_path / "head.csv"
    digest = molecules7.build(path, max_atoms=5)
    head = path.read_bytes()
    assert digest == hashlib.sha256(head).hexdigest() and DATA.read_bytes().startswith(head)
    assert os.listdir(tmp_path) == ["head.csv"]  # no temporary file is left
    assert molecules7.build(path, max_atoms=4, seed=1) != molecules7.build(path, max_atoms=4, seed=2)


def test_build_does_not_depend_on_the_hash_seed(tmp_path):
    """A process with a fixed hash seed (this one has a random seed) writes the head of the shipped file."""
    path = tmp_path / "head.csv"
    code = (
        "import sys; sys.path.insert(0, 'data/build'); import molecules7; molecules7.build(sys.argv[1], max_atoms=4)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, check=True, env=os.environ | {"PYTHONHASHSEED": "1"}
    )
    assert DATA.read_bytes().startswith(path.read_bytes())


def test_failed_build_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        molecules7.build(path, max_atoms=2)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.csv"]


def test_descriptions_determine_the_molecule(rows):
    """Unique over the data set, already by the first sentence, and below 300 characters."""
    assert len({r["description"] for r in rows}) == len(rows)
    assert len({r["description"].split(". ")[0].rstrip(".") for r in rows}) == len(rows)
    assert max(len(r["description"]) for r in rows) < 300


def test_descriptions_ignore_atom_order(rows):
    rng = random.Random(0)
    for row in rng.sample(rows, 400):
        mol = Chem.MolFromSmiles(row["smiles"])
        order = rng.sample(range(mol.GetNumAtoms()), mol.GetNumAtoms())
        shuffled = Chem.RenumberAtoms(mol, order)
        Chem.Kekulize(shuffled, clearAromaticFlags=True)
        form = Chem.MolToSmiles(shuffled, canonical=False, kekuleSmiles=True)
        assert describe(row["random_smiles"]) == describe(form) == row["description"]


@pytest.mark.parametrize(
    "smiles, text",
    [
        (
            "CC1CCC(O)O1",
            "an oxolane carrying a hydroxy substituent at position 2 and a methyl substituent at position 5",
        ),
        ("CC1(C)CCCO1", "an oxolane carrying two methyl substituents at position 2"),
        ("OCc1ccco1", "a furan carrying a (hydroxymethyl) substituent at position 2"),
        ("Cc1c[nH]cn1", "an imidazole carrying a methyl substituent at position 4"),
        ("C1CC2OC2C1", "a bicyclo[3.1.0]hexane with oxygen at position 6"),
        ("C#CCC=C", "a pent-1-en-4-yne"),
        ("CN(C)C#N", "a methane carrying a (cyano(methyl)amino) substituent"),
        ("C1=NNCCO1", "a 1,3,4-oxadiazinane with a double bond between positions 2 and 3"),
        ("c1cc#ccc1", "a cyclohexa-1,3-dien-5-yne"),
    ],
)
def test_known_descriptions(smiles, text):
    assert describe(smiles).startswith(f"The molecule is {text}.")


def test_description_names_the_classes():
    assert describe("CC(O)C#N").endswith("It is a nitrile and a secondary alcohol.")


@pytest.mark.parametrize(
    "smiles", ["[NH4+]", "CCCCCCCC", "CS", "C.C", "[CH3]", "[13CH4]", "ON=O", "C12C3C1C32", "no", ""]
)
def test_out_of_scope_is_refused_by_name(smiles):
    with BlockLogs(), pytest.raises(ValueError, match=re.escape(f"cannot describe {smiles!r}")):
        describe(smiles)

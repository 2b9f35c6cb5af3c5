"""Molecules: SMILES in and out, Kekule forms, valences, randomized SMILES."""

import re
from dataclasses import replace

import pandas as pd
import pytest
import torch
from conftest import equal
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from elekit.graphs.graph import Graph, label_tensors, to_edge_lists
from elekit.graphs.smiles import (
    ParsedSmiles,
    canonicalized,
    element_and_charge,
    from_parsed,
    from_smiles,
    hydrogens,
    is_aromatic,
    is_molecular,
    is_valid,
    kekule_forms,
    molecule_vocabulary,
    parse_smiles,
    randomize_smiles,
    to_smiles,
    valence,
    written_at,
)

MOLECULES = {
    "chain": "CC(=O)OCC#N",
    "lone atom": "C",
    "salt": "[Na+].[Cl-]",
    "zwitterion": "[NH3+]CC(=O)[O-]",
    "nitro": "C[N+](=O)[O-]",
    "isocyanide": "C[N+]#[C-]",
    "benzene": "c1ccccc1",
    "pyrrole": "c1cc[nH]c1",
    "imidazolium": "C[n+]1cc[nH]c1",
    "naphthalene": "c1ccc2ccccc2c1",
    "indole": "c1ccc2[nH]ccc2c1",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "azulene": "c1ccc2cccc-2cc1",
    "cage": "C1C2CC3CC1CC(C2)C3",
    "two pieces": "CCO.c1ccncc1",
    "sulfone": "CS(C)(=O)=O",
    "phosphate": "COP(=O)(OC)OC",
    "organometallic": "[CH3][Hg][CH3]",
    "borohydride": "[BH4-]",
    "perchlorate": "[O-][Cl+3]([O-])([O-])[O-]",
}


HYDROGENS = {  # on aromatic atoms, which bonds do not determine
    "pyrrole": "c1cc[nH]c1",
    "two imidazoles in one": "c1[nH]cnc1-c1c[nH]cn1",
    "borole": "c1cc[bH]c1",
    "protonated pyridine": "c1cc[nH+]cc1",
    "protonated furan": "c1cc[oH+]c1",
    "cyclopentadienyl": "c1cc[cH-]c1",
    "tropylium": "c1ccc[cH+]cc1",
    "phosphole": "c1cc[pH]c1",
    "porphyrin": "C1=Cc2cc3ccc(cc4nc(cc5ccc(cc1n2)[nH]5)C=C4)[nH]3",
    "pyridone": "O=c1cccc[nH]1",
    "selenophene": "c1cc[se]c1",
}
BOTH = pytest.mark.parametrize("aromatic", [False, True])
EVERY = pytest.mark.parametrize("name", [*MOLECULES, *HYDROGENS])


@EVERY
@BOTH
def test_smiles_round_trip(name, aromatic):
    smiles = Chem.CanonSmiles({**MOLECULES, **HYDROGENS}[name])
    graph = from_smiles(smiles, aromatic=aromatic).check()
    assert to_smiles(graph) == [smiles]
    assert graph.presence().sum() == Chem.MolFromSmiles(smiles).GetNumAtoms()
    assert is_molecular(graph.vocabulary) and is_aromatic(graph.vocabulary) == aromatic
    names = {name for *_, name in parse_smiles(smiles, aromatic).edges}
    assert ("aromatic" in names) == (
        aromatic and any(a.GetIsAromatic() for a in Chem.MolFromSmiles(smiles).GetAtoms())
    )


@EVERY
@BOTH
def test_a_molecule_respects_its_own_valences(name, aromatic):
    assert from_smiles({**MOLECULES, **HYDROGENS}[name], aromatic=aromatic).valence_violation().item() == 0


@EVERY
@BOTH
def test_any_way_to_write_a_molecule_gives_the_same_graph(name, aromatic):
    smiles = {**MOLECULES, **HYDROGENS}[name]
    kekule = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    written = [Chem.MolToSmiles(kekule), Chem.MolToSmiles(Chem.AddHs(kekule))]
    written += randomize_smiles([smiles] * 5, seed=0)
    readings = {parse_smiles(text, aromatic) for text in written}
    assert readings == {parse_smiles(smiles, aromatic)} and not parse_smiles(smiles, aromatic).error


def check_written_at(smiles: str, aromatic: bool) -> None:
    """Oracle: the atoms and bonds that RDKit reads, in the order in which the text has them, hydrogens apart."""
    (graph,) = to_edge_lists(from_smiles(smiles, aromatic=aromatic))
    offsets = written_at(smiles, graph)
    keep = Chem.SmilesParserParams()
    keep.removeHs = False
    mol = Chem.MolFromSmiles(smiles, keep)
    starts = [match.start() for match in re.finditer(r"\[.*?\]|Br|Cl|[A-Za-z]", smiles)]
    heavy = {starts[a.GetIdx()]: a.GetSymbol() for a in mol.GetAtoms() if a.GetAtomicNum() > 1}
    assert dict(zip(offsets, [element_and_charge(label)[0] for label in graph[0]], strict=True)) == heavy
    bonds = {frozenset(starts[i] for i in (b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()}
    expected = {bond for bond in bonds if bond <= heavy.keys()}
    assert {frozenset((offsets[i], offsets[j])) for i, j, _ in graph[1]} == expected


@EVERY
@BOTH
def test_nodes_are_found_where_they_are_written(name, aromatic):
    smiles = {**MOLECULES, **HYDROGENS}[name]
    for text in (*randomize_smiles([smiles] * 3, seed=0), Chem.MolToSmiles(Chem.AddHs(Chem.MolFromSmiles(smiles)))):
        check_written_at(text, aromatic)


def test_where_nodes_are_written_needs_the_graph_of_the_smiles():
    (graph,) = to_edge_lists(from_smiles("CCO"))
    assert written_at("OCC ethanol", graph) == [2, 1, 0]
    assert written_at("[2H]OC[13CH3:4]", graph) == [6, 5, 4]
    assert [written_at(text, graph) for text in ("COC", "CCN", "CCC", "CCCO", "C1CO1", "CC[O-]", "CC(")] == [[]] * 7


@pytest.mark.realdata
@BOTH
@pytest.mark.parametrize("file", ["chembl/chembl_part.csv.gz", "qm9/qm9.csv.gz"])
def test_nodes_of_real_molecules_are_found_where_they_are_written(file, aromatic, data_dir):
    chosen = pd.read_csv(data_dir / file)["smiles"].sample(300, random_state=1)
    for smiles in randomize_smiles([s for s in chosen if not parse_smiles(s).error], seed=5):
        check_written_at(smiles, aromatic)


@pytest.mark.realdata
@BOTH
@pytest.mark.parametrize("file", ["chembl/chembl_part.csv.gz", "qm9/qm9.csv.gz"])
def test_real_molecules_come_back_and_have_one_graph_for_all_drawings(file, aromatic, data_dir):
    chosen = pd.read_csv(data_dir / file)["smiles"].sample(300, random_state=0)
    molecules = [one for one in (parse_smiles(text, aromatic) for text in chosen) if not one.error]
    assert len(molecules) > 280 and to_smiles(from_parsed(molecules, aromatic=aromatic)) == [
        one.canonical for one in molecules
    ]
    for molecule in molecules:
        drawn = Chem.MolFromSmiles(molecule.canonical)
        drawn = Chem.RenumberAtoms(drawn, list(reversed(range(drawn.GetNumAtoms()))))  # another Kekule form
        Chem.Kekulize(drawn, clearAromaticFlags=True)
        assert parse_smiles(Chem.MolToSmiles(drawn, canonical=False), aromatic) == molecule


def ring(size, label, first=0):
    return [(first + i, first + (i + 1) % size, label) for i in range(size)]


@pytest.mark.parametrize(
    ("atoms", "bonds", "smiles"),
    [
        (["C"] * 6, ring(6, "aromatic"), "c1ccccc1"),
        (["C"] * 6, [(i, (i + 1) % 6, ("single", "double")[i % 2]) for i in range(6)], "c1ccccc1"),
        (["C"] * 5, ring(5, "aromatic"), None),
        (["N", *"CCCC"], ring(5, "aromatic"), None),
        (["NH", *"CCCC"], ring(5, "aromatic"), "c1cc[nH]c1"),
        (["NH", *"CCCCC"], ring(6, "aromatic"), None),
        (["C"] * 4, ring(4, "aromatic"), "C1=CC=C1"),
        (["C", "C"], [(0, 1, "aromatic")], None),
        (["C"] * 7, [*ring(6, "aromatic"), (0, 6, "aromatic")], None),
        (["C", "NH", "C"], [(0, 1, "single"), (1, 2, "single")], "CNC"),
    ],
)
def test_aromatic_bonds_need_a_kekule_form(atoms, bonds, smiles):
    vocabulary = molecule_vocabulary({"C", "N", "NH"}, 7, aromatic=True)
    graph = drawn(atoms, bonds, vocabulary)
    assert to_smiles(graph) == [smiles] and is_valid(graph).tolist() == [smiles is not None]
    expected = graph if smiles is None else from_smiles(smiles, vocabulary)
    assert equal(canonicalized(graph), expected)


def test_a_batch_is_read_as_one_by_one():
    batch = from_smiles(list(MOLECULES.values()))
    for graph, smiles in zip(batch, MOLECULES.values(), strict=True):
        assert equal(graph, from_smiles(smiles, batch.vocabulary))
    assert to_smiles(batch) == [Chem.CanonSmiles(s) for s in MOLECULES.values()]


@BOTH
def test_both_kekule_forms_of_o_xylene_give_one_graph(aromatic):
    """The ring bond between the methyl groups may be single or double."""
    ring = [(i, (i + 1) % 6) for i in range(6)]
    vocabulary = molecule_vocabulary({"C"}, 8, aromatic)
    forms = []
    for first in (0, 1):
        bonds = [(i, j, "double" if k % 2 == first else "single") for k, (i, j) in enumerate(ring)]
        bonds += [(0, 6, "single"), (1, 7, "single")]
        forms.append(Graph.from_labels(*label_tensors([(["C"] * 8, bonds)], vocabulary), vocabulary))
    assert not equal(*forms)
    assert to_smiles(forms[0]) == to_smiles(forms[1]) == ["Cc1ccccc1C"]
    assert equal(canonicalized(forms[0]), canonicalized(forms[1]))
    assert equal(canonicalized(forms[0]), from_smiles("Cc1ccccc1C", vocabulary))


def test_canonicalized_is_idempotent_and_blind_to_atom_order(generator):
    batch = from_smiles(list(MOLECULES.values()))
    N = batch.nodes.shape[1]
    shuffled = batch.permuted(torch.rand(len(batch), N, generator=generator).argsort(-1))
    assert not equal(shuffled, batch)
    assert equal(canonicalized(shuffled), batch) and equal(canonicalized(batch), batch)


def drawn(nodes, bonds, vocabulary):
    return Graph.from_labels(*label_tensors([(nodes, bonds)], vocabulary), vocabulary)


def test_what_is_no_molecule_has_no_smiles_and_stays_as_it_is():
    vocabulary = molecule_vocabulary({"C", "O"}, 6)
    pentavalent = drawn(["C"] * 6, [(0, i, "single") for i in range(1, 6)], vocabulary)
    nothing = Graph.from_labels(torch.zeros(1, 6), torch.zeros(1, 6, 6), vocabulary)
    batch = Graph.cat([pentavalent, nothing, from_smiles("CO", vocabulary)])
    assert to_smiles(batch) == [None, None, "CO"]
    assert is_valid(batch).tolist() == [False, False, True]
    assert equal(canonicalized(batch), batch)
    assert batch.valence_violation().tolist() == [1, 0, 0]


def test_canonicalizing_leaves_alone_what_the_vocabulary_cannot_say():
    """RDKit writes a neutral nitro group with charges; a vocabulary without charged atoms has no such graph."""
    nitro = ["C", "N", "O", "O"], [(0, 1, "single"), (1, 2, "double"), (1, 3, "double")]
    neutral = drawn(*nitro, molecule_vocabulary("CNO", 4))
    assert to_smiles(neutral) == ["C[N+](=O)[O-]"]
    assert equal(canonicalized(neutral), neutral)
    charged = molecule_vocabulary(["C", "N", "O", "N+", "O-"], 4)
    assert equal(canonicalized(drawn(*nitro, charged)), from_smiles("C[N+](=O)[O-]", charged))


@pytest.mark.parametrize(
    "written, flat",
    [
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O"),
        ("F/C=C/F", "FC=CF"),
        ("[13CH4]", "C"),
        ("[2H]OC", "CO"),
        ("[2H]C([2H])([2H])[2H]", "C"),
        ("[CH3:1][OH:2]", "CO"),
    ],
)
def test_stereochemistry_isotopes_and_atom_maps_are_left_out(written, flat):
    assert parse_smiles(written) == parse_smiles(flat)
    assert parse_smiles(flat).canonical == Chem.CanonSmiles(flat)


@pytest.mark.parametrize(
    "smiles, reason",
    [
        ("", "empty"),
        ("  ", "empty"),
        (None, "empty"),
        (float("nan"), "empty"),
        ("C(C", "RDKit refuses"),
        ("C(C)(C)(C)(C)C", "RDKit refuses"),
        ("c1cccc1", "RDKit refuses"),
        ("[CH3]", "radical"),
        ("C[O]", "radical"),
        ("[NH3]->[Cu]", "neither single, double nor triple"),
        ("C" * 1001, "more than 1,000 atoms"),
        ("[CH2]" * 999, "radical"),
        ("C" * 20_000, "more than 5,000 characters"),
        ("C" + "(" * 10**5 + "C" + ")" * 10**5, "more than 5,000 characters"),
        ("C" * 10**7, "more than 5,000 characters"),
        ("C1C1" * 301, "more than 300 rings"),
        ("[Fe]" + "%(100)" * 601, "more than 300 rings"),
        ("[" * 4_999, "RDKit refuses"),
        ("CCé", r"the character '\xe9'"),
        ("C\nC", r"the character '\n'"),
        ("CC\x00C", r"the character '\x00'"),
        ("C\xa0C", r"the character '\xa0'"),
        ("\u202eCC", r"the character '\u202e'"),
        ("CC name\nCCC", r"the character '\n'"),
        ("CC |^1:0|", "CXSMILES"),
        ("CC |Sg:n:0:n:ht|", "CXSMILES"),
        ("[C-200]", "a charge beyond 15"),
    ],
    ids=lambda value: str(value)[:30].encode("unicode_escape").decode(),
)
def test_refusals_have_a_reason(smiles, reason):
    reading = parse_smiles(smiles)
    assert reason in reading.error
    assert (reading.canonical, reading.nodes, reading.edges) == ("", (), ())


@pytest.mark.parametrize("name", [" ethanol", "\tethanol", "  (2R) éthanol |not first|", " |&1:0|", " |o1:0,1,r|"])
def test_a_name_does_not_change_the_molecule(name):
    assert parse_smiles("CCO" + name).nodes == parse_smiles("CCO").nodes == ("C", "C", "O")


@given(st.text(max_size=30), st.text("CNO()=#123[]+-.%@/\\: cn\t\n\0é", max_size=30))
def test_no_text_is_read_in_part(words, almost):
    for text in (words, almost):
        molecule = parse_smiles(text)
        if not molecule.error:
            token = text.strip().replace("\t", " ").split(" ")[0]
            assert token.isascii() and parse_smiles(token).nodes == molecule.nodes
            heavy = [
                atom for atom in re.findall(r"\[[^]]*\]|Br|Cl|[A-Za-z*]", token) if not re.match(r"\[\d*H", atom)
            ]
            assert len(heavy) <= len(molecule.nodes)  # explicit hydrogens may stay, nothing else may go


@pytest.mark.parametrize("bonds, valid", [(700, False), (998, True), (1_000, False)])
def test_graphs_too_large_for_rdkit_are_not_valid(bonds, valid):
    atoms = bonds + 1 if bonds > 900 else 400
    links = [(i, i + 1, "single") for i in range(atoms - 1)] + [
        (i, i + 2, "single") for i in range(bonds - atoms + 1)
    ]
    plain = from_parsed([ParsedSmiles(nodes=("C",) * atoms, edges=tuple(links))])
    assert (to_smiles(plain) == ["C" * atoms]) == valid and (to_smiles(plain) == [None]) == (not valid)


def test_kekule_forms_of_large_cages_are_refused():
    acene = "c1ccc2cc3cc4cc5cc6cc7cc8ccccc8cc7cc6cc5cc4cc3cc2c1"  # 34 atoms, 9 forms; those of C60 take RDKit hours
    with pytest.raises(ValueError, match="more than 32 atoms in conjugated rings"):
        kekule_forms(acene)
    assert len(kekule_forms("c1ccccc1" * 5)) == 32


def test_from_smiles_names_the_first_one_refused():
    with pytest.raises(ValueError, match=r"SMILES 1, 'C\(C': RDKit refuses"):
        from_smiles(["CC", "C(C", "nonsense"])
    with pytest.raises(ValueError, match=r"SMILES 0, 'C+\.\.\.C+': more than") as long:
        from_smiles("C" * 10**6)
    assert len(str(long.value)) < 200
    with pytest.raises(ValueError, match="at least one"):
        from_smiles([])
    with pytest.raises(ValueError, match="label 'N'"):
        from_smiles(["CN"], molecule_vocabulary("C", 3))


VALENCES = [
    ("C", 4), ("N", 3), ("O", 2), ("F", 1), ("S", 6), ("P", 5), ("N+", 4), ("O-", 1), ("O+", 3), ("C-", 3),
    ("B-", 4), ("Na+", 0), ("Cl-", 0), ("H", 1), ("H+", 0), ("He", 0), ("Hg", 12),
    ("NH", 2), ("N+H", 3), ("C-H", 2), ("BH", 2),
]  # fmt: skip


@pytest.mark.parametrize("label, wanted", VALENCES)
def test_valence(label, wanted):
    assert valence(label) == wanted and hydrogens(label) == (label[-1] == "H" and label != "H")


def test_vocabulary_of_molecules():
    made = molecule_vocabulary(["O", "N+", "C", "O", "O-"], 7, aromatic=False)
    assert made.node_labels == ("C", "O", "N+", "O-") and made.capacity == (4, 2, 4, 1) and made.order == (1, 2, 3)
    assert is_molecular(made) and element_and_charge("Cl+++") == ("Cl", 3)
    with pytest.raises(ValueError, match="'Xx' is no chemical element"):
        molecule_vocabulary(["Xx"], 3)
    wider = molecule_vocabulary(["C", "NH", "N+H"], 7, aromatic=True)
    assert wider.edge_labels == (*made.edge_labels, "aromatic") and wider.order == (1, 2, 3, 1)
    assert is_molecular(wider) and not is_molecular(replace(wider, edge_labels=made.edge_labels, order=made.order))
    assert not is_molecular(replace(wider, edge_labels=("aromatic", "double", "triple", "single")))


def test_other_graphs_are_not_molecular(vocabulary):
    assert not is_molecular(vocabulary)


def test_randomized_smiles_write_the_same_molecule():
    smiles = [s for s in MOLECULES.values() if len(s) > 8] + ["C[C@H](N)C(=O)O"]
    once = randomize_smiles(smiles, seed=3)
    assert [Chem.CanonSmiles(s) for s in once] == [Chem.CanonSmiles(s) for s in smiles]
    assert randomize_smiles(smiles, seed=3) == once
    assert randomize_smiles(smiles, seed=4) != once
    assert len(set(randomize_smiles([smiles[0]] * 20, seed=0))) > 5
    assert randomize_smiles(["C(C", "C"], seed=0) == ["C(C", "C"]


@pytest.mark.parametrize("smiles, forms", [("Cc1ccccc1C", 2), ("Cc1ccccn1", 2), ("CCO", 1), ("C[N+](=O)[O-]", 1)])
def test_kekule_forms_are_drawings_of_one_molecule(smiles, forms):
    drawn = kekule_forms(smiles)
    assert len(drawn) == forms and set(to_smiles(drawn)) == {parse_smiles(smiles).canonical}
    different = {tuple(edges.flatten().tolist()) for edges in drawn.labels()[1]}
    assert len(different) == forms
    one_form = canonicalized(drawn).labels()[1]
    assert (one_form == one_form[:1]).all()
    alone = from_smiles(smiles, aromatic=True)
    assert equal(kekule_forms(smiles, alone.vocabulary), alone)


def test_kekule_forms_refuse_what_is_no_smiles():
    with pytest.raises(ValueError, match="not a molecule"):
        kekule_forms("not a molecule")


@pytest.mark.parametrize(
    ("smiles", "dropped"),
    [
        ("CCO", ()),
        ("c1cc[nH]c1", ()),
        ("C[C@H](N)O", ("stereochemistry",)),
        ("F/C=C/F", ("stereochemistry",)),
        ("[13CH4]", ("isotopes",)),
        ("[2H]C", ("isotopes", "explicit hydrogens")),
        ("[CH3:1][CH2:12]O", ("atom maps",)),
        ("[H]OC([H])([H])[H]", ("explicit hydrogens",)),
        ("CCO\tethanol @ 96 %", ("a name after the SMILES",)),
    ],
)
def test_what_a_graph_leaves_out_of_a_smiles_is_named(smiles, dropped):
    parsed = parse_smiles(smiles)
    assert parsed.dropped == dropped and not parsed.error
    assert parsed == parse_smiles(parsed.canonical)

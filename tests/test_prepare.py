"""What `prepare=` does to the rows of a table."""

import json
import warnings

import networkx as nx
import pandas as pd
import pytest
from conftest import equal

from elekit.cli import main
from elekit.datasets import DataWarning, Prepare, from_frame, from_networkx_graphs
from elekit.graphs.smiles import from_smiles, is_aromatic, is_molecular, to_smiles

DRAWN = ["Cc1ccccc1C", "CC1=C(C)C=CC=C1", "c1cc[nH]c1", "CCO"]  # the first two are one molecule


@pytest.mark.parametrize("aromatic", [False, True])
def test_bonds_of_rings_are_aromatic_or_kekulized(aromatic):
    data = from_frame(
        pd.DataFrame({"smiles": DRAWN}), smiles="smiles", prepare=Prepare(aromatic=aromatic), fractions=(1, 0, 0)
    )
    assert is_aromatic(data.vocabulary) == aromatic and ("NH" in data.vocabulary.node_labels) == aromatic
    assert data.skipped["row"].tolist() == [1]
    assert to_smiles(data.train.graphs) == data.train.frame["key"].tolist()
    other = from_frame(  # a given vocabulary decides, whatever `prepare` says
        pd.DataFrame({"smiles": DRAWN}), smiles="smiles", vocabulary=data.vocabulary, fractions=(1, 0, 0)
    )
    assert equal(other.train.graphs, data.train.graphs)
    assert equal(from_smiles(data.train.frame["smiles"].tolist(), data.vocabulary), data.train.graphs)


def read(written, **options):
    return from_frame(
        pd.DataFrame({"smiles": written}), smiles="smiles", prepare=Prepare(**options), fractions=(1, 0, 0)
    )


def reasons(data):
    return dict(zip(data.skipped["row"], data.skipped["reason"]))


@pytest.mark.parametrize(
    ("options", "written", "kept"),
    [
        ({}, "[Na+].CC(=O)[O-]", "CC(=O)[O-].[Na+]"),
        ({"fragments": "largest"}, "[Na+].CC(=O)[O-]", "CC(=O)[O-]"),
        ({"fragments": "largest", "charges": "neutralize"}, "[Na+].CC(=O)[O-]", "CC(=O)O"),
        ({"fragments": "largest"}, "Cl.CCN", "CCN"),
        ({"charges": "neutralize"}, "[NH3+]CC(=O)[O-]", "NCC(=O)O"),
        ({"charges": "neutralize"}, "C[N+](=O)[O-]", "C[N+](=O)[O-]"),
        ({"charges": "none"}, "[NH3+]CC(=O)[O-]", "NCC(=O)O"),
    ],
)
def test_molecules_are_standardized(options, written, kept):
    data = read([written, "CCO"], **options)
    assert data.train.frame["key"].tolist() == [kept, "CCO"] == to_smiles(data.train.graphs.dense())
    assert data.train.inputs == [written, "CCO"]  # as written
    left_out = {
        "smaller fragments": "." in written and "." not in kept,
        "charges": "charges" in options and "+" not in kept,
    }
    assert data.report()["dropped"] == {part: 1 for part, there in left_out.items() if there and options}
    assert data.report()["prepare"] == {"aromatic": Prepare().aromatic, **options}


def test_charges_that_remain_are_skipped_with_the_atoms():
    data = read(["C[N+](=O)[O-]", "CCO", "C[N+](C)(C)C.[Br-]"], charges="none")
    assert reasons(data) == {0: "charged atoms: N+, O-", 2: "charged atoms: Br-, N+"}
    assert data.report()["details"] == {"charged atoms": {"N+": 2, "O-": 1, "Br-": 1}}


@pytest.mark.parametrize("aromatic", [False, True])
def test_rare_atoms_become_any_atom(aromatic):
    written = ["C[Se]C", "c1ccc[as]c1", "[Na+].[Cl-]", "CCO", "OCC=O", "CC=O", "c1ccoc1", "c1ccccc1", "C[Te]C", "C"]
    options = {"min_count": 2, "rare": "other", "aromatic": aromatic}
    data = read(written, **options)
    assert data.vocabulary.node_labels == ("*", "C", "O") and is_molecular(data.vocabulary)
    assert data.train.frame["key"].tolist() == [
        "C*C",
        "*1ccccc1",
        "*.*",
        "CCO",
        "O=CCO",
        "CC=O",
        "c1ccoc1",
        "c1ccccc1",
        "C",
    ]
    assert to_smiles(data.train.graphs.dense()) == data.train.frame["key"].tolist()
    assert equal(
        from_smiles(data.train.frame["key"].tolist(), data.vocabulary),
        data.train.graphs.dense(data.vocabulary.max_nodes),
    )
    assert reasons(data) == {8: "duplicate of an earlier graph"} and data.report()["dropped"] == {"rare atoms": 3}
    others = from_frame(
        pd.DataFrame({"smiles": ["C[Po]C", "CN"]}), smiles="smiles", vocabulary=data.vocabulary, fractions=(1, 0, 0),
        prepare=Prepare(rare="other"),
    )  # fmt: skip
    assert others.train.frame["key"].tolist() == ["C*C", "*C"]
    assert set(reasons(read(written, min_count=2)).values()) == {
        "label in fewer than 2 rows: Se", "label in fewer than 2 rows: As", "label in fewer than 2 rows: Cl-, Na+",
        "label in fewer than 2 rows: Te",
    }  # fmt: skip


def test_other_structures_are_skipped_with_the_reason():
    def directed(*arrows):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(3), label="a")
        graph.add_edges_from(arrows, label="r")
        return graph

    graphs = [directed((0, 1), (1, 2)), directed((0, 2), (1, 2)), directed((0, 1), (1, 2), (2, 0)), directed((0, 1))]
    wanted = {
        "connected": {3: "the graph is in 2 pieces"},
        "tree": {2: "the graph has a cycle", 3: "the graph is in 2 pieces"},
        "arborescence": {
            1: "the graph has 2 roots",
            2: "the graph has a cycle and has no root",
            3: "the graph is in 2 pieces and has 2 roots",
        },
    }
    for structure, expected in wanted.items():
        data = from_networkx_graphs(graphs, prepare=Prepare(structure=structure), fractions=(1, 0, 0))
        assert reasons(data) == expected and data.report()["prepare"]["structure"] == structure
    both = [nx.path_graph(3), nx.cycle_graph(3)]
    data = from_networkx_graphs(both, node_attribute=None, edge_attribute=None, prepare=Prepare(structure="tree"),
                                fractions=(1, 0, 0))  # fmt: skip
    assert reasons(data) == {1: "the graph has a cycle"}
    with pytest.raises(ValueError, match="one_root needs directed graphs"):
        from_networkx_graphs(
            both, node_attribute=None, edge_attribute=None, prepare=Prepare(structure="arborescence")
        )


def chain(nodes, edge="s"):
    graph = nx.path_graph(len(nodes))
    nx.set_node_attributes(graph, dict(enumerate(nodes)), "label")
    nx.set_edge_attributes(graph, edge, "label")
    return graph


def test_rare_labels_of_graphs_become_other():
    graphs = [
        chain("aab"),
        chain("aba"),
        chain(["a", "x", "b"]),
        chain(["a", "y", "b"]),
        chain("bb", "t"),
        chain("ab", "s"),
    ]
    data = from_networkx_graphs(graphs, prepare=Prepare(min_count=2, rare="other"), fractions=(1, 0, 0))
    assert data.vocabulary.node_labels == ("a", "b", "other") and data.vocabulary.edge_labels == ("other", "s")
    assert reasons(data) == {3: "duplicate of an earlier graph"}
    strict = from_networkx_graphs(graphs, prepare=Prepare(min_count=2), fractions=(1, 0, 0))
    assert list(reasons(strict)) == [2, 3, 4]
    with pytest.raises(ValueError, match="prepare.fragments and prepare.charges are for SMILES"):
        from_networkx_graphs(graphs, prepare=Prepare(charges="none"))


def test_a_subset_is_seeded_and_the_others_are_counted():
    table = pd.DataFrame({"smiles": ["C" * n for n in range(1, 41)]})
    drawn = [from_frame(table, smiles="smiles", prepare=Prepare(subset=10), seed=seed) for seed in (0, 0, 1)]
    rows = [sorted(row for part in (d.train, d.validation, d.test) for row in part.frame["row"]) for d in drawn]
    assert rows[0] == rows[1] != rows[2] and len(rows[0]) == 10
    assert drawn[0].report()["skipped"] == {"not in the subset": 30} and drawn[0].report()["rows"] == 40
    assert all(len(d.train.inputs[k]) == 1 + d.train.frame["row"][k] for d in drawn for k in range(len(d.train)))
    assert len(from_frame(table, smiles="smiles", prepare=Prepare(subset=99)).skipped) == 0


def test_sizes_have_two_ends():
    data = read(["C" * n for n in range(1, 10)], min_nodes=3, max_nodes=5)
    assert data.train.frame["row"].tolist() == [2, 3, 4]
    assert data.report()["skipped"] == {"more than 5 nodes": 4, "fewer than 3 nodes": 2}


def test_options_that_are_none_say_what_there_is():
    for options, message in [
        ({"rare": "drop"}, "prepare.rare must be one of 'skip', 'other', got 'drop'"),
        ({"subset": 0}, "prepare.subset must be a whole number from 1"),
        ({"aromatic": 1}, "prepare.aromatic must be one of True, False"),
    ]:
        with pytest.raises(ValueError, match=message):
            Prepare(**options)
    with pytest.raises(ValueError, match="prepare has a field 'largest'"):
        Prepare.from_json({"largest": 3})
    some = Prepare(subset=5, rare="other", aromatic=True)
    assert Prepare.from_json(json.loads(json.dumps(some.to_json()))) == some


# -- what is said of a large file ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """As HIV and SIDER of MoleculeNet: 120 kinds of ions in few rows, one molecule of 492 atoms and one of 620."""
    symbols = "Li Na Mg Al K Ca Ti V Cr Mn Fe Co Ni Cu Zn Ga Rb Sr Zr Mo Ru Rh Pd Ag Cd In Sn Cs Ba La Ce Eu Gd Dy Pt Au Hg Tl Pb Bi"
    ions = [f"[{symbol}{charge}]" for symbol in symbols.split() for charge in ("+", "+2", "+3")]
    written = [f"{'C' * (1 + k % 9)}{'O' * (k % 2)}{'N' * (k % 3)}C(F){'C' * (k // 54 % 7)}" for k in range(378)]
    written += [f"{one}.{ion}" for one, ion in zip(written, ions)] + [
        "C" * 492,
        "C" * 620,
        "C" * 5_000,
        "C(",
        "C" * 10**6,
    ]
    path = tmp_path_factory.mktemp("prepare") / "hiv.csv"
    pd.DataFrame({"smiles": written, "text": "some words"}).to_csv(path, index=False)
    return path


def test_large_graphs_and_rare_labels_are_named_with_the_options_that_help(file):
    with pytest.warns(DataWarning, match=r"620 nodes.*max_nodes=.* skips 2 of .* node labels .*min_count") as warned:
        data = from_frame(file)
    assert len(warned) == 1 and str(file) in str(warned[0].message) and warned[0].filename == __file__
    assert data.vocabulary.max_nodes == 620 and len(data.vocabulary.node_labels) > 90
    assert list(data.advice) == data.report()["advice"] and len(data.advice) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = from_frame(file, prepare=Prepare(max_nodes=60, min_count=5))
    skipped = small.report()["skipped"]
    assert skipped["more than 60 nodes"] == 2 and skipped["label in fewer than 5 rows"] > 90
    assert skipped["more than 1,000 atoms"] == 1 and skipped["more than 5,000 characters"] == 1
    assert len(small.report()["details"]["label in fewer than 5 rows"]) == skipped["label in fewer than 5 rows"]
    assert sum(skipped.values()) == len(small.skipped) and small.skipped["value"].str.len().max() <= 1_000
    lines = str(small).splitlines()
    assert len(lines) < 25 and any("label in fewer than 5 rows: " in line and " kinds, " in line for line in lines)
    assert max(map(len, lines)) < 250


def test_rows_that_are_all_skipped_are_one_line_with_counts(file):
    with pytest.raises(
        ValueError, match=r"none of 503 rows is valid; first: row 0, .* in all .* x more than 1 nodes, "
    ) as wrong:
        from_frame(file, prepare=Prepare(max_nodes=1))
    assert len(str(wrong.value)) < 500 and "\n" not in str(wrong.value)


def test_the_command_line_has_the_same_options(file, capsys):
    def run(*options):
        capsys.readouterr()
        status = main(["data", str(file), *options])
        return status, *capsys.readouterr()

    status, out, err = run()
    assert (status, err) == (0, "") and "--max-nodes" in out and "--min-count" in out and "Prepare" not in out
    options = [
        "--max-nodes",
        "60",
        "--min-nodes",
        "2",
        "--min-count",
        "5",
        "--fragments",
        "largest",
        "--charges",
        "none",
    ]
    status, out, err = run(*options, "--aromatic", "--rare", "other", "--subset", "300", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "") and found["edge_labels"][-1] == "aromatic"
    assert found["skipped"]["not in the subset"] == 203 and found["dropped"]["smaller fragments"]
    status, out, err = run("--max-nodes", "0")
    assert (status, out, err.count("\n")) == (1, "", 1) and "--max-nodes must be a whole number from 1" in err


def test_an_artifact_keeps_how_its_data_was_prepared(tmp_path, file):
    """Salts of other files lose their counterions, as those of the training did; the rows to read are chosen anew."""
    tiny = ["--steps", "2", "--dim", "8", "--hidden", "8", "--batch-size", "8", "--device", "cpu"]
    options = ["--fragments", "largest", "--max-nodes", "20", "--subset", "200", "--aromatic"]
    assert (
        main(["train", "embedding", "--data", str(file), "--out", str(tmp_path / "a"), "--json", *options, *tiny])
        == 0
    )
    salts = ["CCO.[Dy+3]", "CCCF.[K+]", "CNCF", "CC(F)CC"]
    pd.DataFrame({"smiles": salts}).to_csv(tmp_path / "salts.csv", index=False)
    table = tmp_path / "out.csv"
    decode = [
        "--oracle",
        "--method",
        "gradient",
        "--starts",
        "1",
        "--iterations",
        "2",
        "--table",
        str(table),
        "--json",
    ]
    assert main(["evaluate", "--artifact", str(tmp_path / "a"), "--data", str(tmp_path / "salts.csv"), *decode]) == 0
    assert sorted(pd.read_csv(table)["row"]) == [0, 1, 2, 3]

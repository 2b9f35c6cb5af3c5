"""Reading anybody's data, splitting it without leaks, and saying what was left out."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import equal, isomorphic, random_vertices

from elekit.datasets import NAMES, Prepare, files, from_frame, from_networkx_graphs, load, reading
from elekit.datasets.reading import isomorphism_keys
from elekit.datasets.splits import SPLITS, assign_splits
from elekit.graphs.graph import Graph, to_networkx
from elekit.graphs.smiles import from_smiles, molecule_vocabulary, parse_smiles, randomize_smiles, to_smiles

SMILES = ["C", "CC", "CCC", "CCO", "C=O", "C#N", "CO", "c1ccccc1", "CCN", "NC=O", "CC#C", "OCCO"]
WRITTEN = ["OCC", "c1ccccc1", "C1=CC=CC=C1", "CCO"]  # rows 0 and 3, and rows 1 and 2, are the same molecule


@pytest.fixture
def table():
    texts = [f"text {i}" for i in range(12)]
    return pd.DataFrame({"smiles": SMILES, "text": texts, "x": range(12), "z": np.arange(12) / 7})


def parts(data):
    return [getattr(data, name) for name in SPLITS]


def rows(data):
    return sorted(row for part in parts(data) for row in part.frame["row"])


# -- splits --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (1, 0, 0), (0, 0.5, 0.5), (0, 0, 1), (0.2, 0, 0.8)]
)
def test_fractions_are_respected_to_one_key(fractions):
    keys = [f"key {i}" for i in range(101)]
    places = assign_splits(keys, fractions, seed=0)
    for split, fraction in zip(SPLITS, fractions, strict=True):
        assert abs(places.count(split) - 101 * fraction) <= 1.01
        assert (places.count(split) == 0) == (fraction == 0)


def test_no_split_that_was_asked_for_stays_empty():
    shares = [0, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99]
    for fractions in [(a, b, 1 - a - b) for a in shares for b in shares if a + b < 1]:
        for count in range(3, 12):
            places = assign_splits([str(i) for i in range(count)], fractions, seed=0)
            for split, fraction in zip(SPLITS, fractions, strict=True):
                assert (split in places) == (fraction > 0), (fractions, count)


def test_equal_keys_fall_together_and_order_does_not_matter():
    keys = [f"key {i % 40}" for i in range(120)]
    places = assign_splits(keys, (0.6, 0.2, 0.2), seed=1)
    place = dict(zip(keys, places))
    assert places == [place[key] for key in keys]
    assert assign_splits(keys[::-1], (0.6, 0.2, 0.2), seed=1) == places[::-1]


def test_splits_are_seeded():
    keys = [str(i) for i in range(50)]
    assert (
        assign_splits(keys, (0.5, 0.2, 0.3), 0)
        == assign_splits(keys, (0.5, 0.2, 0.3), 0)
        != assign_splits(keys, (0.5, 0.2, 0.3), 1)
    )


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.2, 0.2), (1.5, -0.5, 0), (0.25,) * 4])
def test_nonsense_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match="three numbers >= 0 that sum to 1"):
        assign_splits(["a"], fractions, 0)


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_no_molecule_stands_in_two_splits(duplicates):
    smiles = [text for seed in range(4) for text in randomize_smiles(SMILES, seed)]
    data = from_frame(pd.DataFrame({"s": smiles}), smiles="s", duplicates=duplicates, fractions=(0.4, 0.3, 0.3))
    molecules = [set(to_smiles(part.graphs)) for part in parts(data)]
    assert all(molecules) and len(set.union(*molecules)) == sum(map(len, molecules)) == 12
    assert sum(map(len, parts(data))) == (12 if duplicates == "drop" else 48)


def test_the_order_of_rows_does_not_move_a_molecule(table):
    place = {}
    for frame in (table, table[::-1], table.sample(frac=1, random_state=0)):
        for name, part in zip(SPLITS, parts(from_frame(frame, smiles="smiles", fractions=(0.5, 0.25, 0.25)))):
            for key in part.frame["key"]:
                assert place.setdefault(key, name) == name
    assert len(place) == 12 and len(set(place.values())) == 3


def test_inputs_graphs_and_frame_stay_side_by_side(table):
    data = from_frame(table, smiles="smiles", input="text", fractions=(0.5, 0.25, 0.25))
    for part in parts(data):
        source = table.iloc[part.frame["row"]]
        assert part.inputs == source["text"].tolist() and part.frame["x"].tolist() == source["x"].tolist()
        assert to_smiles(part.graphs) == part.frame["key"].tolist()
        assert part.frame["key"].tolist() == [parse_smiles(s).canonical for s in source["smiles"]]
        assert len(part) == len(part.graphs) == len(part.frame)
    assert rows(data) == list(range(12))


def test_take_and_sample(table):
    part = from_frame(table, smiles="smiles", input=["x", "z"], fractions=(1, 0, 0)).train
    taken = part.take([3, 1])
    assert equal(taken.graphs, Graph.cat([part.graphs[3], part.graphs[1]]))
    assert torch.equal(taken.inputs, part.inputs[[3, 1]])
    assert taken.frame["key"].tolist() == part.frame["key"][[3, 1]].tolist()
    state = torch.random.get_rng_state()
    once, again, other = (part.sample(5, seed=seed).frame["key"].tolist() for seed in (1, 1, 2))
    assert once == again != other
    assert sorted(part.sample(100).frame["row"]) == sorted(part.frame["row"])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(part.take([])) == 0 == len(part.sample(0))


def test_digest_depends_on_inputs_graphs_and_splits(table):
    digests = {
        from_frame(table, smiles="smiles").digest,
        from_frame(table, smiles="smiles", seed=1).digest,
        from_frame(table, smiles="smiles", input="text").digest,
        from_frame(table, smiles="smiles", input="x").digest,
        from_frame(table[:-1], smiles="smiles").digest,
    }
    assert len(digests) == 5
    assert from_frame(table.copy(), smiles="smiles", name="other").digest in digests


# -- tables --------------------------------------------------------------------------------------------------------
WRITERS = {
    "data.csv": lambda t, p: t.to_csv(p, index=False),
    "data.tsv": lambda t, p: t.to_csv(p, index=False, sep="\t"),
    "data.csv.gz": lambda t, p: t.to_csv(p, index=False),
    "data.tsv.gz": lambda t, p: t.to_csv(p, index=False, sep="\t"),
    "data.v2.CSV": lambda t, p: t.to_csv(p, index=False),
    "data.parquet": lambda t, p: t.to_parquet(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_read_as_its_table(table, tmp_path, name):
    WRITERS[name](table, tmp_path / name)
    for path in (tmp_path / name, str(tmp_path / name)):
        assert (
            from_frame(path, smiles="smiles", input=["x", "z"]).digest
            == from_frame(table, smiles="smiles", input=["x", "z"]).digest
        )


@pytest.mark.parametrize("name", ["data.csv.gz", "data.parquet"])
@pytest.mark.parametrize("damage", ["cut", "changed", "text"])
def test_a_broken_file_is_one_clear_error(table, tmp_path, name, damage):
    path = tmp_path / name
    WRITERS[name](table, path)
    whole = path.read_bytes()
    changed = whole[:20] + b"\xff" * (len(whole) - 24) + whole[-4:]
    path.write_bytes({"cut": whole[:-12], "changed": changed, "text": b"no table at all"}[damage])
    with pytest.raises(ValueError, match=rf"{name} cannot be read as a table: \w"):
        from_frame(path, smiles="smiles")


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*nothing.csv"):
        from_frame(tmp_path / "nothing.csv", smiles="smiles")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv is empty"):
        from_frame(tmp_path / "empty.csv", smiles="smiles")
    (tmp_path / "header.csv").write_text("smiles,x\n")
    with pytest.raises(ValueError, match="header.csv has no rows"):
        from_frame(tmp_path / "header.csv", smiles="smiles")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"smiles": "SMILES"}, r"the frame has no column 'SMILES'; it has \['smiles', 'text', 'x', 'z'\]"),
        ({"smiles": "smiles", "input": "words"}, "no column 'words'"),
        ({"smiles": "smiles", "input": ["x", "y"]}, "no column 'y'"),
        ({}, "either smiles= or graph="),
        ({"smiles": "smiles", "graph": "text"}, "either smiles= or graph="),
        ({"smiles": "smiles", "duplicates": "merge"}, "duplicates must be 'drop' or 'keep', got 'merge'"),
        ({"smiles": "smiles", "input": ["x", "text"]}, r"\['x', 'text'\] are not all numbers"),
        ({"smiles": "text"}, "none of 12 rows is valid; first: .*RDKit refuses"),
        ({"graph": "text"}, "none of 12 rows is valid; first: .*neither a networkx graph nor node-link JSON"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(table, options, message):
    with pytest.raises(ValueError, match=message):
        from_frame(table, **options)


def test_the_source_is_left_as_it_was(table):
    before = table.copy()
    from_frame(table, smiles="smiles", input="x")
    pd.testing.assert_frame_equal(table, before)


def test_columns_named_like_ours_are_kept_under_another_name(table):
    named = table.rename(columns={"text": "key", "x": "row"}).set_index(pd.Index(range(100, 112)))
    data = from_frame(named, smiles="smiles", input="key", fractions=(1, 0, 0))
    assert rows(data) == list(range(12))
    frame = data.train.frame
    assert data.train.inputs == frame["source_key"].tolist() == [f"text {i}" for i in frame["row"]]
    assert frame["source_row"].tolist() == frame["row"].tolist()


# -- inputs --------------------------------------------------------------------------------------------------------
def test_the_input_of_smiles_is_the_smiles_as_written():
    data = from_frame(pd.DataFrame({"s": ["OCC", "N#C"]}), smiles="s", fractions=(1, 0, 0))
    assert sorted(data.train.inputs) == ["N#C", "OCC"]


def test_numeric_columns_make_vectors(table):
    one = from_frame(table, smiles="smiles", input="x", fractions=(1, 0, 0)).train
    two = from_frame(table, smiles="smiles", input=["x", "z"], fractions=(1, 0, 0)).train
    assert (one.inputs.shape, two.inputs.shape, two.inputs.dtype) == ((12, 1), (12, 2), torch.float32)
    np.testing.assert_allclose(two.inputs.numpy(), two.frame[["x", "z"]].to_numpy(), rtol=1e-6)


def test_vectors_share_no_memory_with_their_source():
    frame = pd.DataFrame({"smiles": SMILES, "x": np.arange(12, dtype="float32")})
    part = from_frame(frame, smiles="smiles", input="x", fractions=(1, 0, 0)).train
    part.inputs[:] = -1
    assert part.frame["x"].tolist() == frame["x"].tolist() == list(range(12))


def test_missing_and_infinite_inputs_are_skipped(table):
    table.loc[2, "z"], table.loc[5, "z"] = float("nan"), float("inf")
    data = from_frame(table, smiles="smiles", input=["x", "z"])
    reasons = dict(zip(data.skipped["row"], data.skipped["reason"]))
    assert reasons == {2: "input missing or NaN", 5: "input not finite"}
    assert all(torch.isfinite(part.inputs).all() for part in parts(data))
    table.loc[3, "text"] = None
    assert from_frame(table, smiles="smiles", input="text").skipped["row"].tolist() == [3]


# -- what is skipped -----------------------------------------------------------------------------------------------
def test_every_row_is_kept_or_skipped_with_a_reason():
    written = ["OCC", "C(C", "", None, "CCO", "[CH3]", "CCCCCC", "CC", "C", "N"]
    data = from_frame(pd.DataFrame({"s": written}), smiles="s", prepare=Prepare(max_nodes=5))
    assert data.skipped["row"].tolist() == [1, 2, 3, 4, 5, 6]
    reasons = data.skipped["reason"].tolist()
    expected = ["RDKit refuses", "empty", "empty", "duplicate of an earlier", "radical", "more than 5 nodes"]
    assert all(want in reason for want, reason in zip(expected, reasons, strict=True))
    report = data.report()
    assert report["rows"] == 10 == sum(report[name] for name in SPLITS) + sum(report["skipped"].values())
    assert report["skipped"]["empty SMILES"] == 2 and rows(data) == [0, 7, 8, 9]
    json.dumps(report)


def test_duplicates_are_dropped_after_unusable_rows():
    """The first row has no input, so the second one of the same molecule stands for it."""
    frame = pd.DataFrame({"s": ["CCO", "OCC", "CCO"], "x": [float("nan"), 1, 2]})
    data = from_frame(frame, smiles="s", input="x", fractions=(1, 0, 0))
    assert rows(data) == [1] and data.train.inputs.tolist() == [[1]]


@pytest.mark.parametrize("duplicates, kept", [("drop", [0, 1]), ("keep", [0, 1, 2, 3])])
def test_duplicates_are_dropped_or_kept(duplicates, kept):
    data = from_frame(pd.DataFrame({"s": WRITTEN}), smiles="s", duplicates=duplicates)
    assert rows(data) == kept


def test_a_given_vocabulary_decides_what_fits(table):
    given = replace(molecule_vocabulary("CO", 4), node_labels=("O", "C"), capacity=(2, 4))
    data = from_frame(table, smiles="smiles", vocabulary=given, fractions=(1, 0, 0))
    assert data.vocabulary == given and data.train.graphs.dense().nodes.shape[1:] == (4, 3)
    assert {"label unknown to the vocabulary: N", "more than 4 nodes"} == set(data.skipped["reason"])
    assert to_smiles(data.train.graphs) == data.train.frame["key"].tolist()
    assert equal(data.train.graphs, from_smiles(data.train.inputs, given))
    smaller = from_frame(table, smiles="smiles", vocabulary=given, prepare=Prepare(max_nodes=3))
    assert smaller.skipped["reason"].tolist().count("more than 3 nodes") == 2


# -- networkx ------------------------------------------------------------------------------------------------------
def ladder(label="a", size=3):
    graph = nx.ladder_graph(size)
    nx.set_node_attributes(graph, label, "label")
    nx.set_edge_attributes(graph, "thin", "label")
    return graph


@pytest.fixture
def drawn(vocabulary, generator):
    return to_networkx(random_vertices(vocabulary, 30, generator, density=0.5))


def test_networkx_graphs_come_back_isomorphic(drawn):
    data = from_networkx_graphs(drawn, duplicates="keep", fractions=(0.5, 0.25, 0.25))
    for part in parts(data):
        for row, graph in zip(part.frame["row"], to_networkx(part.graphs), strict=True):
            assert isomorphic(graph, drawn[row])
    assert rows(data) == list(range(30)) and all(part.inputs is None for part in parts(data))


def test_isomorphic_graphs_are_duplicates_whatever_their_node_order(drawn):
    once = from_networkx_graphs(drawn)
    again = [nx.relabel_nodes(g, dict(zip(g, reversed(list(g))))) for g in drawn]
    twice = from_networkx_graphs(drawn + again)
    assert rows(once) == rows(twice) and len(twice.skipped) == 30 + len(once.skipped)


def test_keys_are_equal_exactly_for_isomorphic_graphs(drawn):
    keys = isomorphism_keys(drawn)
    for i, one in enumerate(drawn):
        for j, other in enumerate(drawn[:i]):
            assert (keys[i] == keys[j]) == isomorphic(one, other)
    rings = [nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), nx.cycle_graph(6)]
    for ring in rings:
        nx.set_node_attributes(ring, "a", "label"), nx.set_edge_attributes(ring, "thin", "label")
    hexagon, triangles, again = isomorphism_keys(rings)  # color refinement alone takes them for the same
    assert hexagon == again != triangles


@pytest.mark.parametrize("form", ["networkx", "edges", "links"])
def test_a_column_of_graphs_or_of_json(drawn, form):
    column = pd.Series(drawn, dtype=object)
    if form != "networkx":
        column = column.map(lambda g: json.dumps(nx.node_link_data(g, edges=form)))
    data = from_frame(pd.DataFrame({"g": column, "x": range(30)}), graph="g", input="x")
    plain = from_networkx_graphs(drawn, list(range(30)))
    assert data.digest == plain.digest and "g" not in data.train.frame


def test_what_is_no_usable_graph_is_skipped_with_its_reason():
    looped = ladder()
    looped.add_edge(0, 0)
    column = [ladder(), 1, nx.Graph(), looped]
    column += ["no JSON", "[1]", "{}", 5, None, ladder(size=8), ladder("b")]
    frame = pd.DataFrame({"g": pd.Series(column, dtype=object)})
    data = from_frame(frame, graph="g", prepare=Prepare(max_nodes=10), fractions=(1, 0, 0))
    assert rows(data) == [0, 10]
    reasons = dict(zip(data.skipped["row"], data.skipped["reason"]))
    said = {2: "has no nodes", 3: "self-loop at node 0", 9: "more than 10 nodes"}
    assert all(text in reasons[row] for row, text in said.items())
    assert {reasons[row] for row in (1, 4, 5, 7, 8)} == {"neither a networkx graph nor node-link JSON"}


def test_networkx_graphs_are_held_against_a_given_vocabulary(vocabulary):
    graphs = [ladder(size=2), ladder("z", 2), ladder(size=3)]
    data = from_networkx_graphs(graphs, vocabulary=vocabulary, fractions=(1, 0, 0))
    assert data.vocabulary == vocabulary and rows(data) == [0]
    assert data.skipped["reason"].tolist() == ["label unknown to the vocabulary: z", "more than 5 nodes"]


@pytest.mark.parametrize(
    "inputs", [[[i, 2 * i] for i in range(4)], torch.arange(8).reshape(4, 2), np.arange(8.0).reshape(4, 2)]
)
def test_vectors_beside_networkx_graphs(inputs):
    data = from_networkx_graphs([ladder(size=n) for n in range(1, 5)], inputs, fractions=(1, 0, 0))
    expected = torch.as_tensor(inputs, dtype=torch.float32)[data.train.frame["row"].tolist()]
    assert torch.equal(data.train.inputs, expected)


def test_texts_beside_networkx_graphs_and_a_wrong_number_of_them():
    graphs = [ladder(size=n) for n in range(1, 4)]
    data = from_networkx_graphs(graphs, ["one", "two", "three"], fractions=(1, 0, 0))
    assert data.train.inputs == [["one", "two", "three"][row] for row in data.train.frame["row"]]
    with pytest.raises(ValueError, match="2 inputs for 3 graphs"):
        from_networkx_graphs(graphs, ["one", "two"])
    with pytest.raises(ValueError, match="has no rows"):
        from_networkx_graphs([])


# -- the cache of long columns -------------------------------------------------------------------------------------
@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "CACHED_FROM", 5)
    return tmp_path / "cache"


@pytest.fixture
def count_reads(monkeypatch):
    reads, original = [], reading._read_smiles
    monkeypatch.setattr(reading, "_read_smiles", lambda *args: reads.append(1) or original(*args))
    return reads


def test_a_cached_column_equals_the_one_read(cache, count_reads, monkeypatch):
    smiles = [*SMILES, "C(C", None]
    (first, vocabulary), second = (reading.read_smiles_column(smiles, None, Prepare()) for _ in range(2))
    monkeypatch.setattr(reading, "CACHED_FROM", 1000)
    for other, same in (second, reading.read_smiles_column(smiles, None, Prepare())):
        assert np.array_equal(first.nodes, other.nodes)
        assert np.array_equal(first.edges, other.edges)
        assert (vocabulary, first.keys, first.reasons) == (same, other.keys, other.reasons)
    assert len(count_reads) == 2 and len(list(cache.iterdir())) == 1


def test_another_column_has_another_cache_file(cache, count_reads):
    for smiles in (SMILES, SMILES[::-1], SMILES[:-1]):
        keys = reading.read_smiles_column(smiles, None, Prepare())[0].keys
        assert keys == [parse_smiles(s).canonical for s in smiles]
    assert len(count_reads) == len(list(cache.iterdir())) == 3


def test_short_columns_are_not_cached(cache):
    reading.read_smiles_column(SMILES[:4], None, Prepare())
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "changed", "another archive", "too large"])
def test_a_broken_cache_file_is_made_anew(cache, count_reads, damage):
    first, _ = reading.read_smiles_column(SMILES, None, Prepare())
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    changed = whole[:60] + b"\x99" * 30 + whole[90:]
    broken = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello", "changed": changed}
    if damage == "another archive":
        with open(path, "wb") as opened:
            np.savez(opened, other=np.zeros(3))
    elif damage == "too large":  # an array of 10^15 numbers is declared, in an archive whose sha256 fits
        with io.BytesIO() as packed:
            with zipfile.ZipFile(packed, "w") as archive, archive.open("nodes.npy", "w") as member:
                header = {"descr": "<i4", "fortran_order": False, "shape": (10**15,)}
                np.lib.format.write_array_header_1_0(member, header)
            data = packed.getvalue()
        path.write_bytes(hashlib.sha256(data).digest() + data)
    else:
        path.write_bytes(broken[damage])
    again, _ = reading.read_smiles_column(SMILES, None, Prepare())
    assert np.array_equal(first.nodes, again.nodes) and first.keys == again.keys
    reading.read_smiles_column(SMILES, None, Prepare())
    assert len(count_reads) == 2 and len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_done_without(cache, monkeypatch):
    def fails(*args):
        raise OSError("no space")

    monkeypatch.setattr(files, "write_atomically", fails)
    keys = reading.read_smiles_column(SMILES, None, Prepare())[0].keys
    assert keys == [parse_smiles(s).canonical for s in SMILES]


# -- data sets with a name -----------------------------------------------------------------------------------------
def test_unknown_names_and_inputs_say_what_there_is():
    with pytest.raises(ValueError, match=f"no data set named 'zinc'; the names are {', '.join(NAMES)}; for your own"):
        load("zinc")
    for name in NAMES:
        with pytest.raises(ValueError, match=f"{name} has no inputs 'image'; it has "):
            load(name, inputs="image")


@pytest.mark.realdata
@pytest.mark.timeout(300)
def test_qm9_rows_are_all_accounted_for(data_dir):
    data = load("qm9")
    report = data.report()
    assert report["rows"] == 130_538 == len(rows(data)) + len(data.skipped)
    assert report["skipped"] == {
        "RDKit refuses the SMILES": 510,
        "not determined by elements, charges and bonds (radical or unusual valence)": 11,
        "duplicate of an earlier graph": 327,
    }
    assert " ".join(report["node_labels"]) == "C F N NH O C+ C+H C- C-H N+ N+H N- O+ O-"
    assert report["max_nodes"] == 9 and data.vocabulary.capacity == (4, 1, 3, 2, 2, 3, 2, 3, 2, 4, 3, 2, 3, 1)
    keys = [set(part.frame["key"]) for part in parts(data)]
    assert len(set.union(*keys)) == sum(map(len, keys)) == 130_538 - 510 - 11 - 327
    sample = data.test.sample(300)
    assert sample.graphs.check().valence_violation().max() == 0
    assert to_smiles(sample.graphs) == sample.frame["key"].tolist()


def test_qm9_is_read_from_the_data_folder_first_and_else_fetched_by_checksum(tmp_path, monkeypatch):
    from elekit.datasets import named

    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "cache"))
    calls = []

    content = "mol_id,smiles\n1,CCO\n2,CCN\n3,CCC\n4,CCF\n"

    def fetch(url, output, _):
        calls.append(url)
        Path(output).write_text(content)

    monkeypatch.setattr("pooch.HTTPDownloader", lambda: fetch)
    monkeypatch.delenv("ELEKIT_DATA_DIR", raising=False)
    assert not named.available_offline("qm9")
    with pytest.raises(ValueError, match="qm9.csv has the sha256 .* it is not used"):
        load("qm9")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(named, "QM9_SHA256", hashlib.sha256(content.encode()).hexdigest())
    assert load("qm9").report()["rows"] == 4
    assert calls[0].startswith("https://") and calls[0].endswith("/qm9.csv")

    (tmp_path / "qm9").mkdir()
    (tmp_path / "qm9" / "qm9.csv").write_text("smiles\nCO\nCN\nCC\n")
    monkeypatch.setenv("ELEKIT_DATA_DIR", str(tmp_path))
    assert named.available_offline("qm9") and load("qm9").report()["rows"] == 3
    assert len(calls) == 2


def test_chembl_is_read_from_the_data_folder_first_and_else_downloaded(tmp_path, monkeypatch):
    from elekit.datasets import named

    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ELEKIT_DATA_DIR", raising=False)
    content = "smiles,fr_C_O,fr_Al_OH\n" + "".join(f"{'C' * n}\t1\t0\t0,0\n" for n in range(1, 7))
    monkeypatch.setattr("pooch.HTTPDownloader", lambda: lambda url, output, _: Path(output).write_text(content))
    assert not named.available_offline("chembl")
    data = load("chembl")
    assert named.available_offline("chembl") and rows(data) == list(range(6)) and data.vocabulary.max_nodes == 6
    content = "<!DOCTYPE html>"
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "other"))
    with pytest.raises(ValueError, match="is not the file it was: it begins with '<!DOCTYPE"):
        load("chembl")
    (tmp_path / "chembl").mkdir()
    (tmp_path / "chembl" / "chembl_part.csv").write_text("smiles\nCO\nCN\nCC\n")
    monkeypatch.setenv("ELEKIT_DATA_DIR", str(tmp_path))
    assert named.available_offline("chembl") and load("chembl").report()["rows"] == 3


def test_a_file_without_a_known_hash_must_stay_the_one_first_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    content = ["one"]
    monkeypatch.setattr("pooch.HTTPDownloader", lambda: lambda url, output, _: Path(output).write_text(content[0]))
    path = files.download("https://a/b", "b.txt")
    assert path.read_text() == "one" and files.download("https://a/b", "b.txt") == path
    path.write_text("another")
    with pytest.raises(ValueError, match="b.txt has the sha256 .*; delete it to download it again"):
        files.download("https://a/b", "b.txt")
    path.unlink()
    content[0] = "changed at its source"
    with pytest.raises(ValueError, match="https://a/b has the sha256 .* delete .*b.txt.sha256 if you trust"):
        files.download("https://a/b", "b.txt")

    def fail(url, output, _):
        raise ConnectionError("no route")

    monkeypatch.setattr("pooch.HTTPDownloader", lambda: fail)
    with pytest.raises(ValueError, match="cannot download https://a/c: no route"):
        files.download("https://a/c", "c.txt")
    assert [one.name for one in tmp_path.iterdir()] == ["b.txt.sha256"]


def test_the_report_counts_what_graphs_leave_out_of_the_rows_that_are_kept():
    written = ["C[C@H](N)O", "CCO ethanol", "[13CH4]", "F/C=C/F", "C1CC", "CCO"]
    data = from_frame(pd.DataFrame({"smiles": written}), smiles="smiles")
    assert data.report()["dropped"] == {"stereochemistry": 2, "a name after the SMILES": 1, "isotopes": 1}

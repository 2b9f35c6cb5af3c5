"""Tables and graphs of other programs: each row is read right, or refused and counted with its reason."""

import bz2
import codecs
import gzip
import json
import lzma

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

import elekit as ele
from elekit.cli import main
from elekit.datasets import Prepare, from_frame, from_networkx_graphs
from elekit.datasets.splits import SPLITS
from elekit.graphs.smiles import molecule_vocabulary
from elekit.inspect.search import overview

CSV = "smiles,text\nCCO,an alcohol\nCCN,an amine\nCCC,propane\n"
READ = {"CCO": "an alcohol", "CCN": "an amine", "CCC": "propane"}
NODES = [{"id": 0, "label": "a"}, {"id": 1, "label": "b"}]
EDGE = {"source": 0, "target": 1, "label": "s"}


def graph(labels, edges, node="label", edge="label"):
    made = nx.Graph()
    made.add_nodes_from((i, {node: label}) for i, label in enumerate(labels))
    made.add_edges_from((i, j, {edge: label}) for i, j, label in edges)
    return made


def ring(labels, **names):
    return graph(labels, [(i, (i + 1) % len(labels), "s") for i in range(len(labels))], **names)


RINGS = [ring("abc"), ring("abb"), ring("aaac"), ring("abab")]


def document(nodes=NODES, links=(EDGE,), **other):
    return json.dumps({"nodes": list(nodes), "links": list(links), **other})


def read(path, **options):
    """What each molecule of a file is to its input."""
    train = from_frame(path, smiles="smiles", input="text", fractions=(1, 0, 0), **options).train
    return dict(zip(train.frame["key"], train.inputs))


def reasons(data):
    return dict(zip(data.skipped["row"], data.skipped["reason"]))


def label_sets(data):
    parts = [ele.to_networkx(getattr(data, name).graphs) for name in SPLITS]
    return sorted(sorted(label for _, label in g.nodes(data="label")) for part in parts for g in part)


@pytest.fixture
def refused():
    def call(function, *words):
        with pytest.raises(ValueError) as raised:
            function()
        message = str(raised.value)
        assert len(message) < 700 and "\n" not in message
        assert all(word in message for word in words), message
        return message

    return call


# -- text files ----------------------------------------------------------------------------------------------------
FILES = {
    "comma.csv": CSV, "semicolon.csv": CSV.replace(",", ";"), "tab.csv": CSV.replace(",", "\t"),
    "pipe.txt": CSV.replace(",", "|"), "semicolon.txt": CSV.replace(",", ";"), "tab.smi": CSV.replace(",", "\t"),
    "semicolon.tsv": CSV.replace(",", ";"), "blank.smi": "smiles text\nCCO an alcohol\nCCN an amine\nCCC propane",
    "no suffix": CSV, "mark.csv": codecs.BOM_UTF8 + CSV.encode(), "utf16.csv": CSV.encode("utf-16"),
    "utf32.csv": CSV.encode("utf-32"), "gz.csv.gz": gzip.compress(CSV.encode()), "xz.csv.xz": lzma.compress(CSV.encode()),
    "bz.txt.bz2": bz2.compress(CSV.encode()), "crlf.csv": CSV.replace("\n", "\r\n"), "cr.csv": CSV.replace("\n", "\r"),
    "mixed.csv": "smiles,text\r\nCCO,an alcohol\nCCN,an amine\rCCC,propane", "blank.csv": f"\n{CSV}\n  \n\n",
    "names.csv": CSV.replace("smiles,text", " smiles , text"), "index.csv": ",smiles,text\n0,CCO,an alcohol\n1,CCN,an amine\n2,CCC,propane\n",
    "ends.csv": "smiles,text\nCCO,an alcohol,\nCCN,an amine,\nCCC,propane,\n", "all ends.csv": CSV.replace("\n", ",\n"),
    "some ends.csv": "smiles,text\nCCO,an alcohol,\nCCN,an amine\nCCC,propane,,,\n",
    "r.csv": '"","smiles","text"\n"1","CCO","an alcohol"\n"2","CCN","an amine"\n"3","CCC","propane"\n',
    "r2.csv": '"";"smiles";"text"\n"1";"CCO";"an alcohol"\n"2";"CCN";"an amine"\n"3";"CCC";"propane"\n',
    "records.json": json.dumps([{"smiles": k, "text": v} for k, v in READ.items()]),
    "lines.jsonl": "\n".join(json.dumps({"smiles": k, "text": v}) for k, v in READ.items()),
    "lines.json": "\n".join(json.dumps({"smiles": k, "text": v}) for k, v in READ.items()),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_whatever_wrote_it(tmp_path, name):
    content = FILES[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read(tmp_path / name) == READ


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("latin.csv", CSV.replace("propane", "Küche").encode("latin-1"), ["line 4 is no UTF-8", "iconv"]),
        ("utf16.csv", CSV.encode("utf-16-le"), ["UTF-16"]),
        ("packed.csv", gzip.compress(CSV.encode(), mtime=0), [".gz"]),
        ("sheet.xlsx", b"PK\x03\x04", ["Excel", "csv"]),
        ("sheet.csv", b"PK\x03\x04", ["Excel", "csv"]),
        ("old.xls", b"\xd0\xcf\x11\xe0", ["Excel", "csv"]),
        ("table.pkl", b"\x80\x04K\x01.", ["pickle"]),
        ("lines.csv", b'{"smiles": "CCO"}', ["JSON", ".jsonl"]),
        ("page.csv", b"<html></html>", ["HTML"]),
        ("columns.json", b'{"smiles": {"0": "CCO"}}', ["records"]),
        ("cut.json", b'[{"smiles": "CCO"},', ["cannot be read as a table"]),
        ("deep.json", b"[" * 100_000, ["nested"]),
        ("unclear.txt", b"smiles,a;b\nCCO,a;b\n", ["',' or ';'"]),
        ("quote.csv", b'smiles,text\nCCO,"a" b\n', ["line 2", "quotes"]),
        ("open.csv", b'smiles,text\nCCO,"a\nCCN,b\n', ["quotes"]),
        ("shifted.csv", b"smiles,text\n1,CCO,a\n2,CCN,b\n", ["3 fields, the header has 2"]),
        ("blank.csv", b" \n\t\n", ["is empty"]),
        ("mark.csv", codecs.BOM_UTF8, ["is empty"]),
        ("bomb.graphml", b'<!DOCTYPE a [<!ENTITY b "c">]><graphml/>', ["DOCTYPE"]),
        ("bomb16.graphml", '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><b/>'.encode("utf-16"), ["DOCTYPE"]),
        ("deep.graphml", b"<a>" * 10_000, ["nested"]),
        ("other.graphml", b"<a/>", ["no element graph"]),
        ("broken.gml", b"graph [ node [", ["cannot be read as a table"]),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_what_it_is_and_what_to_do(tmp_path, refused, capsys, name, content, words):
    (tmp_path / name).write_bytes(content)
    refused(lambda: from_frame(tmp_path / name, smiles="smiles"), name, *words)
    assert main(["data", str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words[0] in said and len(said) < 700


def test_rows_with_other_fields_than_the_header_are_counted_and_shift_nothing(tmp_path):
    path = tmp_path / "ragged.csv"
    path.write_text('id,smiles,x\n7,CCO,1,\n8,CCN\n9,CCC,2,3\n# half\n5,C#N,"4"\n6,"C=O",5\n')
    data = from_frame(path, smiles="smiles", input="x", fractions=(1, 0, 0))
    table = data.train.frame.set_index("key")
    assert table["id"].to_dict() == {"CCO": 7, "C#N": 5, "C=O": 6} and table["x"].to_dict() == {
        "CCO": 1,
        "C#N": 4,
        "C=O": 5,
    }
    assert {row: reason.split()[0] for row, reason in reasons(data).items()} == {1: "2", 2: "4", 3: "1"}


def test_quoted_cells_hold_separators_quotes_and_lines(tmp_path):
    texts = ["a, b; c", 'say "x"', "one\n\ntwo", " padded ", "x" * 200_000, "Küche 🛁"]
    smiles = ["C" * n for n in range(1, 7)]
    path = tmp_path / "quoted.csv"
    pd.DataFrame({"smiles": smiles, "text": texts}).to_csv(path, index=False)
    for ragged in ("", "CCCCCCCC\n"):
        path.write_bytes(path.read_bytes() + ragged.encode())
        assert read(path) == dict(zip(smiles, texts))


def test_names_of_columns(tmp_path, refused):
    table = pd.DataFrame([[f"t {i}", smiles, i] for i, smiles in enumerate(("CCO", "CCN", "CCC"))])
    data = from_frame(table, smiles=1, input=0, fractions=(1, 0, 0))
    assert dict(zip(data.train.frame["key"], data.train.inputs)) == {"CCO": "t 0", "CCN": "t 1", "CCC": "t 2"}
    refused(lambda: from_frame(table, smiles=7), "no column 7")
    twice = table.set_axis(["text", "smiles", "text"], axis=1)
    refused(lambda: from_frame(twice, smiles="smiles", input="text"), "2 columns 'text'")
    assert from_frame(twice, smiles="smiles", fractions=(1, 0, 0)).train.frame.columns.is_unique
    (tmp_path / "twice.csv").write_text("smiles,text,text\nCCO,a,b\n")
    refused(lambda: from_frame(tmp_path / "twice.csv", smiles="smiles", input="text"), "2 columns 'text'")
    wide = pd.DataFrame({f"a long name of column {i}" * 20: [1] for i in range(3_000)})
    refused(lambda: from_frame(wide, smiles="smiles"), "no column 'smiles'")


def test_an_export_is_read_and_exported_again(tmp_path, capsys):
    source = tmp_path / "0.csv"
    source.write_text(CSV)
    for turn in range(3):
        assert main(["data", str(source), "--input", "text", "--export", str(tmp_path / str(turn))]) == 0
        source = tmp_path / str(turn) / "train.csv"
        columns = pd.read_csv(source).columns
        assert columns.is_unique and {"row", "key", "smiles", "text"} <= set(columns)
    assert {"source_row", "source_row_1"} <= set(columns)


# -- JSON, molecules and graphs ------------------------------------------------------------------------------------
def test_records_and_texts_too_large_are_skipped_and_counted(tmp_path):
    """RDKit's search for rings ends the process for 512 atoms with nine bonds each."""
    Chem = pytest.importorskip("rdkit.Chem")
    links = [(i, i ^ (1 << k)) for i in range(512) for k in range(9) if i < i ^ (1 << k)]
    lines = [
        "",
        "",
        "",
        "  0  0  0  0  0  0            999 V3000",
        "M  V30 BEGIN CTAB",
        f"M  V30 COUNTS 512 {len(links)} 0 0 0",
    ]
    lines += [
        "M  V30 BEGIN ATOM",
        *(f"M  V30 {i + 1} U 0 0 0 0" for i in range(512)),
        "M  V30 END ATOM",
        "M  V30 BEGIN BOND",
    ]
    lines += [f"M  V30 {k + 1} 1 {i + 1} {j + 1}" for k, (i, j) in enumerate(links)]
    lines += ["M  V30 END BOND", "M  V30 END CTAB", "M  END", "$$$$", ""]
    ethane = Chem.MolToMolBlock(Chem.MolFromSmiles("CC")) + "$$$$\n"
    (tmp_path / "a.sdf").write_text(ethane + "\n".join(lines))
    skipped = from_frame(tmp_path / "a.sdf", fractions=(1, 0, 0)).skipped
    assert len(skipped) == 1 and "1,000 atoms or 300 rings" in skipped["reason"][0]
    texts = pd.DataFrame({"smiles": ["C", "CC"], "text": ["word", "x" * 1_000_001]})
    assert "1,000,000 characters" in from_frame(texts, smiles="smiles", input="text").skipped["reason"][0]


def test_molecules_of_smi_and_sdf_files(tmp_path):
    Chem = pytest.importorskip("rdkit.Chem")
    (tmp_path / "a.smi").write_text("CCO ethanol\nno_smiles\nCCN\tan amine\nCCF |$R1;;$|\n")
    data = from_frame(tmp_path / "a.smi", fractions=(1, 0, 0))
    assert dict(zip(data.train.frame["key"], data.train.frame["name"])) == {"CCO": "ethanol", "CCN": "an amine"}
    assert list(reasons(data)) == [1, 3]
    mol = Chem.AddHs(Chem.MolFromSmiles("c1ccncc1O"))
    mol.SetProp("text", "hydroxypyridine")
    mol.SetProp("smiles", "CC")  # the structure counts
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        writer.write(mol)
    text = (tmp_path / "a.sdf").read_text()
    (tmp_path / "a.sdf").write_text(text + text.replace("V2000", "V9000") + text)
    data = from_frame(tmp_path / "a.sdf", input="text", fractions=(1, 0, 0))
    assert data.train.frame["key"].tolist() == ["Oc1cccnc1"] and data.train.inputs == ["hydroxypyridine"]
    assert list(reasons(data)) == [1, 2] and "unreadable record" in reasons(data)[1]


@pytest.mark.parametrize("form", ["records", "lines", "beside", "attributes", "one column", "graphml"])
def test_graphs_of_files(tmp_path, form):
    plain = [nx.node_link_data(g, edges="links") for g in RINGS]
    graphs = [nx.Graph(g, text=f"t {i}") for i, g in enumerate(RINGS)]
    contents = {
        "records": json.dumps([{**one, "text": f"t {i}"} for i, one in enumerate(plain)]),
        "lines": "\n".join(json.dumps({"graph": one, "text": f"t {i}"}) for i, one in enumerate(plain)),
        "beside": "\n".join(json.dumps({**one, "text": f"t {i}"}) for i, one in enumerate(plain)),
        "attributes": "\n".join(json.dumps(nx.node_link_data(g, edges="edges")) for g in graphs),
        "one column": pd.DataFrame({"graph": map(json.dumps, plain), "text": [f"t {i}" for i in range(4)]}).to_csv(),
    }
    path = tmp_path / {"records": "a.json", "one column": "a.csv", "graphml": "a.graphml"}.get(form, "a.jsonl")
    if form == "graphml":
        writer = nx.readwrite.graphml.GraphMLWriter()
        writer.add_graphs(graphs)
        with open(path, "wb") as opened:
            writer.dump(opened)
    else:
        path.write_text(contents[form])
    data = from_frame(path, input="text", fractions=(1, 0, 0))
    found = dict(zip(data.train.inputs, ele.to_networkx(data.train.graphs)))
    assert {text: sorted(label for _, label in g.nodes(data="label")) for text, g in found.items()} == {
        f"t {i}": sorted(label for _, label in g.nodes(data="label")) for i, g in enumerate(RINGS)
    }
    assert main(["data", str(path)]) == 0


def test_a_graphml_or_gml_file_with_unknown_or_repeated_ids_is_refused(tmp_path, refused):
    text = "\n".join(nx.generate_graphml(RINGS[0]))
    for old, new in (('target="1"', 'target="9"'), ('node id="1"', 'node id="0"')):
        (tmp_path / "a.graphml").write_text(text.replace(old, new))
        refused(lambda: from_frame(tmp_path / "a.graphml"), "unknown nodes")
    named = 'for="{}" attr.name="label" attr.type="string"><default>{}</default></key>'
    keys = f'<key id="n" {named.format("node", "C")}<key id="e" {named.format("edge", "s")}'
    nodes = '<node id="a"/><node id="b"><data key="n">N</data></node><edge source="a" target="b"/>'
    space = "http://graphml.graphdrawing.org/xmlns"
    text = f'<graphml xmlns="{space}">{keys}<graph edgedefault="undirected">{nodes}</graph></graphml>'
    (tmp_path / "defaults.graphml").write_text(text)
    data = from_frame(tmp_path / "defaults.graphml")
    assert label_sets(data) == [["C", "N"]] and data.vocabulary.edge_labels == ("s",)
    gml = 'graph [ node [ id 0 label "Küche" ] node [ id 1 label "b" ] edge [ source 0 target {} label "s" ] ]'
    (tmp_path / "a.gml").write_text(gml.format(1))
    assert label_sets(from_frame(tmp_path / "a.gml")) == [["Küche", "b"]]
    (tmp_path / "a.gml").write_text(gml.format(7))
    refused(lambda: from_frame(tmp_path / "a.gml"), "undefined target 7")


@pytest.mark.parametrize(
    "value",
    [
        document(links=[{"source": "0", "target": "1", "label": "s"}]),
        document(nodes=[{"id": "0", "label": "a"}, {"id": "1", "label": "b"}]),
        document(nodes=[{"label": "a"}, {"label": "b"}]),
        document(nodes=[{"id": [0], "label": "a"}, {"id": [1], "label": "b"}], links=[EDGE | {"source": [0], "target": [1]}]),
        json.loads(document()),
        document().encode(),
    ],
    ids=["edges as text", "ids as text", "no ids", "ids as lists", "a dict", "bytes"],
)  # fmt: skip
def test_node_link_documents_of_one_graph(value):
    data = from_frame(pd.DataFrame({"g": pd.Series([value], dtype=object)}), graph="g", fractions=(1, 0, 0))
    (made,) = ele.to_networkx(data.train.graphs)
    assert sorted(made.nodes(data="label")) == [(0, "a"), (1, "b")] and list(made.edges(data="label")) == [
        (0, 1, "s")
    ]


def test_labels_named_like_keys_of_node_link_documents():
    named = [graph(["links", "edges", "nodes"], [(0, 1, "links"), (1, 2, "edges")]), ring(["edges"] * 3)]
    for form in ("edges", "links"):
        column = [json.dumps(nx.node_link_data(g, edges=form)) for g in named]
        data = from_frame(pd.DataFrame({"g": column}), graph="g")
        assert label_sets(data) == [["edges"] * 3, ["edges", "links", "nodes"]] and not len(data.skipped)


WRONG = {
    "phantom": (document(links=[EDGE | {"target": 7}]), "edge 0 names the unknown node 7"),
    "phantom text": (document(links=[EDGE | {"target": "b"}]), "unknown node 'b'"),
    "id twice": (document(nodes=[NODES[0], NODES[0]], links=()), "two nodes have the id 0"),
    "1 and 1.0": (document(nodes=[{"id": 1, "label": "a"}, {"id": 1.0, "label": "a"}], links=()), "two nodes"),
    "id true": (document(nodes=[{"id": True, "label": "a"}], links=()), "no id of a node"),
    "id of some": (document(nodes=[NODES[0], {"label": "b"}]), 'node 1 has no "id"'),
    "loop": (document(links=[EDGE | {"target": "0"}]), "self-loop"),
    "parallel": (document(links=[EDGE, EDGE | {"source": 1, "target": 0}]), "two edges join"),
    "directed as text": (document(directed="false"), "\"directed\" is 'false'; it must be true or false"),
    "multigraph as a number": (document(multigraph=7), '"multigraph" is 7'),
    "no target": (document(links=[{"source": 0, "label": "s"}]), 'no "target"'),
    "edges and links": (document(edges=[]), 'one list "edges" or "links"'),
    "no links": (json.dumps({"nodes": NODES}), 'one list "edges" or "links"'),
    "nodes as text": (document(nodes=["a"]), "node 0 is no JSON object"),
    "no nodes": (document(nodes=(), links=()), "no nodes"),
    "null": (document(nodes=[{"id": 0, "label": None}], links=()), "label None"),
    "NaN": (document(nodes=[{"id": 0, "label": float("nan")}], links=()), "NaN"),
    "list": (document(nodes=[{"id": 0, "label": ["a"]}], links=()), "label ['a']"),
    "surrogate": (document(nodes=[{"id": 0, "label": "\ud800"}], links=()), "surrogate"),
    "unlabeled": (document(nodes=[{"id": 0}], links=()), "without the attribute 'label'"),
    "unlabeled edge": (document(links=[{"source": 0, "target": 1}]), "without the attribute 'label'"),
    "key twice": ('{"nodes": [], "nodes": [], "links": []}', "twice"),
    "deep": ("[" * 50_000, "JSON"),
    "python": (str(json.loads(document())), "JSON"),
    "adjacency": (json.dumps(nx.adjacency_data(RINGS[0])), "edges"),
}


def test_documents_of_no_graph_are_counted_with_their_reasons():
    column = [document(), *(text for text, _ in WRONG.values())]
    data = from_frame(pd.DataFrame({"g": column}), graph="g", fractions=(1, 0, 0))
    found = reasons(data)
    assert len(data.train) == 1 and list(found) == list(range(1, len(WRONG) + 1))
    for row, (name, (_, reason)) in enumerate(WRONG.items(), start=1):
        assert reason in found[row] and len(found[row]) < 200, (name, found[row])
    assert sum(data.report()["skipped"].values()) == len(WRONG)


# -- labels --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "label", ["Küche", "🛁", "厨房", "a\nb", "", " ", "\x1b[31m", "\0", "=1+1", "a, b", "x" * 999]
)
def test_any_text_is_a_label(tmp_path, label, capsys):
    graphs = [ring([label, "b", "b"]), ring([label, label, "b"]), graph("ab", [(0, 1, label)])]
    data = from_networkx_graphs(graphs, fractions=(1, 0, 0))
    assert len(data.train) == 3 and label in data.vocabulary.node_labels and label in data.vocabulary.edge_labels
    path = tmp_path / "graphs.csv"
    pd.DataFrame({"graph": [json.dumps(nx.node_link_data(g, edges="edges")) for g in graphs]}).to_csv(path)
    assert from_frame(path, fractions=(1, 0, 0)).digest == data.digest
    assert main(["data", str(path), "--export", str(tmp_path / "out")]) == 0 and "\x1b" not in capsys.readouterr().out


def test_numbers_are_labels_and_equal_numbers_are_equal():
    values = [1, 1.0, "1", np.int64(1), np.float32(1)]
    data = from_networkx_graphs([ring([v, "a", "a"]) for v in values], fractions=(1, 0, 0))
    assert data.vocabulary.node_labels == ("1", "a") and len(data.train) == 1
    assert from_networkx_graphs([ring([0.5, True, np.True_])]).vocabulary.node_labels == ("0.5", "True")
    bad = [None, float("nan"), float("inf"), b"C", ["C"], {}, torch.tensor([1, 2]), 1j, pd.NA, "\udc80"]
    data = from_networkx_graphs([*RINGS, *(ring([v, "a", "a"]) for v in bad)])
    assert list(reasons(data)) == list(range(4, 4 + len(bad))) and label_sets(data) == label_sets(
        from_networkx_graphs(RINGS)
    )


def test_labels_under_another_attribute_are_not_ignored(tmp_path, refused, capsys):
    names = {"node": "element", "edge": "kind"}
    other = [ring("abc", **names), ring("abb", **names), ring("aaac", **names), ring("abab", **names)]
    for call in (from_networkx_graphs, ele.from_networkx):
        refused(lambda call=call: call(other), "'element'", "node_attribute='element'")
        refused(lambda call=call: call(other, node_attribute="element"), "edge_attribute='kind'")
    options = {"node_attribute": "element", "edge_attribute": "kind"}
    assert label_sets(from_networkx_graphs(other, **options)) == label_sets(from_networkx_graphs(RINGS))
    plain = from_networkx_graphs(other, node_attribute=None, edge_attribute=None)
    assert plain.vocabulary.node_labels == ("node",) and len(plain.skipped) == 2
    path = tmp_path / "graphs.csv"
    pd.DataFrame({"graph": [json.dumps(nx.node_link_data(g, edges="edges")) for g in other]}).to_csv(path)
    assert main(["data", str(path)]) == 1 and "--node-attribute 'element'" in capsys.readouterr().err
    assert main(["data", str(path), "--node-attribute", "element", "--edge-attribute", "kind"]) == 0
    assert main(["data", str(path), "--node-attribute", "none", "--edge-attribute", "none"]) == 0


def test_more_labels_and_nodes_than_fit_are_named_with_the_option_that_helps(refused):
    """As in HIV of MoleculeNet: 142 kinds of atoms, up to 222 atoms."""
    elements = ["[Na+]", "[K+]", "[Li+]", "[Zn+2]", "[Mg+2]", "[Ca+2]", "[Fe+2]", "[Cu+2]", "Cl", "Br", "F", "I", "S"]
    smiles = [f"{'C' * n}{e}" if n else e for e in ("O", "N", "S", "P", "F") for n in range(1, 20)]
    smiles += [f"CC.{e}" for e in elements for _ in range(2)] + ["C" * 222, "C" * 900]
    table = pd.DataFrame({"smiles": smiles})
    given = molecule_vocabulary(["C", "N", "O"], 10)
    data = from_frame(table, smiles="smiles", vocabulary=given)
    assert data.report()["rows"] == len(table) and data.report()["skipped"]["more than 10 nodes"] == 5 * 10 + 2
    data = from_frame(table, smiles="smiles", prepare=Prepare(max_nodes=10, min_count=3), fractions=(1, 0, 0))
    assert data.vocabulary.max_nodes == 10 and set(data.vocabulary.node_labels) == set("CFNOPS")
    many = [graph([f"kind {i}", "a"], [(0, 1, "s")]) for i in range(1_001)] * 2 + [ring("abc")]
    message = refused(
        lambda: from_networkx_graphs(many[:1_001] + many[-1:]), "1004 node labels", "names of nodes", "min_count=2"
    )
    assert "vocabulary=" in message
    assert label_sets(from_networkx_graphs(many[:1_001] + [ring("abc")] * 2, prepare=Prepare(min_count=2))) == [
        ["a", "b", "c"]
    ]


def test_one_large_graph_takes_no_more_memory_than_its_nodes():
    long = graph("a" * 2_000, [(i, i + 1, "s") for i in range(1_999)])
    data = from_networkx_graphs([*RINGS, long], fractions=(1, 0, 0))
    assert data.vocabulary.max_nodes == 2_000 and len(data.train.graphs.node_labels) < 2_100
    assert from_networkx_graphs([*RINGS, long], prepare=Prepare(max_nodes=5)).vocabulary.max_nodes == 4


# -- inputs --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series, pd.Index, iter])
def test_texts_in_any_sequence(make):
    data = from_networkx_graphs(iter(RINGS), make(["p", "q", "r", "s"]), fractions=(1, 0, 0))
    assert data.train.inputs == [["p", "q", "r", "s"][row] for row in data.train.frame["row"]]


def test_a_filtered_series_and_missing_or_strange_inputs(refused):
    texts = pd.Series(list("abcdef"))
    data = from_networkx_graphs(RINGS, texts[texts > "b"], fractions=(1, 0, 0))
    assert data.train.inputs == [list("cdef")[row] for row in data.train.frame["row"]]
    for absent in (None, float("nan"), pd.NA):
        data = from_networkx_graphs(RINGS, [absent, "q", "r", "s"])
        assert reasons(data) == {0: "input missing or NaN"}
    data = from_networkx_graphs(RINGS, ["p", 5, b"r", "\udc80"], fractions=(1, 0, 0))
    assert list(reasons(data)) == [1, 2, 3] and data.train.inputs == ["p"]
    data = from_networkx_graphs(RINGS, [None, [1, 2], [3], [5, 6]], fractions=(1, 0, 0))
    assert list(reasons(data)) == [0, 2] and sorted(data.train.inputs.tolist()) == [[1, 2], [5, 6]]
    refused(lambda: from_networkx_graphs(RINGS, "pqrs"), "one input per graph")
    refused(lambda: from_networkx_graphs(RINGS[0]), "a list of networkx graphs")
    cells = pd.DataFrame({"s": pd.Series(["CCO", b"CC", 5, None], dtype=object)})
    found = reasons(from_frame(cells, smiles="s", fractions=(1, 0, 0)))
    assert found == {1: "a bytes in place of a SMILES", 2: "a int in place of a SMILES", 3: "empty SMILES"}
    for nonsense in (0, -1, 1.5, "5"):
        refused(lambda nonsense=nonsense: Prepare(max_nodes=nonsense), "max_nodes must be")
    numbers = pd.DataFrame({"smiles": ["C", "CC", "CCC"], "x": pd.Series([1, None, 3], dtype=object)})
    data = from_frame(numbers, smiles="smiles", input="x", fractions=(1, 0, 0))
    assert list(reasons(data)) == [1] and sorted(data.train.inputs[:, 0].tolist()) == [1, 3]
    numbers["x"] = ["1", "n.a.", "3"]
    refused(
        lambda: from_frame(numbers, smiles="smiles", input="x"), "column 'x' has numbers and 1 other values", "n.a."
    )


def test_columns_named_like_counts_do_not_replace_them():
    table = pd.DataFrame(
        {"graph": RINGS, "nodes": ["three", "3", "four", "4"], "edges": [3, 3, 4, 4], "rings": [9] * 4}
    )
    data = from_frame(table, graph="graph", input="nodes", fractions=(1, 0, 0))
    found = overview(data.train.graphs, data.train.frame).set_index("id")
    assert found["nodes"].to_dict() == {0: 3, 1: 3, 2: 4, 3: 4} and set(found["rings"]) == {1}
    assert found["nodes (given)"].to_dict() == table["nodes"].to_dict() and "edges (given)" not in found
    psi = ele.model.GraphEmbedding(data.vocabulary, ele.EmbeddingConfig(hidden=8, dim=8))
    explorer = pytest.importorskip("elekit.widgets").explore(psi, data.train)
    explorer.pinned = 2
    assert explorer.error is None


def test_a_data_set_in_place_of_graphs_is_named(refused):
    data = from_networkx_graphs(RINGS, list("pqrs"), fractions=(1, 0, 0))
    for wrong in (data, data.train, RINGS):
        refused(lambda wrong=wrong: ele.fit_embedding(wrong), "data.train.graphs")
    psi = ele.model.GraphEmbedding(data.vocabulary, ele.EmbeddingConfig(hidden=8, dim=8))
    refused(lambda: ele.fit_surrogate(psi, data), "data.train")

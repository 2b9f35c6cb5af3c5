"""What the explorer selects and keeps: set algebra, tags, notes, filters, special features, exports, sessions."""

import io
import json
from html import unescape

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from hypothesis import given
from hypothesis import strategies as st

from elekit.datasets import Split
from elekit.evaluation.formatting import significant
from elekit.graphs.graph import GraphVocabulary, from_networkx, to_networkx
from elekit.graphs.smiles import from_smiles, molecule_vocabulary, parse_smiles
from elekit.inspect.distinguishing import distinguishing_features, graph_features, map_groups
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.widgets import explore
from elekit.widgets.export import WRITERS
from elekit.widgets.selecting import COMBINE, distribution

HOSTILE = '<img src=x onerror="window.hacked=1">'
SMILES = ["C", "CC", "CCO", "OCCO", "C=O", "CC=O", "C#N", "CC#N", "CN", "NCCN", "C=C", "C1CC1", "c1ccccc1", "CC(=O)O"]


def embedding(vocabulary, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=24)).requires_grad_(False)


@pytest.fixture(scope="module")
def molecules():
    vocabulary = molecule_vocabulary(("C", "N", "O"), 6)
    frame = pd.DataFrame({"smiles": SMILES, "name": [f"TOX{i}" for i in range(len(SMILES))], "x": range(len(SMILES))})
    return Split(SMILES, from_smiles(SMILES, vocabulary), frame)


@pytest.fixture(scope="module")
def psi(molecules):
    return embedding(molecules.graphs.vocabulary)


@pytest.fixture
def explorer(psi, molecules):
    made = explore(psi, molecules, id="name", facts=["x"])
    yield made
    made.close()


@pytest.fixture
def graphs():
    vocabulary = GraphVocabulary(("a", "b", HOSTILE), ("thin", "thick"), 5)
    return random_vertices(vocabulary, 40, torch.Generator().manual_seed(0))


# -- what sets graphs apart --------------------------------------------------------------------------------------
def test_features_agree_with_networkx(graphs):
    table = graph_features(graphs)
    drawn = to_networkx(graphs)
    for label in ("a", "b"):
        counts = [[d["label"] for _, d in g.nodes(data=True)].count(label) for g in drawn]
        assert table[label].tolist() == [count > 0 for count in counts]
        assert table[f"2 × {label} or more"].tolist() == [count > 1 for count in counts]
    pairs = [
        any({g.nodes[u]["label"], g.nodes[v]["label"]} == {"a", "b"} and d["label"] == "thick" for u, v, d in g.edges(data=True))
        for g in drawn
    ]  # fmt: skip
    assert table["a thick b"].tolist() == pairs


def test_an_arrow_is_a_feature_in_its_direction():
    graph = nx.DiGraph()
    graph.add_nodes_from([(0, {"label": "a"}), (1, {"label": "b"})])
    graph.add_edge(1, 0, label="causes")
    alone = nx.DiGraph()
    alone.add_node(0, label="a")
    table = graph_features(from_networkx([graph, alone]))
    assert table.columns[table.iloc[0] & ~table.iloc[1]].isin(["a ← causes b", "b → causes a"]).any()


def test_the_planted_difference_comes_first():
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.random((400, 20)) < 0.5, columns=[f"f{k}" for k in range(20)])
    rows = np.arange(150)
    table.loc[rows, "f7"], table.loc[150:, "f7"] = True, generator.random(250) < 0.2
    found = distinguishing_features(table, rows)
    assert found["feature"].iloc[0] == "f7" and found["share"].iloc[0] == 1
    others = table["f7"].to_numpy()[150:].mean()
    assert found["elsewhere"].iloc[0] == pytest.approx(others)
    assert found["correlation"].iloc[0] == pytest.approx(np.corrcoef(table["f7"], table.index < 150)[0, 1], abs=1e-5)


def test_chance_is_not_listed():
    generator, listed = np.random.default_rng(1), 0
    for _ in range(40):
        table = pd.DataFrame(generator.random((300, 50)) < 0.4)
        listed += len(distinguishing_features(table, generator.choice(300, 90, replace=False))) > 0
    assert listed <= 6  # expected: 2 of 40


def test_both_sides_are_needed():
    table = pd.DataFrame({"f": [True, False, True]})
    for rows, others in (([], None), ([0, 1, 2], None), ([0], [])):
        with pytest.raises(ValueError, match="both sides need graphs"):
            distinguishing_features(table, np.array(rows, dtype=int), None if others is None else np.array(others))
    with pytest.raises(ValueError, match="share graphs"):
        distinguishing_features(table, np.array([0, 1]), np.array([1, 2]))


def test_groups_cover_the_map_once_a_level_and_carry_the_name_of_what_they_have():
    generator = np.random.default_rng(0)
    which = np.repeat(np.arange(3), 60)
    positions = np.array([[0, 0], [10, 0], [0, 10]])[which] + generator.normal(size=(180, 2))
    table = pd.DataFrame({name: which == k for k, name in enumerate(("red", "green", "blue"))})
    found = map_groups(positions, table, counts=(3, 9))
    for level in (0, 1):
        rows = np.concatenate([group.rows for group in found if group.level == level])
        assert sorted(rows) == list(range(180))
    assert sorted(group.name for group in found if group.level == 0) == ["blue", "green", "red"]


# -- selecting ---------------------------------------------------------------------------------------------------
ROWS = st.sets(st.integers(0, 30)).map(lambda rows: np.array(sorted(rows), dtype=np.int64))


@given(ROWS, ROWS)
def test_combining_is_set_algebra(before, rows):
    a, b = set(before.tolist()), set(rows.tolist())
    expected = {"replace": b, "add": a | b, "subtract": a - b, "intersect": a & b}
    assert {how: set(combine(before, rows).tolist()) for how, combine in COMBINE.items()} == expected


def test_a_lasso_adds_and_subtracts(explorer):
    explorer._lassoed(np.array([1, 2, 3]))
    explorer.combine = "add"
    explorer._lassoed(np.array([3, 4]))
    assert explorer.selection_rows.tolist() == [1, 2, 3, 4]
    explorer.combine = "subtract"
    explorer._lassoed(np.array([1]))
    assert explorer.selection_rows.tolist() == [2, 3, 4]
    assert explorer._canvases[0].widget.selection.tolist() == [2, 3, 4]  # not what was drawn
    with pytest.raises(Exception, match="combine"):
        explorer.combine = "xor"


def test_a_circle_around_the_pinned_graph_is_combined_as_a_lasso_is(explorer):
    explorer._below._execute("circle", {"size": 2})
    assert "pin a graph first" in explorer.problem
    explorer.pinned = 3
    away = np.linalg.norm(explorer.map.positions - explorer.map.positions[3], axis=1)
    whole = np.ptp(explorer.map.positions, axis=0).max()
    explorer._below._execute("circle", {"size": 9})
    assert explorer.selection_rows.tolist() == np.flatnonzero(away <= 0.45 * whole).tolist()
    explorer.combine = "subtract"
    explorer._below._execute("circle", {"size": 2})
    ring = np.flatnonzero((away <= 0.45 * whole) & (away > 0.1 * whole))
    assert explorer.selection_rows.tolist() == ring.tolist() and not explorer.problem


def test_ranges_and_classes_select_what_pandas_selects(explorer):
    panel = explorer._select_panel
    panel.show("x")
    panel.range(3, 5.5)
    assert explorer.selection_rows.tolist() == [3, 4, 5]
    panel.range(None, 2)
    assert explorer.selection_rows.tolist() == [0, 1, 2]
    panel._execute("range", {"low": 4, "high": 2})
    assert "is empty" in explorer.problem and explorer.selection_rows.tolist() == [0, 1, 2]
    panel.show("functional group")
    panel.classes(["nitrile", "alcohol"])
    assert explorer.selection["functional group"].isin(["nitrile", "alcohol"]).all() and len(explorer.selection_rows)


def test_a_distribution_counts_every_graph_once():
    column = pd.Series([*np.linspace(0, 1, 50), np.nan, np.inf])
    found = distribution(column, np.arange(10))
    assert sum(found["all"]) == 50 and sum(found["selected"]) == 10 and found["unknown"] == 2
    classes = distribution(pd.Series(["a", "b", "a", None]), np.array([0, 1]))
    assert classes == {"classes": [["a", 2, 1], ["b", 1, 1], ["not known", 1, 0]], "more": 0}
    truth = distribution(pd.Series([True, False, True]), np.array([], dtype=int))
    assert truth["classes"] == [["yes", 2, 0], ["no", 1, 0]]


# -- what is kept ------------------------------------------------------------------------------------------------
def test_ids_are_found_and_shown(explorer):
    assert explorer.find("id", "TOX3").index.tolist() == [3]
    card = explorer.explored.card(3, column="nodes", pinned=None)
    assert card["id"] == "id TOX3" and "x: 3" in card["facts"]


def test_tags_become_columns_and_go_again(explorer):
    explorer.selection_rows = [1, 2]
    explorer.tag("good")
    explorer.tag("good", [5])
    assert explorer.tags["good"].tolist() == [1, 2, 5]
    assert explorer.frame["tag: good"].tolist() == [row in (1, 2, 5) for row in range(len(SMILES))]
    explorer.color_by = "tag: good"
    explorer.untag("good", [5])
    assert explorer.tags["good"].tolist() == [1, 2] and explorer.color_by == "tag: good"
    explorer.untag("good")
    assert not explorer.tags and "tag: good" not in explorer.frame and explorer.color_by != "tag: good"
    with pytest.raises(ValueError, match="no tag 'good'"):
        explorer.untag("good")
    explorer.selection = None
    with pytest.raises(ValueError, match="nothing to tag"):
        explorer.tag("empty")
    with pytest.raises(ValueError, match="name of 1 to 200"):
        explorer.tag("  ", [1])


def test_notes_show_on_the_card(explorer):
    with pytest.raises(ValueError, match="pin a graph"):
        explorer.annotate("lost")
    explorer.pinned = 4
    explorer.annotate(" look here ")
    assert explorer.notes == {4: "look here"} and "note: look here" in explorer._beside.pinned["facts"]
    explorer.annotate("")
    assert not explorer.notes


def test_a_column_is_added(explorer):
    explorer.add("weight", np.arange(len(SMILES)) / 2)
    explorer.color_by = "weight"
    assert "weight" in explorer._below.columns and explorer.frame["weight"].iloc[3] == 1.5
    with pytest.raises(ValueError, match="2 values for 14 graphs"):
        explorer.add("short", [1, 2])


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_an_export_holds_the_selection(explorer, tmp_path, kind):
    explorer.selection_rows = [2, 6, 13]
    path = explorer.export(tmp_path / f"some{kind}")
    data, smiles = path.read_bytes(), [SMILES[row] for row in (2, 6, 13)]
    canonical = [parse_smiles(one).canonical for one in smiles]
    if kind == ".csv":
        assert pd.read_csv(io.BytesIO(data))["id"].tolist() == ["TOX2", "TOX6", "TOX13"]
    elif kind == ".smi":
        lines = [line.split("\t") for line in data.decode().splitlines()]
        assert [parse_smiles(one).canonical for one, _ in lines] == canonical and lines[0][1] == "TOX2"
    elif kind == ".sdf":
        from rdkit import Chem

        found = list(Chem.ForwardSDMolSupplier(io.BytesIO(data)))
        assert [Chem.MolToSmiles(one) for one in found] == canonical and found[1].GetProp("x") == "6"
    elif kind == ".json":
        graphs = [nx.node_link_graph(one, edges="edges") for one in json.loads(data)]
        truth = to_networkx(explorer.explored.graphs[[2, 6, 13]])
        same = {
            "node_match": lambda a, b: a["label"] == b["label"],
            "edge_match": lambda a, b: a["label"] == b["label"],
        }
        assert all(nx.is_isomorphic(a, b, **same) for a, b in zip(graphs, truth))
        assert [one.graph["id"] for one in graphs] == ["TOX2", "TOX6", "TOX13"]
    else:
        assert data.startswith(b"\x89PNG" if kind == ".png" else b"<?xml")


def test_what_cannot_be_exported_is_refused(psi, graphs, explorer, tmp_path):
    with pytest.raises(ValueError, match=r"no export to '.xyz'; the endings are .csv"):
        explorer.export(tmp_path / "a.xyz")
    other = explore(embedding(graphs.vocabulary), graphs)
    with pytest.raises(ValueError, match="not molecules"):
        other.export(tmp_path / "a.sdf")
    assert not list(tmp_path.iterdir())
    other.close()


def test_the_table_escapes_names(graphs):
    frame = pd.DataFrame({HOSTILE: [HOSTILE] * len(graphs)})
    explorer = explore(embedding(graphs.vocabulary), Split([HOSTILE] * len(graphs), graphs, frame))
    explorer.tab = "Table"
    shown = explorer._grid.table._df
    assert HOSTILE not in "".join(shown.columns) and HOSTILE in {unescape(name) for name in shown.columns}
    cells = shown.drop(columns="graph").astype(str).to_numpy().ravel()
    assert not any("<" in cell for cell in cells)
    explorer.close()


# -- the session -------------------------------------------------------------------------------------------------
def use(explorer):
    explorer.selection_rows = [1, 2, 3]
    explorer.tag(f"tag {HOSTILE}")
    explorer.pinned, explorer.color_by, explorer.colors = 5, "x", "cividis"
    explorer.annotate("a note\nof two lines")
    explorer.find("smiles", "CC")
    explorer._below.cameras = [[float(k) for k in range(16)]]


def state(explorer):
    return [
        explorer.selection_rows.tolist(), {k: v.tolist() for k, v in explorer.tags.items()}, explorer.pinned,
        explorer.color_by, explorer.colors, explorer.notes, explorer.query, explorer.cameras(),
        explorer.map.positions.tolist(), explorer.frame.to_json(),
    ]  # fmt: skip


def test_a_session_is_reopened_as_it_was(explorer, psi, molecules, tmp_path):
    use(explorer)
    path = explorer.save(tmp_path / "session.json")
    again = explore(psi, molecules, id="name", facts=["x"], session=path)
    assert state(again) == state(explorer)
    again.close()


def test_a_session_of_other_graphs_is_refused(explorer, psi, molecules, tmp_path):
    use(explorer)
    path = explorer.save(tmp_path / "session.json")
    turned = Split(molecules.inputs[::-1], molecules.graphs[list(range(len(SMILES)))[::-1]], molecules.frame[::-1])
    with pytest.raises(ValueError, match=r"session.json is not a session of these graphs: it was saved for other"):
        explore(psi, turned, session=path)


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"selection": [10**6]}, "beyond the 14 graphs"),
        ({"selection": "all"}, "must be a list"),
        ({"notes": {"99": "x"}}, "beyond the 14 graphs"),
        ({"notes": {"one": "x"}}, "not a session"),
        ({"cameras": [[1.0, "a"]]}, "must be a number"),
        ({"maps": [{"method": "umap", "positions": "AAAA"}]}, "finite positions"),
        ({"format": "elekit session 2"}, "must be one of"),
        ({"more": 1}, "does not know"),
    ],
)
def test_a_spoilt_session_is_refused(explorer, psi, molecules, tmp_path, change, problem):
    path = explorer.save(tmp_path / "session.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=problem):
        explore(psi, molecules, session=path)


def test_a_missing_column_is_named(psi, molecules):
    with pytest.raises(ValueError, match="no column 'nome' in the data; the columns are smiles, name, x"):
        explore(psi, molecules, id="nome")


# -- neighbors by a known distance -------------------------------------------------------------------------------
def test_neighbors_by_tanimoto_are_those_of_rdkit(explorer):
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [make.GetFingerprint(Chem.MolFromSmiles(one)) for one in SMILES]
    explorer.baseline = "Tanimoto"
    explorer.pinned = 2
    cards = explorer._beside.neighbors["lists"][1]
    assert cards["heading"] == "Nearest by Tanimoto distance"
    distance = sorted(
        1 - DataStructs.TanimotoSimilarity(prints[2], other) for k, other in enumerate(prints) if k != 2
    )
    assert [float(card["loss"]) for card in cards["cards"]] == pytest.approx(distance[:8], abs=6e-3)
    with pytest.raises(ValueError, match="no distance 'Hamming'"):
        explorer.baseline = "Hamming"


# -- vectors of other models -------------------------------------------------------------------------------------
def test_any_vectors_are_explored_by_their_cosine(molecules):
    vectors = np.random.default_rng(0).normal(size=(len(SMILES), 5))
    explorer = explore(vectors, molecules)
    explorer.pinned = 3
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    loss = 2 - 2 * unit @ unit[3]
    near = explorer.neighbors
    assert near["row"].tolist() == [row for row in np.argsort(loss) if row != 3][:8]
    assert np.allclose(near["loss"], np.sort(loss)[1:9], atol=1e-5) and "another model" in explorer._beside.health
    explorer.make_map("umap")
    assert explorer.map.method == "umap" and not explorer.problem
    explorer.close()
    for bad, problem in ((vectors[:3], "3 vectors for 14 graphs"), (vectors * 0, "vector 0 has length 0")):
        with pytest.raises(ValueError, match=problem):
            explore(bad, molecules)


def test_vectors_without_graphs_are_listed_tagged_and_saved(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    frame = pd.DataFrame({"name": [f"v{k}" for k in range(30)], "kind": ["a", "b", "c"] * 10})
    explorer = explore(vectors, frame, id="name")
    explorer.pinned, explorer.selection_rows, explorer.tab = 3, [1, 2], "Table"
    explorer.tag("some")
    explorer.draw_rows([1])
    assert "graph" not in explorer._grid.table._df and explorer._below.pictures == {}
    path = explorer.save(tmp_path / "session.json")
    again = explore(vectors, frame, id="name", session=path)
    assert again.tags["some"].tolist() == [1, 2] and again.pinned == 3
    with pytest.raises(ValueError, match="not a session of these graphs"):
        explore(vectors[::-1].copy(), frame, session=path)
    with pytest.raises(ValueError, match="vectors without graphs"):
        explorer.save_html(tmp_path / "map.html")
    explorer.close()
    again.close()


def test_the_card_of_a_vector_shows_id_columns_and_nearest():
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    frame = pd.DataFrame({"name": [f"v{k}" for k in range(30)], "kind": ["a", "b", "c"] * 10, "x": np.arange(30) / 7})
    explorer = explore(vectors, frame, id="name", color="kind")
    explorer.hovered = 5
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    loss = 2 - 2 * unit @ unit[5]
    order = np.argsort(loss)[1:4]
    near = ", ".join(f"v{row} ({significant(loss[row])})" for row in order)
    facts = explorer._beside.hovered["facts"]
    assert facts == ["id v5", "kind: c", "x: 0.7143", f"nearest, with the loss: {near}"]
    explorer.close()
    chosen = explore(vectors, frame, id="name", color="kind", facts=["x"])
    chosen.hovered = 5
    assert chosen._beside.hovered["facts"][:2] == ["id v5", "x: 0.7143"]
    chosen.close()
    bare = explore(vectors[:1])
    bare.pinned = 0
    assert [fact for fact in bare._beside.pinned["facts"] if "nearest" in fact] == []
    bare.close()


# -- in the browser ----------------------------------------------------------------------------------------------
CELL = """
import elekit as ele, numpy as np
data = ele.datasets.load("molecules7", inputs="description")
explorer = ele.widgets.explore(ele.load("molecules7").psi, data.test, color="nodes", session="session.json")
explorer"""


def drag(page, box, *, start, end, keys=()):
    """Draw with the mouse from one place of a box to another, both in shares of it."""
    for key in keys:
        page.keyboard.down(key)
    (x, y), (x2, y2) = ([box["x"] + u * box["width"], box["y"] + v * box["height"]] for u, v in (start, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x2, y2, steps=8)
    page.mouse.up()
    for key in keys:
        page.keyboard.up(key)


@pytest.mark.browser
def test_a_session_survives_kernel_and_browser_to_the_pixel(lab):
    try:
        lab.run(CELL, name="sessions")
        page, root = lab.page, lab.page.locator(".elekit-explorer").first
        root.wait_for()
        page.get_by_role("button", name="Select", exact=True).click()
        page.get_by_label("Select by").select_option("loss to pinned")
        lab.python("explorer.add('weight', np.arange(960) / 7); explorer._select_panel.show('weight')")
        chart = page.locator(".elekit-histogram")
        drag(page, chart.bounding_box(), start=(0.5, 0.5), end=(0.75, 0.5))
        lab.eventually("bool(180 < len(explorer.selection_rows) < 300)", True)
        page.get_by_label("Name of the tag").fill("heavy <b>")
        page.get_by_label("Name of the tag").press("Enter")
        lab.eventually("[name for name in explorer.tags]", ["heavy <b>"])
        page.get_by_label("What a new lasso").select_option("add")
        lab.python("explorer.add('weight', np.arange(960) / 7)")
        page.get_by_label("lower limit").fill("0")
        page.get_by_label("upper limit").fill("1")
        page.get_by_label("upper limit").press("Enter")
        lab.eventually("bool(explorer.selection_rows[:8].tolist() == list(range(8)))", True)
        page.get_by_role("button", name="What sets the selection apart from").click()
        page.locator(".elekit-explorer td button").first.wait_for()
        page.get_by_role("button", name="Names of groups on the map").click()
        page.locator(".elekit-group-name").first.wait_for()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download the selection as").click()
        assert len(pd.read_csv(waiting.value.path())) == lab.value("len(explorer.selection_rows)")
        lab.python(
            "explorer.find('id', '11'); explorer.pinned = 11; explorer.tab = 'Graph'; explorer.color_by = 'nodes'"
        )
        lab.python("explorer.look([[2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0.3, 0.2, 0, 1]])")
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Select", exact=True).click()
        page.get_by_role("button", name="Save the session to").click()
        page.get_by_text("Saved to session.json").wait_for()
        page.get_by_role("button", name="Graph", exact=True).click()
        page.wait_for_timeout(1500)
        page.mouse.move(5, 5)
        lab.python("explorer._below.groups = []")
        page.wait_for_timeout(700)
        plot = page.locator(".elekit-marks").first.locator("xpath=..")  # without the tools beside it
        before = plot.screenshot()
        lab.leave()
        lab.run(CELL, name="sessions")
        page.locator(".elekit-marks circle").first.wait_for()
        page.mouse.move(5, 5)
        for _ in range(40):  # until the map has come and the camera has moved
            page.wait_for_timeout(500)
            if (after := plot.screenshot()) == before:
                break
        assert after == before
        assert lab.value("[explorer.pinned, [name for name in explorer.tags]]") == [11, ["heavy <b>"]]
    finally:
        lab.leave()

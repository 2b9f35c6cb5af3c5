"""The explorer: what it says agrees with brute force, and what is done in the browser arrives in Python and back."""

import asyncio
import gc
import time
import weakref
from itertools import pairwise

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch.nn.functional import normalize

from elekit import datasets, decoding, inspect
from elekit.datasets import Split
from elekit.evaluation.formatting import significant
from elekit.graphs.graph import Graph, GraphVocabulary, to_networkx
from elekit.graphs.smiles import from_smiles, parse_smiles
from elekit.inspect.search import Search, overview, step
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import LearnedLoss, points_of
from elekit.widgets import explore
from elekit.widgets.explored import NEIGHBORS

HOSTILE = '<img src=x onerror="window.hacked=1">'
SMILES = [
    "C", "CC", "CCC", "CCCC", "CO", "CCO", "CCCO", "OCCO", "C=O", "CC=O", "CCC=O", "O=CC=O", "C#N", "CC#N",
    "CCC#N", "N#CC#N", "CN", "CCN", "CCCN", "NCCN", "C=C", "C=CC", "C=CC=C", "C#C", "C#CC", "C1CC1", "C1CCC1",
    "C1CCCC1", "C1CCCCC1", "c1ccccc1", "Oc1ccccc1", "Nc1ccccc1", "C1CO1", "C1CCO1", "CC(=O)O", "CC(=O)N",
    "CC(=O)OC", "COC", "NC=O", "FC", "CF", "FCF", "OC=O", "CC(C)C", "CC(C)=O", "CN(C)C", "CNC", "N", "O", "F",
]  # fmt: skip


def embedding(vocabulary, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=24)).requires_grad_(False)


@pytest.fixture(scope="module")
def data():
    frame = pd.DataFrame({"smiles": SMILES, "text": [f"about {s}" for s in SMILES], "weight": range(len(SMILES))})
    return datasets.from_frame(frame, smiles="smiles", input="text", fractions=(0.5, 0.25, 0.25), name="small")


@pytest.fixture(scope="module")
def psi(data):
    return embedding(data.vocabulary)


@pytest.fixture
def explorer(psi, data):
    made = explore(psi, data, map=None)
    yield made
    made.close()


@pytest.fixture
def others():
    """Graphs that are no molecules, with hostile names."""
    vocabulary = GraphVocabulary((HOSTILE, "b", "$c$"), ("<b>thin</b>", "thick"), 5)
    graphs = random_vertices(vocabulary, 30, torch.Generator().manual_seed(0))
    frame = pd.DataFrame({"id": [f"{HOSTILE}{i}" for i in range(30)], HOSTILE: [HOSTILE, "x", None] * 10})
    return Split([HOSTILE] * 30, graphs, frame)


# -- the table -------------------------------------------------------------------------------------------------
def test_the_table_counts_as_networkx_does(vocabulary, generator):
    graphs = random_vertices(vocabulary, 60, generator)
    table = overview(graphs)
    for row, drawn in enumerate(to_networkx(graphs)):
        assert table["nodes"][row] == len(drawn) and table["edges"][row] == drawn.number_of_edges()
        assert table["rings"][row] == len(nx.minimum_cycle_basis(drawn))
        labels = [label for _, label in drawn.nodes(data="label")]
        assert [table[f"nodes: {name}"][row] for name in "abc"] == [labels.count(name) for name in "abc"]
    assert table["id"].tolist() == list(range(60)) and (table["rings"] > 1).any()


def test_columns_of_the_frame_stay_and_it_is_not_changed(vocabulary, generator):
    graphs = random_vertices(vocabulary, 3, generator)
    frame = pd.DataFrame({"row": [7, 5, 6], "nodes": ["x", "y", "z"], 4: [1.0, 2.0, 3.0]}, index=[9, 8, 7])
    before = frame.copy()
    table = overview(graphs, frame)
    pd.testing.assert_frame_equal(frame, before)
    assert table["id"].tolist() == [7, 5, 6] and table["nodes (given)"].tolist() == ["x", "y", "z"]
    assert table["nodes"].tolist() == (graphs.labels()[0] > 0).sum(1).tolist()
    assert table["4"].tolist() == [1, 2, 3] and table.index.tolist() == [0, 1, 2] and "rings" in table
    with pytest.raises(ValueError, match="2 rows for 3 graphs"):
        overview(graphs, frame.iloc[:2])


def test_many_labels_get_no_columns_and_no_graphs_an_empty_table(generator):
    many = GraphVocabulary(tuple(f"n{k}" for k in range(40)), ("e",), 4)
    graphs = random_vertices(many, 5, generator)
    assert not [name for name in overview(graphs) if name.startswith("nodes:")]
    assert len(overview(graphs[:0])) == 0 and "rings" in overview(graphs[:0])


# -- search ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def molecules():
    graphs = from_smiles(SMILES)
    keys = [parse_smiles(s).canonical for s in SMILES]
    return overview(
        graphs, pd.DataFrame({"id": [f"m{i}" for i in range(len(SMILES))], "key": keys, "note": SMILES})
    ), graphs


def search(frame, graphs, kind, text):
    return Search(frame, graphs)(kind, text)


def named(molecules, kind, text):
    return [SMILES[row] for row in search(*molecules, kind, text)]


def test_an_id_is_found_exactly_and_otherwise_the_row(molecules):
    assert named(molecules, "id", "m5") == ["CCO"]
    assert named(molecules, "id", " m5 ") == ["CCO"]
    assert named(molecules, "id", "5") == ["CCO"]
    assert named(molecules, "id", "m500") == named(molecules, "id", "500") == named(molecules, "id", "") == []
    table, graphs = molecules
    shifted = table.assign(id=np.arange(len(table)) + 3)
    assert search(shifted, graphs, "id", "5").tolist() == [2]  # an id goes before a row


@pytest.mark.parametrize("written", ["CCO", "OCC", "C(O)C", "[CH3][CH2][OH]"])
def test_a_molecule_is_found_however_it_is_written(molecules, written):
    assert named(molecules, "smiles", written) == ["CCO"]


def test_a_piece_of_a_smiles_is_found_where_no_molecule_is(molecules):
    assert set(named(molecules, "smiles", "C1CC")) == {"C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1"}
    assert named(molecules, "smiles", "CCCCCCCCC") == []


@pytest.mark.parametrize("smarts", ["C=O", "c1ccccc1", "[NH2]", "[#6]#[#7]", "[F]", "[OX2H]", "*~*~*~*~*~*~*"])
def test_substructures_are_those_of_rdkit(molecules, smarts):
    from rdkit import Chem

    pattern = Chem.MolFromSmarts(smarts)
    expected = [s for s in SMILES if Chem.MolFromSmiles(s).HasSubstructMatch(pattern)]
    assert named(molecules, "substructure", smarts) == expected and expected


def test_bad_smarts_are_refused_in_one_sentence(molecules):
    with pytest.raises(ValueError, match=r"'C\(' .* SMARTS"):
        named(molecules, "substructure", "C(")


def test_molecules_are_read_without_columns_and_only_once(molecules, monkeypatch):
    _, graphs = molecules
    bare = Search(overview(graphs), graphs)
    rows = bare("substructure", "C#N")
    assert [SMILES[row] for row in rows] == ["C#N", "CC#N", "CCC#N", "N#CC#N"]
    first = bare.molecules
    bare("substructure", "C=O")
    assert bare.molecules is first


def test_labels_and_how_many_of_them_are_found(vocabulary, generator):
    graphs = random_vertices(vocabulary, 50, generator)
    drawn = to_networkx(graphs)

    def counted(name, kind):
        return [sum(label == name for *_, label in getattr(g, kind)(data="label")) for g in drawn]

    asked = {
        "a": [n >= 1 for n in counted("a", "nodes")],
        "b>=2": [n >= 2 for n in counted("b", "nodes")],
        "b = 0": [n == 0 for n in counted("b", "nodes")],
        "c!=1": [n != 1 for n in counted("c", "nodes")],
        "thick": [n >= 1 for n in counted("thick", "edges")],
        "thin<2": [n < 2 for n in counted("thin", "edges")],
        "thin <=1": [n <= 1 for n in counted("thin", "edges")],
        "a>1": [n > 1 for n in counted("a", "nodes")],
    }
    for text, expected in asked.items():
        assert search(overview(graphs), graphs, "label", text).tolist() == np.flatnonzero(expected).tolist(), text
        assert 0 < sum(expected) < 50


def test_texts_of_the_frame_are_found_as_they_are(vocabulary, generator):
    graphs = random_vertices(vocabulary, 4, generator)
    table = overview(graphs, pd.DataFrame({"words": ["an Azetidine", "(a+b)*", None, "x"], "n": [1.0, 2, 3, 4]}))
    assert search(table, graphs, "label", "azetid").tolist() == [0]
    assert search(table, graphs, "label", "(a+").tolist() == [1]  # no pattern, just text
    assert search(table, graphs, "label", "nothing of the kind").tolist() == []


def test_graphs_that_are_no_molecules_have_no_smiles(vocabulary, generator):
    graphs = random_vertices(vocabulary, 4, generator)
    asks = Search(overview(graphs), graphs)
    assert asks.kinds == ("id", "label") and asks.smiles == [None] * 4
    for kind in ("smiles", "substructure"):
        with pytest.raises(ValueError, match="not molecules"):
            asks(kind, "CCO")
    with pytest.raises(ValueError, match="no search by 'name'"):
        asks("name", "x")


def test_a_molecule_is_named_by_the_first_group_that_it_holds():
    names = {"CC(=O)O": "carboxylic acid", "CC(=O)OC": "ester", "CC(=O)N": "amide", "CC=O": "aldehyde", "CC(C)=O": "ketone",
             "CC#N": "nitrile", "CC=N": "imine", "CCO": "alcohol", "CCN": "amine", "COC": "ether", "c1ccccc1": "aromatic",
             "CC#C": "alkyne", "CC=C": "alkene", "CCC": "none of these", "NCCO": "alcohol"}  # fmt: skip
    graphs = from_smiles(list(names))
    assert Search(overview(graphs), graphs).functional_groups() == list(names.values())


@pytest.mark.parametrize("seed", range(4))
def test_a_step_leads_to_the_nearest_in_a_direction(seed):
    positions = np.random.default_rng(seed).normal(size=(60, 2)).round(1)  # with ties and equal places
    for row in range(0, 60, 7):
        for direction, (dx, dy) in {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}.items():
            best, nearest = None, np.inf
            for other, (x, y) in enumerate(positions - positions[row]):
                along, across = x * dx + y * dy, abs(x * dy) + abs(y * dx)
                if along > 0 and across <= along and x * x + y * y < nearest:
                    best, nearest = other, x * x + y * y
            assert step(positions, row, direction) == best
    with pytest.raises(ValueError, match="no direction 'north'"):
        step(positions, 0, "north")


def test_steps_across_a_grid_and_off_its_edge():
    grid = np.array([[x, y] for y in range(3) for x in range(3)])
    assert [step(grid, 4, way) for way in ("left", "right", "up", "down")] == [3, 5, 7, 1]
    assert step(grid, 0, "left") is None and step(grid, 8, "up") is None


# -- data ------------------------------------------------------------------------------------------------------
def test_a_dataset_is_shown_whole_and_told_apart_by_split(explorer, data):
    frame = explorer.frame
    assert frame["split"].tolist() == ["train"] * len(data.train) + ["validation"] * len(data.validation) + [
        "test"
    ] * len(data.test)
    assert frame["smiles"].tolist() == [
        s for part in (data.train, data.validation, data.test) for s in part.frame["smiles"]
    ]
    assert np.allclose(frame["neighbors kept"], explorer.map.kept)
    assert {"weight", "nodes: C", "rings", "loss to pinned", "found by search"} <= set(frame)


def test_a_split_and_a_batch_are_shown(psi, data):
    for given in (data.train, data.train.graphs):
        made = explore(psi, given)
        assert len(made.frame) == len(data.train) and made.frame["id"].is_unique
        made.close()


def test_the_frame_is_a_copy(explorer):
    frame = explorer.frame
    frame["nodes"] = -1
    assert (explorer.frame["nodes"] > 0).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": ["C"]}, "a Dataset, a Split or a Graph, got list"),
        ({"data": "none"}, "no graphs"),
        ({"color": "color"}, "no column 'color'; .*functional group"),
        ({"map": "short"}, "shows 5 graphs"),
        ({"map": "other"}, "shows other points"),
        ({"predictions": torch.zeros(3, 24)}, "predictions must"),
        ({"predictions": "long"}, "prediction 0 has length 2, not 1"),
    ],
)
def test_what_does_not_fit_is_refused(psi, data, wrong, message):
    graphs = data.train.graphs
    if wrong.get("map") == "short":
        wrong = {"map": inspect.fit_map(points_of(psi, graphs[:5]), method="pca")}
    elif wrong.get("map") == "other":
        wrong = {"map": inspect.fit_map(points_of(psi, graphs).flip(0), method="pca")}
    elif wrong.get("data") == "none":
        wrong = {"data": graphs[:0]}
    elif isinstance(wrong.get("predictions"), str):
        wrong = {"predictions": 2 * points_of(psi, graphs)}
    with pytest.raises(ValueError, match=message):
        explore(psi, **{"data": graphs, **wrong})


def test_a_map_that_was_kept_is_taken(psi, data, tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    graphs = data.train.graphs
    kept = inspect.fit_map(points_of(psi, graphs), method="pca")
    kept = inspect.maps.EmbeddingMap(kept.positions + 1, kept.points, kept.kept, "umap")
    inspect.maps.save_map(kept, inspect.maps.map_key(psi, graphs))
    made = explore(psi, graphs)
    assert made.map.method == "umap" and np.allclose(made.map.positions, kept.positions)
    assert [method for method, _ in made._below.offers] == ["tsne", "pca"]
    made.close()


# -- selection -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["rows", "tensor", "mask", "series", "frame", "range", "query"])
def test_a_selection_is_set_in_many_forms(explorer, form):
    frame, n = explorer.frame, len(explorer.frame)
    rows = np.flatnonzero(frame["nodes"] == 3)
    given = {
        "rows": rows[::-1].tolist(),
        "tensor": torch.tensor(rows),
        "mask": (frame["nodes"] == 3).to_numpy(),
        "series": frame["nodes"] == 3,
        "frame": frame[frame["nodes"] == 3].sample(frac=1, random_state=0),
        "range": range(5),
        "query": frame.query("nodes == 3")[["smiles"]],
    }[form]
    rows = np.arange(5) if form == "range" else rows
    explorer.selection = given
    assert explorer.selection_rows.tolist() == rows.tolist() and 0 < len(rows) < n
    pd.testing.assert_frame_equal(explorer.selection, explorer.frame.iloc[rows])
    assert np.array_equal(np.sort(explorer._canvases[0].widget.selection), rows)  # and the browser is told
    assert f"{len(rows)} of {n}" in explorer._below.selected
    explorer.selection = explorer.selection  # there and back
    assert explorer.selection_rows.tolist() == rows.tolist()
    explorer.selection = None
    assert len(explorer.selection) == 0 and len(explorer._canvases[0].widget.selection) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([0, 1000], "no row 1000; rows are 0.."),
        ([-1], "no row -1"),
        ([True, False], r"truth values.*got shape \(2,\)"),
        ([0.5], "expected row numbers"),
        ("CCO", "expected row numbers"),
        ([[1, 2]], "expected row numbers"),
        (pd.DataFrame({"id": ["x"]}, index=[0]), "not from explorer.frame"),
        (pd.DataFrame({"a": [1]}, index=["x"]), "not from explorer.frame"),
        (pd.DataFrame({"a": [1]}, index=[1000]), "not from explorer.frame"),
    ],
)
def test_a_selection_that_is_none_is_refused_and_the_old_one_stays(explorer, wrong, message):
    explorer.selection = [3]
    with pytest.raises(ValueError, match=message):
        explorer.selection = wrong
    assert explorer.selection_rows.tolist() == [3]


def test_rows_of_a_frame_that_was_numbered_anew_are_noticed(explorer):
    wrong = explorer.frame[explorer.frame["nodes"] == 3].reset_index(drop=True)
    with pytest.raises(ValueError, match="keep its index"):
        explorer.selection = wrong


def test_selected_rows_cannot_be_written_to(explorer):
    explorer.selection = [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        explorer.selection_rows[0] = 5


def test_unselected_points_are_gray_context_and_the_others_keep_their_colors(explorer):
    widget = explorer._canvases[0].widget
    explorer.color_by = "nodes"
    own = widget.color
    assert len({tuple(color) for color in own}) > 3
    explorer.selection = [0, 1]
    assert len({tuple(color) for color in widget.color}) == 1 and widget.color_selected == own
    explorer.selection = None
    assert widget.color == own


# -- pins ------------------------------------------------------------------------------------------------------
def test_neighbors_are_those_of_the_learned_loss(explorer, psi):
    graphs = explorer.explored.graphs
    for row in (0, 7, len(graphs) - 1):
        explorer.pinned = row
        loss = torch.tensor([float(LearnedLoss(psi)(graphs[row], graphs[k])) for k in range(len(graphs))])
        assert np.allclose(explorer.frame["loss to pinned"], loss, atol=1e-5)
        loss[row] = torch.inf
        near = explorer.neighbors
        assert len(near) == NEIGHBORS and near["loss"].is_monotonic_increasing
        assert np.allclose(near["loss"], loss.sort().values[:NEIGHBORS], atol=1e-5)
        assert np.allclose(near["loss"], loss[near["row"].tolist()], atol=1e-5)
        told = inspect.separating_edits(graphs[row], graphs[near["row"].tolist()])
        assert near["edits"].tolist() == told
        cards = explorer._beside.neighbors["lists"][0]["cards"]
        assert [card["row"] for card in cards] == near["row"].tolist()
        found = explorer._beside.edits
        assert {row: one["words"] for row, one in found.items()} == {str(r): w for r, w in zip(near["row"], told)}


def test_a_pin_is_shown_marked_and_taken_back(explorer):
    explorer.pinned = 4
    beside, (marks,) = explorer._beside, explorer._below.marks
    assert beside.pinned["row"] == 4 and beside.pinned["name"] == explorer.frame["key"][4]
    assert beside.pinned["scene"]["nodes"] == explorer.explored.graphs[4].labels()[0][0].tolist()
    kinds = [dot["kind"] for dot in marks["dots"]]
    assert kinds == ["neighbor"] * NEIGHBORS + ["pinned"]
    places = explorer._canvases[0].widget.points[:, :2]
    assert np.allclose(marks["dots"][-1]["at"], places[4], atol=1e-3)
    assert [dot["number"] for dot in marks["dots"][:-1]] == list(range(1, NEIGHBORS + 1))
    assert explorer.frame["key"][4] in explorer._below.alternative
    explorer.pinned = None
    assert beside.pinned == {} and [(m["dots"], m["lines"]) for m in explorer._below.marks] == [([], [])]
    assert explorer.frame["loss to pinned"].isna().all() and len(explorer.neighbors) == 0


def test_the_pointer_shows_a_graph_and_its_loss_to_the_pinned_one(explorer):
    explorer.pinned = 2
    explorer.hovered = 9
    card = explorer._beside.hovered
    expected = explorer.frame["loss to pinned"][9]
    assert card["row"] == 9 and f"to the pinned graph: loss {significant(expected)}" in card["facts"]
    explorer.pinned = 3
    expected = explorer.frame["loss to pinned"][9]
    assert f"to the pinned graph: loss {significant(expected)}" in explorer._beside.hovered["facts"]
    explorer.hovered = None
    assert explorer._beside.hovered["row"] == 9  # it stays, to be looked at


def test_rows_that_there_are_not_are_refused(explorer):
    for name in ("pinned", "hovered"):
        for row in (-1, 1000):
            with pytest.raises(ValueError, match=f"no row {row}"):
                setattr(explorer, name, row)
        assert getattr(explorer, name) is None


def test_fewer_graphs_than_neighbors(psi, data):
    for n in (1, 2, 4):
        made = explore(psi, data.train.graphs[:n])
        made.pinned, made.hovered, made.selection = 0, n - 1, [0]
        assert len(made.neighbors) == n - 1 and made.picture()
        made._below.walk("left")
        made.close()


# -- colors ---------------------------------------------------------------------------------------------------
def test_points_are_colored_by_any_column(explorer):
    widget = explorer._canvases[0].widget
    for column in [*explorer.explored.columns, "smiles", "id"]:
        explorer.color_by = column
        codes = widget.points[:, 2].astype(int)
        assert codes.min() >= 0 and codes.max() < len(widget.color)
        assert explorer._below.color_by == column and column in explorer._below.columns
    explorer.color_by = "split"
    by_split = {}
    for split, code in zip(explorer.frame["split"], widget.points[:, 2]):
        by_split.setdefault(split, set()).add(code)
    assert sorted(len(codes) for codes in by_split.values()) == [1, 1, 1] and len(set.union(*by_split.values())) == 3
    legend = {c["words"]: c["count"] for c in explorer._below.legend["classes"]}
    assert legend == explorer.frame["split"].value_counts().to_dict()
    with pytest.raises(ValueError, match="no column 'taste'"):
        explorer.color_by = "taste"


def test_the_color_follows_what_is_pinned_and_what_is_found(explorer):
    widget = explorer._canvases[0].widget
    explorer.color_by = "loss to pinned"
    assert explorer._below.legend["classes"][0]["words"] == "not known"
    explorer.pinned = 5
    first = widget.points[:, 2].copy()
    assert first[5] == first.min() and len(set(first)) > 5
    explorer.pinned = 6
    assert widget.points[6, 2] == widget.points[:, 2].min() and not np.array_equal(first, widget.points[:, 2])
    explorer.color_by = "found by search"
    explorer.find("substructure", "C#N")
    assert {c["words"]: c["count"] for c in explorer._below.legend["classes"]} == {
        "no": len(explorer.frame) - 4,
        "yes": 4,
    }


def test_functional_groups_are_a_column_once_they_are_asked_for(explorer):
    explorer.color_by = "functional group"
    frame = explorer.frame
    assert frame.loc[frame["smiles"] == "CCO", "functional group"].tolist() == ["alcohol"]


# -- search in the widget --------------------------------------------------------------------------------------
def test_a_search_answers_in_python_and_in_the_panel(explorer):
    found = explorer.find("substructure", "C#N")
    assert sorted(found["smiles"]) == ["C#N", "CC#N", "CCC#N", "N#CC#N"]
    pd.testing.assert_frame_equal(found, explorer.found)
    assert explorer.query == ("substructure", "C#N")
    answer = explorer._beside.found
    assert answer["words"] == "4 found." and [s["row"] for s in answer["shown"]] == found.index.tolist()
    explorer.find("substructure", "C#N")
    assert explorer._beside.found["serial"] > answer["serial"]  # the same again is told again
    explorer.query = ("label", "N>=2")
    assert (explorer.found["nodes: N"] >= 2).all() and len(explorer.found) == (explorer.frame["nodes: N"] >= 2).sum()


def test_a_search_that_goes_wrong_leaves_the_last_one(explorer):
    explorer.find("id", "3")
    with pytest.raises(ValueError, match="SMARTS"):
        explorer.find("substructure", "C(")
    with pytest.raises(ValueError, match="no search by"):
        explorer.query = ("taste", "sweet")
    assert explorer.query == ("id", "3") and len(explorer.found) == 1


def ask(explorer, panel, command, **values):
    part = explorer._below if panel == "below" else explorer._beside
    part._receive(part, {"do": command, "with": values}, [])


def test_the_browser_moves_the_traits(explorer):
    ask(explorer, "beside", "find", kind="substructure", text="C#N")
    ask(explorer, "beside", "select", what="found")
    assert sorted(explorer.selection["smiles"]) == ["C#N", "CC#N", "CCC#N", "N#CC#N"]
    ask(explorer, "beside", "pin", row=int(explorer.selection_rows[0]))
    assert explorer.pinned == explorer.selection_rows[0]
    ask(explorer, "below", "toggle")
    assert explorer.pinned not in explorer.selection_rows and len(explorer.selection) == 3
    ask(explorer, "below", "toggle")
    assert explorer.pinned in explorer.selection_rows
    before = explorer.pinned
    ask(explorer, "below", "walk", direction="left")
    assert explorer.pinned in (before, step(explorer.map.positions, before, "left"))
    ask(explorer, "below", "color", column="rings")
    assert explorer.color_by == "rings"
    ask(explorer, "below", "select", what="none")
    assert len(explorer.selection) == 0
    ask(explorer, "beside", "pin")
    assert explorer.pinned is None and explorer.problem == ""
    ask(explorer, "below", "walk", direction="up")
    assert explorer.pinned is not None  # from nowhere to somewhere


def test_errors_are_told_in_the_panel_and_the_next_success_clears_them(explorer):
    ask(explorer, "beside", "find", kind="substructure", text="C(")
    assert explorer.problem == explorer._beside.problem and "SMARTS" in explorer.problem
    assert isinstance(explorer.error, ValueError) and explorer._beside.found["shown"] == []
    ask(explorer, "beside", "find", kind="id", text="1")
    assert explorer.problem == explorer._beside.problem == "" and explorer.error is None
    for command, values in (("pin", {"row": 10**6}), ("pin", {"row": "x"}), ("pin", {"rows": 1}), ("find", {})):
        ask(explorer, "beside", command, **values)
        assert explorer.problem
    ask(explorer, "beside", "close")
    ask(explorer, "beside", "obey")
    assert explorer.comm is not None and explorer._beside.comm is not None


def test_a_click_pins_and_leaves_the_selection_and_a_lasso_selects(explorer):
    widget = explorer._canvases[0].widget
    widget.set_state({"selection": widget_rows([3, 9, 4])})
    assert explorer.selection_rows.tolist() == [3, 4, 9] and explorer.pinned is None
    widget.set_state({"hovering": 11, "selection": widget_rows([11])})
    assert explorer.pinned == explorer.hovered == 11 and explorer.selection_rows.tolist() == [3, 4, 9]
    assert sorted(widget.selection.tolist()) == [3, 4, 9]  # the browser gets it back
    widget.set_state({"hovering": None})
    widget.set_state({"selection": widget_rows([12])})  # a lasso around a single one
    assert explorer.selection_rows.tolist() == [12] and explorer.pinned == 11
    widget.set_state({"selection": widget_rows([])})
    assert len(explorer.selection) == 0


def widget_rows(rows):
    """Row numbers as jupyter-scatter's browser side sends them."""
    return {"view": memoryview(np.array(rows, np.uint32)), "dtype": "uint32", "shape": [len(rows)]}


# -- predictions, traces, two losses ---------------------------------------------------------------------------
def test_predictions_are_a_column_and_drawn_for_what_is_pinned_or_selected(psi, data):
    points = points_of(psi, data.train.graphs)
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    predictions = normalize(points + 0.1 * noise, dim=1)
    predictions[3] = torch.nan
    before = predictions.clone()
    made = explore(psi, data.train, predictions=predictions, color="prediction error")
    error = LearnedLoss(psi)(predictions, points)
    assert np.allclose(made.frame["prediction error"], error, atol=1e-5, equal_nan=True)
    assert made.frame["prediction error"].isna().sum() == 1 and [
        (m["dots"], m["lines"]) for m in made._below.marks
    ] == [([], [])]
    made.pinned, made.selection = 5, [3, 5, 6]
    lines = made._below.marks[0]["lines"]
    assert [line["kind"] for line in lines] == ["prediction"] * 2  # 3 has none, 5 counts once
    canvas = made._canvases[0]
    for row, line in zip((5, 6), lines):
        assert np.allclose(line["points"][0], canvas.places[row], atol=1e-3)
        assert np.allclose(line["points"][1], canvas.on_canvas(made.map.transform(predictions[[row]]))[0], atol=1e-3)
    assert any("prediction error" in fact for fact in made._beside.pinned["facts"])
    assert torch.equal(predictions.nan_to_num(9), before.nan_to_num(9))
    made.close()


def test_at_most_a_hundred_predictions_are_drawn(psi, data):
    graphs = Graph.cat([data.train.graphs] * 6)
    made = explore(psi, graphs, predictions=points_of(psi, graphs))
    made.selection = range(100, len(graphs))
    assert len(made._below.marks[0]["lines"]) == len(graphs) - 100 < 100 and "drawn" not in made._below.selected
    made.selection = range(len(graphs))
    assert len(made._below.marks[0]["lines"]) == 100 and "Predictions of 100 are drawn." in made._below.selected
    made.close()


def test_a_prediction_that_is_the_truth_lies_on_its_own_point(psi, data):
    points = points_of(psi, data.train.graphs)
    made = explore(psi, data.train, predictions=points)
    made.pinned = 4
    ((start, end),) = (line["points"] for line in made._below.marks[0]["lines"])
    assert np.allclose(start, end, atol=1e-3) and np.allclose(made.frame["prediction error"], 0, atol=1e-5)
    made.close()


def test_a_decoding_run_is_a_path_from_its_start_to_its_result(psi, data):
    graphs = data.train.graphs
    config = decoding.DecodeConfig(gradient=decoding.GradientConfig(iterations=6, starts=1))
    _, (trace,) = decoding.decode(psi, points_of(psi, graphs[:1]), start=graphs.average(), config=config, record=True)
    made = explore(psi, graphs, trace=trace, other=embedding(data.vocabulary, 1))
    for k, space in enumerate(made.explored.spaces):
        (line,), dots = made._below.marks[k]["lines"], made._below.marks[k]["dots"]
        stations = torch.cat([points_of(space.psi, trace.iterates), points_of(space.psi, trace.result)])
        expected = made._canvases[k].on_canvas(space.map.transform(stations))
        assert line["kind"] == "path" and np.allclose(line["points"], expected, atol=1e-3)
        assert [dot["kind"] for dot in dots] == ["start", "end"]
    assert made.picture()
    made.close()


def test_two_losses_share_everything_but_their_neighbors(psi, data):
    other = embedding(data.vocabulary, 1)
    made = explore(psi, data.train, other=other)
    graphs, (left, right) = data.train.graphs, made._canvases
    made.pinned, made.selection, made.hovered = 4, [1, 2], 7
    assert left.widget.selection.tolist() == right.widget.selection.tolist() == [1, 2]
    assert left.widget.hovering == right.widget.hovering == 7
    assert np.array_equal(left.widget.points[:, 2], right.widget.points[:, 2])
    near = made.neighbors
    for by, one in enumerate((psi, other)):
        points = points_of(one, graphs)
        expected = inspect.neighbors(points[4], points, NEIGHBORS, exclude=4)
        assert near[near["by"] == by]["row"].tolist() == expected["row"].tolist()
    shared = set(near[near["by"] == 0]["row"]) & set(near[near["by"] == 1]["row"])
    said = made._beside.neighbors
    assert f"agree on {len(shared)} of {NEIGHBORS}" in said["words"]
    assert {card["row"] for part in said["lists"] for card in part["cards"] if card["shared"]} == shared
    assert near["edits"].all()
    right.widget.set_state({"selection": widget_rows([5, 6])})
    assert made.selection_rows.tolist() == [5, 6] and sorted(left.widget.selection.tolist()) == [5, 6]
    right.widget.set_state({"hovering": 8})
    assert made.hovered == 8 and left.widget.hovering == 8
    left.widget.set_state({"hovering": None})
    assert made.hovered is None and right.widget.hovering == -1  # None would be the first point
    made.close()


def test_the_second_map_is_laid_upon_the_first(psi, data):
    turned = inspect.fit_map(points_of(psi, data.train.graphs), method="pca")
    turned = inspect.maps.EmbeddingMap(turned.positions[:, ::-1] * [1, -3] + 5, turned.points, turned.kept, "pca")
    made = explore(psi, data.train, map=turned, other=psi)
    first, second = (space.map.positions for space in made.explored.spaces)
    own = inspect.fit_map(points_of(psi, data.train.graphs), method="pca")
    assert np.allclose(second, own.aligned_to(turned).positions, atol=1e-4) and not np.allclose(second, own.positions)
    assert np.allclose(first, turned.positions)
    made.close()


# -- a better map ----------------------------------------------------------------------------------------------
@pytest.fixture
def quick_umap(monkeypatch, tmp_path):
    """UMAP in no time: the PCA map mirrored. Kept maps go to a folder of the test."""
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    real, made = inspect.fit_map, []

    def fit(points, *, method="umap", **named):
        found = real(points, method="pca")
        if method == "umap":
            made.append(len(points))
            found = inspect.maps.EmbeddingMap(
                found.positions * np.float32([-2, 1]), found.points, found.kept * 0.5, "umap"
            )
        return found

    monkeypatch.setattr(inspect, "fit_map", fit)
    return made


def test_a_umap_is_made_only_when_asked_for_and_kept(psi, data, quick_umap):
    made = explore(psi, data.train, color="neighbors kept")
    assert quick_umap == [] and made.map.method == "pca" and made._below.offers[0][1].startswith("Make UMAP (")
    before, codes = made._canvases[0].widget.points.copy(), made.frame["neighbors kept"]
    made.pinned, made.selection = 3, [1, 2]
    ask(made, "below", "make_map", method="umap")
    assert quick_umap == [len(data.train)] and made.map.method == "umap" and made._below.busy == ""
    after = made._canvases[0].widget.points
    assert not np.allclose(before[:, :2], after[:, :2]) and "UMAP" in made._below.trust
    assert np.allclose(made.frame["neighbors kept"], codes / 2)
    assert made.pinned == 3 and made.selection_rows.tolist() == [1, 2]
    (pin,) = [dot["at"] for dot in made._below.marks[0]["dots"] if dot["kind"] == "pinned"]
    assert np.allclose(pin, after[3, :2], atol=1e-3)
    ask(made, "below", "make_map", method="umap")
    assert len(quick_umap) == 1  # there is nothing left to make
    again = explore(psi, data.train)
    assert again.map.method == "umap" and len(quick_umap) == 1
    made.close()
    again.close()


def test_a_umap_that_fails_leaves_the_map_and_can_be_made_again(psi, data, quick_umap, monkeypatch):
    made = explore(psi, data.train)
    with monkeypatch.context() as patched:
        patched.setattr(inspect.maps, "save_map", lambda *_: 1 / 0)
        ask(made, "below", "make_map", method="umap")
    assert made.problem == "ZeroDivisionError: division by zero" and made._below.busy == ""
    assert made.map.method == "pca" and made._below.offers
    made.make_map()
    assert made.map.method == "umap"
    made.close()


def test_in_a_running_loop_the_work_is_done_beside(psi, data, quick_umap, monkeypatch):
    started, may_go_on = [], []
    real = inspect.fit_map

    def slow(points, **named):
        started.append(True)
        while not may_go_on:
            time.sleep(0.005)
        if may_go_on == ["fail"]:
            raise RuntimeError("no memory left")
        return real(points, **named)

    async def use():
        made = explore(psi, data.train)
        monkeypatch.setattr(inspect, "fit_map", slow)
        for outcome in ("fail", "go on"):
            started.clear()
            may_go_on.clear()
            made.make_map()
            made.make_map()  # not twice
            while not started:
                await asyncio.sleep(0.005)
            assert "UMAP" in made._below.busy
            made.pinned = 5  # and it is
            while not made.neighbors["edits"].all():
                await asyncio.sleep(0.005)
            assert made.map.method == "pca"
            may_go_on.append(outcome)
            while made._below.busy:
                await asyncio.sleep(0.005)
            if outcome == "fail":
                assert made.problem == "RuntimeError: no memory left" and made.map.method == "pca"
            made.pinned = None
        assert made.map.method == "umap" and made.problem == ""
        made.close()

    asyncio.run(asyncio.wait_for(use(), 60))
    assert len(quick_umap) == 1


def test_only_the_graph_that_is_pinned_last_gets_its_edits(psi, data):
    async def use():
        made = explore(psi, data)
        for row in range(8):
            made.pinned = row
        while not made.neighbors["edits"].all():
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        graphs, near = made.explored.graphs, made.neighbors
        assert near["edits"].tolist() == inspect.separating_edits(graphs[7], graphs[near["row"].tolist()])
        assert set(made._beside.edits) == {str(row) for row in near["row"]}
        made.close()

    asyncio.run(asyncio.wait_for(use(), 60))


def test_points_are_sent_at_intervals_and_the_last_are_not_lost(psi, data):
    async def use():
        made = explore(psi, data)
        widget, sent = made._canvases[0].widget, []
        await asyncio.sleep(0.5)
        widget.observe(lambda change: sent.append(change["new"]), "points")
        for column in ("nodes", "rings", "edges", "split", "weight") * 5:
            made.color_by = column
        assert len(sent) <= 1
        await asyncio.sleep(1)
        assert len(sent) == 2 and np.array_equal(widget.points[:, 2], made._paint.codes)
        made.close()

    asyncio.run(asyncio.wait_for(use(), 60))


# -- other graphs, pictures, the end ---------------------------------------------------------------------------
def test_graphs_that_are_no_molecules_are_explored(others):
    made = explore(embedding(others.graphs.vocabulary), others)
    assert made._beside.kinds == ["id", "label"] and made.color_by == "nodes"
    made.pinned, made.hovered = 3, 4
    assert made._beside.pinned["name"] == f"graph {HOSTILE}3"
    assert len(made.find("id", f"{HOSTILE}7")) == 1
    assert (made.find("label", HOSTILE)[f"nodes: {HOSTILE}"] > 0).all()
    made.color_by = HOSTILE
    assert {c["words"] for c in made._below.legend["classes"]} == {HOSTILE, "x", "not known"}
    FigureCanvasAgg(made.picture()).draw()
    made.close()


def test_any_psi_is_explored(data):
    def counts(graphs):
        return normalize(graphs.nodes.sum(1), dim=1)

    made = explore(counts, data.train.graphs)
    made.pinned = 0
    assert len(made.neighbors) == NEIGHBORS
    made.close()


def test_the_picture_shows_what_the_widget_shows(explorer):
    bare = explorer.picture()
    assert len(bare.subfigs) == 1 and len([ax for ax in bare.subfigs[0].axes if ax.get_title()]) == 0
    explorer.pinned, explorer.selection, explorer.color_by = 4, [4, 5, 6], "split"
    (part,) = explorer.picture().subfigs
    titles = [ax.get_title() for ax in part.axes[1:]]
    assert titles[0] == explorer.frame["key"][4] and len(titles) == 1 + NEIGHBORS
    assert titles[1].split()[:2] == ["1", explorer.frame["key"][explorer.neighbors["row"][0]]]
    marks = {a.get_gid() for a in part.axes[0].get_children()}
    assert {"pinned-4", *(f"neighbor-{n}" for n in range(1, NEIGHBORS + 1))} <= marks
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and data["image/png"].startswith("iVBORw0KGgo")


def test_what_is_closed_is_freed(psi, data):
    made = explore(psi, data, other=embedding(data.vocabulary, 1))
    made.pinned, made.hovered, made.selection = 3, 4, [1, 2]
    made.find("substructure", "C#N")
    made._repr_mimebundle_()
    points = weakref.ref(made.explored.spaces[0].points)
    gone = [weakref.ref(part) for part in (made, made._below, made._beside, made.explored, *made._canvases)]
    widgets = [canvas.widget for canvas in made._canvases]
    made.close()
    del made
    gc.collect()
    assert [part() for part in gone] == [None] * len(gone) and points() is None
    assert all(widget.points.nbytes == 0 for widget in widgets)  # jupyter-scatter keeps these


def test_using_it_leaves_nothing_behind(explorer):
    def use(rounds):
        for k in range(rounds):
            explorer.pinned = k % 40
            explorer.hovered = (k * 7) % 40
            explorer.color_by = ("nodes", "loss to pinned", "split")[k % 3]
            explorer.selection = range(k % 10)
        gc.collect()
        return len(gc.get_objects())

    use(60)  # until every scene has been drawn
    before = use(60)
    assert use(60) < before + 200


# -- in the browser --------------------------------------------------------------------------------------------
HOME = "[...document.querySelectorAll('.elekit-map')[k].querySelectorAll('div')].find((node) => node.api)"
DRAWN = f"""(maps) => {{
  try {{ for (let k = 0; k < maps; k++) {HOME}.api.getScreenPosition(0); }} catch {{ return false; }}
  return document.querySelectorAll('.elekit-marks').length === maps;
}}"""
PLACES = f"""([k, n]) => {{
  const home = {HOME}, box = home.querySelector('canvas').getBoundingClientRect();
  return Array.from({{ length: n }}, (_, row) => home.api.getScreenPosition(row)).map(([x, y]) => [box.x + x, box.y + y]);
}}"""
PLOT = f"([k, what]) => Array.from({HOME}.api.get(what) ?? [])"
MARK = """([k, name]) => {
  const box = document.querySelectorAll('.elekit-marks')[k].querySelector(`[data-mark=${name}] circle`).getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""


def drawn(lab, maps):
    """Wait until the maps can be pointed at; errors of the page from now on."""
    wrong = []
    lab.page.on("pageerror", lambda error: wrong.append(str(error)))
    lab.page.wait_for_function(DRAWN, arg=maps, timeout=60_000)
    lab.page.wait_for_timeout(500)  # of a camera that steps back
    return wrong


def places(lab, n, k=0):
    """(n, 2) where the points are on the screen."""
    return np.array(lab.page.evaluate(PLACES, [k, n]))


def alone(where, least=10):
    """A point in the middle that has no other one near it on the screen."""
    apart = np.linalg.norm(where[:, None] - where, axis=-1) + 1e9 * np.eye(len(where))
    apart = np.where(np.abs(where - np.median(where, 0)).max(1) < 150, apart.min(1), 0)
    assert apart.max() > least
    return int(apart.argmax())


def tool(lab, number, k=0):
    lab.page.locator(".elekit-map").nth(k).locator("button").nth(number).click()


def lasso(lab, corners):
    """Drag along corners, slowly enough that none is cut, and end elsewhere than begun: that would be a click."""
    mouse = lab.page.mouse
    mouse.move(*corners[0])
    mouse.down()
    for start, end in pairwise(np.array(corners)):
        for share in np.linspace(0, 1, 6)[1:]:
            mouse.move(*(start + share * (end - start)))
            lab.page.wait_for_timeout(25)
    mouse.up()


def inside(where, box, margin):
    (left, top), (right, bottom) = np.array(box[0]) - margin, np.array(box[1]) + margin
    return (where > [left, top]).all(1) & (where < [right, bottom]).all(1)


MOLECULES = """
import elekit as ele, numpy as np
from elekit.inspect.search import step
from elekit.widgets import explore
artifact, split = ele.load("molecules7"), ele.datasets.load("molecules7").test
explorer = explore(artifact.psi, split, color="nodes", height=360)
explorer
"""


@pytest.mark.browser
def test_exploring_by_hand(lab):
    lab.run(MOLECULES)
    page, wrong = lab.page, drawn(lab, 1)
    where = places(lab, 960)
    row = alone(where, least=7)
    names = lab.value("explorer.frame.key.tolist()")

    page.mouse.move(*(where[row] + 3))
    page.mouse.move(*where[row])
    lab.eventually("explorer.hovered", row)
    card = page.locator("[data-card=hovered]")
    card.get_by_text(names[row], exact=True).wait_for()
    shown = card.locator("circle[data-node]").count()
    assert shown == lab.value(f"int(explorer.frame.nodes[{row}])")

    page.mouse.click(*where[row])
    lab.eventually("explorer.pinned", row)
    page.locator("[data-card=pinned]").get_by_text(names[row], exact=True).wait_for()
    assert lab.value("len(explorer.selection)") == 0
    assert np.allclose(page.evaluate(MARK, [0, "pinned"]), where[row], atol=2)
    near = lab.value("explorer.neighbors.row.tolist()")
    listed = page.locator(".elekit-neighbor")
    assert [int(one.get_attribute("data-row")) for one in listed.all()] == near
    lab.eventually("bool(explorer.neighbors.edits.all())", True)
    told = lab.value("explorer.neighbors.edits.tolist()")
    separations = page.locator(".elekit-separation")
    page.wait_for_function("() => [...document.querySelectorAll('.elekit-separation')].every(e => e.dataset.edits)")
    assert [one.get_attribute("data-edits") for one in separations.all()] == told
    for number, other in enumerate(near, 1):
        assert np.allclose(page.evaluate(MARK, [0, f"neighbor-{number}"]), where[other], atol=2)
    assert names[row] in page.locator(".elekit-map canvas[role=img]").get_attribute("aria-label")
    lab.screenshot("explorer-pinned")

    tool(lab, 1)
    where = places(lab, 960)  # the page may have scrolled
    middle = np.median(where, 0)
    box = (middle - [120, 100], middle + np.array([60, 110]))
    (left, top), (right, bottom) = box
    lasso(lab, [(middle[0], top), (right, top), (right, bottom), (left, bottom), (left, top), (middle[0] - 40, top)])
    page.get_by_role("button", name="Clear selection").and_(page.locator(":enabled")).wait_for()
    chosen = np.zeros(960, dtype=bool)
    chosen[lab.value("explorer.selection_rows.tolist()")] = True
    assert 20 < chosen.sum() < 900
    assert (chosen >= inside(where, box, -4)).all() and (chosen <= inside(where, box, 4)).all()
    page.get_by_text(f"{chosen.sum()} of 960 selected", exact=False).wait_for()
    page.mouse.click(*where[row])  # pins in lasso mode, too, and the selection stays
    lab.page.wait_for_timeout(300)
    assert lab.value("len(explorer.selection)") == chosen.sum() and lab.value("explorer.pinned") == row

    lab.python("explorer.selection = explorer.frame.query('nodes == 4')")
    page.wait_for_function(
        f"([k, n]) => {HOME}.api.get('selectedPoints').length === n", arg=[0, lab.value("len(explorer.selection)")]
    )
    assert sorted(page.evaluate(PLOT, [0, "selectedPoints"])) == lab.value("explorer.selection_rows.tolist()")
    page.get_by_role("button", name="Clear selection").click()
    lab.eventually("len(explorer.selection)", 0)
    page.wait_for_function(f"([k]) => {HOME}.api.get('selectedPoints').length === 0", arg=[0])
    page.set_viewport_size(
        {"width": 1280, "height": 800}
    )  # all of it is visible on a laptop, beside the file browser
    page.wait_for_timeout(300)
    explorer, notebook = (
        page.locator(name).bounding_box() for name in (".elekit-explorer", ".jp-WindowedPanel-outer")
    )
    page.set_viewport_size({"width": 1400, "height": 1000})
    assert explorer["height"] <= notebook["height"] and wrong == []


@pytest.mark.browser
def test_exploring_by_keyboard(lab):
    lab.run(MOLECULES)
    page, wrong = lab.page, drawn(lab, 1)
    keys = page.keyboard
    kind, text = page.get_by_label("Search by"), page.get_by_label("Search for")

    kind.focus()
    keys.type("sub")
    keys.press("Tab")
    keys.type("C(")
    keys.press("Enter")
    page.get_by_role("alert").get_by_text("SMARTS").wait_for()
    text.focus()
    keys.press("Control+a")
    keys.type("C#N")
    keys.press("Enter")
    count = lab.value("len(explorer.find('substructure', 'C#N'))")
    page.get_by_text(f"{count} found, the first 50 listed.").wait_for()
    page.get_by_role("alert").wait_for(state="hidden")
    assert page.locator(".elekit-found button").count() == 50
    keys.press("Tab")  # the button beside the field
    keys.press("Tab")
    keys.press("Enter")
    lab.eventually("explorer.selection.equals(explorer.found)", True)
    keys.press("Tab")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    lab.eventually("bool(explorer.pinned == explorer.found.index[2])", True)

    page.get_by_role("button", name="Walk on the map").focus()
    for key, direction in (("ArrowRight", "right"), ("ArrowDown", "down"), ("ArrowLeft", "left"), ("ArrowUp", "up")):
        expected = lab.value(f"step(explorer.map.positions, explorer.pinned, '{direction}')")
        keys.press(key)
        lab.eventually("explorer.pinned", expected)
    before = lab.value("bool(explorer.pinned in explorer.selection_rows)")
    keys.press("Enter")
    lab.eventually("bool(explorer.pinned in explorer.selection_rows)", not before)
    where = places(lab, 960)
    page.wait_for_timeout(300)
    assert np.allclose(page.evaluate(MARK, [0, "pinned"]), where[lab.value("explorer.pinned")], atol=2)

    near = lab.value("explorer.neighbors.row.tolist()")
    page.locator(".elekit-neighbor").first.focus()
    keys.press("ArrowDown")
    keys.press("Enter")
    lab.eventually("explorer.pinned", near[1])

    page.get_by_label("Color by").focus()
    keys.type("rin")
    lab.eventually("explorer.color_by", "rings")
    page.locator(".elekit-legend li").nth(2).wait_for()
    legend = {
        words: str(n)
        for words, n in lab.value("{str(k): int(v) for k, v in explorer.frame.rings.value_counts().items()}").items()
    }
    shown = [one.split() for one in page.locator(".elekit-legend li").all_text_contents()]
    assert dict(shown) == legend
    page.wait_for_function(f"([k, n]) => {HOME}.api.get('pointColor').length === n", arg=[0, len(legend)])
    reached = page.evaluate(
        "[...document.querySelectorAll('.elekit button, .elekit select, .elekit input')].filter((n) => n.tabIndex < 0 || !n.dataset.lmSuppressShortcuts).length"
    )
    assert reached == 0
    lab.screenshot("explorer-keyboard")

    page.evaluate(
        f"([k]) => {{ const api = {HOME}.api, draw = api.draw; api.draw = () => {{ api.draw = draw; }}; }}", [0]
    )
    lab.python("explorer.color_by = 'nodes: N'")  # the plot drops what comes while it draws: so does this one
    codes = lab.value("explorer._paint.codes.tolist()")
    page.wait_for_function(
        f"([k, codes]) => {HOME}.api.get('points').every((p, row) => p[2] === codes[row])", arg=[0, codes]
    )
    assert wrong == []


HOSTILE_CELL = f"""
import torch, pandas as pd
from torch.nn.functional import normalize
from elekit.datasets import Split
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.loss import points_of
from elekit.widgets import explore
name = {HOSTILE!r}
vocabulary = GraphVocabulary((name, "b", "$c$"), (name, "<b>thick</b>"), 5)
generator = torch.Generator().manual_seed(0)
nodes = torch.randint(1, 4, (90, 5), generator=generator)
edges = torch.randint(0, 3, (90, 5, 5), generator=generator).triu(1)
graphs = Graph.from_labels(nodes, edges + edges.transpose(1, 2), vocabulary)
torch.manual_seed(0)
psi, other = (GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=24)) for _ in range(2))
frame = pd.DataFrame({{"id": [f"{{name}}{{i}}" for i in range(90)], name: ["<i>x</i>", name, "y"] * 30}})
points = points_of(psi, graphs)
predictions = normalize(points + 0.2 * torch.randn(points.shape, generator=generator), dim=1)
explorer = explore(psi, Split([name] * 90, graphs, frame), other=other, predictions=predictions, color=name, height=400)
explorer.find("label", name)
explorer
"""


@pytest.mark.browser
def test_two_maps_move_together_and_hostile_names_stay_text(lab):
    lab.run(HOSTILE_CELL)
    page, wrong = lab.page, drawn(lab, 2)
    left, right = places(lab, 90, 0), places(lab, 90, 1)
    row = alone(right, least=8)
    page.mouse.move(*(right[row] + 3))
    page.mouse.move(*right[row])
    lab.eventually("explorer.hovered", row)
    page.locator("[data-card=hovered]").get_by_text(f"graph {HOSTILE}{row}").wait_for()
    page.mouse.click(*right[row])
    lab.eventually("explorer.pinned", row)
    page.locator(".elekit-marks").nth(1).locator("[data-mark=pinned]").wait_for(state="attached")
    for k, where in enumerate((left, right)):
        assert np.allclose(page.evaluate(MARK, [k, "pinned"]), where[row], atol=2)
        near = lab.value(f"explorer.neighbors.query('by == {k}').row.tolist()")
        for number, other in enumerate(near, 1):
            assert np.allclose(page.evaluate(MARK, [k, f"neighbor-{number}"]), where[other], atol=2)
    assert page.locator(".elekit-marks polyline").count() == 1  # the prediction, on the first map

    tool(lab, 1, k=1)
    right = places(lab, 90, 1)  # the page may have scrolled
    low, high = right.min(0), right.max(0)
    half = (low + high) / 2
    top, bottom, outside = low[1] - 5, high[1] + 5, low[0] - 5
    lasso(
        lab,
        [
            (half[0] - 30, top),
            (half[0], top),
            (half[0], bottom),
            (outside, bottom),
            (outside, top),
            (outside + 20, top),
        ],
    )
    lab.eventually("len(explorer.selection) > 5", True)
    chosen = lab.value("explorer.selection_rows.tolist()")
    clear = np.flatnonzero(np.abs(right[:, 0] - half[0]) > 4)
    assert set(chosen) & set(clear) == {r for r in clear if right[r, 0] < half[0]}
    page.wait_for_function(f"([k, n]) => {HOME}.api.get('selectedPoints').length === n", arg=[0, len(chosen)])
    for k in (0, 1):
        assert sorted(page.evaluate(PLOT, [k, "selectedPoints"])) == chosen

    page.set_viewport_size({"width": 760, "height": 1400})  # a narrow cell: the maps lie one above the other
    page.wait_for_timeout(1500)
    narrow = places(lab, 90, 0)
    assert np.allclose(page.evaluate(MARK, [0, "pinned"]), narrow[row], atol=2)
    frame = page.locator(".elekit-map").first.bounding_box()
    assert narrow[:, 0].min() > frame["x"] and narrow[:, 0].max() < frame["x"] + frame["width"]  # nothing is cut off
    lab.screenshot("explorer-narrow")
    page.set_viewport_size({"width": 1400, "height": 1000})

    lab.python("explorer.color_by = 'nodes'")
    page.locator(".elekit-legend").get_by_text("5", exact=False).first.wait_for()
    page.wait_for_timeout(1000)
    lab.python("explorer.color_by = name")
    page.locator(".elekit-legend").get_by_text(HOSTILE[:20], exact=False).wait_for()
    assert page.locator("[data-card=pinned] svg").count() == 1
    assert page.locator(".elekit-explorer .elekit :is(img, i, b)").count() == 0
    assert page.locator(".elekit-found button").count() > 20
    assert page.evaluate("window.hacked") is None
    lab.screenshot("explorer-two-maps")
    lab.python("explorer.close()")
    page.locator(".elekit-explorer").wait_for(state="detached")
    assert wrong == []


@pytest.mark.parametrize(
    ("smarts", "problem"),
    [
        ("~".join("*" * 30) + "N", "fits in too many ways"),
        (f"[$({'~'.join('*' * 30)}N)]", "is not valid SMARTS"),
        ("C" * 20_000, "is not valid SMARTS"),
        ("C\nN", "is not valid SMARTS"),
        ("CCé", "is not valid SMARTS"),
        ("C name", "is not valid SMARTS"),
    ],
)
def test_patterns_that_would_hang_or_be_read_in_part_are_refused(smarts, problem):
    sheet = nx.convert_node_labels_to_integers(nx.hexagonal_lattice_graph(4, 4))
    closures = [[f"%{10 + k}" for k, edge in enumerate(sheet.edges) if node in edge] for node in sheet]
    cage = ".".join("C" + "".join(own) for own in closures)
    search = Search(pd.DataFrame(index=range(2)), from_smiles([cage, "CN"]))
    with pytest.raises(ValueError, match=problem) as refusal:
        search("substructure", smarts)
    assert len(str(refusal.value)) < 200
    assert search("substructure", "[$(C-N),$(O=C)]").tolist() == [1]

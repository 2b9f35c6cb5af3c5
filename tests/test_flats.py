"""Floor plans: the rule book and the enumeration tell the same flats, words determine them, the csv is what is built."""

import csv
import gzip
import json
import random

import flats
import networkx as nx
import pytest
from conftest import isomorphic

from elekit import datasets
from elekit.datasets.reading import isomorphism_keys
from elekit.graphs.edits import SINGLE, all_edits
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_networkx

VOCABULARY = GraphVocabulary(tuple(flats.COUNTS), ("door", "glass", "open"), flats.MOST_ROOMS + 1)


@pytest.fixture(scope="module")
def every():
    return list(flats.enumerate_flats())


def flat(*links: tuple[str, str, str]) -> nx.Graph:
    """Rooms by names such as "bed 2", and the links between them."""
    made = nx.Graph()
    for a, b, link in links:
        made.add_edge(a, b, label=link)
    nx.set_node_attributes(made, {name: name.split()[0] for name in made}, "label")
    return made


STUDIO = (("hall", "lounge", "door"), ("lounge", "kitchen", "open"), ("hall", "bath", "door"))


def test_every_flat_obeys_the_rules_and_comes_once(every):
    assert len(every) > 1_000
    assert [broken for one in every if (broken := flats.broken_rules(one))] == []
    assert len(set(isomorphism_keys(every))) == len(every)
    assert {len(one) for one in every} == set(range(4, flats.MOST_ROOMS + 1))


def test_no_flat_is_left_out(every):
    """What an edit of a flat makes obeys the rules just if it is one of the flats."""
    known = {}
    for one in every:
        known.setdefault(nx.weisfeiler_lehman_graph_hash(one, node_attr="label", edge_attr="label"), []).append(one)
    drawn = random.Random(0).sample(every, 8)
    graphs = from_networkx(drawn, VOCABULARY)
    edited = Graph.from_labels(*all_edits(graphs, SINGLE).apply(*graphs.labels(), graphs.vocabulary), VOCABULARY)
    proper = 0
    for one in to_networkx(edited):
        code = nx.weisfeiler_lehman_graph_hash(one, node_attr="label", edge_attr="label")
        is_known = any(isomorphic(one, other) for other in known.get(code, ()))
        assert is_known == (not flats.broken_rules(one)), (one.nodes(data="label"), one.edges(data="label"))
        proper += is_known
    assert 0 < proper < len(edited) / 2


@pytest.mark.parametrize(
    "links, rule",
    [
        ((), None),
        ((("bath", "kitchen", "door"),), "Bath and kitchen are never linked."),
        ((("hall", "store", "open"),), "Hall and store are linked by door, not by open."),
        ((("hall", "store", "door"), ("store", "kitchen", "door")), "A store has one way in, this one has 2."),
        ((("bath", "bed", "door"),), "A bedroom has one door to the hall or the lounge, this one has 0."),
        ((("lounge", "garage", "door"),), "There is no room called garage."),
        (
            (("hall", "bed", "door"), ("bed", "bath 2", "door"), ("bed", "bath 3", "door")),
            "A bedroom has at most one bath of its own.",
        ),
        ((("hall", "bath 2", "door"),), "One bath is off the hall, here there are 2."),
        (
            (("lounge", "balcony", "glass"), ("kitchen", "balcony 2", "glass")),
            "A flat has 0 to 1 balcony, this one has 2.",
        ),
        (
            tuple((f"bed {n}", room, "door") for n in (1, 2, 3) for room in ("hall", f"bath {n}")),
            "A flat has at most 8 rooms, this one has 10.",
        ),
    ],
)
def test_a_broken_rule_is_named(links, rule):
    broken = flats.broken_rules(flat(*STUDIO, *links))
    assert rule in broken if rule else not broken


def test_rooms_that_lack_what_they_need_are_named():
    assert "The hall leads to the lounge." in flats.broken_rules(flat(*STUDIO[1:]))
    assert "The kitchen is reached from the hall or the lounge." in flats.broken_rules(
        flat(STUDIO[0], STUDIO[2], ("kitchen", "store", "door"))
    )
    assert flats.broken_rules(nx.Graph())[0] == "A flat has exactly 1 hall, this one has 0."


def test_words_determine_the_flat(every):
    said = [flats.describe(one) for one in every]
    assert len(set(said)) == len(every)
    assert all(words.endswith(".") and words.isprintable() for words in said)
    varied = {flats.describe(every[-1], random.Random(seed)) for seed in range(20)}
    assert len(varied) > 2


def test_words_do_not_depend_on_the_numbers_of_rooms(every):
    choose = random.Random(1)
    for one in choose.sample(every, 40):
        again = flats.shuffled(one, choose)
        assert isomorphic(one, again) and flats.describe(one) == flats.describe(again)


def test_a_studio_in_words():
    said = "Studio flat. Door from hall to lounge. Kitchen open to lounge. Bedroom off lounge with bath and balcony."
    made = flat(*STUDIO, ("lounge", "bed", "door"), ("bed", "bath 2", "door"), ("bed", "balcony", "glass"))
    assert flats.describe(made) == said.replace("Studio", "One-bedroom")


def test_the_shipped_table_is_what_is_built(tmp_path):
    flats.build(tmp_path / "flats.csv.gz")
    assert gzip.decompress((tmp_path / "flats.csv.gz").read_bytes()) == gzip.decompress(flats.FILE.read_bytes())
    assert flats.FILE.stat().st_size < 300_000
    flats.build(tmp_path / "few.csv.gz", count=700, seed=1)
    with gzip.open(tmp_path / "few.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    for row in rows[20:100]:  # none of them spoilt
        drawn = nx.node_link_graph(json.loads(row["graph"]), edges="edges")
        assert flats.broken_rules(drawn) == []


def test_spoilt_rows_are_skipped_each_for_its_own_reason():
    data = datasets.from_frame(flats.FILE, graph="graph", input="description")
    report = data.report()
    assert report["rows"] == 1_206 and set(report["skipped"].values()) == {1} and len(report["skipped"]) == 6
    assert report["node_labels"] == sorted(flats.COUNTS) and report["max_nodes"] == flats.MOST_ROOMS
    kept = [one for split in (data.train, data.validation, data.test) for one in to_networkx(split.graphs)]
    assert len(kept) == 1_200 and not any(flats.broken_rules(one) for one in kept)

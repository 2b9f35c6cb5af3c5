"""Reports of faults: each has one reading, obeys the rule book, and is what the generator writes."""

import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import faults
import networkx as nx
import pytest

from elekit import datasets
from elekit.graphs.graph import to_edge_lists
from elekit.graphs.isomorphism import isomorphism_keys

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "data" / "faults.csv.gz"


@pytest.fixture(scope="module")
def rows():
    """Report and meaning (labels, edges, spans) of the shipped rows."""
    content = gzip.decompress(SHIPPED.read_bytes()).decode()
    found = []
    for report, graph, spans in list(csv.reader(io.StringIO(content)))[1:]:
        document = json.loads(graph)
        assert document["directed"] and [node["id"] for node in document["nodes"]] == list(
            range(len(document["nodes"]))
        )
        edges = tuple((edge["source"], edge["target"], edge["label"]) for edge in document["edges"])
        labels = tuple(node["label"] for node in document["nodes"])
        found.append((report, (labels, edges, tuple(map(tuple, json.loads(spans))))))
    return found


def read_by_label(report: str) -> list[tuple[set, dict]]:
    """Each reading as a set of "a relation b" and the words of each node; labels must be distinct."""
    found = []
    for labels, edges, spans in faults.readings(report):
        assert len(set(labels)) == len(labels)
        words = {label: report[slice(*span)] for label, span in zip(labels, spans)}
        found.append(({f"{labels[a]} {relation} {labels[b]}" for a, b, relation in edges}, words))
    return found


@pytest.mark.parametrize(
    ("report", "edges", "words"),
    [
        (
            "06:40 sealer: open seals, cause was the cold seal bar. swapped it, ok now",
            "sealer has fault open seals|seal bar part of sealer|seal bar has fault cold|cold causes open seals|"
            "cold fixed by replace",
            {"seal bar": "seal bar", "replace": "swapped", "open seals": "open seals"},
        ),
        (  # a belt that is denied is not in the graph, and a measure named with its component belongs to its fault
            "filthy photo eye on the infeed, so infeed keeps jamming. belt is not worn. p/cell wiped, runs again.",
            "photocell part of infeed|photocell has fault dirty|infeed has fault jammed|dirty causes jammed|"
            "dirty fixed by clean",
            {"photocell": "photo eye", "jammed": "keeps jamming", "clean": "wiped"},
        ),
        (  # "no grease" is a fault, "no leak" is none
            "chain squealing due to no grease. no jam at labeler. lubed it",
            "chain has fault noisy|chain has fault dry|dry causes noisy|dry fixed by grease",
            {"dry": "no grease", "noisy": "squealing"},
        ),
        (  # in vain, then helped; what is planned is not in the graph
            "glue gun of the packer clogged. cleaned it, no change. cleared it. will replace it at the weekend",
            "glue gun part of packer|glue gun has fault blocked|blocked not fixed by clean|blocked fixed by clear",
            {"clean": "cleaned", "clear": "cleared"},
        ),
        (  # two causes, one measure for both
            "gripper of palletizer weak due to wear and play. replaced both, ok now",
            "gripper part of palletizer|gripper has fault weak|gripper has fault worn|gripper has fault loose|"
            "worn causes weak|loose causes weak|worn fixed by replace|loose fixed by replace",
            {"replace": "replaced"},
        ),
        (  # the same words in the other order are another graph
            "infeed motor loose because it is vibrating",
            "motor part of infeed|motor has fault loose|motor has fault vibrating|vibrating causes loose",
            {},
        ),
        (
            "infeed motor loose so it is vibrating",
            "motor part of infeed|motor has fault loose|motor has fault vibrating|loose causes vibrating",
            {},
        ),
        (  # a second fault has nothing to do with the first
            "coder nozzle blocked. also labeler stopped. restarted it",
            "nozzle part of coder|nozzle has fault blocked|labeler has fault stopped|stopped fixed by restart",
            {},
        ),
    ],
)
def test_reports_written_by_hand_are_read_as_meant(report, edges, words):
    ((found, places),) = read_by_label(report)
    assert found == set(edges.split("|"))
    assert words.items() <= places.items()


@pytest.mark.parametrize(
    "report",
    [
        "", "the weather is fine", "replaced it", "it is worn", "sealer chain worn",  # the sealer has no chain
        "belt worn. replaced both",  # both of what?
        "belt worn and belt loose. tightened it",  # which one?
        "infeed belt worn. tightened the motor",  # which has no fault
    ],
)  # fmt: skip
def test_a_report_that_refers_to_nothing_has_no_reading(report):
    assert faults.readings(report) == set()


def test_each_shipped_report_has_one_reading_which_is_its_graph(rows):
    for report, meaning in random.Random(1).sample(rows, 1_000):
        assert faults.readings(report) == {meaning}, report


def test_reports_and_graphs_are_many_and_different(rows):
    assert len({report for report, _ in rows}) == len(rows) == faults.COUNT
    assert len({faults.canonical(*meaning[:2]) for _, meaning in rows}) > 7_500
    sizes = [len(labels) for _, (labels, _, _) in rows]
    assert min(sizes) == faults.MIN_NODES and max(sizes) == faults.MAX_NODES
    words = {word for report, _ in rows for word in report.replace(",", " ").replace(".", " ").split()}
    assert 300 < len({word for word in words if word.isalpha()}) < 800
    both_ways = {
        (labels[a], labels[b]) for _, (labels, edges, _) in rows for a, b, kind in edges if kind == faults.CAUSES
    }
    assert sum((b, a) in both_ways for a, b in both_ways) > 20  # only the report gives the direction


def test_the_canonical_form_is_that_of_isomorphism(rows):
    graphs, forms = [], []
    for _, (labels, edges, _) in rows[:1_500]:
        graph = nx.DiGraph()
        graph.add_nodes_from((k, {"label": label}) for k, label in enumerate(labels))
        graph.add_edges_from((a, b, {"label": relation}) for a, b, relation in edges)
        graphs.append(graph)
        forms.append(faults.canonical(labels, edges))
    keys = isomorphism_keys(graphs)
    assert len(set(zip(keys, forms))) == len(set(keys)) == len(set(forms)) < len(forms)


def test_graphs_obey_the_rule_book_and_changed_ones_break_it(rows):
    for report, (labels, edges, spans) in rows:
        assert faults.broken_rules(labels, edges) == [], report
        assert list(spans) == sorted(spans) and all(a < b for a, b in spans)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for _, (labels, edges, _) in rows[:200]:
        for k, (a, b, relation) in enumerate(edges):
            turned = (*edges[:k], (b, a, relation), *edges[k + 1 :])
            if relation != faults.CAUSES:  # some causes hold both ways
                assert faults.broken_rules(labels, turned)
        assert faults.broken_rules(("worn", *labels), edges)  # of no component, and all others are one further


def test_the_shipped_file_is_what_the_generator_writes(rows, tmp_path):
    assert list(faults.reports(150)) == rows[:150]
    digest, name = SHIPPED.with_name("faults.sha256").read_text().split()
    assert (hashlib.sha256(SHIPPED.read_bytes()).hexdigest(), name) == (digest, SHIPPED.name)
    assert SHIPPED.stat().st_size < 1_000_000
    path, code = tmp_path / "faults.csv.gz", "import sys, faults; faults.build(sys.argv[1], 40)"
    environment = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": f"{ROOT}:{ROOT / 'data' / 'build'}"}
    subprocess.run([sys.executable, "-c", code, path], env=environment, check=True)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert lines == gzip.decompress(SHIPPED.read_bytes()).decode().splitlines()[:41]
    assert path.with_name("faults.sha256").read_text().split()[0] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_faults_load_with_direction_places_and_unseen_graphs(rows):
    data = datasets.load("faults")
    assert data.report()["rows"] == len(rows) and len(data.skipped) == 0
    assert sorted(data.vocabulary.edge_labels) == sorted(faults.RELATIONS) and data.vocabulary.directed
    known, test = set(data.train.frame["key"]), set(data.test.frame["key"])
    assert len(test) >= 1_000 and not test & known and not test & set(data.validation.frame["key"])
    some = data.test.take(range(300))
    for report, (labels, edges), number, spans in zip(
        some.inputs, to_edge_lists(some.graphs), some.frame["row"], some.frame["spans"]
    ):
        meaning = rows[number]
        assert (report, (tuple(labels), tuple(sorted(edges)), tuple(spans))) == meaning

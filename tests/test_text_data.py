"""Texts with the graphs that they say: CoNLL-U, SpERT's JSON, places of nodes in texts, splits by text, named sets."""

import gzip
import json
import random
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from elekit import datasets
from elekit.datasets import Prepare, from_conllu, from_frame, from_spert, named
from elekit.graphs.graph import GraphVocabulary, to_edge_lists

TAGS, RELATIONS = ("NOUN", "VERB", "ADP", "DET"), ("obj", "nsubj", "nmod:poss", "acl:relcl")


def everything(data):
    """(input, edge list, spans) of each row, in the order of the source."""
    rows = {}
    for split in (data.train, data.validation, data.test):
        graphs = to_edge_lists(split.graphs)
        for number, text, graph, spans in zip(split.frame["row"], split.inputs, graphs, split.frame["spans"]):
            rows[number] = text, (list(graph[0]), sorted(graph[1])), spans
    return [rows[number] for number in sorted(rows)]


def line(id, form="_", tag="_", head="_", relation="_", misc="_"):
    return "\t".join((str(id), form, "_", tag, "_", "_", str(head), relation, "_", misc))


# -- CoNLL-U -------------------------------------------------------------------------------------------------------
def random_sentence(choose):
    """A sentence of a random tree in CoNLL-U, with its text, edge list and places, written by other rules."""
    n = choose.randint(1, 9)
    order = choose.sample(range(n), n)
    heads = {order[0]: None} | {node: choose.choice(order[:k]) for k, node in enumerate(order) if k}
    tags = [choose.choice(TAGS) for _ in range(n)]
    relations = [choose.choice(RELATIONS) for _ in range(n)]
    words = ["".join(choose.choices("abcdé'-", k=choose.randint(1, 5))) for _ in range(n)]
    text, spans, lines, k = "", [], [], 0
    while k < n:
        several = choose.choice((1, 1, 1, 2, 3))  # words of this token
        token = words[k : k + several]
        blank = k + several < n and choose.random() < 0.8
        misc = (
            choose.choice(("_", "Gloss=x"))
            if blank or k + several >= n
            else choose.choice(("SpaceAfter=No", "X=Y|SpaceAfter=No"))
        )
        if len(token) > 1:
            lines.append(line(f"{k + 1}-{k + len(token)}", "".join(token), misc=misc))
        for word in token:
            spans.append((len(text), len(text) + len(word)))
            text += word
            head = 0 if heads[k] is None else heads[k] + 1
            own = misc if len(token) == 1 else "_"
            lines.append(line(k + 1, word, tags[k], head, "root" if head == 0 else relations[k], own))
            k += 1
            if choose.random() < 0.1:
                lines.append(line(f"{k}.1", "unsaid"))
        text += " " * blank
    comments = ["# sent_id = s", f"# text = {text}"] if choose.random() < 0.5 else ["# newpar"]
    edges = sorted((head, node, relations[node]) for node, head in heads.items() if head is not None)
    return "\n".join([*comments, *lines, "", ""]), (text, (tags, edges), spans)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sentences_of_random_trees_come_back_with_their_trees_and_places(tmp_path, end):
    choose = random.Random(end)
    written = [random_sentence(choose) for _ in range(150)]
    path = tmp_path / "some.conllu.gz"
    path.write_bytes(
        gzip.compress("\ufeff".encode() + "".join(text for text, _ in written).replace("\n", end).encode())
    )
    data = from_conllu(path)
    assert len(data.skipped) == 0 and data.vocabulary.directed and not data.dropped
    assert everything(data) == [expected for _, expected in written]
    plain = from_conllu(path, subtypes=False)
    assert set(plain.vocabulary.edge_labels) == {"obj", "nsubj", "nmod", "acl"}


GOOD = [line(1, "we", "PRON", 2, "nsubj"), line(2, "go", "VERB", 0, "root")]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line(1, "a", "X", 2, "dep"), line(2, "b", "X", 1, "dep"), line(3, "c", "X", 0, "root")], "heads form a cycle: words 1, 2"),
        ([line(1, "a", "X", 1, "dep"), line(2, "b", "X", 0, "root")], "heads form a cycle: words 1"),
        ([line(1, "a", "X", 2, "dep"), line(2, "b", "X", 1, "dep")], "no root"),
        ([line(1, "a", "X", 0, "root"), line(2, "b", "X", 0, "root")], "more than one root: words 1, 2"),
        ([line(1, "a", "X", 3, "dep"), line(2, "b", "X", 0, "root")], "a head does not exist: '3' for word 1 of 2"),
        ([line(1, "a", "X", -1, "dep"), line(2, "b", "X", 0, "root")], "a head does not exist: '-1' for word 1 of 2"),
        ([line(1, "a", "X", "x", "dep")], "a head does not exist: 'x' for word 1 of 1"),
        ([line(1, "a", "X", "_", "dep"), line(2, "b", "X", 0, "root")], "a word has no head: word 1"),
        ([line(1, "a", "_", 0, "root")], "a word has no part of speech: word 1"),
        ([line(1, "a", "X", 0, "_")], "a word has no relation: word 1"),
        ([line(2, "a", "X", 0, "root")], "IDs out of order: 2 in line 4, 1 is the next word"),
        ([line(1, "a", "X", 0, "root"), line(1, "b", "X", 1, "dep")], "IDs out of order: 1 in line 5, 2 is the next word"),
        ([line("1-3", "ab"), line(1, "a", "X", 0, "root")], "IDs out of order: the last token ends with word 3 of 1"),
        ([line("2-1", "ab"), line(1, "a", "X", 0, "root")], "IDs out of order: 2-1"),
        ([line("one", "a", "X", 0, "root")], "no ID of a word: 'one' in line 4"),
        ([line(1, "a", "X", 0, "root") + "\tmore"], "a line has other than 10 columns: line 4 has 11"),
        (["1 a a X _ _ 0 root _ _"], "a line has other than 10 columns: line 4 has 1; separate them by tabs"),
        (["# only a comment"], "no words"),
        ([line(1, " ", "X", 0, "root")], "words of blanks only"),
    ],
)  # fmt: skip
def test_a_broken_sentence_is_skipped_with_its_reason(tmp_path, lines, reason):
    path = tmp_path / "x.conllu"
    path.write_text("\n".join([*GOOD, "", *lines, "", *GOOD]))
    data = from_conllu(path, fractions=(1, 0, 0))
    (found,) = data.skipped["reason"]
    assert found.startswith(reason) and data.skipped["row"].tolist() == [1]
    assert len(data.train) == 2 and data.report()["rows"] == 3


def test_a_text_of_other_words_is_replaced_and_counted(tmp_path):
    path = tmp_path / "x.conllu"
    path.write_text("\n".join(["# text = they stay", *GOOD, "", "# text = we  go", *GOOD]))
    data = from_conllu(path, fractions=(1, 0, 0))
    assert data.train.inputs == ["we go", "we  go"]
    assert data.train.frame["spans"].tolist() == [[(0, 2), (3, 5)], [(0, 2), (4, 6)]]
    assert data.report()["dropped"] == {"a text that does not have these words": 1}


def test_words_share_the_letters_of_a_token_that_is_spelt_otherwise(tmp_path):
    path = tmp_path / "x.conllu"
    tokens = [
        line("1-2", "zum"),
        line(1, "zu", "ADP", 3, "case"),
        line(2, "dem", "DET", 3, "det"),
        line(3, "x", "NOUN", 0, "root"),
    ]
    short = [line("1-2", "o"), line(1, "zu", "ADP", 2, "case"), line(2, "dem", "NOUN", 0, "root")]
    path.write_text("\n".join([*tokens, "", *short]))
    first, second = from_conllu(path, fractions=(1, 0, 0)).train.frame["spans"]
    assert first == [(0, 1), (1, 3), (4, 5)]
    assert second == [None, (0, 1)]  # a word without a letter has no place


def test_a_conllu_file_is_a_table_too(tmp_path):
    path = tmp_path / "x.conllu"
    path.write_text("\n".join([*GOOD, "", line(1, "go", "VERB", 0, "root"), "", "broken"]))
    data = from_frame(path, input="text", spans="spans", fractions=(1, 0, 0))
    assert data.train.inputs == ["we go", "go"] and len(data.skipped) == 1
    path.write_text("broken")
    with pytest.raises(ValueError, match="x.conllu: none of 1 rows is valid"):
        from_conllu(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="x.conllu is empty"):
        from_conllu(path)


def test_sentences_of_the_test_file_are_not_learned_from(tmp_path):
    train, test = tmp_path / "train.conllu", tmp_path / "test.conllu"
    sentences = ["\n".join([line(1, f"w{k}", "X", 0, "root"), "", ""]) for k in range(12)]
    train.write_text("".join(sentences[:10]) + sentences[3])
    test.write_text("".join([*sentences[9:], "broken\n\n"]))
    data = from_conllu(train, test=test)
    assert sorted(data.test.inputs) == ["w10", "w11", "w9"] and "w9" not in [
        *data.train.inputs,
        *data.validation.inputs,
    ]
    assert len(data.train) + len(data.validation) == 10 and len(data.validation)
    assert not set(data.train.inputs) & set(data.validation.inputs)  # the one that is there twice is in one split
    assert data.report()["skipped"] == {"a text of the test file": 1, "a line has other than 10 columns": 1}


# -- entities and relations ----------------------------------------------------------------------------------------
DOCUMENT = {
    "text": "chg  air filter", "tokens": ["change", "air", "filter"],
    "entities": [
        {"start": 2, "end": 3, "type": "Object/Separating/Mechanical"}, {"start": 0, "end": 1, "type": "Activity/Repair"},
        {"start": 1, "end": 3, "type": "Object/Separating"},
    ],
    "relations": [{"head": 1, "tail": 2, "type": "hasParticipant/hasPatient"}, {"head": 2, "tail": 0, "type": "isA"}],
}  # fmt: skip


def documents(path: Path, *changes: dict) -> Path:
    path.write_text(json.dumps([DOCUMENT | change for change in changes]))
    return path


def test_entities_are_nodes_in_the_order_of_the_text_and_relations_edges(tmp_path):
    path = documents(tmp_path / "x.json", {}, {"tokens": ["swap", "air", "filter"], "relations": []})
    data = from_spert(path, fractions=(1, 0, 0))
    labels = ["Activity/Repair", "Object/Separating", "Object/Separating/Mechanical"]
    spans = [(0, 6), (7, 17), (11, 17)]
    assert everything(data)[0] == ("change air filter", (labels, [(0, 1, "hasPatient"), (1, 2, "isA")]), spans)
    assert everything(data)[1][:2] == ("swap air filter", (labels, []))
    for level, node_labels in ((1, ("Activity", "Object")), (2, ("Activity/Repair", "Object/Separating"))):
        assert from_spert(path, level=level, fractions=(1, 0, 0)).vocabulary.node_labels == node_labels
    with pytest.raises(ValueError, match="level must be at least 1, got 0"):
        from_spert(path, level=0)


def test_two_relations_of_one_pair_become_one_label_and_are_counted(tmp_path):
    relations = [{"head": 1, "tail": 2, "type": t} for t in ("on", "in", "in")]
    back = [{"head": 2, "tail": 1, "type": "in"}, {"head": 1, "tail": 2, "type": "in"}]
    path = documents(tmp_path / "x.json", {"relations": relations}, {"relations": back}, {})
    data = from_spert(path, fractions=(1, 0, 0))
    edges = [graph[1] for _, graph, _ in everything(data)]
    assert edges[0] == [(0, 1, "in + on")] and len(edges[1]) == 1 and len(edges[2]) == 2
    assert list(data.report()["dropped"].values()) == [2]
    # the same relation both ways is one edge without direction
    assert data.vocabulary.directed == tuple(not label.startswith("⇄") for label in data.vocabulary.edge_labels)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"relations": [{"head": 0, "tail": 3, "type": "isA"}]}, "a relation with an entity that does not exist: 3 in relation 0"),
        ({"relations": [{"head": -1, "tail": 0, "type": "isA"}]}, "a relation with an entity that does not exist: -1"),
        ({"relations": [{"head": 0, "tail": 0, "type": "isA"}]}, "has a self-loop"),
        ({"relations": [{"head": 0, "type": "isA"}]}, "relations: number 0 has None as 'tail'"),
        ({"relations": [{"head": "0", "tail": 1, "type": "isA"}]}, "relations: number 0 has '0' as 'head'"),
        ({"relations": None}, 'no "relations", a list of objects'),
        ({"entities": [{"start": 1, "end": 4, "type": "A"}]}, "an entity outside its text: 1 to 4 of entity 0, 3 tokens"),
        ({"entities": [{"start": 1, "end": 1, "type": "A"}]}, "an entity outside its text"),
        ({"entities": [{"start": True, "end": 2, "type": "A"}]}, "entities: number 0 has True as 'start'"),
        ({"entities": [], "relations": []}, "has no nodes"),
        ({"entities": [{"start": 0, "end": 2, "type": "A"}, {"start": 1, "end": 3, "type": "A"}]}, "spans overlap: [0, 10] and [7, 17]"),
        ({"tokens": "change air filter"}, 'no "tokens", a list of texts'),
        ({"tokens": ["change", 3, "filter"]}, 'no "tokens", a list of texts'),
        ({"tokens": [], "entities": []}, "a relation with an entity that does not exist"),
    ],
)  # fmt: skip
def test_a_broken_document_is_skipped_with_its_reason(tmp_path, change, reason):
    change = {"relations": []} | change if "entities" in change and "tokens" not in change else change
    data = from_spert(documents(tmp_path / "x.json", {}, change), fractions=(1, 0, 0))
    (found,) = data.skipped["reason"]
    assert found.startswith(reason) and len(data.train) == 1


def test_a_file_of_another_kind_is_one_line(tmp_path):
    path = tmp_path / "x.json"
    for content in ("{}", "[1, 2]", "[", '[{"tokens": [NaN]}]', ""):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"^[^\n]*x.json"):
            from_spert(path)


# -- places and splits of any table --------------------------------------------------------------------------------
def graph(*labels):
    made = nx.DiGraph()
    made.add_nodes_from((k, {"label": label}) for k, label in enumerate(labels))
    made.add_edge(0, 1, label="to")
    return made


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([[0, 4], [5, 13]], "a span outside its text: [5, 13] of node 1, 12 characters"),
        ([[-1, 4], [5, 8]], "a span outside its text: [-1, 4] of node 0"),
        ([[0, 0], [5, 8]], "a span outside its text: [0, 0] of node 0"),
        ([[0, 6], [5, 8]], "spans overlap: [0, 6] and [5, 8]"),
        ([[5, 8], [5, 8]], "spans overlap: [5, 8] and [5, 8]"),
        ([[0, 4]], "not one span for each node: 1 spans, 2 nodes"),
        ([[0, 4, 5], [5, 8]], "a span is no pair of whole numbers: [0, 4, 5] of node 0"),
        ([[0, 4.5], [5, 8]], "a span is no pair of whole numbers"),
        ([0, [5, 8]], "a span is no pair of whole numbers: 0 of node 0"),
        ("[[0, 4], [5", "spans are no JSON: '[[0, 4], [5'"),
        (None, "spans are no list: None"),
        (7, "spans are no list: 7"),
    ],
)
def test_wrong_places_are_skipped_with_their_reason(spans, reason):
    table = pd.DataFrame({"text": ["pump leaking"] * 2, "graph": [graph("a", "b"), graph("b", "c")]})
    table["at"] = pd.Series([[(0, 4), None], spans], dtype=object)
    data = from_frame(table, graph="graph", input="text", spans="at", fractions=(1, 0, 0))
    (found,) = data.skipped["reason"]
    assert found.startswith(reason) and data.train.frame["spans"].tolist() == [[(0, 4), None]]


def test_places_come_as_lists_arrays_or_json_and_may_be_nested():
    nested = [[0, 12], [5, 12]]
    table = pd.DataFrame({"text": ["pump leaking"] * 3, "graph": [graph(f"a{k}", "b") for k in range(3)], "spans": 1})
    table["at"] = pd.Series([nested, json.dumps(nested), np.array(nested)], dtype=object)
    before = table.copy()
    data = from_frame(table, graph="graph", input="text", spans="at", fractions=(1, 0, 0))
    assert data.train.frame["spans"].tolist() == [[(0, 12), (5, 12)]] * 3 and "at" not in data.train.frame
    assert data.train.frame["source_spans"].tolist() == [1] * 3
    assert table.columns.equals(before.columns) and table["spans"].equals(before["spans"])
    with pytest.raises(ValueError, match="spans= are places in texts; name the column of the texts with input="):
        from_frame(table, graph="graph", spans="at")
    with pytest.raises(datasets.MissingColumnError, match="no column 'places'"):
        from_frame(table, graph="graph", input="text", spans="places")


def test_networkx_graphs_have_places_too():
    graphs, texts = [graph("a", "b"), graph("b", "a")], ["pump leaking", "leaking"]
    spans = [[(0, 4), (5, 12)], [(0, 7), None]]
    data = datasets.from_networkx_graphs(graphs, texts, spans=spans, fractions=(1, 0, 0))
    assert data.train.frame["spans"].tolist() == spans and data.vocabulary.directed
    with pytest.raises(ValueError, match="1 spans for 2 graphs; give one list per graph"):
        datasets.from_networkx_graphs(graphs, texts, spans=spans[:1])


def test_an_empty_text_is_skipped():
    table = pd.DataFrame({"text": ["pump", "", " \t"], "graph": [graph("a", x) for x in "bcd"]})
    data = from_frame(table, graph="graph", input="text", fractions=(1, 0, 0))
    assert data.report()["skipped"] == {"input is empty": 2}


def test_a_column_may_give_the_splits():
    names = ["test", "train", "validation", "train", "dev", float("nan")]
    table = pd.DataFrame({"text": list("abcdef"), "graph": [graph("a", "b")] * 6, "part": names})
    data = from_frame(table, graph="graph", input="text", split="part", duplicates="keep")
    assert (data.train.inputs, data.validation.inputs, data.test.inputs) == (["b", "d"], ["c"], ["a"])
    assert data.skipped["reason"].tolist() == ["no name of a split: 'dev'", "no name of a split: 'nan'"]


# -- data sets with a name -----------------------------------------------------------------------------------------
def work_orders(n):
    entities = [
        {"start": 0, "end": 1, "type": "Activity/Repair/Weld"},
        {"start": 1, "end": 2, "type": "Object/Pump/Gear"},
    ]
    relations = [{"head": 0, "tail": 1, "type": "hasParticipant/hasPatient"}]
    return [{"tokens": ["fix", f"pump{k}"], "entities": entities, "relations": relations} for k in range(n)]


def test_five_seeds_of_maintie_are_five_folds(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_DATA_DIR", str(tmp_path))
    (tmp_path / "maintie").mkdir()
    (tmp_path / "maintie" / "gold_release.json").write_text(json.dumps([*work_orders(23), *work_orders(2)]))
    for first in (0, 5):
        tests = [datasets.load("maintie", seed=first + k).test.inputs for k in range(5)]
        assert len({text for fold in tests for text in fold}) == 23 and sum(map(len, map(set, tests))) == 23
        assert {len(set(fold)) for fold in tests} == {4, 5}
    assert tests[0] != datasets.load("maintie", seed=0).test.inputs
    data = datasets.load("maintie", seed=3)
    texts = [set(part.inputs) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, texts)) == 23 == len(set.union(*texts)) and all(texts)
    assert data.vocabulary.node_labels == ("Activity/Repair", "Object/Pump")
    for level in (1, 2, 3):
        one = datasets.load("maintie", level=level)
        assert all(label.count("/") == level - 1 for label in one.vocabulary.node_labels)
        assert datasets.load("maintie", vocabulary=one.vocabulary).report()["skipped"] == {}
    with pytest.raises(ValueError, match="level must be 1, 2 or 3, for maintie only; got 4 for maintie"):
        datasets.load("maintie", level=4)
    with pytest.raises(ValueError, match="for maintie only; got 1 for faults"):
        datasets.load("faults", level=1)


def test_texts_are_read_from_the_data_folder_first_and_else_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ELEKIT_DATA_DIR", raising=False)
    sentence = "\n".join([line(1, "{}", "X", 0, "root"), "", ""])
    contents = {
        "train.conllu": "".join(sentence.format(f"w{k}") for k in range(20)), "dev.conllu": sentence.format("dev"),
        "gold_release.json": json.dumps(work_orders(10)),
    }  # fmt: skip
    calls = []

    def fetch(url, output, _):
        calls.append(url)
        Path(output).write_text(next(content for end, content in contents.items() if url.endswith(end)))

    monkeypatch.setattr("pooch.HTTPDownloader", lambda: fetch)
    assert named.available_offline("faults") and not named.available_offline("ud")
    data = datasets.load("ud")
    assert data.test.inputs == ["dev"] and len(data.train) == 18 and len(data.validation) == 2
    assert named.available_offline("ud") and not named.available_offline("maintie")
    assert datasets.load("maintie").report()["rows"] == 10
    assert len(calls) == 3 and all(url.startswith("https://raw.githubusercontent.com/") for url in calls)
    (tmp_path / "ud_atis").mkdir()
    (tmp_path / "ud_atis" / "en_atis-ud-dev.conllu.gz").write_bytes(gzip.compress(sentence.format("local").encode()))
    monkeypatch.setenv("ELEKIT_DATA_DIR", str(tmp_path))
    assert datasets.load("ud").test.inputs == ["local"] and len(calls) == 3


@pytest.mark.realdata
def test_maintie_and_atis_are_read_whole(data_dir):
    for level, labels in ((1, 5), (2, 27)):
        data = datasets.load("maintie", level=level)
        assert data.report()["rows"] == 923 and len(data.skipped) == 0
        assert len(data.vocabulary.node_labels) == labels and data.vocabulary.max_nodes == 6
        assert data.vocabulary.edge_labels == ("contains", "hasAgent", "hasPart", "hasPatient", "hasProperty", "isA")
        assert len(data.train) + len(data.validation) == 738
    data = datasets.load("ud")
    assert len(data.train) + len(data.validation) == 4_274 and len(data.test) == 572 and len(data.skipped) == 0
    for text, (labels, edges), spans in everything(data)[:300]:
        assert [text[slice(*span)] for span in spans] == text.split() and len(labels) == len(edges) + 1
        assert nx.is_arborescence(nx.DiGraph([(i, j) for i, j, _ in edges])) or len(labels) == 1
    few = datasets.load("maintie", level=3, prepare=Prepare(min_count=5, rare="other"))
    assert "other" in few.vocabulary.node_labels and isinstance(few.vocabulary, GraphVocabulary)

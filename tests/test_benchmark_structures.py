"""Parsers of texts: the biaffine parser, the classifier of span pairs, and the sequence decoder in the order of a text."""

import itertools
import random

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods import encoders, neural
from benchmarks.methods.barycenter import round_graphs
from benchmarks.methods.biaffine import OUTSIDE, BiaffineConfig, BiaffineModel, BiaffineParser
from benchmarks.methods.neural import Encoder
from benchmarks.methods.sequence import DecoderConfig, SequenceDecoder
from benchmarks.methods.sequence_codec import NodeLinkCodec
from benchmarks.methods.span_pairs import SpanPairConfig, SpanPairModel, SpanPairs, span_places
from benchmarks.task_data import Budget, TrainingData
from elekit.datasets import Split
from elekit.evaluation.structures import relation_scores, tree_scores
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists, to_edge_lists, to_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.spanning import maximum_arborescence
from elekit.model.surrogate import BackboneConfig
from elekit.model.surrogate.tokens import Tokenizer
from elekit.training import SurrogateTraining
from elekit.training.loop import TrainerConfig
from elekit.training.surrogate import places_of_spans

WORDS = GraphVocabulary(("N", "V"), ("obj", "mod"), 6, directed=True)


def sentences(count: int, nested: bool = False) -> Split:
    """Sentences of 2 to 5 words with random trees; nested: one more node, the last two words together."""
    draw, texts, graphs, spans = random.Random(0), [], [], []
    for _ in range(count):
        n = draw.randint(2, 5)
        words = [f"{draw.choice('abcdefgh')}{draw.choice('xyz')}" for _ in range(n)]
        order = draw.sample(range(n), n)
        edges = [(order[draw.randrange(k)], order[k], draw.choice(WORDS.edge_labels)) for k in range(1, n)]
        nodes, ends = [draw.choice("NV") for _ in range(n)], [(3 * i, 3 * i + 2) for i in range(n)]
        if nested:
            nodes, ends = [*nodes, "N"], [*ends, (3 * n - 6, 3 * n - 1)]
        texts.append(" ".join(words))
        graphs.append((nodes, edges))
        spans.append(ends)
    frame = pd.DataFrame({"spans": spans, "key": texts})
    return Split(texts, PackedGraphs.from_edge_lists(graphs, WORDS), frame)


def random_graphs(vocabulary: GraphVocabulary, count: int) -> Graph:
    draw, lists = random.Random(1), []
    for _ in range(count):
        n = draw.randint(1, vocabulary.max_nodes)
        pairs = [draw.sample(pair, 2) for pair in itertools.combinations(range(n), 2) if draw.random() < 0.4]
        edges = [(i, j, draw.choice(vocabulary.edge_labels)) for i, j in pairs]
        lists.append((draw.choices(vocabulary.node_labels, k=n), edges))
    return from_edge_lists(lists, vocabulary)


def posed(pairs: Split) -> TrainingData:
    return TrainingData("ud", "text", pairs, pairs, pairs.graphs, Budget(3, 20))


@pytest.fixture
def narrow(monkeypatch):
    """An encoder and a training that learn few pairs by heart in a second."""
    small = encoders.Encoding(BackboneConfig("word", width=32, layers=1, embedding=32), reads="auto")
    monkeypatch.setitem(encoders.TASK_ENCODINGS, "ud", small)

    def hurried(data, **changes):
        return SurrogateTraining(
            TrainerConfig(150, 1e-2, warmup=5, validate_every=500), batch_size=20, misspelled=0.1
        )

    monkeypatch.setattr(neural, "neural_training", hurried)


@pytest.mark.parametrize(
    ("method", "nested"),
    [
        (BiaffineParser(config=BiaffineConfig(32, 16, 0.0)), False),
        (SpanPairs(config=SpanPairConfig(32, 8, 0.0)), False),
        (SpanPairs(config=SpanPairConfig(32, 8, 0.0)), True),
        (SequenceDecoder(config=DecoderConfig(64, 32, 0.0)), False),
    ],
    ids=["biaffine", "spans", "nested spans", "sequence"],
)
def test_few_sentences_are_learned_by_heart(method, nested, narrow, tmp_path):
    pairs = sentences(20, nested)
    fitted = method.fit(posed(pairs), seed=0, work=tmp_path, progress=False)
    predicted = fitted.predictors[""].predict(pairs.inputs)
    predicted.check()
    assert isomorphic(predicted, pairs.graphs).float().mean() >= 0.9
    assert relation_scores(predicted, pairs.graphs)["relation_f1"] >= 0.9
    if not nested:  # nodes come in the order of the words
        assert tree_scores(predicted, pairs.graphs)["las"] >= 0.9


def test_every_parse_is_a_tree_of_the_words(narrow):
    pairs = sentences(12)
    torch.manual_seed(0)
    model = BiaffineModel(Encoder(posed(pairs), 16), WORDS, BiaffineConfig(16, 8, 0.0)).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
        model.words[-1].bias[0] = -1e3  # each token is a word, as long as there is room
    parsed = from_edge_lists(model.read([*pairs.inputs, "ax by cz ax by cz ax by"]), WORDS)
    sizes = [min(len(text.split()), WORDS.max_nodes) for text in pairs.inputs] + [WORDS.max_nodes]
    for graph, n in zip(to_networkx(parsed), sizes):
        assert nx.is_arborescence(graph) and len(graph) == n
    with torch.no_grad():
        model.words[-1].bias[0] = 1e3
    assert model.read(pairs.inputs[:1]) == [([], [])]


def test_the_best_tree_is_that_of_networkx_with_a_root_of_its_own(generator):
    for n in (1, 2, 3, 5, 8):
        weights, roots = (torch.randn(n, *size, generator=generator).double().numpy() for size in ((n,), ()))
        found = maximum_arborescence(weights, roots)
        root = next(iter(set(range(n)) - {j for _, j in found}))
        best = {}
        for r in range(n):  # networkx, for each root
            graph = nx.DiGraph([(i, j, {"weight": weights[i, j]}) for i in range(n) for j in range(n) if i != j != r])
            graph.add_node(r)
            tree = nx.maximum_spanning_arborescence(graph)
            best[r] = roots[r] + tree.size("weight")
        total = roots[root] + sum(weights[i, j] for i, j in found)
        assert len(found) == n - 1 and np.isclose(total, max(best.values()))


def test_the_loss_of_a_parser_is_that_of_its_parts(narrow):
    """Cross-entropies one by one: a label for each token, a head for each word, a label for each arc."""
    pairs = sentences(6)
    torch.manual_seed(0)
    model = BiaffineModel(Encoder(posed(pairs), 16), WORDS, BiaffineConfig(16, 8, 0.0)).eval()
    truth = pairs.graphs.dense()
    places = torch.arange(truth.slots()).expand(6, -1).where(truth.labels()[0] > 0, -1)
    words, heads, labels = [], [], []
    with torch.no_grad():
        for b, (nodes, edges) in enumerate(to_edge_lists(pairs.graphs)):
            states, _, _ = model.encoder(pairs.inputs[b : b + 1])
            scores = model.arc_scores(states, torch.ones(1, len(nodes), dtype=torch.bool))[0].log_softmax(0)
            tags = model.words(states)[0].log_softmax(-1)
            head = {j: i for i, j, _ in edges}
            for j, label in enumerate(nodes):
                words.append(-tags[j, 1 + WORDS.node_labels.index(label)])
                heads.append(-scores[1 + head[j] if j in head else 0, j])
            for i, j, label in edges:
                arc = (torch.tensor([one]) for one in (0, i, j))
                labels.append(-model.label_scores(states, *arc)[0].log_softmax(-1)[WORDS.edge_labels.index(label)])
        expected = sum(torch.stack(one).mean() for one in (words, heads, labels))
        assert torch.allclose(model.loss(pairs.inputs, places, truth), expected, atol=1e-4)
    assert OUTSIDE < -1e3


def test_spans_have_the_states_of_their_ends(narrow):
    pairs = sentences(5, nested=True)
    torch.manual_seed(0)
    encoder = Encoder(posed(pairs), 16).eval()
    places, longest = span_places(encoder, posed(pairs))
    assert longest == 2
    for own, spans in zip(places.tolist(), pairs.frame["spans"]):
        expected = [[start // 3, (end - 1) // 3] for start, end in spans]
        assert own == expected + [[-1, -1]] * (len(own) - len(expected))
    model = SpanPairModel(encoder, WORDS, 3, SpanPairConfig(16, 4, 0.0)).eval()
    states, inside, _ = encoder(pairs.inputs)
    vectors, possible = model.span_vectors(states), model.possible(inside)
    for b, text in enumerate(pairs.inputs):
        n = len(text.split())
        found = {(z - a, z) for a, z in possible[b].nonzero().tolist()}
        assert found == {(a, z) for a in range(n) for z in range(a, min(a + 3, n))}
        for a, z in found:
            assert torch.equal(vectors[b, z - a, z, : 2 * encoder.width], states[b, [a, z]].flatten())


def test_no_two_spans_share_a_token():
    tokenizer, text = Tokenizer("word", ()), "air horn unit o'clock"

    def places(*words):
        return places_of_spans(
            tokenizer, text, [None if w is None else (text.index(w), text.index(w) + len(w)) for w in words]
        )

    assert places("air horn", "horn") == [0, 1] and places("horn", "air horn") == [1, 0]
    assert places("air horn unit", "unit", "horn unit") == [0, 2, 1]
    assert places("horn", None, "horn", "o'clock") == [1, -1, -1, 5]
    assert places("horn unit", "air horn") == [2, 1]  # crossing ones


def test_directed_links_are_read_back():
    mixed = GraphVocabulary(("a", "b"), ("r", "s", "t"), 5, directed=(True, False, True))
    for vocabulary in (WORDS, mixed):
        graphs = random_graphs(vocabulary, 40)
        plain, ordered = NodeLinkCodec(vocabulary), NodeLinkCodec(vocabulary, ordered=True)
        again = from_edge_lists([plain.decode(tokens) for tokens in plain.encode(graphs)], vocabulary)
        assert isomorphic(again, graphs).all()
        packed = PackedGraphs.of(graphs)
        read = PackedGraphs.from_edge_lists([ordered.decode(tokens) for tokens in ordered.encode(packed)], vocabulary)
        for (nodes, edges), (true_nodes, true_edges) in zip(to_edge_lists(read), to_edge_lists(packed)):
            assert nodes == true_nodes
            directed = {label for label, one in zip(vocabulary.edge_labels, vocabulary.directed) if one}
            sets = [
                {(i, j, r) if r in directed else (*sorted((i, j)), r) for i, j, r in e} for e in (edges, true_edges)
            ]
            assert sets[0] == sets[1]


def test_rounded_barycenters_keep_directions():
    graphs = random_graphs(WORDS, 20)
    sizes = graphs.presence().sum(1).long().tolist()
    parts = [(graphs.nodes[b, :n].numpy(), graphs.edges[b, :n, :n].numpy()) for b, n in enumerate(sizes)]
    made = round_graphs(parts, 0.5, graphs)
    made.check()
    assert isomorphic(made, graphs).all()

"""Neural baselines: what is written is read back, beam search against brute force, and the loop that they share."""

from itertools import product

import pandas as pd
import pytest
import torch
from conftest import equal, random_vertices

from benchmarks.methods import encoders, neural
from benchmarks.methods.neural import Encoder
from benchmarks.methods.one_shot import GraphDecoder, OneShot, OneShotConfig
from benchmarks.methods.sequence import (
    END,
    DecoderConfig,
    SequenceDecoder,
    SequenceModel,
    SequencePredictor,
    beam_search,
)
from benchmarks.methods.sequence_codec import NodeLinkCodec, SmilesCodec, canonical_order
from benchmarks.task_data import Budget, TrainingData
from elekit.datasets import Split
from elekit.graphs import augment
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, from_edge_lists
from elekit.graphs.smiles import canonicalized, from_smiles
from elekit.model.surrogate import BackboneConfig
from elekit.training import SurrogateTraining, checkpoints
from elekit.training.loop import TrainerConfig

SMILES = [
    "CCO",
    "CC=O",
    "C1CC1C#N",
    "c1ccccc1",
    "CC(C)(C)N",
    "OCCN",
    "CCC",
    "CCN",
    "C1CCC1",
    "CC#N",
    "c1ccoc1",
    "c1cc[nH]c1",
    "CC(=O)O",
    "CNC",
    "C1COC1",
    "FCF",
    "CC(C)O",
    "NC=O",
    "OC1CC1",
    "C=CC=C",
]


@pytest.fixture(scope="module")
def molecules() -> Graph:
    return from_smiles(SMILES)


@pytest.fixture
def narrow(monkeypatch):
    """Backbones that learn in a second."""
    small = encoders.Encoding(BackboneConfig("smiles", width=32, layers=1))
    monkeypatch.setitem(encoders.ENCODINGS, "smiles", small)


def posed(inputs, graphs: Graph, kind: str = "smiles", steps: int = 3) -> TrainingData:
    pairs = Split(inputs, graphs, pd.DataFrame({"key": range(len(graphs))}))
    return TrainingData("smi2mol", kind, pairs, pairs, graphs, Budget(steps, 20))


# -- codec -------------------------------------------------------------------------------------------------------
def test_links_are_read_back(vocabulary, generator):
    for density in (0.0, 0.3, 1.0):
        graphs = random_vertices(vocabulary, 60, generator, density)
        codec = NodeLinkCodec(vocabulary)
        again = from_edge_lists([codec.decode(tokens) for tokens in codec.encode(graphs)], vocabulary)
        assert isomorphic(again, graphs).all()


def test_what_links_cannot_mean_is_refused(vocabulary):
    read = NodeLinkCodec(vocabulary).decode
    assert read([("a",), ("b",), ("thin", 0)]) == (["a", "b"], [(0, 1, "thin")])
    assert read([]) is None and read([("thin", 0), ("a",)]) is None  # no node; a link before there is one
    assert read([("a",), ("thin", 0)]) is None  # to itself
    assert read([("a",), ("b",), ("thin", 2), ("c",)]) is None  # to a later one
    assert read([("a",), ("b",), ("thin", 0), ("thick", 0)]) is None  # twice
    assert read([("a",)] * 5) is not None and read([("a",)] * 6) is None


def test_smiles_are_read_back_and_others_refused(molecules):
    codec = SmilesCodec(molecules.vocabulary)
    again = from_edge_lists([codec.decode(tokens) for tokens in codec.encode(molecules)], codec.vocabulary)
    assert equal(again, molecules)
    (halides,) = codec.encode(from_smiles(["ClCBr"]))
    assert sorted(halides) == ["Br", "C", "Cl"]
    for strange in (["C", "("], ["S"], ["C"] * 7, []):
        assert codec.decode(strange) is None
    five_bonds = from_edge_lists([(["C"] * 6, [(0, i, "single") for i in range(1, 6)])], molecules.vocabulary)
    assert codec.encode(five_bonds) == [None]


def test_the_order_of_nodes_is_that_of_the_graph(vocabulary, generator, molecules):
    """However a graph is numbered, it comes back as one and the same tensor."""
    bonds = [(0, 1, "single"), (1, 2, "double"), (1, 3, "double")]
    uncharged = from_edge_lists([(["C", "N", "O", "O"], bonds)], molecules.vocabulary)  # RDKit would charge it
    for graphs in (random_vertices(vocabulary, 60, generator), molecules, uncharged):
        ordered = canonical_order(graphs)
        assert equal(canonical_order(augment.shuffled(graphs, generator)), ordered)
        assert isomorphic(ordered, graphs).all()
        there = ordered.presence()
        assert (there[:, 1:] <= there[:, :-1]).all()


# -- sequence ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tiny(molecules) -> SequenceModel:
    """Random weights, three tokens, END included; no two sequences are alike to it."""
    torch.manual_seed(0)
    model = SequenceModel(Encoder(posed(SMILES, molecules), 8), 3, DecoderConfig(width=8, embedding=4)).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
    return model


def likelihoods(model, text: str, longest: int) -> dict[tuple, float]:
    """Log-likelihood of every sequence that ends within so many tokens, by teacher forcing, one at a time."""
    found = {}
    for count in range(longest):
        for said in product((1, 2), repeat=count):
            wanted = torch.tensor([[*said, END]])
            with torch.no_grad():
                found[said] = -model.loss([text], wanted).item() * (count + 1)
    return found


def said(tokens: torch.Tensor) -> tuple:
    return tuple(t for t in tokens.tolist() if t != END)


def test_a_wide_beam_finds_what_brute_force_finds(tiny):
    texts = ["CCO", "C1CCC1", "CC(=O)O"]
    tokens, score = beam_search(tiny, texts, 32, 4)
    for b, text in enumerate(texts):
        expected = sorted(likelihoods(tiny, text, 4).items(), key=lambda pair: -pair[1])
        finished = score[b].isfinite()
        assert [said(row) for row in tokens[b][finished]] == [sequence for sequence, _ in expected]
        assert torch.allclose(score[b][finished], torch.tensor([value for _, value in expected]), atol=1e-4)


def test_a_beam_of_one_is_greedy(tiny):
    for text in SMILES:
        tokens, last = [], END
        while len(tokens) < 6:
            with torch.no_grad():
                last = tiny([text], torch.tensor([[END, *tokens]]))[0, -1].argmax().item()
            if last == END:
                break
            tokens.append(last)
        found, score = beam_search(tiny, [text], 1, 6)
        assert [*said(found[0, 0])] == tokens and score.isfinite().all() == (last == END)


def test_inputs_do_not_change_each_other(tiny):
    together, score = beam_search(tiny, SMILES, 3, 5)
    for b, text in enumerate(SMILES):
        alone, likelihood = beam_search(tiny, [text], 3, 5)
        assert [said(row) for row in together[b]] == [said(row) for row in alone[0]]
        assert torch.allclose(score[b], likelihood[0], atol=1e-4)


@pytest.mark.parametrize(
    "method",
    [
        SequenceDecoder(config=DecoderConfig(64, 32, 0.0)),
        SequenceDecoder(config=DecoderConfig(64, 32, 0.0), smiles=False),
        OneShot(config=OneShotConfig(64, 128, 0.0)),
    ],
    ids=["smiles", "links", "one-shot"],
)
def test_few_pairs_are_learned_by_heart(method, molecules, narrow, tmp_path, monkeypatch):
    def hurried(data, **changes):
        loop = TrainerConfig(150, 1e-2, warmup=10, validate_every=500)
        return SurrogateTraining(loop=loop, batch_size=len(SMILES))

    monkeypatch.setattr(neural, "neural_training", hurried)
    fitted = method.fit(posed(SMILES, molecules), seed=0, work=tmp_path, progress=False)
    predicted = fitted.predictors[""].predict(SMILES)
    predicted.check()
    assert isomorphic(canonicalized(predicted), molecules).float().mean() >= 0.9
    assert fitted.parameters > 10_000


def test_what_tells_of_no_graph_is_the_graph_without_nodes(molecules, tmp_path):
    torch.manual_seed(0)
    model = SequenceModel(Encoder(posed(SMILES, molecules), 8), 3, DecoderConfig(width=8)).eval()
    told = SequencePredictor(model, SmilesCodec(molecules.vocabulary), ["(", ")"], 4).predict(SMILES)
    assert len(told) == len(SMILES) and not told.presence().any()


def test_a_graph_beyond_the_capacities_is_no_answer(vocabulary):
    """The first beam that is one is the answer: ("a",) carries 3, here 2 + 2."""
    tokens = [("a",), ("thick", 0), ("thick", 1)]
    answer = SequencePredictor(None, NodeLinkCodec(vocabulary), tokens, 9)._first_valid
    overloaded, fine = [1, 1, 2, 1, 3, END], [1, 1, 2, END]
    assert answer([overloaded, fine], [True, True]) == (["a", "a"], [(0, 1, "thick")])
    assert answer([fine, [1]], [False, True]) == (["a"], []) and answer([overloaded], [True]) == ([], [])


# -- one-shot ------------------------------------------------------------------------------------------------------
def test_what_comes_at_once_lies_in_the_polytope(vocabulary, vertices, generator):
    torch.manual_seed(0)
    decoder = GraphDecoder(vocabulary, OneShotConfig(dim=8, width=16)).eval()
    made = decoder.graph(10 * torch.randn(30, 8, generator=generator))
    made.check()
    assert equal(made.rounded(), made.rounded().rounded()) and made.rounded().check()


def test_the_loss_at_once_is_the_likelihood_of_slots_and_pairs(vocabulary, vertices, generator):
    torch.manual_seed(0)
    decoder, ordered = GraphDecoder(vocabulary, OneShotConfig(dim=8, width=16)).eval(), canonical_order(vertices)
    vector = torch.randn(40, 8, generator=generator)
    made, total, N = decoder.graph(vector), 0.0, vocabulary.max_nodes
    for b in range(40):
        for i in range(N):
            total -= (made.nodes[b, i] * ordered.nodes[b, i]).sum().log()
            for j in range(i):
                total -= (made.edges[b, i, j] * ordered.edges[b, i, j]).sum().log()
    assert torch.allclose(decoder.loss(vector, ordered), total / 40 / (N + N * (N - 1) / 2))


# -- both ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", [SequenceDecoder(), OneShot()], ids=["sequence", "one-shot"])
def test_a_run_that_was_cut_off_goes_on(method, molecules, narrow, tmp_path, monkeypatch):
    """Ctrl-C in the fourth step of six; what is learned in the end is the same, bit for bit."""
    data = posed(SMILES, molecules, steps=6)
    original, calls = neural.draw_inputs, iter(range(99))

    def interrupted(*given):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return original(*given)

    def learned(folder: str):
        return method.fit(data, seed=0, work=tmp_path / folder, progress=False).predictors[""].predict(SMILES)

    expected = learned("whole")
    monkeypatch.setattr(neural, "draw_inputs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        learned("cut")
    monkeypatch.setattr(neural, "draw_inputs", original)
    assert equal(learned("cut"), expected)
    whole, cut = (checkpoints.read(next((tmp_path / folder).iterdir()), 10**8) for folder in ("whole", "cut"))
    assert [entry["step"] for entry in cut[0]["history"]] == [6]
    for name, weights in whole[1].items():
        assert torch.equal(weights, cut[1][name]), name

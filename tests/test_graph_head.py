"""The graph head: inputs become relaxed graphs, and psi embeds them."""

import copy
import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from conftest import equal

from benchmarks.methods.graph_kernels import embed_kernel
from elekit.datasets import Split
from elekit.decoding import DecodeConfig, decode
from elekit.decoding.refinement_loss import MAX_SEARCHED, refinement_loss
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists
from elekit.graphs.smiles import from_smiles
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import points_of, squared_distance
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.model.surrogate.graph_head import SPARE_SLOTS, GraphBackbone, compact, round_at_random
from elekit.model.surrogate.image import ImageBackbone
from elekit.model.surrogate.registry import from_config, make_backbone, to_config
from elekit.model.surrogate.tokens import MAX_DISTANCE, TokenBackbone, Tokenizer
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate, surrogate
from elekit.training.loop import TrainerConfig
from elekit.training.surrogate import known_places

LETTERS = GraphVocabulary(("A", "B", "C"), ("next", "ring"), 5)
DIM = 24
TEXTS = ["AB", "A", "CAB-CBA-ACB", "", "B C"]


def untrained(seed=0) -> GraphEmbedding:
    torch.manual_seed(seed)
    return GraphEmbedding(LETTERS, EmbeddingConfig(hidden=16, rounds=2, dim=DIM)).eval()


def backbone(kind="character", inputs=TEXTS, psi=None):
    torch.manual_seed(1)
    config = BackboneConfig(kind, width=16, layers=1, embedding=12, through="graph")
    return make_backbone(config, inputs, DIM, vocabulary=LETTERS, psi=psi or untrained()).eval()


def words(count: int, seed=0) -> Split:
    """Texts such as "ABCA" and the path of these letters, closed to a ring if an "o" precedes them."""
    generator, texts, parts = torch.Generator().manual_seed(seed), [], []
    for _ in range(count):
        n = int(torch.randint(3, 6, (1,), generator=generator))
        letters = ["ABC"[i] for i in torch.randint(3, (n,), generator=generator).tolist()]
        ring = bool(torch.rand((), generator=generator) < 0.5)
        edges = [(i, i + 1, "next") for i in range(n - 1)] + ([(0, n - 1, "ring")] if ring else [])
        texts.append(("o" if ring else "") + "".join(letters))
        parts.append((letters, edges))
    frame = pd.DataFrame({"row": range(count), "key": texts})
    return Split(texts, from_edge_lists(parts, LETTERS), frame)


INPUTS = {
    "character": TEXTS,
    "tfidf": ["AB and A", "B", "ABC or BAC"],
    "vector": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "image": torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_every_reader_makes_graphs_of_the_polytope_and_psi_embeds_them(kind):
    inputs, psi = INPUTS[kind], untrained()
    made = backbone(kind, inputs, psi)
    relaxed = made.graphs(inputs)
    relaxed.check()  # rows on the simplex, symmetric, nothing on the diagonal
    assert len(relaxed) == len(inputs)
    assert relaxed.nodes.shape[1] <= LETTERS.max_nodes + SPARE_SLOTS
    torch.testing.assert_close(made(inputs), psi(relaxed))
    torch.testing.assert_close(made(inputs).norm(dim=1), torch.ones(len(inputs)))


@pytest.mark.parametrize("kind", INPUTS)
def test_one_by_one_equals_the_batch(kind):
    """Padding becomes no node and does not change other graphs."""
    inputs, made = INPUTS[kind], backbone(kind, INPUTS[kind])
    alone = torch.cat([made(inputs[i : i + 1]) for i in range(len(inputs))])
    torch.testing.assert_close(made(inputs), alone, rtol=1e-4, atol=1e-5)


def test_a_text_has_no_more_nodes_than_tokens():
    relaxed = backbone().graphs(["A", "ABCAB"])
    assert (relaxed.presence()[0] > 1e-6).sum() <= 1


def test_relative_positions():
    offsets = TokenBackbone.relative_positions(None, 2 * MAX_DISTANCE + 5)
    assert offsets.diagonal().unique().tolist() == [MAX_DISTANCE]
    assert offsets[3, 1] == MAX_DISTANCE + 2 and offsets[1, 3] == MAX_DISTANCE - 2
    assert (offsets.min(), offsets.max()) == (0, 2 * MAX_DISTANCE)
    grid = ImageBackbone.relative_positions(None, 9)
    assert grid.shape == (9, 9) and len(grid.unique()) == 25
    assert grid[4, 0] == grid[8, 4] == grid[5, 1] and grid[4, 0] != grid[0, 4]  # one down, one to the right


@pytest.mark.parametrize("slots", [1, 3, 5, 8])
def test_compact_keeps_the_likeliest_nodes_in_their_order(slots):
    generator = torch.Generator().manual_seed(slots)
    nodes = torch.rand(4, slots, LETTERS.K, generator=generator).softmax(-1)
    edges = torch.rand(4, slots, slots, LETTERS.R, generator=generator).softmax(-1)
    graphs = Graph(nodes, edges, LETTERS).symmetrized()
    small = compact(graphs)
    small.check()
    assert small.nodes.shape[1] == LETTERS.max_nodes
    for b in range(4):
        there = graphs.presence()[b]
        kept = sorted(there.argsort(descending=True)[:5].tolist())
        assert torch.equal(small.nodes[b, : len(kept)], graphs.nodes[b, kept])
        assert torch.equal(small.edges[b, : len(kept), : len(kept)], graphs.edges[b][kept][:, kept])
        assert (small.presence()[b, len(kept) :] == 0).all()
    if slots <= LETTERS.max_nodes:
        psi = untrained()
        torch.testing.assert_close(psi(small), psi(graphs))


def test_some_decided_graphs_are_rounded_with_the_gradient_of_the_relaxed_ones():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(400, 5, LETTERS.K, generator=generator).requires_grad_()
    edges = torch.randn(400, 5, 5, LETTERS.R, generator=generator).softmax(-1)
    shares, weights = {}, torch.rand(400, 5, LETTERS.K, generator=generator)
    for sharpness in (0.1, 20.0):
        soft = Graph((sharpness * logits).softmax(-1), edges, LETTERS).symmetrized()
        torch.manual_seed(0)
        made = round_at_random(soft)
        hard = (made.edges - soft.rounded().edges).abs().amax((1, 2, 3)) < 1e-6
        shares[sharpness] = hard.float().mean().item()
        torch.testing.assert_close(made.nodes[hard], soft.rounded().nodes[hard])
        torch.testing.assert_close(made.nodes[~hard], soft.nodes[~hard])
        torch.testing.assert_close(made.edges[~hard], soft.edges[~hard])
        ours, theirs = (
            torch.autograd.grad((g.nodes * weights).sum(), logits, retain_graph=True)[0] for g in (made, soft)
        )
        torch.testing.assert_close(ours, theirs)
    assert shares[0.1] == 0 and 0.2 < shares[20.0] < 0.5


# -- inputs of which it is known which token is which node ----------------------------------------------------------
def test_the_aligned_loss_is_that_of_nodes_and_edges_at_their_places():
    """Oracle: the cross-entropy written out pair by pair; places that are padding or unknown do not count."""
    made, texts = backbone(), ["oABC", "CA", "xBB"]
    truth = from_edge_lists([("ABC", [(0, 2, "ring")]), ("AC", [(0, 1, "next")]), ("BB", [(0, 1, "next")])], LETTERS)
    places = torch.full((3, truth.slots()), -1)
    places[0, :3], places[1, :2], places[2, 0] = torch.tensor([1, 2, 3]), torch.tensor([1, 0]), 2
    states, inside, _ = made.reader.read(texts)
    node, (node_labels, edge_labels) = made.head.node_logits(states).log_softmax(-1), truth.labels()
    total = torch.zeros(())
    for b, text in enumerate(texts):
        at = {int(place): i for i, place in enumerate(places[b]) if place >= 0}
        total -= sum(node[b, t, node_labels[b, at[t]] if t in at else 0] for t in range(len(text)))
        for t, i in at.items():
            for u, j in at.items():
                if i < j:
                    edge = made.head.edge_logits(states[b : b + 1], torch.tensor([[t, u]]))[0, 0, 1]
                    total -= edge.log_softmax(-1)[edge_labels[b, i, j]]
    assert torch.allclose(made.head.aligned_loss(states, inside, truth.dense(), places), total / 6, rtol=1e-4)


def test_the_aligned_loss_is_zero_where_the_head_is_sure_of_the_true_graph(monkeypatch):
    made, truth = backbone(), words(4).graphs.dense()
    texts = [text.lstrip("o") for text in words(4).inputs]
    places = torch.tensor([[i if i < len(text) else -1 for i in range(truth.slots())] for text in texts])
    states, inside, _ = made.reader.read(texts)
    T = states.shape[1]
    monkeypatch.setattr(made.head, "node_logits", lambda *_: 50 * truth.nodes[:, :T])
    monkeypatch.setattr(made.head, "edge_logits", lambda *_: 50 * truth.edges)
    assert made.head.aligned_loss(states, inside, truth, places) < 1e-6
    wrong = Graph(truth.nodes, truth.edges.roll(1, -1), LETTERS)
    monkeypatch.setattr(made.head, "edge_logits", lambda *_: 50 * wrong.edges)
    assert made.head.aligned_loss(states, inside, truth, places) > 10
    assert made.head.aligned_loss(states, inside, truth, torch.full_like(places, -1)) == 0


def test_tokens_are_found_by_the_offsets_of_their_characters():
    tokenizer = Tokenizer("smiles", ())
    assert tokenizer.places("[NH3+]CCl", [0, 3, 6, 7, 8, 9, -1]) == [0, 0, 1, 2, 2, -1, -1]
    assert Tokenizer("word", ()).places("an  ether", [0, 1, 2, 3, 4, 8]) == [0, 0, -1, -1, 1, 1]
    assert tokenizer.places("", [0]) == [-1]


def test_known_places_are_the_atoms_of_smiles_and_none_of_other_pairs():
    graphs = from_smiles(["CCO", "CCO", "c1cc[nH]c1"])
    config = BackboneConfig("smiles", width=8, layers=1, embedding=4, through="graph")
    psi = GraphEmbedding(graphs.vocabulary, EmbeddingConfig(hidden=8, rounds=1, dim=DIM))
    texts = ["OCC", "CCC", "[nH]1cccc1"]
    made = make_backbone(config, texts, DIM, vocabulary=graphs.vocabulary, psi=psi)
    places = known_places(made, texts, Split(texts, graphs, pd.DataFrame(index=range(3))), graphs)
    assert places[0].tolist() == [2, 1, 0, -1, -1] and (places[1] == -1).all()
    assert sorted(places[2].tolist()) == [0, 2, 3, 4, 5] and places[2, 3] == 0  # c1cc[nH]c1


def test_a_head_learns_molecules_by_the_places_of_their_atoms():
    """The psi is untrained, so all that is learned comes from the alignment."""
    smiles = ["CCO", "CC=O", "C1CC1O", "OCC#N", "CC(C)O", "NC1CC1", "C=CCO", "O=CC=O", "CC(N)=O", "C1CCC1"]
    graphs = from_smiles(smiles)
    psi = GraphEmbedding(graphs.vocabulary, EmbeddingConfig(hidden=8, rounds=1, dim=DIM)).eval()
    shape = BackboneConfig("smiles", width=32, layers=1, embedding=16, through="graph")
    loop = TrainerConfig(150, 1e-2, warmup=10, validate_every=150)
    options = {"backbone": shape, "progress": False, "device": "cpu"}
    training = SurrogateTraining(loop, 10, rewritten=0.5, polished=0.0, aligned=1.0, starts=1)
    h = fit_surrogate(psi, Split(smiles, graphs, pd.DataFrame({"row": range(10)})), training=training, **options)
    assert exact(h.graphs(smiles).rounded(), Split(None, graphs, None)) == 1


def test_pairs_without_known_places_are_learned_by_psi(monkeypatch):
    split, made, psi = words(12), {}, untrained()
    options = {"backbone": backbone(psi=psi), "progress": False, "device": "cpu"}
    for name, known in {"none": 0, "some": 6, "all": 12}.items():

        def places(backbone, texts, split, graphs, known=known):
            found = torch.full((len(texts), graphs.slots()), -1)
            found[:known, 0] = 0
            return found

        def distance(u, v, to=(calls := [])):
            to.append(len(u))
            return squared_distance(u, v)

        monkeypatch.setattr(surrogate, "known_places", places)
        monkeypatch.setattr(surrogate, "squared_distance", distance)
        training = SurrogateTraining(TrainerConfig(2, 1e-3), 12, polished=0.0, aligned=1.0, starts=1)
        fit_surrogate(psi, split, training=training, reads="verbatim", **copy.deepcopy(options))
        made[name] = calls[:2]
    assert made["none"] == [12, 12] and made["some"] == [6, 6] and not made["all"]


# -- what is learned -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def psi() -> GraphEmbedding:
    training = EmbeddingTraining(loop=TrainerConfig(300, 5e-3, warmup=10), batch_size=64)
    config = EmbeddingConfig(hidden=32, rounds=2, dim=DIM)
    return fit_embedding(words(300).graphs, config=config, training=training, progress=False, device="cpu")


@pytest.fixture(scope="module")
def learned(psi) -> SurrogateRegressor:
    return fit(psi)


def fit(psi, through="graph", steps=300, **more) -> SurrogateRegressor:
    training = SurrogateTraining(loop=TrainerConfig(steps, 1e-2, warmup=20), batch_size=48)
    shape = BackboneConfig("character", width=24, layers=1, embedding=12, through=through)
    options = {"backbone": shape, "training": training, "progress": False, "device": "cpu", **more}
    return fit_surrogate(psi, words(120), **options)


def exact(found: Graph, split: Split) -> float:
    return isomorphic(found, split.graphs).float().mean().item()


def mixed(graph: Graph, other: Graph, share: float) -> Graph:
    """A relaxed graph between two graphs: `share` of the first."""
    return Graph(torch.lerp(other.nodes, graph.nodes, share), torch.lerp(other.edges, graph.edges, share), LETTERS)


def relabeled(graphs: Graph) -> Graph:
    """The same graphs with another label at the first node."""
    nodes, edges = graphs.labels()
    nodes[:, 0] = nodes[:, 0] % 3 + 1
    return Graph.from_labels(nodes, edges, LETTERS)


def test_refinement_is_the_cross_entropy_to_the_right_label(psi):
    """Oracle: for a graph with one wrong label and a fifth of the right one, the cross-entropy is -log 0.2."""
    truth = words(3).graphs.dense()
    between = mixed(truth, relabeled(truth), 0.2)
    nodes = between.nodes.clone().requires_grad_()
    taught = refinement_loss(psi, Graph(nodes, between.edges, LETTERS), psi(truth).detach())
    assert taught.item() == pytest.approx(-math.log(0.2), rel=1e-3)
    taught.backward()
    right = truth.nodes.bool() & (truth.nodes != relabeled(truth).nodes)  # where the right label is
    assert torch.equal(nodes.grad.argmin(-1)[:, 0], right[:, 0].long().argmax(-1))


def test_refinement_is_zero_where_rounding_is_right(psi):
    truth = words(3).graphs.dense()
    between = mixed(truth, relabeled(truth), 0.8)
    nodes = between.nodes.clone().requires_grad_()
    taught = refinement_loss(psi, Graph(nodes, between.edges, LETTERS), psi(truth).detach())
    taught.backward()
    assert taught.item() == 0 and nodes.grad.abs().max() == 0


def test_refinement_searches_at_most_max_searched_graphs(psi):
    truth = words(MAX_SEARCHED + 9).graphs.dense()
    nodes = mixed(truth, relabeled(truth), 0.2).nodes.requires_grad_()
    refinement_loss(psi, Graph(nodes, truth.edges, LETTERS), psi(truth).detach()).backward()
    assert 0 < (nodes.grad.abs().flatten(1).amax(1) > 0).sum() <= MAX_SEARCHED


def test_refinement_begins_at_half_of_the_steps_and_matters(psi):
    split, steps = words(20), 8
    made = {}
    for weight in (0.0, 5.0):
        weights = made[weight] = []
        fit_surrogate(
            psi, split, backbone=BackboneConfig("character", width=12, layers=1, embedding=8, through="graph"),
            training=SurrogateTraining(TrainerConfig(steps, 3e-3, warmup=1, validate_every=4), 16, polished=weight),
            callback=lambda step, h, to=weights: to.append(copy.deepcopy(h.state_dict())), progress=False,
        )  # fmt: skip
    _, half, end = zip(*made.values())
    assert all(torch.equal(half[0][name], half[1][name]) for name in half[0])
    assert any(not torch.equal(end[0][name], end[1][name]) for name in end[0])


def test_the_learned_loss_trains_graphs_without_matching_nodes(learned, psi):
    new = words(200, seed=5)
    known = points_of(psi, words(120).graphs)
    seen = (points_of(psi, new.graphs) @ known.T).amax(1) > 1 - 1e-5
    new = new.take((~seen).nonzero()[:, 0])
    assert len(new) > 100
    assert exact(learned.graphs(new.inputs).rounded(), new) > 0.25  # by chance 1 / 720


def test_psi_is_neither_trained_nor_touched_nor_saved():
    psi = untrained()
    before = copy.deepcopy(psi.state_dict())
    trainable = [p.requires_grad for p in psi.parameters()]
    h = fit(psi, steps=3)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), psi.state_dict().values()))
    assert [p.requires_grad for p in psi.parameters()] == trainable and all(p.grad is None for p in psi.parameters())
    assert not [name for name in h.state_dict() if "psi" in name]
    own = sum(p.numel() for p in h.parameters())
    assert own == sum(v.numel() for v in h.state_dict().values())


def test_psi_can_be_replaced(learned):
    other, inputs = untrained(7), words(9).inputs
    moved = copy.deepcopy(learned)
    moved.backbone.set_psi(other)
    assert equal(moved.graphs(inputs), learned.graphs(inputs))
    torch.testing.assert_close(moved.predict(inputs), other(moved.backbone.graphs(inputs)))
    assert (moved.predict(inputs) - learned.predict(inputs)).abs().max() > 1e-2


def test_further_training_continues_from_the_weights_with_the_new_psi(learned):
    other = untrained(7)
    h = fit(other, steps=1, backbone=copy.deepcopy(learned.backbone).requires_grad_(True))
    inputs = words(4).inputs
    torch.testing.assert_close(h.predict(inputs), other(h.backbone.graphs(inputs)))


def test_artifact_round_trip(learned, psi, tmp_path):
    artifacts.save(artifacts.Artifact("letters", psi, {"text": learned}), tmp_path)
    _, h = artifacts.load(tmp_path).surrogate("text")
    inputs = words(20, seed=3).inputs
    torch.testing.assert_close(h.predict(inputs), learned.predict(inputs))
    assert h.has_graph_head and equal(h.graphs(inputs).rounded(), learned.graphs(inputs).rounded())


def test_config_round_trip():
    made = backbone()
    again = from_config(to_config(made), DIM, vocabulary=LETTERS, psi=made.psi)
    again.load_state_dict(made.state_dict())
    assert isinstance(again, GraphBackbone)
    torch.testing.assert_close(again.eval()(TEXTS), made(TEXTS))


def test_an_interrupted_run_resumes_to_the_same_weights(psi, tmp_path):
    whole = fit(psi, steps=8)
    loop = TrainerConfig(8, 1e-2, warmup=20, validate_every=6, checkpoint_every=3)
    training = SurrogateTraining(loop=loop, batch_size=48)

    def cut(step, h):
        if step == 6:
            raise RuntimeError("the power went")

    options = {"training": training, "checkpoint": tmp_path / "h.pt"}
    with pytest.raises(RuntimeError, match="the power went"):
        fit(psi, callback=cut, **options)
    again = fit(psi, **options)
    for a, b in zip(whole.state_dict().values(), again.state_dict().values()):
        torch.testing.assert_close(a, b)


# -- what is refused -----------------------------------------------------------------------------------------------
def test_a_psi_without_gradients_is_refused():
    sketch = embed_kernel("wl", words(30).graphs, 10, 0)
    with pytest.raises(ValueError, match="has no gradient.*through='point'"):
        fit(sketch, steps=1)


def test_an_h_without_graph_head_has_no_graphs(psi):
    h = fit(psi, "point", steps=1)
    assert not h.has_graph_head
    with pytest.raises(ValueError, match="goes through a point.*through='graph'"):
        h.graphs(["AB"])
    with pytest.raises(ValueError, match="through must be one of"):
        BackboneConfig(through="line")


def test_no_inputs_are_refused(learned):
    with pytest.raises(ValueError, match="no inputs given"):
        learned.graphs([])


# -- decoding ------------------------------------------------------------------------------------------------------
def test_rounding_returns_the_graph_of_h_and_local_search_never_makes_it_worse(learned, psi):
    new = words(40, seed=8)
    target, start = learned.predict(new.inputs), learned.graphs(new.inputs)
    plain = decode(psi, target, start=start, config=DecodeConfig("rounded"))
    assert equal(plain.graphs, psi.prior.constraints.rounded(start))  # which joins a graph in pieces
    torch.testing.assert_close(plain.loss, squared_distance(psi(plain.graphs), target))
    polished = decode(psi, target, start=start, config=DecodeConfig("rounded+polish"), record=True)
    assert (polished.loss <= plain.loss + 1e-6).all() and (polished.loss < plain.loss - 1e-3).any()
    for b, trace in enumerate(polished.traces):
        assert trace.stopped == "a given graph, rounded" and len(trace) == 1
        assert equal(trace[0], start[b : b + 1])
        relaxed = squared_distance(psi(start[b : b + 1]), target[b])
        assert trace.gap[0] == pytest.approx((plain.loss[b] - relaxed).item(), abs=1e-5)


def test_local_search_of_rounded_graphs_also_starts_from_candidates(psi):
    truth = words(12, seed=8).graphs
    target, far = points_of(psi, truth), words(12, seed=9).graphs
    search = DecodeConfig(
        "rounded+polish", local_search=replace(DecodeConfig().local_search, rounds=1, screen=1, retry_above=4.0)
    )
    found = decode(psi, target, start=far, candidates=truth, config=search)
    assert exact(found.graphs, Split(None, truth, None)) == 1.0
    assert exact(decode(psi, target, start=far, config=search).graphs, Split(None, truth, None)) < 0.5


def test_each_target_needs_its_graph(psi):
    truth = words(3).graphs
    for start, given in ((None, "none"), (truth[:2], "2")):
        with pytest.raises(ValueError, match=f"'rounded' rounds one graph for each of 3 targets.*got {given}"):
            decode(psi, points_of(psi, truth), start=start, config=DecodeConfig("rounded"))

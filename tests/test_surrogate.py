"""h_W: tokens, backbones, and the fit that regresses on psi."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from elekit import datasets
from elekit.datasets import Split
from elekit.graphs.smiles import parse_smiles
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.model.surrogate.registry import make_backbone
from elekit.model.surrogate.text import TextBackbone
from elekit.model.surrogate.tokens import PAD, UNKNOWN, Tokenizer
from elekit.model.surrogate.vector import VectorBackbone
from elekit.training import SurrogateTraining, checkpoints, fit_surrogate, infer_kind, surrogate
from elekit.training.loop import TrainerConfig
from elekit.training.surrogate import RESTART_PAIRS, bucketed_rows, default_training, draw_inputs, settings

DIM = 12
SMALL = BackboneConfig("smiles", width=24, layers=1, embedding=12)
LOOP = TrainerConfig(steps=12, learning_rate=1e-2, warmup=3, validate_every=4, checkpoint_every=5)
FAST = SurrogateTraining(loop=LOOP, batch_size=16)
TEXTS = ["CCO", "C[N+](=O)C", "c1ccccc1Cl", "", "BrC%12CC%12", "C"]


def text_backbone(kind="smiles", texts=TEXTS, layers=2, attention=0):
    torch.manual_seed(0)
    config = BackboneConfig(kind, width=8, layers=layers, embedding=6, attention=attention)
    return TextBackbone(Tokenizer.from_texts(kind, texts), config, DIM)


def vector_backbone(features=3):
    torch.manual_seed(0)
    return VectorBackbone(features, BackboneConfig("vector", width=8), DIM)


# -- tokens --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("level", "text", "tokens"),
    [
        ("character", "C Cl\n", ["C", " ", "C", "l", "\n"]),
        ("word", "An Ether, 2-methyl", ["an", "ether", ",", "2", "-", "methyl"]),
        ("smiles", "[NH3+]CCl", ["[NH3+]", "C", "Cl"]),
        ("smiles", "BrC%12=[O-]", ["Br", "C", "%12", "=", "[O-]"]),
        ("smiles", "C[N", ["C", "[", "N"]),
        ("smiles", "", []),
    ],
)
def test_a_text_is_split_at_each_level(level, text, tokens):
    assert Tokenizer(level, ()).split(text) == tokens


def test_tokens_are_numbered_by_how_often_they_occur():
    tokenizer = Tokenizer.from_texts("smiles", ["CCO", "CN", "NC"])
    assert tokenizer.tokens == ("C", "N", "O")
    assert Tokenizer.from_texts("smiles", ["CCO", "CN", "NC"], at_least=2).tokens == ("C", "N")
    encoded, lengths = tokenizer.encode(["CO", "F", "", "NCC"])
    assert encoded.tolist() == [[2, 4, PAD], [UNKNOWN, PAD, PAD], [UNKNOWN, PAD, PAD], [3, 2, 2]]
    assert lengths.tolist() == [2, 1, 1, 3]


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["C", None], "input 1 is not text but NoneType"),
        (["C", float("nan")], "input 1 is not text but float: nan"),
        (torch.zeros(2, 3), "input 0 is not text but Tensor"),
        (["C", "CO" * 2_501], "input 1 has 5,002 tokens, at most 5,000"),
        ("CCO", r"a list of texts, got one text 'CCO'; give \['CCO'\]"),
    ],
)
def test_inputs_that_are_not_a_list_of_texts_are_refused(texts, error):
    readers = [Tokenizer("smiles", ("C",)).encode, text_backbone()]
    if "tokens" not in error:
        readers.append(lambda t: Tokenizer.from_texts("smiles", t))
    for read in readers:
        with pytest.raises(ValueError, match=error):
            read(texts)


def test_unknown_level_and_kind_are_refused():
    with pytest.raises(ValueError, match="level must be one of .*got 'letter'"):
        Tokenizer("letter", ())
    with pytest.raises(ValueError, match="no backbone 'sound'"):
        make_backbone(BackboneConfig("sound"), ["C"], DIM)


# -- backbones -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["character", "word", "smiles"])
@pytest.mark.parametrize(("layers", "attention"), [(1, 0), (2, 0), (1, 2)])
def test_padding_does_not_matter(kind, layers, attention):
    texts = [*TEXTS, "a longer text, with blanks", "a"]
    backbone = text_backbone(kind, texts, layers, attention).eval()
    together = backbone(texts)
    alone = torch.cat([backbone([text]) for text in texts])
    assert together.shape == (len(texts), DIM)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_with_attention_a_token_reads_the_whole_text():
    backbone = text_backbone("word", ["a b c d e f"], 1, 1).eval()
    state, *_ = backbone.read(["a b c d e f"])
    far, *_ = backbone.read(["b b c d e f"])
    assert not torch.allclose(state[0, -1], far[0, -1], atol=1e-4)
    assert backbone.train()(["a b c"]).requires_grad


@pytest.mark.parametrize("options", [{"kind": "vector"}, {"kind": "image"}, {"kind": "word", "width": 7}])
def test_attention_is_for_texts_with_an_even_width(options):
    with pytest.raises(ValueError, match="attention is for texts, with an even width"):
        BackboneConfig(attention=1, **options)


def test_both_directions_and_every_token_count():
    backbone = text_backbone(layers=1).eval()
    base = backbone(["CCO"])
    for other in ("OCC", "CCC", "CCOC", "CO", "C", "FCO"):
        assert (backbone([other]) - base).abs().max() > 1e-3, other


def test_each_direction_is_what_a_bidirectional_recurrence_computes():
    """torch's own bidirectional GRU over packed sequences, given the same weights."""
    backbone = text_backbone(layers=1).eval()
    width, texts = backbone.config.width, [text for text in TEXTS if text]
    oracle = nn.GRU(6, width, batch_first=True, bidirectional=True)
    weights = dict(backbone.forwards[0].state_dict().items())
    weights |= {f"{k}_reverse": v for k, v in backbone.backwards[0].state_dict().items()}
    oracle.load_state_dict(weights)
    tokens, lengths = backbone.tokenizer.encode(texts)
    packed = nn.utils.rnn.pack_padded_sequence(backbone.enter(tokens), lengths, True, enforce_sorted=False)
    states, last = oracle(packed)
    states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    for b, length in enumerate(lengths.tolist()):
        own = states[b, :length]
        pooled = torch.cat([last[0, b], last[1, b], own.mean(0), own.amax(0)])
        torch.testing.assert_close(backbone([texts[b]])[0], backbone.leave(pooled), rtol=1e-5, atol=1e-6)


def test_vectors_are_standardized_by_the_training_inputs():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 50.0, 1e-3]) + 7
    x = torch.cat([x, torch.full((200, 1), 0.1)], 1)  # and a feature that never varies
    backbone = make_backbone(BackboneConfig("vector", width=8), x, DIM)
    seen = []
    backbone.enter.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    backbone(x)
    torch.testing.assert_close(seen[0][:, :3].mean(0), torch.zeros(3), atol=1e-2, rtol=0)
    torch.testing.assert_close(seen[0][:, :3].std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    seen.clear()
    backbone(x[:1] + torch.tensor([0, 0, 0, 1.0]))
    assert seen[0][0, 3].abs() < 2, "a feature that was constant in training must not be blown up"


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (torch.zeros(2, 4), r"inputs must be \(B, 3\), got \(2, 4\)"),
        (torch.zeros(3), r"inputs must be \(B, 3\), got \(3,\)"),
        (torch.tensor([[0.0, 0, 0], [0, float("nan"), 0]]), "input 1 holds NaN or infinity"),
        (torch.tensor([[0.0, 0, float("inf")]]), "input 0 holds NaN or infinity"),
        (["CCO"], "reads rows of numbers, input 0 is 'CCO'"),
    ],
)
def test_vectors_of_another_kind_are_refused(x, error):
    with pytest.raises(ValueError, match=error):
        vector_backbone()(x)


def test_make_backbone_checks_that_kind_and_inputs_fit():
    with pytest.raises(ValueError, match=r"'word' reads texts, the inputs are vectors \(4, 2\); use 'vector'"):
        make_backbone(BackboneConfig("word"), torch.zeros(4, 2), DIM)
    with pytest.raises(ValueError, match="'vector' reads rows of numbers, input 0 is 'CC'"):
        make_backbone(BackboneConfig("vector"), ["CC", "C"], DIM)
    with pytest.raises(ValueError, match=r"'vector' reads inputs \(n, features\), got \(4,\)"):
        make_backbone(BackboneConfig("vector"), torch.zeros(4), DIM)
    assert infer_kind(torch.zeros(1, 1)) == "vector"
    assert infer_kind(["CCO", " C "]) == "smiles"
    assert infer_kind(["CCO", "an ether"]) == "word"
    with pytest.raises(ValueError, match=r"no backbone suits inputs such as \[1, 2\]"):
        infer_kind([[1, 2]])


# -- h -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("backbone", "inputs"), [(text_backbone(), TEXTS), (vector_backbone(), torch.randn(6, 3))])
def test_h_is_on_the_sphere_for_any_batch(backbone, inputs):
    h = SurrogateRegressor(backbone, DIM).eval()
    points = h(inputs)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(len(inputs)))
    assert h(inputs[:1]).shape == (1, DIM)
    predicted = h.predict(inputs, batch_size=4)
    torch.testing.assert_close(predicted, points.detach(), rtol=1e-5, atol=1e-6)
    assert not predicted.requires_grad
    with pytest.raises(ValueError, match="no inputs given"):
        h.predict(inputs[:0])


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (torch.zeros(4, DIM + 1), r"\(4, 13\)"),
        (torch.zeros(4, DIM, 1), r"\(4, 12, 1\)"),
        (torch.zeros(1, DIM), r"\(1, 12\)"),
        ((torch.zeros(4, DIM),), "a tuple"),
    ],
)
def test_a_backbone_of_another_shape_is_one_clear_error(returned, got):
    class Wrong(nn.Module):
        def forward(self, inputs):
            return returned

    with pytest.raises(ValueError, match=rf"must return \(4, 12\) for 4 inputs .* it returned {got}$"):
        SurrogateRegressor(Wrong(), DIM)(torch.zeros(4, 3))


# -- the fit -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def molecules() -> Split:
    """60 molecules of 4 and 5 atoms, inputs as SMILES written along random paths."""
    everything = datasets.load("molecules7", inputs="smiles").train
    sizes = everything.graphs.sizes
    return everything.take(((sizes > 3) & (sizes < 6)).nonzero()[:60, 0])


@pytest.fixture(scope="module")
def psi(molecules) -> GraphEmbedding:
    torch.manual_seed(3)
    return GraphEmbedding(molecules.graphs.vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=DIM)).eval()


def with_inputs(split, inputs) -> Split:
    return Split(inputs, split.graphs, split.frame)


def fit(psi, split, **options):
    defaults = {"backbone": SMALL, "training": FAST, "device": "cpu", "progress": False}
    return fit_surrogate(psi, split, **{**defaults, **options})


def weights(module):
    return torch.cat([v.detach().flatten().double() for v in module.state_dict().values()])


def without_clock(h):
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in h.history]


@pytest.fixture(scope="module")
def long_fit(psi, molecules):
    before = weights(psi)
    loop = replace(LOOP, steps=90, warmup=5, validate_every=1)
    h = fit(psi, molecules, training=replace(FAST, loop=loop, batch_size=60, contrast=1.0), reads="verbatim")
    return h, before


def test_the_loss_falls_and_retrieval_rises_above_chance(long_fit, molecules, psi):
    h, _ = long_fit
    first, last = h.history[0], h.history[-1]
    assert [entry["step"] for entry in h.history] == list(range(1, 91))
    assert last["loss"] < 0.6 * first["loss"]
    assert last["retrieval"] > 8 / len(molecules) > 2 * first["retrieval"]  # by chance 1 / 60
    assert last["cosine"] > first["cosine"]
    points, targets = h.predict(molecules.inputs), psi.embed(molecules.graphs)
    nearest = (points @ targets.T).argmax(1)
    assert last["retrieval"] == pytest.approx((nearest == torch.arange(60)).float().mean().item())
    assert not h.training


def test_psi_is_frozen(long_fit, psi):
    _, before = long_fit
    assert torch.equal(weights(psi), before)
    assert all(p.grad is None for p in psi.parameters())


def test_same_seed_same_weights_and_the_global_generator_is_left_alone(psi, molecules):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    options = {"backbone": BackboneConfig("smiles", width=8, embedding=6, dropout=0.3)}
    one = fit(psi, molecules, seed=5, **options)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two, other = fit(psi, molecules, seed=5, **options), fit(psi, molecules, seed=6, **options)
    assert torch.equal(weights(one), weights(two)) and without_clock(one) == without_clock(two)
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("backbone", [replace(SMALL, dropout=0.2), BackboneConfig("vector", width=8, dropout=0.2)])
def test_ctrl_c_and_resuming_is_the_uninterrupted_run_bit_for_bit(psi, molecules, backbone, tmp_path, ctrl_c_at):
    split, training = molecules, replace(FAST, rewritten=0.5)
    if backbone.kind == "vector":
        split = with_inputs(molecules, psi.embed(molecules.graphs)[:, :5])
    whole = fit(psi, split, backbone=backbone, training=training)
    file = tmp_path / "h.pt"
    ctrl_c_at(7)
    cut = fit(psi, split, backbone=backbone, training=training, checkpoint=file)
    assert cut.history[-1]["interrupted"] and cut.history[-1]["step"] == 7
    assert not torch.equal(weights(cut), weights(whole))
    resumed = fit(psi, split, backbone=backbone, training=training, checkpoint=file)
    assert torch.equal(weights(resumed), weights(whole))
    assert without_clock(resumed) == without_clock(whole)


GRAPH = replace(SMALL, through="graph")


@pytest.fixture(scope="module")
def restarted(psi, molecules):
    """Settings of a graph head for few pairs, and its three restarts, each trained alone."""
    training = replace(FAST, loop=replace(LOOP, steps=15), batch_size=48, starts=3)
    loop = replace(training.loop, steps=5, validate_every=5, checkpoint_every=5)
    short = replace(training, loop=loop, batch_size=32, polished=0.0, starts=1)
    return training, [fit(psi, molecules, backbone=GRAPH, training=short, seed=s) for s in (4, 1004, 2004)]


def test_training_on_few_pairs_continues_from_the_restart_with_the_lowest_validation_loss(
    psi, molecules, restarted, tmp_path
):
    training, restarts = restarted
    cosines = [h.history[-1]["cosine"] for h in restarts]
    assert len(set(cosines)) == 3
    best = restarts[cosines.index(max(cosines))]
    file, given = tmp_path / "h.pt", copy.deepcopy(best.backbone)
    expected = fit(psi, molecules, backbone=given, training=training, seed=4, checkpoint=file)
    identity = checkpoints.read(file, 10**8)[0]["identity"]
    assert "starts" not in identity["training"]  # a given module is not restarted
    found = fit(psi, molecules, backbone=GRAPH, training=training, seed=4)
    assert torch.equal(weights(found), weights(expected)) and without_clock(found) == without_clock(expected)


@pytest.mark.parametrize(
    "call", [2, 7, 21]
)  # in the first restart, in the second, and in the training that continues
def test_ctrl_c_during_restarts_loses_nothing_and_leaves_no_files(
    psi, molecules, restarted, call, tmp_path, ctrl_c_at, capsys
):
    training, file = restarted[0], tmp_path / "h.pt"
    whole = fit(psi, molecules, backbone=GRAPH, training=training, seed=4)
    calls = ctrl_c_at(call)
    options = {"backbone": GRAPH, "training": training, "seed": 4, "checkpoint": file}
    assert fit(psi, molecules, **options).history[-1]["interrupted"]
    assert f"call again with checkpoint={str(file)!r}" in capsys.readouterr().err
    resumed = fit(psi, molecules, **options)
    assert next(calls) == 31  # 15 of three restarts, 15 that continue, and the interrupted one: no step is repeated
    assert torch.equal(weights(resumed), weights(whole)) and without_clock(resumed) == without_clock(whole)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("more", [{"backbone": SMALL}, {"backbone": GRAPH, "pairs": RESTART_PAIRS + 1}])
def test_many_pairs_and_backbones_without_graph_head_have_no_restarts(psi, molecules, more, monkeypatch):
    split = molecules.take(torch.arange(more.pop("pairs", len(molecules))) % len(molecules))
    steps, original = [], draw_inputs
    monkeypatch.setattr(surrogate, "draw_inputs", lambda *given: steps.append(1) or original(*given))
    training = replace(FAST, loop=replace(LOOP, steps=6))
    h = fit(psi, split, training=training, **more)
    assert len(steps) == 6
    assert "starts" not in settings(training, has_graph_head=h.has_graph_head, pairs=len(split))


@pytest.mark.parametrize("through", ["point", "graph"])
def test_graph_heads_rewrite_smiles_by_default(psi, molecules, through, monkeypatch):
    class Enough(Exception):
        pass

    def drawn(inputs, rows, rewritten, generator):
        raise Enough(rewritten)

    monkeypatch.setattr(surrogate, "draw_inputs", drawn)
    with pytest.raises(Enough) as found:
        fit(psi, molecules, backbone=replace(SMALL, through=through), training=None)
    assert found.value.args == ({"point": 0.0, "graph": 0.5}[through],)
    assert default_training(GRAPH) != default_training(replace(GRAPH, kind="tfidf")) == SurrogateTraining()
    assert default_training(replace(SMALL, kind="word")) == SurrogateTraining(misspelled=0.3)


def test_a_checkpoint_of_other_inputs_is_refused(psi, molecules, tmp_path):
    file = tmp_path / "h.pt"
    fit(psi, molecules, checkpoint=file)
    swapped = with_inputs(molecules, [molecules.inputs[1], molecules.inputs[0], *molecules.inputs[2:]])
    with pytest.raises(ValueError, match="belongs to another run: inputs differ"):
        fit(psi, swapped, checkpoint=file)
    with pytest.raises(ValueError, match="belongs to another run: seed differ"):
        fit(psi, molecules, checkpoint=file, seed=1)
    again = fit(psi, molecules, checkpoint=file)  # its own run resumes: it has ended
    assert again.history[-1]["step"] == LOOP.steps


def test_any_module_is_a_backbone(psi, molecules):
    class Counting(nn.Module):
        """Letters counted, and a linear map; its `config` is no dataclass, as in other libraries."""

        config = {"letters": "CNOF"}  # noqa: RUF012

        def __init__(self):
            super().__init__()
            self.leave = nn.Linear(4, DIM)

        def forward(self, texts):
            return self.leave(torch.tensor([[float(t.upper().count(c)) for c in "CNOF"] for t in texts]))

    torch.manual_seed(0)
    own = Counting()
    before = weights(own)
    h = fit(psi, molecules, backbone=own)
    assert h.backbone is own and not torch.equal(weights(own), before)
    assert h(molecules.inputs[:3]).shape == (3, DIM)


def test_a_module_of_another_width_is_one_clear_error(psi, molecules):
    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.leave = nn.Linear(1, 7)

        def forward(self, texts):
            return self.leave(torch.tensor([[float(len(t))] for t in texts]))

    with pytest.raises(ValueError, match=r"must return \(16, 12\) for 16 inputs .* returned \(16, 7\)"):
        fit(psi, molecules, backbone=Wrong())


def test_bad_splits_are_refused(psi, molecules):
    vectors = torch.zeros(60, 2)
    vectors[3, 1] = float("nan")
    for split, error in (
        (with_inputs(molecules, None), "this split has no inputs .* name the input column"),
        (molecules.take([]), "no pairs to regress on: the split is empty"),
        (with_inputs(molecules, vectors), "inputs of this split hold NaN or infinity, first in row 3"),
    ):
        with pytest.raises(ValueError, match=error):
            fit(psi, split, backbone=None)
    for split, error in (
        (with_inputs(molecules, None), "the validation split has no inputs"),
        (with_inputs(molecules, vectors), "inputs of the validation split hold NaN"),
    ):
        with pytest.raises(ValueError, match=error):
            fit(psi, molecules, validation=split)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"bucket": 0}, {"starts": 0}, {"rewritten": 1.5}, {"temperature": 0.0}]
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SurrogateTraining(**wrong)


def test_one_pair_is_enough(psi, molecules):
    h = fit(psi, molecules.take([4]), training=replace(FAST, loop=replace(LOOP, steps=60)))
    assert h.history[-1]["cosine"] > 0.9


def test_validation_is_measured_on_the_split_given(psi, molecules):
    h = fit(psi, molecules, validation=molecules.take(range(7)))
    points, targets = h.predict(molecules.inputs[:7]), psi.embed(molecules.graphs[:7])
    assert h.history[-1]["cosine"] == pytest.approx((points * targets).sum(1).mean().item(), abs=1e-6)


def test_a_share_of_the_smiles_is_rewritten(molecules):
    inputs, rows = molecules.inputs, torch.arange(60)
    generator = torch.Generator().manual_seed(0)
    assert draw_inputs(inputs, rows, 0.0, generator) == inputs
    drawn = draw_inputs(inputs, rows, 1.0, generator)
    changed = sum(one != other for one, other in zip(drawn, inputs))
    assert changed > 20
    assert [parse_smiles(s).canonical for s in drawn] == [parse_smiles(s).canonical for s in inputs]
    half = sum(one != other for one, other in zip(draw_inputs(inputs, rows, 0.3, generator), inputs))
    assert 0 < half < changed
    assert inputs == molecules.inputs


def test_only_smiles_are_rewritten():
    texts = ["CCO is an alcohol", "the molecule", "zz", "C is methane"] * 5
    vectors = torch.randn(20, 2)
    generator = torch.Generator().manual_seed(0)
    assert draw_inputs(texts, torch.arange(20), 1.0, generator) == texts
    assert torch.equal(draw_inputs(vectors, torch.arange(20), 1.0, generator), vectors)


def test_batches_have_texts_of_similar_length():
    texts = ["C" * (1 + i % 40) for i in range(400)]
    rows = [bucketed_rows(texts, 32, 4, 0, step) for step in range(8)]
    lengths = [torch.tensor([len(texts[i]) for i in r.tolist()]) for r in rows]
    assert all(len(r) == 32 for r in rows)
    assert max((each.max() - each.min()).item() for each in lengths) < 25
    for four in (lengths[:4], lengths[4:]):  # one draw, sorted and cut into four, each with its turn
        shortest_first = sorted(four, key=lambda each: each.float().mean().item())
        for shorter, longer in itertools.pairwise(shortest_first):
            assert shorter.max() <= longer.min()
    assert bucketed_rows(texts, 1, 1, 0, 0).shape == (1,)

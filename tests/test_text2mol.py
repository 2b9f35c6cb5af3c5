"""Text2Mol: the pairs of ChEBI-20, molecules that are dense on demand, backbones for texts, counted parts."""

import copy
import gzip
import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from benchmarks import chebi20
from benchmarks.methods import METHODS
from benchmarks.methods.count_ridge import COUNT_RIDGES, TextKernel, TextRidge
from benchmarks.methods.ele import ELE
from benchmarks.methods.encoders import encoder_for
from benchmarks.methods.environments import MAX_COUNT, SHARE, EnvironmentEmbedding, whitened, whitened_messages
from benchmarks.methods.part_weights import (
    PART_SHARE,
    EnvironmentWeights,
    PartsAndPsi,
    PartWeights,
    WeightTraining,
    leave_one_out,
)  # fmt: skip
from benchmarks.methods.substructure_counts import PART_KINDS, CountEmbedding, SubstructureCounts
from benchmarks.runner import evaluate_predictor
from benchmarks.task_data import Budget, TestData, TrainingData
from benchmarks.tasks import TASKS, fill_gallery
from elekit.cli import main
from elekit.datasets import Split
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import Chem, from_smiles, to_smiles
from elekit.graphs.weisfeiler_lehman import node_colors
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import points_of
from elekit.model.surrogate import BackboneConfig, tfidf
from elekit.model.surrogate.registry import from_config, make_backbone, to_config
from elekit.training import SurrogateTraining, checkpoints, fit_surrogate
from elekit.training.loop import TrainerConfig

# chains of several elements: (SMILES, description)
ENDS = {
    "O": "an alcohol", "N": "an amine", "Cl": "a chloride", "Br": "a bromide", "C(=O)O": "an acid", "C#N": "a nitrile"
}  # fmt: skip
PAIRS = [
    ("C" * length + end, f"The molecule is {name} with a chain of {length} carbons.")
    for length in range(1, 9)
    for end, name in ENDS.items()
]
TWICE = ("OCCC", "The molecule is propan-1-ol, written again.")  # the graph of CCCO


def table(pairs) -> pd.DataFrame:
    return pd.DataFrame([(i, *pair) for i, pair in enumerate(pairs)], columns=["cid", "smiles", "description"])


@pytest.fixture
def local(tmp_path, monkeypatch):
    """A part for development of 48 molecules, one of them twice, and a row that is refused."""
    (tmp_path / "chebi20").mkdir()
    path = tmp_path / "chebi20" / chebi20.PART
    with gzip.open(path, "wt", encoding="utf-8") as opened:
        table([*PAIRS, TWICE, ("C1CC", 'No "molecule".')]).to_csv(opened, sep="\t", index=False, quoting=3)
    monkeypatch.setenv("ELEKIT_DATA_DIR", str(tmp_path))
    return path


def load(fold: int, tested=8, validated=6):
    return chebi20.load_folds(fold, tested=tested, validated=validated)


# -- molecules of very different sizes -----------------------------------------------------------------------------
def test_what_takes_many_graphs_takes_packed_graphs():
    dense = from_smiles(["C" * 30, "CCO", "c1ccccc1", "[Na+].[Cl-]", "C"])
    packed = PackedGraphs.of(dense)
    assert to_smiles(packed) == to_smiles(dense)
    torch.manual_seed(0)
    psi = GraphEmbedding(dense.vocabulary, EmbeddingConfig(8, 2, 6)).eval()
    torch.testing.assert_close(points_of(psi, packed), points_of(psi, dense), atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(node_colors(packed, 2), node_colors(dense, 2), strict=True):
        assert torch.equal(ours, theirs)
    split = Split(["a", "b", "c", "d", "e"], packed, pd.DataFrame({"key": to_smiles(packed)}))
    assert to_smiles(split.take([3, 1]).graphs) == [split.frame["key"][i] for i in (3, 1)]
    training = SurrogateTraining(TrainerConfig(2, 1e-3, warmup=1), batch_size=4)
    h = fit_surrogate(psi, split, backbone=BackboneConfig("tfidf", width=8), training=training, progress=False)
    assert h.predict(["a b"]).shape == (1, 6)


# -- the pairs -----------------------------------------------------------------------------------------------------
def test_folds_are_disjoint_by_molecule(local):
    folds = [load(fold) for fold in range(5)]
    tested = [set(data.test.frame["key"]) for data in folds]
    assert all(len(keys) == len(data.test) == 8 for keys, data in zip(tested, folds))
    assert len(set().union(*tested)) == 40
    for data in folds:
        keys = [set(split.frame["key"]) for split in (data.train, data.validation, data.test)]
        assert sum(map(len, keys)) == len(set().union(*keys)) == 48
        assert len(data.validation) == 6
        read = data.report()
        kept = len(data.train) + len(data.validation) + len(data.test)
        assert read["rows"] == 50 == kept + sum(read["skipped"].values())
        for split in (data.train, data.validation, data.test):
            assert to_smiles(split.graphs) == split.frame["key"].tolist()
            assert split.inputs == split.frame["description"].tolist()
    assert load(0).digest == folds[0].digest != folds[1].digest


def test_a_graph_that_comes_twice_is_learned_from_twice_and_tested_on_once(local):
    learned = [list(load(fold).train.frame["key"]).count("CCCO") for fold in range(5)]
    others = [[*data.test.frame["key"], *data.validation.frame["key"]].count("CCCO") for data in map(load, range(5))]
    assert all((a, b) in ((2, 0), (0, 1)) for a, b in zip(learned, others))
    assert 2 in learned


def test_small_molecules_have_folds_of_their_own(local):
    def small(fold):
        return chebi20.load_small(fold, largest=6, tested=4, validated=3)

    folds = [small(fold) for fold in range(5)]
    for data in folds:
        assert data.vocabulary.max_nodes == 6
        keys = [key for split in (data.train, data.validation, data.test) for key in split.frame["key"]]
        sizes = [Chem.MolFromSmiles(key).GetNumHeavyAtoms() for key in keys]
        assert max(sizes) == 6 and len(data.test) == 4 and len(data.validation) == 3
        assert len(set(keys)) == sum(Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= 6 for smiles, _ in PAIRS)
        skipped = data.report()["skipped"]
        assert skipped["more than 6 heavy atoms"] == 48 - len(set(keys)) and skipped["RDKit refuses the SMILES"] == 1
        assert "up to 6 heavy atoms" in data.name
        assert to_smiles(data.test.graphs) == data.test.frame["key"].tolist()
    assert len({key for data in folds for key in data.test.frame["key"]}) == 20


def test_folds_that_there_are_not_are_refused(local):
    with pytest.raises(ValueError, match="0 to 4, got 5"):
        load(5)
    with pytest.raises(ValueError, match="5 folds of 10 .* 48 molecules"):
        load(0, tested=10)


def test_the_public_files_are_read_by_their_own_split(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_DATA_DIR", str(tmp_path))
    files = {"train": ("train.txt", 20), "validation": ("validation.txt", 14), "test": ("test.txt", 14)}
    monkeypatch.setattr(chebi20, "PUBLIC", files)
    (tmp_path / "chebi20").mkdir()
    for (file, rows), start in zip(chebi20.PUBLIC.values(), (0, 20, 34)):
        head = table(PAIRS[start : start + rows]).rename(columns={"cid": "CID", "smiles": "SMILES"})
        head.to_csv(tmp_path / "chebi20" / file, sep="\t", index=False, quoting=3)
    data = chebi20.load_public()
    assert [len(data.train), len(data.validation), len(data.test)] == [20, 14, 14]
    assert data.test.inputs == [text for _, text in PAIRS[34:]]
    assert len(load(0, tested=4, validated=3).train) == 28 - 4 - 3  # without the part: of these two
    (tmp_path / "chebi20" / "test.txt").write_text("CID\tSMILES\tdescription\n1\tC\tMethane.\n")
    with pytest.raises(ValueError, match="test.txt has 1 pairs, the public split test has 14"):
        chebi20.load_public()
    (tmp_path / "chebi20" / "test.txt").write_text("C\tMethane.\n")
    with pytest.raises(ValueError, match="columns should be cid, smiles, description"):
        chebi20.load_public()


def test_truths_are_looked_for_among_others_that_differ(local):
    data = load(1)
    test = data.test.take(range(5))
    for count in (5, 7, 20, 1_000):
        gallery = fill_gallery(test, data, count)
        keys = to_smiles(gallery)
        assert keys[:5] == test.frame["key"].tolist() and len(set(keys)) == len(keys) == min(count, 48)
        assert keys[5:8] == data.test.frame["key"].tolist()[5 : max(5, min(count, 8))]
    assert TASKS["text2mol-public"].gallery_size == 10_000 and TASKS["text2mol"].gallery_size is None


@pytest.mark.realdata
def test_the_part_for_development(data_dir):
    data = chebi20.load_folds(2)
    read = data.report()
    assert (read["rows"], len(read["node_labels"]), read["max_nodes"]) == (5_648, 77, 574)
    assert read["skipped"].pop("graph of an earlier row") < 149 and sum(read["skipped"].values()) == 12
    assert len(data.test) == 1_000 == data.test.frame["key"].nunique() and len(data.validation) == 400
    assert len(data.train) > 4_190


# -- backbones for texts -------------------------------------------------------------------------------------------
TEXTS = [text for _, text in PAIRS]


def tfidf_backbone(dim=5):
    torch.manual_seed(0)
    return make_backbone(BackboneConfig("tfidf", width=8), TEXTS, dim)


def test_tfidf_is_that_of_scikit_learn():
    backbone, new = tfidf_backbone(), ["a chain of 3 carbons", "An Acid", "", "zzz"]
    for texts in (TEXTS, new):
        oracle = [TfidfVectorizer(**how, sublinear_tf=True).fit(TEXTS).transform(texts) for how in tfidf.ANALYZERS]
        assert abs(backbone.rows(texts) - sparse.hstack(oracle)).max() < 1e-6
    first = nn.Linear(backbone.enter.num_embeddings, 8)
    first.weight.data, first.bias.data = backbone.enter.weight.data.T, backbone.bias.data
    state = first(torch.from_numpy(backbone.rows(new).toarray()))
    for layer in backbone.hidden:
        state = state + layer(state)
    torch.testing.assert_close(backbone(new), backbone.leave(state))


def test_a_tfidf_backbone_is_built_again_from_plain_values():
    import json

    backbone = tfidf_backbone().eval()
    told = json.loads(json.dumps(to_config(backbone)))
    again = from_config(told, 5).eval()
    again.load_state_dict(backbone.state_dict())
    assert torch.equal(again(TEXTS), backbone(TEXTS))


def test_the_number_of_ngrams_is_bounded(monkeypatch):
    monkeypatch.setattr(tfidf, "MAX_FEATURES", 7)
    assert [len(terms) for terms, _ in tfidf_backbone().readings] == [7, 7]


def test_texts_without_ngrams():
    with pytest.raises(ValueError, match="no n-gram in the inputs"):
        make_backbone(BackboneConfig("tfidf"), ["", "?"], 5)
    short = make_backbone(BackboneConfig("tfidf", width=8), ["ab", "ab cd"][:1], 5)  # words only
    assert short(["ab", "q"]).shape == (2, 5)
    with pytest.raises(ValueError, match="'tfidf' reads texts, the inputs are vectors"):
        make_backbone(BackboneConfig("tfidf"), torch.zeros(2, 3), 5)
    with pytest.raises(ValueError, match="input 1 is not text but NoneType"):
        make_backbone(BackboneConfig("tfidf"), ["abc", None], 5)


class Encoder(nn.Module):
    """States of 4 numbers for each token, which is a character."""

    def __init__(self, config):
        super().__init__()
        self.config, self.states = config, nn.Embedding(config.vocab_size, config.hidden_size)

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(last_hidden_state=self.states(input_ids))


class Configuration:
    """Like `PretrainedConfig`: what it is not given has a default."""

    def __init__(self, **given):
        fields = {"model_type": "bert", "hidden_size": 4, "vocab_size": 128, "pad_token_id": 0}
        vars(self).update({**fields, "max_position_embeddings": 64, "auto_map": None, **given})

    def to_dict(self):
        return dict(vars(self))


class Reader:
    """Like `tokenizers.Tokenizer`: each character is a token. Stored as JSON of the largest token."""

    def __init__(self, largest=127):
        self.largest, self.longest = largest, 10**9

    def to_str(self):
        return json.dumps(self.largest)

    @classmethod
    def from_str(cls, text):
        return cls(json.loads(text))

    def no_padding(self):
        pass

    def enable_truncation(self, longest):
        self.longest = longest

    def get_vocab(self):
        return {"largest": self.largest}

    def encode_batch(self, texts):
        return [SimpleNamespace(ids=[ord(c) for c in text[: self.longest]]) for text in texts]


@pytest.fixture
def asked(monkeypatch):
    """Modules `transformers` and `tokenizers` that know one encoder and download nothing; what they are asked for."""
    calls = []

    def known(made):
        def from_pretrained(name, **options):
            calls.append((name, options))
            assert options.pop("trust_remote_code") is False
            if name != "some/encoder":
                raise OSError(f"{name} is not a local folder and is not a valid model identifier")
            return made(**options)

        return from_pretrained

    def encoder(config, use_safetensors, dtype):
        assert use_safetensors is True and dtype == torch.float32 and config.auto_map is None
        return Encoder(config)

    def configuration(kind, **fields):
        return Configuration(model_type=kind, **fields)

    module, tokenizers = ModuleType("transformers"), ModuleType("tokenizers")
    remote = {"auto_map": {"AutoModel": "some/code--run.Me"}, "_name_or_path": "some/encoder"}
    module.AutoConfig = SimpleNamespace(
        from_pretrained=known(lambda: Configuration(**remote)), for_model=configuration
    )
    module.AutoModel = SimpleNamespace(
        from_pretrained=known(encoder), from_config=lambda config, trust_remote_code: Encoder(config)
    )
    reader = SimpleNamespace(model_max_length=10**30, backend_tokenizer=Reader())
    module.AutoTokenizer = SimpleNamespace(from_pretrained=known(lambda: reader))
    tokenizers.Tokenizer = Reader
    monkeypatch.setitem(sys.modules, "transformers", module)
    monkeypatch.setitem(sys.modules, "tokenizers", tokenizers)
    return calls


def test_an_encoder_by_name(asked):
    torch.manual_seed(0)
    backbone = make_backbone(BackboneConfig("hf:some/encoder"), TEXTS, 5).eval()
    texts = ["ab", "abcdef", "b", ""]
    mean = torch.stack([backbone.encoder.states(torch.tensor([ord(c) for c in t] or [0])).mean(0) for t in texts])
    torch.testing.assert_close(backbone(texts), backbone.leave(mean))
    with pytest.raises(ValueError, match="'hf:other' cannot be loaded: other is not a local folder"):
        make_backbone(BackboneConfig("hf:other"), TEXTS, 5)
    asked.clear()
    values = json.loads(json.dumps(to_config(backbone)))
    again = from_config(values, 5)
    again.load_state_dict(backbone.state_dict())
    assert torch.equal(again.eval()(texts), backbone(texts))
    assert torch.equal(copy.deepcopy(again)(texts), backbone(texts)) and to_config(again) == values
    assert asked == [] and values["max_length"] == 64, "nothing is asked of a hub or of the disk"
    assert "auto_map" not in values["encoder"] and "_name_or_path" not in values["encoder"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoder": {"model_type": "evil"}}, "encoders of kind 'evil' are not supported"),
        ({"encoder": {"model_type": ["bert"]}}, "encoders of kind .* are not supported"),
        ({"encoder": {"model_type": "bert", "auto_map": {"AutoModel": "x--y.Z"}}}, "field 'auto_map'"),
        ({"encoder": {"model_type": "bert", "_attn_implementation": "some/kernel"}}, "field '_attn_implementation'"),
        ({"encoder": {"model_type": "bert", "vocab_size": 10**9}}, "the encoder's vocab_size must be a number"),
        ({"encoder": {"model_type": "bert", "vocab_size": 100}}, "has more tokens than its encoder"),
        ({"encoder": {"model_type": "bert", "hidden_size": {"a": {"b": {"c": {"d": 1}}}}}}, "hidden_size must be"),
        ({"tokenizer": "no JSON"}, "the tokenizer of 'hf:some/encoder' cannot be read"),
        ({"encoder": None}, "saved without its encoder, by an older version"),
    ],
)
def test_an_encoder_of_an_artifact_is_built_from_known_fields_alone(asked, change, problem):
    values = to_config(make_backbone(BackboneConfig("hf:some/encoder"), TEXTS, 5))
    asked.clear()
    with pytest.raises(ValueError, match=problem):
        from_config({k: v for k, v in {**values, **change}.items() if v is not None}, 5)
    assert asked == []


def test_without_transformers_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"'hf:some/encoder' needs transformers; .*pip install 'elekit\[hf\]'"):
        make_backbone(BackboneConfig("hf:some/encoder"), TEXTS, 5)
    for kind in ("hf", "hf:"):
        with pytest.raises(ValueError, match="needs the name of an encoder"):
            make_backbone(BackboneConfig(kind), TEXTS, 5)
    with pytest.raises(ValueError, match="no backbone 'word:x'"):
        make_backbone(BackboneConfig("word:x"), TEXTS, 5)


def test_the_command_line_knows_them(capsys):
    with pytest.raises(SystemExit):
        main(["train", "surrogate", "--artifact", "a", "--data", "b", "--backbone", "hf:"])
    told = capsys.readouterr().err
    assert "no backbone 'hf:'; choose character, word, smiles, tfidf, vector or hf:NAME" in told


# -- counted parts -------------------------------------------------------------------------------------------------
def test_parts_of_a_molecule_by_hand():
    glycine = Chem.MolFromSmiles("[NH3+]CC(=O)[O-]")
    found = PART_KINDS["groups"](glycine)
    wanted = {"C": 2, "N": 1, "O": 2, "H": 5, "N of charge +1": 1, "O of charge -1": 1}
    wanted |= {"SINGLE bond": 3, "DOUBLE bond": 1}
    assert {part: found[part] for part in wanted} == wanted
    assert found["parts"] == 1 and "net_charge" not in found
    assert PART_KINDS["groups"](Chem.MolFromSmiles("c1ccncc1"))["aromatic ring of CCCCCN"] == 1
    assert PART_KINDS["exact"](glycine)["O = 2"] == 1
    branched = Chem.MolFromSmiles("CC(C)CC=CC(=O)Oc1ccccc1C")  # 4-methylpentenoate and a methyl group
    assert PART_KINDS["chains"](branched) == {
        "chain of 6": 1, "chain of 6, double bonds 1": 1, "chain of 1": 1, "chain of 1, double bonds 0": 1
    }  # fmt: skip
    ethanol = Chem.MolFromSmiles("CCO")
    assert sum(PART_KINDS["neighborhoods"](ethanol).values()) == 6  # 3 atoms, and what is new beside 3


def test_rows_of_counts_are_logarithms_times_rarity():
    graphs = from_smiles(["CCO", "CCCO", "CCN", "CCCl"])
    counts = SubstructureCounts(["groups"], graphs, min_graphs=1)
    rows, known = counts.rows(graphs).toarray(), counts.parts[0]
    assert rows.shape == (4, len(counts)) and np.allclose(np.linalg.norm(rows, axis=1), 1)
    carbon, oxygen = rows[1, known["C"]], rows[1, known["O"]]
    assert carbon / oxygen == pytest.approx(np.log(4) / (np.log(2) * (1 + np.log(5 / 3))))
    assert rows[2, known["O"]] == 0
    seen = SubstructureCounts(["groups"], graphs, min_graphs=2)
    assert "O" in seen.parts[0] and "N" not in seen.parts[0]


def test_psi_of_counts_weighs_parts():
    graphs = from_smiles(["CCO", "CCCO", "CCN", "CCCl"])
    psi = CountEmbedding(SubstructureCounts(["neighborhoods", "groups"], graphs, min_graphs=1))
    rows = torch.from_numpy(psi.counts.rows(graphs).toarray())
    torch.testing.assert_close(psi(graphs), rows / 2**0.5)  # two kinds of unit length each
    with torch.no_grad():
        psi.log_scale.copy_(torch.tensor([-20.0, 0.0]))
    torch.testing.assert_close(psi(graphs) @ psi(graphs).T, rows[:, psi.kind == 1] @ rows[:, psi.kind == 1].T)
    again = points_of(psi, graphs[[0, 0]])
    assert torch.equal(again[0], again[1]) and (again.norm(dim=1) - 1).abs().max() < 1e-6


def test_ridge_regression_is_that_of_scikit_learn_and_what_is_left_out_is_really_left_out():
    from sklearn.kernel_ridge import KernelRidge

    points, kernel = torch.randn(len(TEXTS), 3, generator=torch.Generator().manual_seed(0)), TextKernel(TEXTS)
    new = ["an acid of 3 carbons", "a chain"]
    oracle = (
        KernelRidge(alpha=0.1, kernel="precomputed").fit(kernel.train_kernel, points.numpy()).predict(kernel(new))
    )
    oracle = torch.from_numpy(oracle / np.linalg.norm(oracle, axis=1, keepdims=True)).float()
    inverse = np.linalg.inv(kernel.regularized(0.1))
    for h in (TextRidge(kernel, 0.1, points), TextRidge(kernel, 0.1, points, inverse)):
        torch.testing.assert_close(h.predict(new), oracle, atol=1e-4, rtol=1e-4)
    found = leave_one_out(points.double().numpy(), inverse, inverse @ points.double().numpy())
    for i in (0, 17, 47):
        rest = np.delete(np.arange(len(TEXTS)), i)
        one = KernelRidge(alpha=0.1, kernel="precomputed").fit(
            kernel.train_kernel[np.ix_(rest, rest)], points.numpy()[rest]
        )
        assert np.allclose(one.predict(kernel.train_kernel[i : i + 1, rest])[0], found[i], atol=1e-6)


# -- the methods, end to end ---------------------------------------------------------------------------------------
@pytest.fixture
def posed(local):
    data = load(0, tested=8, validated=12)
    tuned, kept = data.validation.take(range(2)), data.validation.take(range(2, 12))
    problem = TrainingData("text2mol", "text", data.train, tuned, data.train.graphs, Budget(4))
    return problem, TestData(data.test, kept, data.test.graphs, torch.arange(len(data.test)), decode=False)


QUICK = WeightTraining(TrainerConfig(6, 0.05, warmup=1), 16)


@pytest.mark.parametrize(
    "method", [*COUNT_RIDGES, PartWeights(training=QUICK), EnvironmentWeights(training=QUICK), ELE()]
)
def test_methods_find_molecules_by_their_descriptions(method, posed, tmp_path):
    problem, test_data = posed
    known = METHODS[method.name]
    assert known.name == method.name and known.title == method.title and "text2mol" in (known.tasks or ["text2mol"])
    fitted = method.fit(problem, seed=0, work=tmp_path, progress=False)
    figures = evaluate_predictor(fitted.predictors[""], test_data)
    assert figures["among"] == 8 and figures["mrr"] > 0.6  # 0.34 by chance
    assert 0 <= figures["sets"]["coverage"] <= 1 and figures["sets"]["set_size"] <= 8
    predictor, held = fitted.predictors[""], figures["sets"]
    losses = 2 - 2 * predictor.score_gallery(test_data.calibration.inputs, test_data.calibration.graphs).diagonal()
    assert held["radius"] == pytest.approx(losses.max().item(), abs=1e-4)  # of 10 the 10th is that of 90 %
    inside = 2 - 2 * predictor.score_gallery(test_data.test.inputs, test_data.gallery) <= losses.max()
    assert held["coverage"] == pytest.approx(inside.diagonal().float().mean().item())
    assert held["set_size"] == pytest.approx(inside.sum(1).float().mean().item())
    assert held["empty"] == pytest.approx((inside.sum(1) == 0).float().mean().item())
    assert fitted.parameters > 0 and fitted.settings["ridge"] in (0.01, 0.03, 0.1, 0.3)
    again = method.fit(problem, seed=0, work=tmp_path / "again", progress=False).predictors[""]
    asked = test_data.test.inputs, test_data.gallery
    assert torch.equal(again.score_gallery(*asked), predictor.score_gallery(*asked))


def test_a_neural_h_reads_long_texts_as_bags_of_ngrams(posed, tmp_path):
    problem, test_data = posed
    kinds = [encoder_for(replace(problem, task=task)).kind for task in ("text2mol", "text2mol-public", "noise")]
    assert kinds == ["tfidf", "tfidf", "word"]
    fitted = METHODS["dsokr-tanimoto"].fit(problem, seed=0, work=tmp_path, progress=False)
    assert evaluate_predictor(fitted.predictors[""], test_data)["mrr"] > 0.34  # by chance
    record, _ = checkpoints.read(tmp_path / "h.pt", 10**8)
    assert record["identity"]["backbone"]["backbone"]["kind"] == "tfidf"


def test_learned_weights_lower_the_contrast(posed, tmp_path):
    problem, _ = posed
    training = WeightTraining(TrainerConfig(40, 0.05, warmup=2, validate_every=10), 64)
    fitted = PartWeights(training=training).fit(problem, seed=0, work=tmp_path, progress=False)
    history = fitted.settings["history"]
    assert history[-1]["loss"] < history[0]["loss"] and [entry["step"] for entry in history] == [10, 20, 30, 40]


@pytest.fixture
def small(local):
    """A problem of molecules that can be edited, and its test_data."""
    data = chebi20.load_small(0, largest=6, tested=4, validated=3)
    problem = TrainingData("text2mol-small", "text", data.train, data.validation, data.train.graphs, Budget(4))
    return problem, TestData(data.test, data.validation, data.test.graphs, torch.arange(4))


@pytest.fixture
def messages(small):
    torch.manual_seed(0)
    psi = GraphEmbedding(small[0].outputs.vocabulary, EmbeddingConfig(8, 2, 6)).eval()
    psi.history = [{"seconds": 1.0}]
    return psi


def test_psi_of_messages_and_of_counts_is_the_mean_of_both(small, messages):
    graphs = small[0].outputs[range(5)].dense()
    counted = CountEmbedding(SubstructureCounts(["groups"], graphs, min_graphs=1))
    psi = PartsAndPsi(messages, counted)
    told, parts = points_of(messages, graphs), points_of(counted, graphs)
    wanted = (1 - PART_SHARE) * told @ told.T + PART_SHARE * parts @ parts.T
    torch.testing.assert_close(points_of(psi, graphs) @ points_of(psi, graphs).T, wanted)
    relaxed = replace(graphs, nodes=graphs.nodes.clone().requires_grad_())
    psi(relaxed)[:, 0].sum().backward()  # what screens edits
    assert relaxed.nodes.grad.abs().max() > 0


def test_small_molecules_are_decoded_by_edits(small, messages, monkeypatch, tmp_path):
    problem, test_data = small
    monkeypatch.setattr(PartWeights, "psi", lambda *_: messages)
    fitted = METHODS["part-weights-psi"].fit(problem, seed=0, work=tmp_path, progress=False)
    candidates, polished = (fitted.predictors[way] for way in ("candidates", "candidates + polish"))
    target, psi = polished.h.predict(test_data.test.inputs), polished.psi
    graphs = [way.predict(test_data.test.inputs) for way in (candidates, polished)]
    nearest, edited = (2 - 2 * (target * points_of(psi, found)).sum(1) for found in graphs)
    assert (edited <= nearest + 1e-5).all() and edited.sum() < nearest.sum() - 1e-3
    known = set(problem.train.frame["key"])
    assert set(to_smiles(candidates.predict(test_data.test.inputs))) <= known
    figures = evaluate_predictor(polished, test_data)
    assert {"exact", "edit_distance", "hits@1", "mrr"} <= figures.keys() and figures["among"] == 4
    assert fitted.parameters > sum(p.numel() for p in messages.parameters())
    alone = PartWeights().fit(problem, seed=0, work=tmp_path).predictors[""]
    asked = test_data.test.inputs, test_data.gallery
    assert not torch.allclose(alone.score_gallery(*asked), polished.score_gallery(*asked))


@pytest.mark.parametrize("method", [ELE(), EnvironmentWeights(training=QUICK)])
def test_small_molecules_are_recombined(small, method, tmp_path):
    problem, test_data = small
    fitted = method.fit(problem, seed=0, work=tmp_path / "run", progress=False)
    ranked, recombined = fitted.predictors.values()
    inputs, psi = test_data.test.inputs, recombined.psi
    target = recombined.h.predict(inputs)
    known, new = (2 - 2 * (target * points_of(psi, way.predict(inputs))).sum(1) for way in (ranked, recombined))
    if recombined.psi is recombined.local:  # the nearest known graph is one of those found
        assert (new <= known + 1e-5).all()
    assert new.mean() < known.mean() - 1e-3
    metrics = evaluate_predictor(recombined, test_data)
    assert {"exact", "edit_distance", "hits@1", "mrr"} <= metrics.keys() and metrics["valid"] == 1


# -- messages and environments -------------------------------------------------------------------------------------
LOCAL = EmbeddingConfig(hidden=4, rounds=1, dim=6, walks=4, shape="local")


@pytest.fixture
def molecules(local) -> PackedGraphs:
    return load(0, tested=8, validated=12).train.graphs


def test_a_whitened_psi_has_the_identity_as_covariance_and_is_still_a_local_psi(molecules):
    torch.manual_seed(0)
    psi = GraphEmbedding(molecules.vocabulary, LOCAL).eval()
    before = copy.deepcopy(psi.state_dict())
    made = whitened(psi, molecules, shrinkage=0.01)
    links = made._links(molecules)
    with torch.no_grad():
        reads = [links.total(read).double() for read in made._local(links)]
        sums = sum(read @ leave.weight.double().T + leave.bias.double() for leave, read in zip(made.leave, reads))
    assert sums.mean(0).abs().max() < 1e-3
    found = np.linalg.eigvalsh(np.cov(sums.numpy().T, bias=True))
    variances = np.linalg.eigvalsh(np.cov(torch.cat(reads, 1).numpy().T, bias=True))
    wanted = variances / (0.99 * variances + 0.01 * variances.mean())
    assert np.allclose(np.sort(found), np.sort(wanted), atol=1e-2) and wanted.max() > 0.9
    points = made(molecules)
    torch.testing.assert_close(points, torch.nn.functional.normalize(sums.float(), dim=1), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(made(molecules[:9].dense()), points[:9], atol=1e-3, rtol=1e-2)
    assert made.is_local and made.config.dim == 3 * 8 and made.typical is not None
    assert all(torch.equal(psi.state_dict()[name], value) for name, value in before.items())


def test_environments_are_counted_by_the_nearest_entry_of_a_codebook(molecules):
    psi = whitened_messages(molecules)
    embedding = EnvironmentEmbedding(psi, molecules)
    block = molecules[:20]
    counts = embedding.counts(block)
    states, walks, start = psi.local_states(block), embedding.walks_of(block), 0
    for number, books in enumerate(embedding.codebooks):
        seen = states[number] / embedding.scales[number]
        seen = torch.cat([seen, walks * embedding.walks_scale], 1) if number else seen
        for book in books:
            assert (counts[start].sum(1) == block.sizes).all()
            distance = torch.cdist(seen, book)
            for row in range(20):
                entries = counts[start][row].repeat_interleave(1).nonzero()[:, 0]
                own = distance[block.rows == row]
                near = own.amin(1)[:, None] + 1e-3 >= own  # equally near entries may take turns
                assert near[:, entries].any(1).all()
            start += 1
    rows = embedding.rows(block)
    lengths = [rows[:, embedding.kind == kind].norm(dim=1) for kind in range(int(embedding.kind.max()) + 1)]
    torch.testing.assert_close(lengths[0], torch.ones(20))
    assert all(((one - SHARE).abs().min(one) < 1e-4).all() for one in lengths[1:])  # or 0: nothing is known
    first = embedding.columns[0]
    shown = rows[:, embedding.kind == 1 + start] > 0
    wanted = counts[0][:, first // (MAX_COUNT + 1)] == first % (MAX_COUNT + 1)
    assert torch.equal(shown, wanted)


def test_environments_do_not_depend_on_the_order_of_nodes(molecules):
    embedding = EnvironmentEmbedding(whitened_messages(molecules), molecules)
    dense = molecules[:5].dense()
    turned = replace(dense, nodes=dense.nodes.flip(1), edges=dense.edges.flip(1, 2))
    points = embedding(dense)
    torch.testing.assert_close(embedding(turned), points, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(5))
    with torch.no_grad():
        embedding.log_scale[1:] = -20.0
    torch.testing.assert_close(
        embedding(dense)[:, : embedding.psi.config.dim], embedding.psi(dense), atol=1e-3, rtol=1e-3
    )

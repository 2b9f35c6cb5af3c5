"""Predictors, ways to decode, estimates, compression, and the commands of operation from training to rollback."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import elekit as ele
from elekit import cli, datasets
from elekit.model import artifact as artifacts
from elekit.model.artifact import PRECISIONS
from elekit.operation import Predictor, PredictorSpec, Registry, compress, decode_config, estimate, ways
from elekit.training import EmbeddingTraining, TrainerConfig
from elekit.training.surrogate import default_training

SOME = ["CCO", "C(O)C", "CC", "N#C", "not a molecule", "CCO"]


@pytest.fixture(scope="module")
def predictor():
    return PredictorSpec("molecules7", surrogate="smiles", candidates="none", settings={"method": "rounded"}).load()


# -- predictors ----------------------------------------------------------------------------------------------------
def test_answers_depend_on_the_input_alone(predictor):
    together = predictor.fresh().answers(SOME)
    alone = [predictor.fresh().answers([text])[0] for text in SOME]
    for one, other in zip(together, alone):
        assert one.get("smiles") == other.get("smiles") and one.get("refused") == other.get("refused")
        assert "loss" not in one or one["loss"] == pytest.approx(other["loss"], abs=1e-5)
    assert together[0]["smiles"] == together[1]["smiles"] == together[5]["smiles"]
    assert "refused" in together[4] and together[1]["read_as"] == "CCO"


def test_remembered_answers_are_bounded_and_equal(predictor):
    small = Predictor(predictor.artifact, surrogate="smiles", settings={"method": "rounded"}, remembered=2)
    first = small.answers(SOME)
    assert len(small._known) == 2
    assert small.answers(SOME) == first


def test_a_specification_survives_json(predictor):
    spec = PredictorSpec("molecules7", "smiles", "none", None, {"method": "rounded", "beam": 1})
    again = PredictorSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.load().answers(SOME) == predictor.fresh().answers(SOME)


def test_settings_that_are_none():
    assert decode_config({"beam": 3, "method": None}).local_search.beam == 3
    with pytest.raises(ValueError, match="no setting of decoding 'beem'; there are method"):
        decode_config({"beem": 3})
    with pytest.raises(ValueError, match="needs an h with a graph head"):
        PredictorSpec("molecules7", "description", "none", None, {"method": "rounded"}).load()
    with pytest.raises(ValueError, match="needs candidates, there are none"):
        PredictorSpec("molecules7", "description", "none", None, {"method": "candidates"}).load()


# -- ways, and what fits a budget ----------------------------------------------------------------------------------
TABLE = pd.DataFrame({
    "way": list("abcd"), "milliseconds": [1.0, 10.0, 20.0, 5.0], "exact": [0.5, 0.9, 0.9, 0.4],
})  # fmt: skip


def test_the_best_way_within_a_budget():
    assert ways.best_within(TABLE)["way"] == "b" and ways.best_within(TABLE, 9)["way"] == "a"
    assert ways.best_within(TABLE, 0.5) is None
    assert ways.front(TABLE)["way"].tolist() == ["a", "b"]


# -- estimates -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "seconds"), [("20ms", 0.02), ("90 s", 90), ("15min", 900), ("1.5h", 5400), ("2m", 120), ("3H", 10800)]
)
def test_budgets(text, seconds):
    assert estimate.parse_budget(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "20", "ms", "-3s", "0ms", "1 day", "infs", "nanh", "2hh"])
def test_budgets_that_are_none(text):
    with pytest.raises(ValueError, match="budget"):
        estimate.parse_budget(text)


def test_durations_are_short():
    found = [estimate.duration(x) for x in (0.0123, 3.44, 45, 100, 800, 3_000, 9_000, 100_000)]
    assert found == ["0.012 s", "3.4 s", "45 s", "1.7 min", "13 min", "50 min", "2.5 h", "28 h"]


def test_an_interval_holds_the_middle_and_grows_with_the_spread():
    mean, low, high = estimate.spread([1.0, 1.0, 1.0])
    assert mean == 1 and low == pytest.approx(0.85) and high == pytest.approx(1.15)
    mean, low, high = estimate.spread([1.0, 2.0, 4.0])
    assert low < mean == 2.0 < high and high - low > 2


def test_memory_of_a_block_is_seen():
    with estimate.PeakMemory() as memory:
        held = np.ones(30_000_000)
        held += 1
    assert memory.peak - estimate.resident() > -1e9 and memory.peak > 200e6


def test_estimates_of_training_grow_with_its_steps(predictor):
    data = datasets.load("molecules7", inputs="smiles")
    few = replace(data, train=data.train.sample(200), validation=data.validation.sample(40))

    def told(steps):
        loop = TrainerConfig(steps=steps, learning_rate=1e-3)
        config = ele.EmbeddingConfig(hidden=16, rounds=2, dim=16)
        return estimate.estimate_embedding(few, config, EmbeddingTraining(loop=loop, batch_size=16))

    one, many = told(100), told(10_000)
    assert one.low < one.seconds < one.high and many.seconds > 5 * one.seconds and many.memory > 1e8
    shape = ele.BackboneConfig("smiles", width=16, through="graph")
    own = replace(default_training(shape), batch_size=8)
    assert estimate.estimate_surrogate(predictor.artifact.psi, few, shape, own).seconds > 1


# -- weights in fewer bits -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder, artifact = tmp_path_factory.mktemp("stored"), ele.load("molecules7")
    for precision in PRECISIONS:
        artifacts.save(artifact, folder / precision, precision=precision, psi_precision=precision)
    return folder


def test_weights_in_fewer_bits_are_smaller_and_close(stored):
    sizes = {p: sum(f.stat().st_size for f in (stored / p).glob("*.safetensors")) for p in PRECISIONS}
    assert sizes["float16"] < 0.52 * sizes["float32"] and sizes["int8"] < 0.3 * sizes["float32"]
    whole = artifacts.load(stored / "float32")
    graphs = datasets.load("molecules7").test.graphs[:100]
    for precision, most in (("float16", 1e-4), ("int8", 2e-2)):
        light = artifacts.load(stored / precision)
        losses = 2 - 2 * (whole.psi.embed(graphs) * light.psi.embed(graphs)).sum(1)
        assert 0 < losses.max() < most
        points = [one.surrogates["smiles"].predict(["CCO", "CC=O"]) for one in (whole, light)]
        assert (2 - 2 * (points[0] * points[1]).sum(1)).max() < most


def test_each_row_of_a_matrix_in_eight_bits_keeps_its_own_scale():
    matrix = torch.randn(40, 60) * torch.logspace(-3, 3, 40)[:, None]
    eight, scale = artifacts._quantized(matrix)
    back = artifacts._dequantized({"w": eight, "w.scale": scale})
    assert list(back) == ["w"] and eight.dtype == torch.int8
    assert ((back["w"] - matrix).abs() <= matrix.abs().amax(1, keepdim=True) / 127 / 2 + 1e-9).all()


def test_weights_in_eight_bits_are_verified_like_others(stored, tmp_path):
    with pytest.raises(ValueError, match="precision must be one of"):
        artifacts.save(ele.load("molecules7"), tmp_path, precision="int4")
    again = artifacts.load(stored / "int8")
    artifacts.save(again, tmp_path / "again", precision="int8", psi_precision="int8")
    third = artifacts.load(tmp_path / "again")  # eight bits of eight bits are the same
    for one, other in zip(again.psi.state_dict().values(), third.psi.state_dict().values()):
        assert torch.allclose(one, other, atol=1e-6)


def test_compression_measures_what_each_variant_costs(tmp_path):
    artifact, data = ele.load("molecules7"), datasets.load("molecules7", inputs="smiles")
    found = compress.compress(artifact, data.validation.sample(40), surrogate="smiles", precisions=("int8",))
    table = found.table
    assert table["way"][0] == "as before" and table["size"][0] == table["speed"][0] == 1 and table["lost"][0] == 0
    assert (
        set(table["precision"]) == {"float32", "int8"} and (table["size"][table["precision"] == "int8"] < 0.3).all()
    )
    best = found.best()
    assert table["lost"][best] <= compress.LOST + 1e-9
    light = compress.save_variant(found.variants[best], tmp_path / "light", parent=found.parent)
    assert light.about["operation"]["parent"] == artifact.digest and list(light.surrogates) == ["smiles"]
    assert Predictor(light).config.method == found.variants[best].settings["method"]


def test_a_smaller_h_learns_from_a_larger_one():
    artifact, data = ele.load("molecules7"), datasets.load("molecules7", inputs="description")
    few = replace(data, train=data.train.sample(60), validation=data.validation.sample(20))
    _, teacher = artifact.surrogate("description")
    quick = replace(
        default_training(ele.BackboneConfig("word", width=16)), loop=TrainerConfig(30, 5e-3), batch_size=16
    )
    shape = ele.BackboneConfig("word", width=16)
    h = ele.fit_surrogate(
        artifact.psi, few.train, validation=few.validation, backbone=shape, training=quick, reads=teacher.reader,
        teacher=teacher, progress=False,
    )  # fmt: skip
    assert h.reader is teacher.reader and math.isfinite(h.history[-1]["loss"])
    assert sum(p.numel() for p in h.parameters()) < sum(p.numel() for p in teacher.parameters()) / 3


# -- commands ------------------------------------------------------------------------------------------------------
GATES = (
    'cases = 40\n[[gate]]\nfigure = "unsure"\nat_most = 0.5\n\n[[gate]]\nfigure = "milliseconds"\nat_most = 5000\n'
)
STRICT = 'cases = 40\n[[gate]]\nfigure = "exact"\nat_least = 0.999\ncertain = true\n'


@pytest.fixture
def run(capsys):
    def call(*arguments):
        capsys.readouterr()
        status = cli.main([str(one) for one in arguments])
        return status, capsys.readouterr()

    return call


def test_from_compression_to_rollback(run, tmp_path):
    data = ["--data", "molecules7", "--input", "smiles", "--surrogate", "smiles", "--candidates", "none"]
    light, registry, gates = tmp_path / "light", tmp_path / "registry", tmp_path / "gates.toml"
    status, told = run(
        "compress", "--artifact", "molecules7", *data, "--out", light, "--budget", 5, "--sets", 0.5,
        "--table", tmp_path / "variants.csv", "--picture", tmp_path / "variants.svg", "--json",
    )  # fmt: skip
    assert status == 0, told.err
    assert json.loads(told.out)["version"] == artifacts.load(light).digest
    assert "<svg" in (tmp_path / "variants.svg").read_text() and len(pd.read_csv(tmp_path / "variants.csv")) > 1
    assert artifacts.load(light).about["operation"]["calibration"]["level"] == 0.5
    gates.write_text(GATES)
    promote = ["promote", "--registry", registry, "--gates", gates, *data, "--by", "A. Nalyst"]
    for stage in ("staging", "production"):
        status, told = run(*promote, "--artifact", light, "--to", stage)
        assert status == 0 and "promoted to" in told.out, told.err + told.out
    digest = artifacts.load(light).digest
    assert Registry(registry).stages()["production"] == digest
    gates.write_text(STRICT)
    status, told = run(*promote, "--artifact", "molecules7", "--to", "staging")
    assert status == 1 and "refused: exact" in told.out and "FAILED  exact" in told.out
    gates.write_text(GATES)
    for stage in ("staging", "production"):
        status, told = run(
            *promote,
            "--version",
            artifacts.digest(artifacts.verify(artifacts.locate("molecules7")))[:10],
            "--to",
            stage,
        )
        assert status == 0, told.err + told.out
    status, told = run("rollback", "--registry", registry, "--note", "wrong answers", "--json")
    assert status == 0 and json.loads(told.out)["version"] == digest
    status, told = run("registry", registry)
    assert status == 0 and "all digests fit" in told.out and "refused for staging" in told.out
    entry = sorted((registry / "log").glob("0*.json"))[2]
    entry.write_text(entry.read_text().replace("A. Nalyst", "B. Ossy"))
    status, told = run("registry", registry)
    assert status == 1 and "altered" in told.err and told.err.count("\n") == 1


def test_what_operation_refuses_is_told_in_one_line(run, tmp_path):
    def refused(*arguments):
        status, told = run(*arguments)
        assert status == 1 and told.out == "" and told.err.count("\n") == 1, (told.out, told.err)
        return told.err

    (tmp_path / "gates.toml").write_text('[[gate]]\nfigure = "exact"\nat_lest = 1\n')
    promote = (
        "promote",
        "--registry",
        tmp_path / "r",
        "--artifact",
        "molecules7",
        "--to",
        "staging",
        "--data",
        "molecules7",
    )
    assert "unknown key 'at_lest'" in refused(*promote, "--gates", tmp_path / "gates.toml")
    assert not (tmp_path / "r").exists()
    assert "a budget is a number and ms" in refused("estimate", "--data", "molecules7", "--budget", "20")
    assert "has held no other version before" in refused("rollback", "--registry", tmp_path / "r")
    assert "name a loss with --artifact" in refused(
        "predict", "--input", tmp_path / "x.csv", "--output", tmp_path / "o.parquet"
    )
    assert "no log of requests" in refused("monitor", "--log", tmp_path / "nothing")
    with pytest.raises(SystemExit):
        cli.main(["promote", "--registry", "x"])


def test_a_read_only_registry_is_told_before_anything_is_measured(run, tmp_path, monkeypatch):
    from elekit.operation.store import Store

    def locked(self, name, data):
        raise OSError(30, f"cannot write {name} in {self.address}: Read-only file system")

    (tmp_path / "gates.toml").write_text(GATES)
    monkeypatch.setattr(Store, "create", locked)
    status, told = run(
        "promote", "--registry", tmp_path, "--artifact", "molecules7", "--to", "staging", "--data", "molecules7",
        "--gates", tmp_path / "gates.toml",
    )  # fmt: skip
    assert status == 1 and "Read-only file system" in told.err


def test_estimates_from_the_command_line(run, tmp_path):
    status, told = run(
        "estimate", "--artifact", "molecules7", "--data", "molecules7", "--input", "smiles", "--candidates", "none",
        "--cases", 12, "--inputs", 1000, "--budget", "500ms", "--picture", tmp_path / "ways.png",
    )  # fmt: skip
    assert status == 0, told.err
    assert "ways to decode" in told.out and "within 0.5 s: " in told.out and "points of exact answers" in told.out
    assert (tmp_path / "ways.png").read_bytes().startswith(b"\x89PNG")

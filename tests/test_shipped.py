"""Shipped artifacts are complete, small, and as accurate as documented."""

import json

import pytest
import recipes

from elekit import card, correction, datasets, inspect
from elekit.cli import main
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation import judging
from elekit.graphs.smiles import is_molecular
from elekit.model import artifact as artifacts
from elekit.training import reruns

NAMES = ("molecules7", "qm9", "chembl24", "faults")


@pytest.fixture(scope="module", params=NAMES)
def artifact(request):
    return artifacts.load(request.param)


def test_everything_trained_is_under_30_MB():
    assert sum(f.stat().st_size for f in artifacts.MODELS.rglob("*") if f.is_file()) < 30e6


def test_artifacts_record_their_provenance(artifact):
    about = artifact.about
    assert about["data"]["name"] in artifact.name and about["command"].startswith("python data/build/recipes.py")
    assert {"training", "history"} <= set(about["psi"]) and about["psi"]["history"][-1]["retrieval"] > 0.5
    for name in artifact.surrogates:
        assert about["surrogates"][name]["history"][-1]["retrieval"] > (0.95 if artifact.name != "faults" else 0.75)
        assert about["surrogates"][name]["trained"]["by"] == about["trained"]["by"]
    assert is_molecular(artifact.vocabulary) != (artifact.name == "faults") and artifact.psi.typical is not None
    assert about["trained"] == {"at": "2026-11-30", "by": "the elekit developers"}


def test_molecules7_comes_with_repeats_of_its_training():
    found, n = artifacts.load_repeats("molecules7"), len(datasets.load("molecules7").train)
    planned = reruns.plan(0)
    assert list(planned)[:5] == ["seed-1", "seed-2", "half-3", "half-4", "seed-5"] and len(planned) == 9
    assert found.keys() == planned.keys()
    for name, repeat in found.items():
        about = repeat.about
        assert about["seed"] == planned[name] and about["repeat"]["graphs"] == (
            n // 2 if name.startswith("half") else n
        )
        assert about["trained"]["by"] == "the elekit developers" and about["command"].endswith("recipes.py repeats")
        assert about["psi"]["history"][-1]["step"] == 1_200 and about["psi"]["history"][-1]["retrieval"] > 0.5
    assert artifacts.load_repeats("qm9") == {}


def test_a_corrected_loss_comes_with_its_rules_and_its_report():
    before, after = artifacts.load("molecules7"), artifacts.load(recipes.CORRECTED)
    record = after.about["correction"]
    assert record["rules"] == json.loads(recipes.RULES.read_text()) and after.about["trained"]["by"]
    report = correction.Report.from_json(record["report"])
    assert set(report.rules["after_says"]) == {"holds"} and "holds" not in set(report.rules["before_says"])
    assert after.about["data"] == before.about["data"] and list(after.surrogates) == ["description"]
    # the first rule, on molecules that neither the training nor the report used
    graphs, price = datasets.load("molecules7").test.sample(100).graphs, {}
    sample = inspect.sample_edits(graphs, kinds=("relabel",))
    for name, artifact in (("before", before), ("after", after)):
        price[name] = sample.edit_costs(artifact.psi).summary().set_index("kind")["median"]
    assert price["after"]["relabel C to N"] < 0.5 * price["before"]["relabel C to N"]


def test_the_shipped_card_is_that_of_the_shipped_loss():
    measured, stored = card.read_card(card.SHIPPED)
    written = json.loads((artifacts.MODELS / "molecules7" / artifacts.JSON_NAME).read_text())
    assert measured.facts["loss"]["digest"] == written["digest"]
    assert measured.facts["loss"]["repeats"] == list(artifacts.load_repeats("molecules7"))
    assert [s.to_json() for s in card.statements(measured)] == [s.to_json() for s in stored]
    assert card.SHIPPED.stat().st_size < 3e6


def usual(h, test) -> dict:
    """How `elekit evaluate` decodes what this h predicts."""
    return {"start": h.graphs(test.inputs), "config": DecodeConfig("rounded+polish")} if h.has_graph_head else {}


@pytest.mark.parametrize("inputs, exact", [("description", 0.75), ("smiles", 0.99)])
def test_molecules7_decodes_unseen_molecules(inputs, exact):
    artifact, data = artifacts.load("molecules7"), datasets.load("molecules7", inputs=inputs)
    assert artifact.about["surrogates"][inputs]["digest"] == data.digest
    test = data.test.sample(100, seed=1)
    _, h = artifact.surrogate(inputs)
    candidates = Candidates.of(artifact.psi, data.train.graphs)
    judged = judging.judge(artifact.psi, h.predict(test.inputs), test.graphs, candidates=candidates, **usual(h, test))
    assert judged.summary["truths_among_candidates"] == 0
    assert judged.summary["exact"] >= exact and judged.summary["valid"] >= 0.99


@pytest.mark.realdata
def test_qm9_decodes_unseen_molecules(data_dir):
    artifact, data = artifacts.load("qm9"), datasets.load("qm9")
    assert artifact.about["data"]["digest"] == data.digest
    test = data.test.sample(64, seed=1)
    _, h = artifact.surrogate("smiles")
    known = data.train.sample(20_000).graphs
    judged = judging.judge(artifact.psi, h.predict(test.inputs), test.graphs, candidates=known, **usual(h, test))
    assert judged.summary["exact"] >= 0.98 and judged.summary["valid"] >= 0.99


def test_a_local_psi_judges_graphs_that_are_larger_than_those_of_its_training(tmp_path, capsys):
    """Two dipeptides of more than 24 heavy atoms, under a psi that was trained on up to 24."""
    texts = ["NC(Cc1c[nH]c2ccccc12)C(=O)NC(Cc1ccccc1)C(=O)O", "NC(Cc1c[nH]c2ccccc12)C(=O)NC(Cc1ccc(O)cc1)C(=O)O"]
    path = tmp_path / "large.csv"
    path.write_text("\n".join(["smiles", *texts]))
    common = ["evaluate", "--artifact", "chembl24", "--data", str(path), "--oracle", "--candidates", str(path)]
    assert main([*common, "--method", "candidates"]) == 1 and "more than 24 nodes" in capsys.readouterr().err
    assert main([*common, "--method", "candidates", "--max-nodes", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["count"] == 2 and found["exact"] == found["hits@1"] == 1.0

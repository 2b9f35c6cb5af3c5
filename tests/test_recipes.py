"""Recipes: their artifacts, and that Ctrl-C saves no half-trained artifact."""

from dataclasses import replace

import pytest
import recipes
import torch
from conftest import differences

from elekit import cli, datasets
from elekit.cli.parser import parser
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig
from elekit.model.surrogate import BackboneConfig
from elekit.training import EmbeddingTraining, SurrogateTraining
from elekit.training.loop import TrainerConfig

LOOP = TrainerConfig(steps=3, learning_rate=1e-3, validate_every=3, checkpoint_every=3)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`python data/build/recipes.py molecules7` with a few steps of small models on few molecules; the exit status."""

    def few(*arguments, load=datasets.load, **options):
        data = load(*arguments, **options)
        parts = {name: getattr(data, name).sample(200) for name in ("train", "validation", "test")}
        return replace(data, **parts)

    monkeypatch.setattr(datasets, "load", few)
    small = SurrogateTraining(loop=LOOP, batch_size=8)
    kinds = {"description": "word", "smiles": "smiles"}
    recipe = replace(
        recipes.RECIPES["molecules7"],
        training=EmbeddingTraining(loop=LOOP, batch_size=8),
        config=EmbeddingConfig(hidden=8, rounds=1, dim=8),
        surrogates={name: (BackboneConfig(kind, 8), small) for name, kind in kinds.items()},
    )
    monkeypatch.setitem(recipes.RECIPES, "molecules7", recipe)
    folders = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--by", "a person"]
    return lambda name="molecules7", *options: recipes.main([name, *folders, *options])


def test_a_recipe_makes_an_artifact_and_makes_it_again(command, tmp_path):
    threads = torch.get_num_threads()
    assert command() == 0
    artifact = artifacts.load(tmp_path / "out")
    assert artifact.name == "molecules7" and list(artifact.surrogates) == ["description", "smiles"]
    assert artifact.about["command"] == "python data/build/recipes.py molecules7"
    assert artifact.about["surrogates"]["smiles"]["history"][-1]["step"] == 3
    assert artifact.about["trained"]["by"] == artifact.about["surrogates"]["smiles"]["trained"]["by"] == "a person"
    assert command() == 0
    assert differences(artifact, artifacts.load(tmp_path / "out")) == {}
    assert torch.get_num_threads() == threads


def test_one_h_is_trained_again_on_the_stored_psi(command, tmp_path, monkeypatch, capsys):
    assert command() == 0
    before = artifacts.load(tmp_path / "out")
    backbone, training = recipes.RECIPES["molecules7"].surrogates["smiles"]
    monkeypatch.setitem(
        recipes.RECIPES["molecules7"].surrogates, "smiles", (replace(backbone, through="graph"), training)
    )
    (tmp_path / "work" / "h-smiles.pt").unlink()
    assert command("molecules7", "--surrogate", "smiles") == 0
    after = artifacts.load(tmp_path / "out")
    assert after.surrogates["smiles"].has_graph_head and list(after.surrogates) == ["description", "smiles"]
    changed = set(differences(before, after))
    assert "weights.h-smiles" in changed and not changed & {"weights.psi", "weights.h-description"}
    with pytest.raises(SystemExit):
        command("molecules7", "--surrogate", "x")
    assert "molecules7 has no surrogate 'x'; it has description, smiles" in capsys.readouterr().err


@pytest.mark.parametrize("at", [1, 4, 8])
def test_ctrl_c_in_any_training_saves_nothing_and_the_command_resumes(command, tmp_path, ctrl_c_at, at):
    ctrl_c_at(at)
    assert command() == 130
    assert not (tmp_path / "out").exists() and list((tmp_path / "work").iterdir())
    assert command() == 0
    steps = [entry["history"][-1]["step"] for entry in artifacts.load(tmp_path / "out").about["surrogates"].values()]
    assert steps == [3, 3]


def test_faithfulness_of_a_shipped_loss_is_measured_and_printed(monkeypatch, capsys):
    table = recipes.measure_faithfulness("molecules7", pairs=6)
    assert len(table) == 2 * 2 * 4 and (table["pairs"] == 6).all() and set(table["of"]) == {"near", "random"}
    monkeypatch.setattr(recipes, "measure_faithfulness", lambda name: table.assign(loss=name))
    assert recipes.main(["faithfulness"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(recipes.MOLECULES) * (1 + len(table))
    assert printed[1].split()[:4] == ["molecules7", "near", "deletion", "shares"]


def test_the_repeats_of_a_recipe_resume_after_ctrl_c(command, tmp_path, ctrl_c_at, capsys):
    assert command() == 0
    ctrl_c_at(4)
    assert command("repeats") == 130
    assert "interrupted; progress is saved" in capsys.readouterr().err
    assert list(artifacts.load_repeats(tmp_path / "out")) == ["seed-1"]
    assert command("repeats") == 0
    found, n = artifacts.load_repeats(tmp_path / "out"), artifacts.load(tmp_path / "out").about["data"]["train"]
    assert len(found) == 9
    for name, repeat in found.items():
        assert repeat.about["repeat"]["graphs"] == (n // 2 if name.startswith("half") else n)
        assert repeat.about["command"] == "python data/build/recipes.py repeats"
        assert repeat.about["trained"]["by"] == "a person"


def test_the_corrected_loss_comes_from_elekit_correct(command, tmp_path, monkeypatch):
    commands = []

    def correct(arguments, status=0):
        commands.append(arguments)
        if not status:
            artifacts.save(artifacts.load("molecules7"), tmp_path / "work")
        return status

    monkeypatch.setattr(cli, "main", lambda arguments: correct(arguments, status=130))
    assert command("corrected") == 130 and not (tmp_path / "out").exists()
    monkeypatch.setattr(cli, "main", correct)
    assert command("corrected") == 0
    made = artifacts.load(tmp_path / "out")
    assert made.about["command"] == "python data/build/recipes.py corrected"
    assert sum(f.stat().st_size for f in (tmp_path / "out").iterdir()) < 0.7 * sum(
        f.stat().st_size for f in (tmp_path / "work").iterdir()
    )
    options = commands[-1]
    assert options[0] == "correct" and options[options.index("--by") + 1] == "a person"
    assert parser().parse_args(options).run and recipes.RULES.is_file()

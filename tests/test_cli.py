"""The command line: every command end to end on small tables, and every refusal in one line."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from conftest import differences

import elekit
from elekit import datasets
from elekit.cli import main
from elekit.decoding import METHODS, RULES, GradientConfig, LocalSearchConfig
from elekit.decoding.candidates import constraints_of
from elekit.graphs.smiles import to_smiles
from elekit.model import artifact as artifacts

TINY = ["--dim", "12", "--hidden", "16", "--batch-size", "24", "--device", "cpu"]
QUICK = ["--starts", "1", "--iterations", "5", "--beam", "1"]
BAD_ROWS = {"C[C@H](O)(": "RDKit refuses the SMILES", "": "empty SMILES", "OCC": "duplicate of an earlier graph"}


# -- small tables, and an artifact trained on them -----------------------------------------------------------------
@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """60 molecules with a text, a SMILES and two numbers each."""
    frame = datasets.load("molecules7").train.frame[["smiles", "random_smiles", "description"]]
    frame = frame.iloc[4:64].assign(x=range(60), y=lambda f: f["smiles"].str.len())
    path = tmp_path_factory.mktemp("tables") / "mine.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory) -> Path:
    """psi, and an h that reads descriptions, by the commands themselves."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    fast = ["--data", str(table), "--steps", "20", "--json"]
    assert main(["train", "embedding", "--out", str(folder), "--by", "A. Nalyst", *fast, *TINY]) == 0
    fast += ["--artifact", str(folder), "--width", "12", "--batch-size", "24", "--device", "cpu"]
    assert main(["train", "surrogate", "--input", "description", *fast]) == 0
    return folder


@pytest.fixture
def artifact(trained, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture
def run(capsys):
    """Run a command; its status, standard output and standard error."""

    def call(*arguments):
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def document(run):
    """Run a command with --json that must succeed without a word on standard error; the document."""

    def call(*arguments):
        status, out, err = run(*arguments, "--json")
        assert (status, err) == (0, ""), err
        return json.loads(out)

    return call


@pytest.fixture
def refused(run):
    """Run a command that must be refused in one line; that line."""

    def call(*arguments):
        status, out, err = run(*arguments)
        assert status == 1 and out == "", (status, out)
        assert err.startswith("elekit: ") and err.endswith("\n") and err.count("\n") == 1, err
        assert "Traceback" not in err and "Errno" not in err
        return err.strip()

    return call


# -- help ----------------------------------------------------------------------------------------------------------
def test_help_from_a_shell():
    root = Path(elekit.__file__).resolve().parents[1]
    ran = subprocess.run([sys.executable, "-m", "elekit.cli", "--help"], capture_output=True, text=True, cwd=root)
    assert ran.returncode == 0 and ran.stderr == ""
    for word in ("data", "train", "decode", "evaluate", "examples:", "exit status", "artifact", "surrogate"):
        assert word in ran.stdout
    code = "import sys; from elekit.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'rdkit', 'pandas', 'networkx') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert ran.stdout.strip().endswith("[]"), "help must not wait for torch"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ["data"],
            ["--smiles", "--graph", "--input", "--export", "csv, tsv, txt, parquet", "--node-attribute", "left out"],
        ),
        (["train"], ["embedding", "surrogate", "repeats", "learn psi", "learn h"]),
        (["train", "embedding"], ["--out", "--steps", "--seed", "graphs alone", "Ctrl-C"]),
        (
            ["train", "surrogate"],
            ["--artifact", "--input", "--backbone", "{character,word,smiles,tfidf,vector,hf:NAME}"],
        ),
        (["train", "repeats"], ["--seeds", "--halves", "--by", "same settings", "hold each time", "Ctrl-C"]),
        (
            ["decode"],
            ["--candidates", "--method", "--budget", "--threads", "standard input", "euclidean (the paper's)"],
        ),
        (["evaluate"], ["--oracle", "psi(y)", "--limit", "--table", "--randomize", "all rows of a file", "--json"]),
    ],
)
def test_every_help_says_what_a_newcomer_needs(command, words, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0
    assert [word for word in words if word not in said] == []


def test_the_defaults_in_the_help_are_the_librarys(capsys):
    with pytest.raises(SystemExit):
        main(["decode", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    gradient, polish = GradientConfig(), LocalSearchConfig()
    assert f"of each target (default: {gradient.starts})" in said
    assert f"gradient steps (default: {gradient.iterations})" in said
    assert f"or adam (default: {gradient.rule})" in said
    assert [rule for rule in RULES if rule not in said] == []
    assert [method for method in METHODS if method not in said] == []
    assert f"kept by the polish (default: {polish.beam})" in said


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["dance"],
        ["train"],
        ["data"],
        ["decode", "CCO"],
        ["data", "molecules7", "--smiles", "a", "--graph", "b"],
        ["evaluate", "--artifact", "x", "--data", "y", "--limit", "many"],
    ],
)
def test_wrong_usage_is_status_2(wrong, capsys):
    with pytest.raises(SystemExit) as left:
        main(wrong)
    assert left.value.code == 2
    assert "usage: elekit" in capsys.readouterr().err


# -- data ----------------------------------------------------------------------------------------------------------
def test_data_of_the_shipped_set(run, document):
    status, out, _ = run("data", "molecules7")
    assert status == 0
    assert "molecules7:" in out and "node labels  C F N NH O" in out and "up to 7 nodes" in out
    report = document("data", "molecules7")
    assert report["train"] + report["validation"] + report["test"] == report["rows"]
    assert report["skipped"] == {}
    assert document("data", "molecules7", "--seed", "1")["digest"] != report["digest"]


def test_data_of_a_table_with_bad_rows(tmp_path, run, document):
    path = tmp_path / "bad.csv"
    good = ["CCO", "CCN", "CC", "CO", "C=O", "C#N", "CCC"]
    pd.DataFrame({"structure": good + list(BAD_ROWS), "text": "x"}).to_csv(path, index=False)
    report = document("data", path, "--smiles", "structure", "--input", "text", "--export", tmp_path / "out")
    assert report["rows"] == 10
    assert report["skipped"] == dict.fromkeys(BAD_ROWS.values(), 1)
    exported = {f.stem: pd.read_csv(f) for f in (tmp_path / "out").iterdir()}
    assert {name: len(frame) for name, frame in exported.items()} == {
        **{name: report[name] for name in ("train", "validation", "test")},
        "skipped": 3,
    }
    assert sorted(pd.concat([exported[s] for s in ("train", "validation", "test")])["structure"]) == sorted(good)
    assert list(exported["skipped"].columns) == ["row", "value", "reason"]
    _, out, _ = run("data", path, "--smiles", "structure")
    for reason in BAD_ROWS.values():
        assert f"1  {reason}" in out


# -- train ---------------------------------------------------------------------------------------------------------
def test_what_training_leaves(trained, table):
    artifact = artifacts.load(trained)
    assert artifact.name == "mine.csv" and list(artifact.surrogates) == ["description"]
    assert artifact.psi.config.dim == 12 and artifact.psi.config.hidden == 16
    about = artifact.about
    assert about["data"]["rows"] == 60 and about["psi"]["history"][-1]["step"] == 20
    assert about["surrogates"]["description"]["input"] == ["description"]
    today = datetime.now(UTC).date()
    for record, by in ((about["trained"], "A. Nalyst"), (about["surrogates"]["description"]["trained"], None)):
        assert record["by"] == by and 0 <= (today - date.fromisoformat(record["at"])).days <= 1
    assert {p.suffix for p in trained.iterdir()} == {".json", ".safetensors", ".checkpoint"}


def test_training_says_what_was_reached(table, tmp_path, run):
    status, out, err = run("train", "embedding", "--data", table, "--out", tmp_path / "new", "--steps", 3, *TINY)
    assert status == 0
    assert "saved in" in out and "after 3 steps: loss" in out and "retrieval" in out
    assert "fit_embedding" in err, "the progress bar"


def test_a_run_that_is_done_is_not_run_again(table, artifact, document, contrastive_loss):
    contrastive_loss(None)  # a step would fail
    before = artifacts.verify(artifact)
    again = ["--data", table, "--steps", 20, "--artifact", artifact, "--width", 12, "--batch-size", 24]
    done = document("train", "surrogate", "--input", "description", "--device", "cpu", *again)
    assert done["history"] == before["about"]["surrogates"]["description"]["history"]
    assert artifacts.verify(artifact)["files"] == before["files"]


@pytest.mark.parametrize("stage", ["embedding", "surrogate", "beginning of a surrogate"])
def test_ctrl_c_keeps_what_was_reached_and_the_same_command_goes_on(
    table, artifact, tmp_path, monkeypatch, ctrl_c_at, stage
):
    """The end is that of a run without the cut."""

    def command(folder):
        steps = ["--data", str(table), "--steps", "8", "--json", "--batch-size", "24", "--device", "cpu"]
        if stage == "embedding":
            return ["train", "embedding", "--out", str(folder), "--dim", "12", "--hidden", "16", *steps]
        through = "point" if stage == "surrogate" else "graph"  # by a graph, few pairs begin four times
        h = ["--artifact", str(folder), "--input", "x", "--input", "y", "--through", through]
        return ["train", "surrogate", *h, *steps]

    def prepared(name):
        return tmp_path / name if stage == "embedding" else shutil.copytree(artifact, tmp_path / name)

    whole, cut = prepared("whole"), prepared("cut")
    assert main(command(whole)) == 0
    ctrl_c_at(5)
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    assert main(command(cut)) == 130
    said = "elekit: interrupted; progress is saved; the same command continues from there\n"
    assert said in errors.getvalue()
    about = artifacts.load(cut).about
    history = about["psi"]["history"] if stage == "embedding" else about["surrogates"]["x"]["history"]
    begins = stage == "beginning of a surrogate"
    assert history[-1]["interrupted"] and history[-1]["step"] == (2 if begins else 5)  # of the second, 3 steps each
    assert list(cut.glob("*.checkpoint.start-1" if begins else "*.checkpoint"))
    assert main(command(cut)) == 0
    assert list(cut.glob("*.checkpoint")) and not list(cut.glob("*.start-*"))
    different = differences(artifacts.load(whole), artifacts.load(cut))
    assert [name for name in different if not name.endswith(("history", "trained.at"))] == []


def test_interrupted_elsewhere_is_130_too(monkeypatch, run):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load", interrupt)
    assert run("data", "molecules7") == (130, "", "elekit: interrupted\n")


def test_a_psi_with_surrogates_is_not_overwritten(table, artifact, refused):
    before = artifacts.verify(artifact)
    said = refused("train", "embedding", "--data", table, "--out", artifact, "--steps", 2, "--seed", 3)
    assert "already holds a learned loss with surrogates (description)" in said
    assert artifacts.verify(artifact) == before


def test_a_training_is_repeated_with_its_own_settings(table, artifact, run, document, refused):
    again = ["train", "repeats", "--artifact", artifact, "--data", table, "--device", "cpu", "--by", "me"]
    again += ["--seeds", 2]
    done = document(*again, "--halves", 1)
    assert list(done["repeats"]) == ["seed-1", "seed-2", "half-3"] and done["artifact"] == str(artifact)
    own, found = artifacts.load(artifact), artifacts.load_repeats(artifact)
    for name, repeat in found.items():
        assert repeat.about["psi"]["training"] == own.about["psi"]["training"]
        assert repeat.about["psi"]["history"] and repeat.about["psi"]["history"][-1] == done["repeats"][name]
        assert repeat.about["trained"]["by"] == "me"
    files = {path: path.stat().st_mtime_ns for path in (artifact / "repeats").rglob("*.*")}
    status, out, _ = run(*again, "--halves", 1)
    assert status == 0 and "3 repeats in" in out and "half-3" in out and "retrieval" in out
    assert {path: path.stat().st_mtime_ns for path in (artifact / "repeats").rglob("*.*")} == files
    assert "got 0 and 0" in refused(*again[:-1], 0, "--halves", 0)
    assert "was trained on other data" in refused(*again, "--data", "molecules7")


def test_surrogates_of_several_kinds(table, artifact, document):
    common = ["--data", table, "--steps", 2, "--artifact", artifact, "--width", 8, "--device", "cpu"]
    document("train", "surrogate", "--input", "random_smiles", "--name", "a/b", *common)
    document("train", "surrogate", "--input", "x", "--input", "y", "--name", "numbers", *common)
    document("train", "surrogate", *common)  # the SMILES as written
    loaded = artifacts.load(artifact)
    kinds = {name: h.backbone.config.kind for name, h in loaded.surrogates.items()}
    assert kinds == {"description": "word", "a/b": "smiles", "numbers": "vector", "smiles": "smiles"}
    numbers = ["decode", "--artifact", artifact, "--surrogate", "numbers", "--method", "gradient", *QUICK]
    answer = document(*numbers, "3,4", "1 2.5")
    assert [one["input"] for one in answer["decoded"]] == ["3,4", "1 2.5"]
    judge = ["evaluate", "--artifact", artifact, "--data", table, "--limit", 5, *QUICK]
    for name, reads in (("a/b", []), ("numbers", []), ("smiles", []), ("smiles", ["--randomize"])):
        found = document(*judge, "--surrogate", name, *reads)
        assert found["from"] == f"h({name})" and found["count"] == 5
    # nothing said: for molecules as they are written the h that reads SMILES
    assert document(*judge)["from"] == "h(smiles)"


def test_an_h_through_a_graph_is_trained_and_its_graphs_are_rounded(table, artifact, document, monkeypatch):
    monkeypatch.setattr(
        sys.modules["elekit.evaluation.conformal.candidate_sets"], "STARTS", 60
    )  # this h points anywhere: all candidates are kept
    monkeypatch.setattr(sys.modules["elekit.evaluation.conformal.candidate_sets"], "KEPT", 1_000)
    common = ["--data", table, "--steps", 3, "--artifact", artifact, "--width", 8, "--device", "cpu"]
    document("train", "surrogate", "--through", "graph", *common)
    loaded = artifacts.load(artifact)
    h = loaded.surrogates["smiles"]
    assert h.has_graph_head
    texts = ["CCO", "C1CC1"]
    asked = ["decode", "--artifact", artifact, "--surrogate", "smiles", *texts]
    plain = document(*asked, "--method", "rounded")["decoded"]
    assert [one["smiles"] for one in plain] == to_smiles(constraints_of(loaded.psi, None).rounded(h.graphs(texts)))
    polished = document(*asked)["decoded"]  # rounded and polished, where nothing is said
    assert polished == document(*asked, "--method", "rounded+polish")["decoded"]
    assert all(one["loss"] <= other["loss"] + 1e-6 or other["smiles"] is None for one, other in zip(polished, plain))
    judged = ["evaluate", "--artifact", artifact, "--surrogate", "smiles", "--data", table, "--candidates", table]
    found = document(*judged, "--limit", 10, "--timeout", 0, "--sets", 0.5, "--calibrate", table)
    assert found["method"] == "rounded+polish" and found["count"] == 10 and 0 <= found["sets"]["coverage"] <= 1


# -- decode --------------------------------------------------------------------------------------------------------
def test_decode_from_the_command_line_and_from_standard_input(table, trained, run, document, monkeypatch):
    texts = pd.read_csv(table)["description"].tolist()[:3]
    common = ["decode", "--artifact", trained, "--candidates", table, "--method", "candidates"]
    answer = document(*common, *texts)["decoded"]
    assert [one["input"] for one in answer] == texts
    assert {one["smiles"] for one in answer} <= set(pd.read_csv(table)["smiles"])
    assert all(0 <= one["loss"] <= 4 for one in answer)
    status, out, _ = run(*common, *texts)
    assert status == 0
    lines = [[one["smiles"], f"loss {one['loss']:.4f}", one["input"]] for one in answer]
    doubts = [[f"unsure: {one['unsure']}"] if "unsure" in one else [] for one in answer]
    assert [line.split("\t") for line in out.splitlines()] == [line + doubt for line, doubt in zip(lines, doubts)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(texts) + "\n\n"))
    assert document(*common)["decoded"] == answer


def test_info_describes_an_artifact_and_its_health(document, run, trained, table):
    found = document("info", trained)
    assert found["health"]["level"] in ("good", "weak", "unusable") and found["health"]["graphs"] > 40
    assert found["surrogates"] == ["description"] and found["digest"] and found["trained_on"] == str(table)
    status, out, _ = run("info", "molecules7")  # an older artifact: measured now
    assert status == 0 and out.startswith("molecules7\nHealth: good: ") and "description" in out


def test_decode_without_candidates(trained, document, run):
    common = ["decode", "--artifact", trained, "a molecule", *QUICK]
    answer = document(*common, "--seed", 1)
    assert answer == document(*common, "--seed", 1)
    status, out, err = run(*common, "--method", "gradient", "--rule", "euclidean", "--budget", "1e-6")
    assert status == 0 and "loss" in out and "1e-06 seconds are over" in err
    status, out, _ = run(*common, "--method", "gradient")
    assert status == 0 and out.count("\n") == 1


def test_sets_of_answers_at_a_level(table, trained, document, run, refused, monkeypatch):
    monkeypatch.setattr(
        sys.modules["elekit.evaluation.conformal.candidate_sets"], "STARTS", 60
    )  # this h points anywhere: all candidates are kept
    monkeypatch.setattr(sys.modules["elekit.evaluation.conformal.candidate_sets"], "KEPT", 1_000)
    texts = pd.read_csv(table)["description"].tolist()[:3]
    common = ["--artifact", trained, "--candidates", table]
    asked = ["decode", *common, *texts, "--sets", 0.5, "--calibrate", table]
    found = document(*asked)
    assert found["calibration"]["level"] == 0.5 and found["calibration"]["pairs"] == 60
    for answer in found["decoded"]:
        members, losses = answer["set"]["graphs"], [one["loss"] for one in answer["set"]["graphs"]]
        assert len(members) == min(answer["set"]["size"], 20) and losses == sorted(losses)
        assert all(loss <= found["calibration"]["radius"] + 1e-6 for loss in losses)
        says = answer["set"]["says"]
        assert says.startswith("unsure") or says in ("this one, at 50 %", f"one of these {len(members)}, at 50 %")
    status, out, _ = run(*asked)
    assert status == 0 and [
        line for line in out.splitlines() if (line.startswith("  ") and "%" in line) or "unsure" in line
    ]
    judged = document(
        "evaluate", *common, "--data", table, "--limit", 20, "--timeout", 0, "--sets", 0.5, "--calibrate", table
    )
    assert 0 <= judged["sets"]["low"] <= judged["sets"]["coverage"] <= judged["sets"]["high"] <= 1
    assert "with --calibrate" in refused("decode", *common, "x", "--sets", 0.5)
    assert "level must lie above 0 and below 1" in refused("decode", *common, "x", "--sets", 90, "--calibrate", table)
    oracle = ["evaluate", *common, "--data", table, "--oracle", "--sets", 0.5]
    assert "--oracle leaves out" in refused(*oracle)
    assert "no data set and no file" in refused("decode", *common, "x", "--sets", 0.5, "--calibrate", "nowhere.csv")


def test_a_shipped_artifact_answers_by_name(trained, document, monkeypatch):
    monkeypatch.setattr(artifacts, "MODELS", trained.parent)
    assert document("decode", "--artifact", trained.name, "x", *QUICK)["decoded"]


# -- evaluate ------------------------------------------------------------------------------------------------------
def test_evaluate_from_h_and_from_the_oracle(table, trained, tmp_path, document, run):
    common = ["evaluate", "--artifact", trained, "--data", table, "--candidates", table, "--method", "candidates"]
    oracle = document(*common, "--oracle", "--table", tmp_path / "deep" / "rows.csv")
    assert oracle["from"] == "psi(y)" and oracle["exact"] == oracle["hits@1"] == 1.0 and oracle["count"] == 60
    rows = pd.read_csv(tmp_path / "deep" / "rows.csv")
    assert sorted(rows["row"]) == list(range(60)) and rows["exact"].all()
    assert (rows["predicted"] == rows["truth"]).all()
    found = document(*common, "--limit", "20")
    assert found["from"] == "h(description)" and found["count"] == found["ranked_among"] == 20
    assert found["candidates"] == "60 of " + str(table)
    assert 0 <= found["exact"] < 1 and found["graphs_per_second"] > 0
    status, out, _ = run(*common, "--oracle", "--limit", 4)
    assert status == 0 and "exact  1.0000" in out and "method  candidates" in out


def test_evaluate_keeps_equal_graphs_and_counts_them_once_in_the_ranking(trained, tmp_path, document):
    pd.DataFrame({"smiles": ["CCO", "OCC", "C#CC", "CCO", "zz"]}).to_csv(tmp_path / "t.csv", index=False)
    found = document("evaluate", "--artifact", trained, "--data", tmp_path / "t.csv", "--oracle", *QUICK)
    assert found["count"] == 4 and found["ranked_among"] == 2 and found["hits@1"] == 1.0
    assert found["skipped"] == {"RDKit refuses the SMILES": 1}


def test_a_named_set_is_split_once_for_all_commands(tmp_path, document, monkeypatch):
    """--seed of evaluate draws the graphs; the split stays that of the training: nothing trained on is judged."""
    folder, common = tmp_path / "m7", ["--data", "molecules7"]
    document("train", "embedding", *common, "--out", folder, "--steps", 9, "--minutes", 0, "--seed", 7, *TINY)
    document("train", "surrogate", *common, "--artifact", folder, "--steps", 1, "--width", 8, "--device", "cpu")
    data = datasets.load("molecules7", seed=7)
    about = artifacts.load(folder).about["surrogates"]
    assert list(about) == ["description"] and about["description"]["digest"] == data.digest
    judged, trained_on = {}, set(data.train.frame["smiles"])
    for seed in (0, 1):
        rows = tmp_path / f"{seed}.csv"
        options = ["--limit", 30, "--seed", seed, "--table", rows, "--method", "candidates"]
        found = document("evaluate", *common, "--artifact", folder, *options)
        assert found["from"] == "h(description)" and found["count"] == 30
        assert found["candidates"] == f"{len(trained_on):,} of molecules7"
        judged[seed] = set(pd.read_csv(rows)["truth"])
        assert not judged[seed] & trained_on
    assert judged[0] != judged[1]
    rows = tmp_path / "small.csv"  # the split of a graph hardly depends on the other rows
    document("evaluate", *common, "--artifact", folder, "--oracle", "--max-nodes", 6, "--table", rows, *QUICK)
    small = set(pd.read_csv(rows)["truth"])
    assert not small & trained_on and small & set(data.test.frame["smiles"])


def test_each_h_gets_the_inputs_that_it_was_trained_on(tmp_path, document, monkeypatch):
    folder, common, asked, original = tmp_path / "m7", ["--data", "molecules7"], [], datasets.load

    def watched(name, **options):
        asked.append(options.get("inputs"))
        return original(name, **options)

    monkeypatch.setattr(datasets, "load", watched)
    document("train", "embedding", *common, "--out", folder, "--steps", 1, *TINY)
    train_h = ["train", "surrogate", *common, "--artifact", folder, "--steps", 1, "--width", 8, "--device", "cpu"]
    document(*train_h, "--input", "smiles", "--name", "mine")
    asked.clear()
    document("evaluate", *common, "--artifact", folder, "--limit", 2, "--candidates", "none", *QUICK)
    assert asked == ["smiles"]


def test_graphs_that_are_no_molecules(tmp_path, document, run):
    graphs = [nx.cycle_graph(n) for n in range(3, 8)] + [nx.path_graph(n) for n in range(2, 9)]
    graphs += [nx.star_graph(n) for n in range(3, 8)]
    column = [json.dumps(nx.node_link_data(g, edges="edges")) for g in graphs]
    path, folder = tmp_path / "shapes.csv", tmp_path / "run"
    pd.DataFrame({"graph": column, "text": [f"shape {i}" for i in range(len(graphs))]}).to_csv(path, index=False)
    data = ["--data", path, "--graph", "graph"]
    document("train", "embedding", *data, "--out", folder, "--steps", 2, *TINY)
    document("train", "surrogate", *data, "--input", "text", "--artifact", folder, "--steps", 2, "--device", "cpu")
    (answer,) = document("decode", "--artifact", folder, "shape 3", "--candidates", path)["decoded"]
    assert set(answer["graph"]) == {"nodes", "edges"} and set(answer["graph"]["nodes"]) == {"node"}
    found = document("evaluate", *data, "--artifact", folder, "--oracle", "--candidates", path)
    assert found["exact"] == 1.0 and "valid" not in found
    status, out, _ = run("evaluate", *data, "--artifact", folder, "--candidates", path)
    assert status == 0 and "h(text)" in out


def test_texts_with_graphs_are_data_too(document, refused, tmp_path):
    word = "{}\t{}\t_\tNOUN\t_\t_\t{}\t{}\t_\t_"
    sentences = [
        "\n".join([word.format(1, f"w{k}", 2, "dep"), word.format(2, "x", 0, "root"), "", ""]) for k in range(9)
    ]
    path = tmp_path / "some.conllu"
    path.write_text("".join(sentences))
    found = document("data", path)
    assert found["rows"] == 9 and found["skipped"] == {} and found["directed"] == [True]  # equal trees are kept
    graph = {"directed": True, "nodes": [{"id": 0, "label": "a"}], "edges": []}
    row = {"text": "pump", "graph": graph, "at": [[0, 9]]}
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"at": [[0, 4]]}))
    options = ("data", tmp_path / "x.jsonl", "--input", "text", "--spans", "at")
    assert document(*options)["skipped"] == {"a span outside its text": 1}
    assert "has its own columns" in refused("data", "faults", "--spans", "spans")
    assert "for maintie only; got 1 for faults" in refused("data", "faults", "--level", 1)


# -- refusals ------------------------------------------------------------------------------------------------------
def test_data_that_is_not_there(refused, tmp_path, table):
    said = refused("data", "molecule7")
    assert "no data set and no file 'molecule7'" in said and "molecules7, faults, " in said
    assert "missing.csv" in refused("data", tmp_path / "missing.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv is empty" in refused("data", tmp_path / "empty.csv")
    (tmp_path / "head.csv").write_text("smiles,text\n")
    assert "has no rows" in refused("data", tmp_path / "head.csv")
    said = refused("data", table, "--smiles", "structure")
    assert "has no column 'structure'; it has ['smiles'," in said
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert "name yours with --smiles or --graph" in refused("data", tmp_path / "other.csv")
    (tmp_path / "ragged.csv").write_text("smiles,b\n1,2\n1,2,3\n")
    assert "none of 2 rows is valid" in refused("data", tmp_path / "ragged.csv")
    assert "--smiles, --graph and --spans are for tables" in refused("data", "molecules7", "--smiles", "smiles")
    assert "has no inputs 'image'" in refused("data", "molecules7", "--input", "image")
    assert "one input at a time" in refused("data", "molecules7", "--input", "smiles", "--input", "description")


def test_rows_of_which_nothing_can_be_used(refused, tmp_path, trained):
    pd.DataFrame({"smiles": ["CC", "CCO"], "x": [float("nan"), None]}).to_csv(tmp_path / "nan.csv", index=False)
    said = refused("data", tmp_path / "nan.csv", "--input", "x")
    assert "none of 2 rows is valid" in said and "input missing or NaN" in said
    pd.DataFrame({"smiles": ["[Na+].[Cl-]", "[K+].[Cl-]"]}).to_csv(tmp_path / "salt.csv", index=False)
    said = refused("evaluate", "--artifact", trained, "--data", tmp_path / "salt.csv", "--oracle")
    assert "label unknown to the vocabulary: Cl-, Na+" in said


def test_training_that_cannot_begin(refused, table, trained, artifact, tmp_path):
    new = ["train", "embedding", "--data", table, "--out", tmp_path / "new"]
    assert "--steps must be at least 1, got 0" in refused(*new, "--steps", 0)
    assert "--batch-size must be at least 1, got 0" in refused(*new, "--batch-size", 0)
    assert "--dim must be at least 1" in refused(*new, "--dim", -3)
    assert "no device 'abacus'" in refused(*new, "--device", "abacus")
    assert not (tmp_path / "new").exists()
    (tmp_path / "one.csv").write_text("smiles\nCC\n")
    said = refused("train", "embedding", "--data", tmp_path / "one.csv", "--out", tmp_path / "new", "--steps", 2)
    assert "at least 2" in said
    add = ["train", "surrogate", "--artifact", artifact, "--data", table, "--steps", 2]
    assert "no column 'image'" in refused(*add, "--input", "image")
    assert "'word' reads texts, the inputs are vectors" in refused(*add, "--input", "x", "--backbone", "word")
    assert "reads rows of numbers" in refused(*add, "--input", "description", "--backbone", "vector")
    changed = refused(*add, "--input", "description", "--batch-size", 12)
    assert "belongs to another run" in changed and "delete it or name another checkpoint" in changed
    assert artifacts.verify(artifact) == artifacts.verify(trained)


def test_a_shipped_artifact_is_not_trained_on(refused, trained, table, monkeypatch):
    monkeypatch.setattr(artifacts, "MODELS", trained.parent)
    for stage, added in (("surrogate", "h is added"), ("repeats", "repeats are added")):
        said = refused("train", stage, "--artifact", trained.name, "--data", table)
        assert added in said and "is shipped: copy" in said


@pytest.mark.parametrize("command", [["decode", "x"], ["evaluate", "--data", "molecules7"]])
def test_artifacts_that_cannot_be_used(refused, artifact, tmp_path, command):
    assert "no artifact at" in refused(*command, "--artifact", tmp_path / "nowhere")
    said = refused(*command, "--artifact", artifact, "--surrogate", "image")
    assert "no surrogate 'image'; it has description" in said
    (weights,) = artifact.glob("psi-*")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "is truncated or altered" in refused(*command, "--artifact", artifact)
    (artifact / artifacts.JSON_NAME).write_text("{}")
    assert "is truncated or not an artifact" in refused(*command, "--artifact", artifact)


def test_an_artifact_of_another_vocabulary(refused, run, tmp_path, table, trained):
    pd.DataFrame({"smiles": ["S", "SC", "SCC", "CS(=O)C", "SCCS"]}).to_csv(tmp_path / "sulphur.csv", index=False)
    common = ["--artifact", trained]
    said = refused("evaluate", *common, "--data", tmp_path / "sulphur.csv", "--oracle")
    assert "label unknown to the vocabulary: S" in said
    said = refused("evaluate", *common, "--data", table, "--candidates", tmp_path / "sulphur.csv", "--oracle")
    assert "label unknown to the vocabulary: S" in said
    other = tmp_path / "other"
    assert run("train", "embedding", "--data", tmp_path / "sulphur.csv", "--out", other, "--steps", 1, *TINY)[0] == 0
    status, out, _ = run("evaluate", "--artifact", other, "--data", "molecules7", "--oracle", "--json", *QUICK)
    judged = json.loads(out)
    assert status == 0 and 0 < judged["count"] < 100, "few molecules have the labels and the size"
    assert any(reason.startswith(("label unknown", "more than")) for reason in judged["skipped"])
    said = refused("train", "surrogate", "--artifact", other, "--data", "molecules7")
    assert "another vocabulary" in said and "train an embedding on it" in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--iterations", "0"], "iterations must be at least 1, got 0"),
        (["--budget", "0"], "budget must be seconds above 0, got 0"),
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--budget", "3", "--sets", "0.9"], "give --budget or --sets"),
        (["--starts", "0"], "starts must be at least 1"),
        (["--beam", "0"], "beam must be at least 1"),
        (["--rule", "newton"], "no step rule 'newton'; there are "),
        (["--method", "guess"], "no decoding method 'guess'; there are candidates"),
        (["--method", "candidates", "--candidates", "none"], "--method candidates needs candidates"),
        (["--method", "candidates+polish"], "needs candidates, there are none (give --candidates)"),
        (["--method", "rounded"], "needs an h with a graph head (elekit train surrogate --through graph)"),
        (["--candidates", "molecule7"], "no data set and no file 'molecule7'"),
    ],
)
def test_decoding_that_cannot_begin(refused, trained, table, options, expected):
    assert expected in refused("decode", "--artifact", trained, "x", *options)
    assert expected in refused("evaluate", "--artifact", trained, "--data", table, *options)


def test_inputs_that_cannot_be_read(refused, run, trained, artifact, table, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert "no inputs given" in refused("decode", "--artifact", trained)
    assert "--limit must be at least 1" in refused("evaluate", "--artifact", trained, "--data", table, "--limit", 0)
    assert "timeout must be" in refused("evaluate", "--artifact", trained, "--data", table, *QUICK, "--timeout", -1)
    common = ["--data", table, "--steps", 1, "--artifact", artifact, "--width", 8, "--device", "cpu", "--json"]
    assert run("train", "surrogate", "--input", "x", "--input", "y", "--name", "numbers", *common)[0] == 0
    numbers = ["decode", "--artifact", artifact, "--surrogate", "numbers", "--method", "gradient"]
    assert "this h reads vectors, numbers separated by commas, got 'CCO'" in refused(*numbers, "CCO")
    assert "equal lengths, got 2 and 3" in refused(*numbers, "1,2", "1,2,3")
    assert "inputs must be (B, 2), got (1, 3)" in refused(*numbers, "1,2,3")
    status, out, err = run(*numbers, "nan,2")
    assert status == 1 and out.startswith("refused: holds NaN") and "1 of 1" in err
    judged = ["evaluate", "--artifact", artifact, "--data", table, "--surrogate", "numbers", "--randomize"]
    assert "these inputs are vectors" in refused(*judged)


def test_a_description_reader_wants_its_column_named(refused, artifact, table):
    """As in the shipped artifact, which does not say which column of another table to read."""
    loaded = artifacts.load(artifact)
    loaded.about["surrogates"]["description"].pop("input")
    artifacts.save(loaded, artifact)
    said = refused("evaluate", "--artifact", artifact, "--data", table)
    assert "surrogate 'description' reads words; name their column" in said and "--input" in said


def test_a_full_disk_is_one_line_and_loses_nothing(refused, table, artifact, monkeypatch, tmp_path):
    before = artifacts.verify(artifact)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    add = ["train", "surrogate", "--artifact", artifact, "--data", table, "--steps", 1, "--width", 8, "--json"]
    said = refused(*add, "--input", "random_smiles", "--device", "cpu")
    assert "cannot write" in said and "No space left on device" in said
    said = refused("data", table, "--export", tmp_path / "out")
    assert "cannot write" in said and list((tmp_path / "out").iterdir()) == []
    monkeypatch.undo()
    assert artifacts.verify(artifact) == before


# -- what reaches a terminal or a spreadsheet --------------------------------------------------------------------------
CONTROLS = "\x1b]0;title\x07\x1b[31m\u202e\x9b31m\r"


def test_no_control_character_reaches_the_terminal(run, tmp_path, trained):
    graphs = [{"nodes": [{"id": k, "label": CONTROLS} for k in range(n)], "edges": []} for n in (1, 2, 3, 4, 5)]
    table = tmp_path / "graphs.csv"
    pd.DataFrame({"graph": map(json.dumps, graphs), CONTROLS: "x"}).to_csv(table, index=False)
    (tmp_path / "rules.json").write_text(json.dumps([{"kind": CONTROLS}]))
    correct = ["correct", "--artifact", trained, "--rules", tmp_path / "rules.json", "--out", tmp_path / "c"]
    for command in (
        ["data", table, "--graph", "graph"], ["data", table], ["data", table, "--smiles", CONTROLS],
        ["data", tmp_path / CONTROLS], ["decode", "--artifact", trained, f"CCO{CONTROLS}\nforged line"],
        ["decode", "--artifact", tmp_path / CONTROLS, "C"], [*correct, "--data", "molecules7"],
    ):  # fmt: skip
        _, out, err = run(*command)
        assert out or err
        assert all(c.isprintable() or c in "\t\n" for c in out + err), command
        assert not any(line.startswith("forged") for line in (out + err).splitlines())
        _, out, err = run(*command, "--json")
        assert out == "" or json.loads(out)
    _, out, _ = run("data", table, "--graph", "graph", "--json")
    assert json.loads(out)["node_labels"] == [CONTROLS]


def test_usage_errors_escape_and_are_short(capsys):
    with pytest.raises(SystemExit):
        main(["data", "molecules7", CONTROLS, "x" * 100_000])
    err = capsys.readouterr().err
    assert "usage: elekit" in err and "\\x1b" in err and "\x1b" not in err and len(err) < 5_000


@pytest.mark.parametrize(
    "error, words",
    [
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (MemoryError(), "out of memory; lower"),
        (MemoryError("Unable to allocate 59.6 GiB"), "out of memory (Unable to allocate 59.6 GiB); lower"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), "out of memory (Default"),
        (OSError(12, "Cannot allocate memory"), "out of memory (Cannot allocate memory); lower"),
        (RuntimeError("mat1 and mat2\nshapes"), "internal error, RuntimeError: mat1 and mat2 shapes; please report"),
        (TypeError("x" * 10_000), "internal error, TypeError: xxx"),
        (ValueError(), "elekit: ValueError"),
        (ValueError("y" * 10**6), "elekit: yyy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_is_one_line_and_a_traceback_on_demand(run, monkeypatch, error, words):
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load", fails)
    monkeypatch.delenv("ELEKIT_DEBUG", raising=False)
    status, out, err = run("data", "molecules7")
    assert (status, out) == (1, "") and words in err and err.count("\n") == 1 and len(err) < 900
    monkeypatch.setenv("ELEKIT_DEBUG", "1")
    assert "Traceback (most recent call last)" in run("data", "molecules7")[2]


def test_exports_have_no_formulas_and_are_read_back_as_they_were(run, tmp_path):
    texts = [
        "=1+1",
        "+1",
        "-2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'=1",
        "''-",
        "'quoted'",
        "=",
        "plain",
        "－1",
        "a=b",
        "-CC",
    ]
    table = pd.DataFrame({"smiles": ["C" * n for n in range(1, 15)], "=HYPERLINK(1)": texts, "x": -1.5})
    table.to_csv(tmp_path / "mine.csv", index=False, quoting=csv.QUOTE_ALL)
    assert run("data", tmp_path / "mine.csv", "--input", "=HYPERLINK(1)", "--export", tmp_path / "splits")[0] == 0
    again = []
    for name in ("train", "validation", "test"):
        path = tmp_path / "splits" / f"{name}.csv"
        plain = pd.read_csv(path, keep_default_na=False, dtype=str)
        text = plain.drop(columns=["row", "x"])
        assert not any(cell[0] in "=+-@\t\r\n－" for cell in [*plain.columns, *text.to_numpy().flatten()])
        assert (plain["x"] == "-1.5").all()
        again.append(datasets.from_frame(path, smiles="smiles", input="=HYPERLINK(1)", fractions=(1, 0, 0)).train)
    frame = pd.concat([split.frame for split in again]).sort_values("source_row")
    assert frame["=HYPERLINK(1)"].tolist() == texts and frame["smiles"].tolist() == table["smiles"].tolist()
    assert sorted(text for split in again for text in split.inputs) == sorted(texts)

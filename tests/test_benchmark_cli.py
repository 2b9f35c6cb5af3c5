"""`python -m benchmarks`: what it prints and the status it returns."""

import json

import pytest

from benchmarks import RESULTS, TASKS, results
from benchmarks.__main__ import main


def test_the_list_tells_done_runs_from_open_ones(capsys):
    assert main(["smi2mol", "--list", "--method", "sequence", "--method", "ele-graph-head", "--labels", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * TASKS["smi2mol"].seeds and all(line.startswith("done") for line in lines)
    assert main(["smi2mol", "--list", "--method", "ele", "--labels", "all", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run == {"task": "smi2mol", "method": "ele", "labels": None, "seed": 0, "noise": None}


def test_noise_is_a_kind_and_a_rate(capsys):
    arguments = ["noise", "--list", "--json", "--method", "ele", "--noise", "labels:0.1", "--noise", "none"]
    assert main(arguments) == 0
    assert [run["noise"] for run in json.loads(capsys.readouterr().out)["runs"]] == [["labels", 0.1], None]


@pytest.mark.parametrize("arguments", [["x"], ["smi2mol", "--method", "x"]])
def test_what_is_unknown_is_refused_in_one_line(arguments, capsys):
    assert main([*arguments, "--list"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and "'x'" in printed.err


def test_the_report_of_a_folder_leaves_the_readme_alone(tmp_path, capsys):
    run = results.read_runs(results.results_path("coloring"))[0]
    results.append_run(results.results_path("coloring", tmp_path), run)
    assert main(["report", "--results", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": [str(tmp_path / "README.md")]}


def test_stored_runs_have_methods_titles_and_commands_of_today():
    from benchmarks import METHODS

    for path in RESULTS.glob("*.jsonl"):
        for run in results.read_runs(path):
            assert run["title"] == METHODS[run["method"]].title
            assert run["command"] == f"python -m benchmarks {path.stem}"

"""The README is true: its example runs, its commands exist, its files are there."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import elekit
from elekit import training as training_module
from elekit.cli.parser import parser
from elekit.training import fit_embedding, fit_surrogate

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", "data/README.md", "data/models/README.md", "data/results/README.md")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_ten_lines_run(monkeypatch, capsys):
    (example,) = [block for block in blocks("python") if "fit_embedding" in block]
    assert len(example.strip().splitlines()) <= 10
    few = {"validate_every": 5, "checkpoint_every": 5, "warmup": 1, "steps": 5}
    for name in ("EmbeddingTraining", "SurrogateTraining"):
        whole = getattr(training_module, name)()
        fit = fit_embedding if name == "EmbeddingTraining" else fit_surrogate
        brief = replace(whole, loop=replace(whole.loop, **few), batch_size=8)
        monkeypatch.setitem(fit.__kwdefaults__, "training", brief)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "edit_distance" in shown and "proven" in shown
    (look,) = [block for block in blocks("python") if "ele.widgets" in block]
    exec(compile(look, "README.md", "exec"), names)


@pytest.mark.parametrize(
    "command", [line for block in blocks("bash") for line in block.splitlines() if line.startswith("elekit ")]
)
def test_commands_are_understood(command):
    assert parser().parse_args(shlex.split(command, comments=True)[1:]).run


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z0-9-]+)`?", TEXT)) - {"it", "sure"}
    assert {"lab", "test", "docs"} <= named <= targets


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES)
def test_files_and_pictures_exist(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    linked = [folder / path for path in re.findall(r"\]\((?!http)([^)#]+)\)", text)]
    named = [ROOT / path for path in re.findall(r"`((?:data|elekit|notebooks|benchmarks|tests)/[\w./-]+)`", text)]
    assert [str(path) for path in linked + named if not path.exists()] == []


def test_names_in_code_font_exist():
    table = re.search(r"\| symbol \| name in code.*?\n\n", TEXT, re.DOTALL).group()
    for name in re.findall(r"`([A-Za-z_]+)`(?=[,;| ])", table.replace("| `", "|`")):
        homes = [
            elekit,
            elekit.model.embedding,
            elekit.model.surrogate,
            elekit.decoding,
            elekit.training,
            elekit.model.loss,
            elekit.graphs.graph,
        ]
        assert any(hasattr(home, name) for home in homes), name

"""`import elekit`: cheap, complete, and the example in its docstring runs."""

import ast
import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import elekit
from elekit import datasets
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate

HEAVY = (
    "matplotlib",
    "ipywidgets",
    "IPython",
    "rdkit",
    "pandas",
    "networkx",
    "scipy",
    "sklearn",
    "tqdm",
    "pooch",
    "faiss",
)


def test_importing_loads_nothing_that_is_not_needed_yet():
    code = f"import sys, elekit; assert elekit.__version__; print([m for m in {HEAVY} if m in sys.modules])"
    root = Path(elekit.__file__).resolve().parents[1]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert ran.stdout.strip() == "[]", ran.stdout


CORE_ALONE = """
from importlib.machinery import PathFinder

EXTRAS, found = {extras}, PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: None if name.partition(".")[0] in EXTRAS else found(name, *where)

import networkx as nx
import elekit as ele
from elekit import audit, cli, correction, datasets, decoding, evaluation, graphs, inspect, model, training

rings = [nx.cycle_graph(n) for n in (3, 4, 5, 6)] + [nx.path_graph(n) for n in (2, 3, 4, 5, 6)]
for ring in rings:
    nx.set_node_attributes(ring, "a", "label")
    nx.set_edge_attributes(ring, "e", "label")
data = datasets.from_networkx_graphs(rings, fractions=(1, 0, 0))
loop = ele.TrainerConfig(steps=2, learning_rate=1e-3, validate_every=2)
config = ele.EmbeddingConfig(hidden=8, rounds=2, dim=8)
psi = ele.fit_embedding(
    data.train.graphs, config=config, training=ele.EmbeddingTraining(loop=loop, batch_size=4), progress=False
)
decoded = ele.decode(psi, psi(data.train.graphs).detach(), config=ele.DecodeConfig("gradient+polish"))
assert len(decoded.graphs) == len(rings)
for need in (
    lambda: ele.from_smiles("CO"),
    lambda: graphs.edit_distance.edit_distance(data.train.graphs[0], data.train.graphs[1]),
    lambda: ele.draw.graph,
    lambda: ele.widgets.explore,
    lambda: datasets.load("qm9"),
):
    try:
        need()
    except ModuleNotFoundError as error:
        print(str(error).partition("elekit[")[2].strip("]'"))
assert cli.main(["decode", "--artifact", "molecules7", "methane"]) == 1
"""


def test_the_core_needs_no_extra_and_a_missing_package_names_its_extra(tmp_path):
    """Graphs that are no molecules are learned and decoded with nothing but the dependencies of the core."""
    extras = {
        "rdkit",
        "scipy",
        "sklearn",
        "ot",
        "pooch",
        "pyarrow",
        "jinja2",
        "matplotlib",
        "ipywidgets",
        "anywidget",
    }
    extras |= {"jscatter", "umap", "IPython", "traitlets", "transformers", "PIL"}
    root = Path(elekit.__file__).resolve().parents[1]
    env = {k: v for k, v in os.environ.items() if k != "ELEKIT_DATA_DIR"} | {"ELEKIT_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", CORE_ALONE.format(extras=extras)], cwd=root, capture_output=True, text=True, env=env
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["chem", "chem", "draw", "lab", "data"]
    assert "elekit[chem]" in ran.stderr.splitlines()[-1]


def test_every_name_is_there():
    assert len(set(elekit.__all__)) == len(elekit.__all__) > 40
    for name in elekit.__all__:
        assert getattr(elekit, name) is not None, name
    assert dir(elekit) == sorted(elekit.__all__)


def test_names_are_those_of_their_modules():
    for name, home in elekit._HOME.items():
        assert getattr(elekit, name) is getattr(importlib.import_module(f"elekit.{home}"), name), name
    for name in elekit._PACKAGES:
        assert getattr(elekit, name) is importlib.import_module(f"elekit.{name}")


def test_public_functions_are_documented():
    for name in (*elekit._HOME, *elekit._PACKAGES):
        assert (getattr(elekit, name).__doc__ or "").strip(), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'elekit' has no attribute 'fit_loss'"):
        elekit.fit_loss  # noqa: B018
    assert not hasattr(elekit, "fit_loss")
    with pytest.raises(ImportError, match="fit_loss"):
        exec("from elekit import fit_loss")


def test_the_example_of_the_docstring_runs(monkeypatch):
    """On 80 molecules and a few steps; the lines are those that are printed."""
    lines = [line[4:] for line in elekit.__doc__.splitlines() if line.startswith("    ")]
    assert 5 <= len(lines) <= 10 and ast.parse("\n".join(lines))
    whole, before = datasets.load, (EmbeddingTraining, SurrogateTraining)

    def small(name):
        data = whole(name)
        return replace(data, train=data.train.take(range(80)))

    monkeypatch.setattr(datasets, "load", small)
    loop = elekit.TrainerConfig(steps=3, learning_rate=1e-3, validate_every=3)
    for fit, training in zip((fit_embedding, fit_surrogate), before):
        monkeypatch.setitem(fit.__kwdefaults__, "training", training(loop=loop, batch_size=16))
        monkeypatch.setitem(fit.__kwdefaults__, "progress", False)
    names = {"ele": elekit}
    *first, last = lines
    exec("\n".join(first), names)
    table = eval(last, names)
    assert len(table) == len(names["graphs"]) == 8
    assert {"exact", "valid", "edit_distance"} <= set(table.columns)

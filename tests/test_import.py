"""`import elekit`: cheap, complete, and the example in its docstring runs."""

import ast
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import elekit
from elekit import datasets
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate

HEAVY = ("matplotlib", "ipywidgets", "IPython", "rdkit", "pandas", "networkx", "scipy", "sklearn", "tqdm", "pooch")


def test_importing_loads_nothing_that_is_not_needed_yet():
    code = f"import sys, elekit; assert elekit.__version__; print([m for m in {HEAVY} if m in sys.modules])"
    root = Path(elekit.__file__).resolve().parents[1]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert ran.stdout.strip() == "[]", ran.stdout


def test_every_name_is_there():
    assert len(set(elekit.__all__)) == len(elekit.__all__) > 40
    for name in elekit.__all__:
        assert getattr(elekit, name) is not None, name
    assert dir(elekit) == sorted(elekit.__all__)


def test_names_are_those_of_their_modules():
    for name, home in elekit._WHERE.items():
        assert getattr(elekit, name) is getattr(importlib.import_module(f"elekit.{home}"), name), name
    for name in elekit._MODULES:
        assert getattr(elekit, name) is importlib.import_module(f"elekit.{name}")


def test_public_functions_are_documented():
    for name in elekit._WHERE:
        assert (getattr(elekit, name).__doc__ or "").strip(), name
    for name in elekit._MODULES:
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

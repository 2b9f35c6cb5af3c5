"""Widgets for JupyterLab over the floors below; no mathematics here (floor 4).

`explore` shows the embedding space, `step_through` a decoding run, `inspect_loss` what the loss rewards; `judge` asks
people what it should say. Each holds its state in typed traits, says
in itself what went wrong, has a static twin (`.picture()`), and needs no network.
"""

import importlib

from elekit.graphs._optional import extra

_HOME = {"explore": "explorer", "Explorer": "explorer", "step_through": "stepper", "Stepper": "stepper",
         "inspect_loss": "inspector", "LossInspector": "inspector", "judge": "triplets",
         "TripletJudge": "triplets"}  # fmt: skip

__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'elekit.widgets' has no attribute {name!r}")
    with extra("lab"):
        return getattr(importlib.import_module(f"elekit.widgets.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)

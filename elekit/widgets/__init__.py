"""Widgets for JupyterLab (extra `lab`): they show what the packages below compute.

    explore        the embedding space as a map
    step_through   a decoding run, frame by frame
    inspect_loss   one graph, with every edit priced by the loss
    judge          questions to people: which of two graphs is closer to a third?

Every widget keeps its state in typed traits, shows errors in `problem`, needs no network, says when its kernel is
gone, and has a static picture (`.picture()`), which saved and exported notebooks show to readers without a kernel.
The HTML of nbconvert loads nothing from elsewhere with the options of notebooks/offline.json: no addresses of scripts
(`--HTMLExporter.require_js_url=`, also `mathjax_url`, `mermaid_js_url`) and no state of widgets stored.
"""

import importlib
from typing import Any

from elekit.graphs._optional import extra

_HOME = {"explore": "explorer", "step_through": "stepper", "inspect_loss": "inspector", "judge": "triplets"}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'elekit.widgets' has no attribute {name!r}")
    with extra("lab"):
        return getattr(importlib.import_module(f"elekit.widgets.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

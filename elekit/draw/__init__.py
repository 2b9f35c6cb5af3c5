"""Matplotlib figures of graphs and results. Nothing is shown, and no global matplotlib state changes.

Functions with an `ax` argument draw into it and return its whole figure. Labels come from user data and are drawn
literally: `$` starts no formula, and unprintable characters become blanks. Names load on first use: layouts, scenes
and SVG need no matplotlib.
"""

import importlib
import sys
import types

from elekit.graphs._optional import extra

_HOME = {
    "agreements": ("agreement", "disagreements"),
    "base": ("OKABE_ITO", "RADIUS", "VISIBLE"),
    "blind_spots": ("blind_spots",),
    "concepts": ("concepts",),
    "corrections": ("corrections",),
    "counterfactuals": ("analogies", "counterfactuals"),
    "curves": ("history", "loss_curve", "ranking"),
    "decodings": ("iterate", "trace"),
    "edit_costs": ("edit_costs",),
    "edit_scan": ("contrasted", "priced_edits", "shared"),
    "faithfulness": ("faithfulness",),
    "figure": ("Picture",),
    "findings": ("findings",),
    "histograms": ("histograms",),
    "layouts": ("layout",),
    "maps": ("embedding_map",),
    "sets": ("coverage", "prediction_set"),
    "stability": ("across_trainings", "stability"),
    "structures": ("graph", "graphs"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_WHERE)


class _Package(types.ModuleType):
    """Keeps a function such as `draw.concepts` from being hidden by the submodule of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _WHERE or not isinstance(value, types.ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'elekit.draw' has no attribute {name!r}")
    with extra("draw"):
        value = getattr(importlib.import_module(f"elekit.draw.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])

"""Matplotlib figures of graphs and results. Nothing is shown, and no global matplotlib state changes.

Functions with an `ax` argument draw into it and return its whole figure. All raise ValueError for arguments that
their `Args` exclude: other shapes, batches or ranges, missing columns, nothing to draw. Labels come from user data
and are drawn literally: `$` starts no formula, and unprintable characters become blanks. `atom_colors` chooses the
colors of molecules. Names load on first use: layouts, scenes and SVG need no matplotlib.
"""

import importlib

from elekit.graphs._optional import extra

_HOME = {
    "base": ("OKABE_ITO", "RADIUS", "VISIBLE", "atom_colors"),
    "before_after": ("corrections",),
    "charts": ("across_trainings", "concepts", "coverage", "edit_costs", "stability"),
    "curves": ("agreement", "faithfulness", "histograms", "history", "loss_curve", "quality_by_time", "ranking"),
    "decodings": ("iterate", "prediction_set", "trace"),
    "edit_scan": ("changed_prices", "contrasted", "priced_edits", "shared"),
    "figure": ("Picture",),
    "layouts": ("layout",),
    "maps": ("embedding_map",),
    "pairs": ("analogies", "blind_spots", "counterfactuals"),
    "sheets": ("disagreements", "findings"),
    "structures": ("graph", "graphs"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'elekit.draw' has no attribute {name!r}")
    with extra("draw"):
        value = getattr(importlib.import_module(f"elekit.draw.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])

"""Graphs and curves in, matplotlib figures out (floor 3). Pure: no pyplot, nothing shown, nothing global touched.

Functions that take an `ax` draw into it and return its whole figure. Labels come from the user's data and are drawn
as they are: `$` starts no formula, and what cannot be printed becomes a blank.
"""

from elekit.draw.agreements import agreement, disagreements
from elekit.draw.base import OKABE_ITO, RADIUS, SEEN, Picture
from elekit.draw.blind_spots import blind_spots
from elekit.draw.concepts import concepts
from elekit.draw.corrections import corrections
from elekit.draw.counterfactuals import analogies, counterfactuals
from elekit.draw.curves import history, loss_curve, ranking
from elekit.draw.decodings import iterate, trace
from elekit.draw.edit_costs import edit_costs
from elekit.draw.edit_scan import contrasted, priced_edits, shared
from elekit.draw.faithfulness import faithfulness
from elekit.draw.findings import findings
from elekit.draw.histograms import histograms
from elekit.draw.images import images
from elekit.draw.layouts import layout
from elekit.draw.maps import embedding_map
from elekit.draw.sets import coverage, prediction_set
from elekit.draw.spheres import spheres
from elekit.draw.stability import across_trainings, stability
from elekit.draw.structures import graph, graphs
from elekit.draw.tensors import tensors

__all__ = [
    "OKABE_ITO",
    "RADIUS",
    "SEEN",
    "Picture",
    "across_trainings",
    "agreement",
    "analogies",
    "blind_spots",
    "concepts",
    "contrasted",
    "corrections",
    "counterfactuals",
    "coverage",
    "disagreements",
    "edit_costs",
    "embedding_map",
    "faithfulness",
    "findings",
    "graph",
    "graphs",
    "histograms",
    "history",
    "images",
    "iterate",
    "layout",
    "loss_curve",
    "prediction_set",
    "priced_edits",
    "ranking",
    "shared",
    "spheres",
    "stability",
    "tensors",
    "trace",
]  # fmt: skip

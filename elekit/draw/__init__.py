"""Graphs and curves in, matplotlib figures out (floor 3). Pure: no pyplot, nothing shown, nothing global touched.

Functions that take an `ax` draw into it and return its whole figure. Labels come from the user's data and are drawn
as they are: `$` starts no formula, and what cannot be printed becomes a blank.
"""

from elekit.draw.base import OKABE_ITO, RADIUS, SEEN, Picture
from elekit.draw.curves import history, loss_curve, ranking
from elekit.draw.decodings import trace
from elekit.draw.layouts import layout
from elekit.draw.structures import graph, graphs

__all__ = [
    "OKABE_ITO", "RADIUS", "SEEN", "Picture", "graph", "graphs", "history", "layout", "loss_curve", "ranking", "trace",
]  # fmt: skip

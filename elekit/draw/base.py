"""Colors, sizes, checks and text fitting shared by all drawings; needs no matplotlib."""

from typing import Any

import numpy as np
import torch

from elekit.graphs.graph import Graph, GraphBatch

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = OKABE_ITO
GRAY, LIGHT_GRAY = "#999999", "#BBBBBB"
SAFE = {
    "C": GRAY,
    "N": BLUE,
    "O": VERMILION,
    "F": GREEN,
    "S": YELLOW,
    "Cl": SKY,
    "P": ORANGE,
    "Br": PURPLE,
    "I": "#882255",
    "B": "#44AA99",
    "Si": "#DDCC77",
    "Se": "#999933",
}  # the last four from Tol's muted colors
CPK = {  # as chemists know them, in shades that can be told from white and from black
    "C": "#707070",
    "N": "#3050F8",
    "O": "#FF0D0D",
    "F": "#5FB02F",
    "S": "#D9B300",
    "Cl": "#1E9E1E",
    "P": "#FF8000",
    "Br": "#B83030",
    "I": "#A828B8",
    "B": "#E0957F",
    "Si": "#C0A080",
    "Se": "#C77E00",
}
ATOM_COLORS = {"safe": SAFE, "cpk": CPK}
_chosen = ["safe"]

RADIUS = 0.3  # of a node, where an edge is about 1 long
VERTEX = 0.11  # radius of a carbon with bonds
VISIBLE = 0.05  # probabilities below are not drawn
MIN_FONT_SIZE = 7  # points, of any text


class atom_colors:
    """Choose the colors of atoms in drawings and in new widgets, from now on or for a `with` block.

    A widget keeps the colors that it was made with. Other labels than elements are not concerned.

    Args:
        name: "safe" (the default), which readers with color blindness can tell apart, or "cpk", the usual colors:
            carbon gray, nitrogen blue, oxygen red, sulfur yellow, halogens green, dark red and purple.
    """

    def __init__(self, name: str):
        if name not in ATOM_COLORS:
            raise ValueError(f"no atom colors {name!r}; there are {', '.join(ATOM_COLORS)}")
        self._before, _chosen[0] = _chosen[0], name

    def __enter__(self) -> "atom_colors":
        return self

    def __exit__(self, *error: Any) -> None:
        _chosen[0] = self._before


def chosen_atom_colors() -> str:
    """The name that was chosen with `atom_colors`."""
    return _chosen[0]


def require_single(graph: GraphBatch) -> Graph:
    """The graph, dense; raises ValueError unless the batch holds exactly one."""
    if len(graph) != 1:
        raise ValueError(f"one graph is drawn at a time, got a batch of {len(graph)}; use graph[0] or draw.graphs")
    return graph.dense()


def to_numpy(values) -> np.ndarray:
    """Float64 array of a tensor, array, Series or list."""
    values = getattr(values, "to_numpy", lambda: values)()  # torch looks for the row called 0 in a Series
    return torch.as_tensor(values).detach().double().cpu().numpy()


def printable(text: str) -> str:
    """The text on one line, with unprintable characters replaced by blanks."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def shortened(text: str, letters: float) -> str:
    """The text on one printable line, cut to at most `letters` characters."""
    text = printable(text)
    return text if len(text) <= letters else text[: int(letters) - 1] + "…"


def fit_text(text: str, width: float, size: float) -> tuple[str, float]:
    """Text and font size (points), at most about `width` points wide; shrinks first, then cuts."""
    text, per_letter = printable(text), 0.68
    size = max(MIN_FONT_SIZE, min(size, width / (per_letter * max(len(text), 1))))
    return shortened(text, max(2, int(width / (per_letter * size) + 1e-6))), size

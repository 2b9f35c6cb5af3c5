"""Colors, sizes and text fitting shared by all drawings; needs no matplotlib."""

import numpy as np
import torch

from elekit.graphs.graph import Graph, GraphVocabulary

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = OKABE_ITO
GRAY, LIGHT_GRAY = "#999999", "#BBBBBB"
ELEMENTS = {"C": GRAY, "N": BLUE, "O": VERMILION, "F": GREEN, "S": YELLOW, "Cl": SKY, "P": ORANGE, "Br": PURPLE}

RADIUS = 0.3  # of a node, where an edge is about 1 long
VISIBLE = 0.05  # probabilities below are not drawn
MIN_FONT_SIZE = 7  # points, of any text


def padded_limits(values: np.ndarray) -> tuple[float, float]:
    """Axis limits that contain all finite values, with a margin."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = 0.07 * (high - low) or 0.1
    return low - margin, high + margin


def require_single(graph: Graph):
    """Raises ValueError unless the batch holds exactly one graph."""
    if len(graph) != 1:
        raise ValueError(f"one graph is drawn at a time, got a batch of {len(graph)}; use graph[0] or draw.graphs")


def has_bond_orders(vocabulary: GraphVocabulary) -> bool:
    """True if all edge labels are bond orders, drawn as parallel strokes."""
    return vocabulary.order is not None and set(vocabulary.order) <= {1.0, 2.0, 3.0}


def rgb(color: str) -> tuple[float, float, float]:
    """ "#rrggbb" as three numbers in [0, 1]."""
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue


def label_colors(vocabulary: GraphVocabulary) -> list[tuple[float, ...]]:
    """One RGB color per node label; a charged atom has a lighter (+) or darker (-) shade of its element's color."""
    known = ELEMENTS if has_bond_orders(vocabulary) else {}
    colors = []
    for k, label in enumerate(vocabulary.node_labels):
        color = np.array(rgb(known.get(label.rstrip("+-"), OKABE_ITO[k % len(OKABE_ITO)])))
        charged = known and label[-1:]
        colors.append(tuple(0.55 * color + 0.45 if charged == "+" else 0.65 * color if charged == "-" else color))
    return colors


def to_numpy(values) -> np.ndarray:
    """Float64 array of a tensor, array, Series or list."""
    values = (
        values.to_numpy() if hasattr(values, "to_numpy") else values
    )  # torch looks for the row called 0 in a Series
    return torch.as_tensor(values).detach().double().cpu().numpy()


def printable(text: str) -> str:
    """The text on one line, with unprintable characters replaced by blanks."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def fit_text(text: str, width: float, size: float) -> tuple[str, float]:
    """Text and font size in points so that the text is at most about `width` points wide; shrinks first, then
    cuts.
    """
    text, per_letter = printable(text), 0.68
    size = max(MIN_FONT_SIZE, min(size, width / (per_letter * max(len(text), 1))))
    letters = max(2, int(width / (per_letter * size) + 1e-6))
    return (text if len(text) <= letters else text[: letters - 1] + "…"), size

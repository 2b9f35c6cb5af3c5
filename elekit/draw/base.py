"""Colors, sizes and text fitting that all drawings share; without matplotlib."""

import numpy as np
import torch

from elekit.graphs.graph import Graph, GraphVocabulary

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = OKABE_ITO
GRAY, FAINT = "#999999", "#BBBBBB"
ELEMENTS = {"C": GRAY, "N": BLUE, "O": VERMILION, "F": GREEN, "S": YELLOW, "Cl": SKY, "P": ORANGE, "Br": PURPLE}

RADIUS = 0.3  # of a node, where an edge is about 1 long
SEEN = 0.05  # probabilities below are not drawn
SMALLEST = 7  # points, of any text


def spread(values: np.ndarray) -> tuple[float, float]:
    """Limits that hold the finite values with a margin."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = 0.07 * (high - low) or 0.1
    return low - margin, high + margin


def hold_one(graph: Graph):
    if len(graph) != 1:
        raise ValueError(f"one graph is drawn at a time, got a batch of {len(graph)}; use graph[0] or draw.graphs")


def has_bond_orders(vocabulary: GraphVocabulary) -> bool:
    """Whether edge labels are bond orders, to be drawn as strokes."""
    return vocabulary.order is not None and set(vocabulary.order) <= {1.0, 2.0, 3.0}


def rgb(color: str) -> tuple[float, float, float]:
    """ "#rrggbb" as three numbers in [0, 1]."""
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue


def label_colors(vocabulary: GraphVocabulary) -> list[tuple[float, ...]]:
    """One for each node label; an element keeps its hue, lighter with a positive charge, darker with a negative."""
    known = ELEMENTS if has_bond_orders(vocabulary) else {}
    colors = []
    for k, label in enumerate(vocabulary.node_labels):
        color = np.array(rgb(known.get(label.rstrip("+-"), OKABE_ITO[k % len(OKABE_ITO)])))
        charged = known and label[-1:]
        colors.append(tuple(0.55 * color + 0.45 if charged == "+" else 0.65 * color if charged == "-" else color))
    return colors


def array(values) -> np.ndarray:
    values = (
        values.to_numpy() if hasattr(values, "to_numpy") else values
    )  # torch looks for the row called 0 in a Series
    return torch.as_tensor(values).detach().double().cpu().numpy()


def plain(text: str) -> str:
    """One printable line."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def fitted(text: str, width: float, size: float) -> tuple[str, float]:
    """The text and its size in points, smaller or cut short so that it is about `width` points wide."""
    text, per_letter = plain(text), 0.68
    size = max(SMALLEST, min(size, width / (per_letter * max(len(text), 1))))
    letters = max(2, int(width / (per_letter * size) + 1e-6))
    return (text if len(text) <= letters else text[: letters - 1] + "…"), size

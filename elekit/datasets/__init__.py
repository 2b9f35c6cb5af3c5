"""One way in: inputs and graphs side by side, split without leaks, and a report of what was left out (floor 1)."""

from elekit.datasets.frame import FRACTIONS, from_frame, from_networkx_graphs
from elekit.datasets.named import NAMES, available_offline, load
from elekit.datasets.splits import Dataset, Split

__all__ = [
    "FRACTIONS",
    "NAMES",
    "Dataset",
    "Split",
    "available_offline",
    "from_frame",
    "from_networkx_graphs",
    "load",
]

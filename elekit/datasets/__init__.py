"""Data sets of inputs and graphs: loaders, splits without leaks, and reports of skipped rows."""

from elekit.datasets.frame import FRACTIONS, MissingColumnError, from_frame, from_networkx_graphs
from elekit.datasets.named import NAMES, available_offline, load
from elekit.datasets.prepare import DataWarning, Prepare
from elekit.datasets.splits import Dataset, Split
from elekit.datasets.texts import from_conllu, from_spert

__all__ = [
    "FRACTIONS", "NAMES", "DataWarning", "Dataset", "MissingColumnError", "Prepare", "Split", "available_offline",
    "from_conllu", "from_frame", "from_networkx_graphs", "from_spert", "load",
]  # fmt: skip

"""Data sets from tables with a column of SMILES or graphs, and from lists of networkx graphs."""

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import torch

from elekit.datasets import reading
from elekit.datasets.splits import SPLITS, Dataset, Split, assign_splits, digest
from elekit.graphs.graph import Graph, GraphVocabulary

FRACTIONS = (0.8, 0.1, 0.1)


class MissingColumnError(ValueError):
    """A table lacks a column that was named, `column`."""

    def __init__(self, source: str, column: str, columns: Sequence[str]) -> None:
        super().__init__(f"{source} has no column {column!r}; it has {list(columns)}")
        self.column = column


def from_frame(
    frame: pd.DataFrame | str | Path, *, smiles: str | None = None, graph: str | None = None,
    input: str | Sequence[str] | None = None, fractions: Sequence[float] = FRACTIONS, duplicates: str = "drop",
    vocabulary: GraphVocabulary | None = None, max_nodes: int | None = None, seed: int = 0, name: str | None = None,
    progress: bool = False,
) -> Dataset:  # fmt: skip
    """Load a table with one input and one graph per row, and split it. Invalid rows go to `Dataset.skipped`.

    Args:
        frame: A DataFrame, or the path of a csv, tsv (also gzipped) or parquet file.
        smiles: Column of the graphs as SMILES; give either this or `graph`.
        graph: Column of the graphs as networkx graphs or node-link JSON.
        input: Column of the inputs (text, SMILES), or several numeric columns (vectors). None uses the column
            `smiles`, or no inputs with `graph`.
        fractions: Fractions of train, validation and test, summing to 1.
        duplicates: "drop" keeps the first row of each graph; "keep" keeps all rows, with equal graphs in one split.
        vocabulary: Labels of the channels, rows that do not fit are skipped; None uses the labels that occur.
        max_nodes: Rows with larger graphs are skipped.
        seed: Seed of the splits.
        name: Name of the data set; None uses the path.
        progress: Show a progress bar.

    Returns:
        The data set.

    Raises:
        MissingColumnError: If the table lacks a column.
        ValueError: If the table cannot be read, is empty, or has no valid row.
    """
    source = str(frame) if not isinstance(frame, pd.DataFrame) else "the frame"
    table = frame if isinstance(frame, pd.DataFrame) else read_table(frame)
    if (smiles is None) == (graph is None):
        raise ValueError("name the column of the graphs: either smiles= or graph=")
    inputs_in = [input] if isinstance(input, str) else list(input or ([smiles] if smiles else []))
    missing = [c for c in [smiles or graph or "", *inputs_in] if c not in table.columns]
    if missing:
        raise MissingColumnError(source, missing[0], table.columns)
    if duplicates not in ("drop", "keep"):
        raise ValueError(f"duplicates must be 'drop' or 'keep', got {duplicates!r}")
    if len(table) == 0:
        raise ValueError(f"{source} has no rows")

    table = table.reset_index(drop=True)
    vector = len(inputs_in) > 1 or (inputs_in and pd.api.types.is_numeric_dtype(table[inputs_in[0]]))
    if smiles:
        read = reading.read_smiles_column(table[smiles].tolist(), vocabulary, max_nodes, progress)
    else:
        read = reading.read_networkx_column([_as_networkx(g) for g in table[graph]], vocabulary, max_nodes)

    reasons = list(read.reasons)
    if inputs_in:
        absent = table[inputs_in].isna().any(axis=1)
        infinite = ~torch.isfinite(_numbers(table[inputs_in])).all(1) if vector else torch.zeros(len(table)).bool()
        for row in range(len(table)):
            if not reasons[row] and absent[row]:
                reasons[row] = "input missing or NaN"
            elif not reasons[row] and infinite[row]:
                reasons[row] = "input not finite"
    if duplicates == "drop":
        seen = set()
        for row, key in enumerate(read.keys):
            if not reasons[row] and key in seen:
                reasons[row] = "duplicate of an earlier graph"
            elif not reasons[row]:
                seen.add(key)
    kept = [row for row, reason in enumerate(reasons) if not reason]
    shown = table[smiles].astype(str) if smiles else pd.Series([f"graph {i}" for i in range(len(table))])
    left_out = [(row, shown[row], reason) for row, reason in enumerate(reasons) if reason]
    skipped = pd.DataFrame(left_out, columns=["row", "value", "reason"])
    if not kept:
        raise ValueError(f"{source}: none of {len(table)} rows is valid; first: {skipped.iloc[0].to_dict()}")

    rest = table.iloc[kept].drop(columns=[graph] if graph else []).reset_index(drop=True)
    inputs = None
    if inputs_in:
        inputs = _numbers(rest[inputs_in]) if vector else rest[inputs_in[0]].astype(str).tolist()
    rest = rest.rename(columns={"row": "source_row", "key": "source_key"})
    rest.insert(0, "row", kept)
    rest.insert(1, "key", [read.keys[row] for row in kept])
    everything = Split(inputs, Graph.from_labels(read.nodes[kept], read.edges[kept], read.vocabulary), rest)
    places = assign_splits(rest["key"].tolist(), fractions, seed)
    rows = [[i for i, place in enumerate(places) if place == split] for split in SPLITS]
    train, validation, test = splits = [everything.take(own) for own in rows]
    dropped = Counter(
        part for row in kept for part in (read.dropped[row] if read.dropped else "").split("; ") if part
    )
    return Dataset(name or source, read.vocabulary, train, validation, test, skipped, digest(splits), dropped)


def from_networkx_graphs(
    graphs: Sequence[nx.Graph], inputs: Sequence[Any] | torch.Tensor | None = None, **options: Any
) -> Dataset:
    """Split a list of networkx graphs with labels in the attribute `label`.

    Args:
        graphs: n graphs.
        inputs: n strings or vectors; None if only outputs are known.
        **options: Other arguments of `from_frame`.

    Returns:
        The data set.

    Raises:
        ValueError: If the numbers of inputs and graphs differ, or no graph is valid.
    """
    table = pd.DataFrame({"graph": pd.Series(list(graphs), dtype=object)})
    columns: str | list[str] | None = None
    if inputs is not None:
        if len(inputs) != len(table):
            raise ValueError(f"{len(inputs)} inputs for {len(table)} graphs; give one input per graph")
        if len(inputs) and not isinstance(inputs[0], str):
            vectors = pd.DataFrame(torch.as_tensor(inputs, dtype=torch.float32).reshape(len(table), -1).numpy())
            vectors.columns = columns = [f"x{i}" for i in vectors.columns]
            table = pd.concat([table, vectors], axis=1)
        else:
            table["input"], columns = list(inputs), "input"
    options.setdefault("name", "graphs")
    return from_frame(table, graph="graph", input=columns, **options)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a csv, tsv (also compressed) or parquet file; raises a ValueError or FileNotFoundError with its path."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    suffixes = [s.lower() for s in path.suffixes]
    try:
        if ".parquet" in suffixes:
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="\t" if ".tsv" in suffixes else ",")
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty") from None
    except (ValueError, OSError, EOFError, zlib.error) as broken:
        raise ValueError(f"{path} cannot be read as a table: {broken}") from None


def _as_networkx(value: Any) -> nx.Graph | str:
    """A networkx graph or parsed node-link JSON; for other values the reason to skip them."""
    if isinstance(value, nx.Graph):
        return value
    try:
        return nx.node_link_graph(json.loads(value), edges="links" if '"links"' in value else "edges")
    except (TypeError, ValueError, KeyError, AttributeError, nx.NetworkXError):
        return "neither a networkx graph nor node-link JSON"


def _numbers(columns: pd.DataFrame) -> torch.Tensor:
    try:
        return torch.tensor(columns.to_numpy(dtype="float32", na_value=float("nan")))  # a copy
    except (TypeError, ValueError):
        names = list(columns.columns)
        raise ValueError(f"input columns {names} are not all numbers; give one text column or only numbers") from None

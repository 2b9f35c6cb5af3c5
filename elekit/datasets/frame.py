"""Anybody's data: a DataFrame, csv or parquet with SMILES or graphs in a column, or a list of networkx graphs."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import pandas as pd
import torch

from elekit.datasets import reading
from elekit.datasets.splits import SPLITS, Dataset, Split, assign_splits, digest
from elekit.graphs.graph import Graph, GraphVocabulary

FRACTIONS = (0.8, 0.1, 0.1)


def from_frame(
    frame: pd.DataFrame | str | Path,
    *,
    smiles: str | None = None,
    graph: str | None = None,
    input: str | Sequence[str] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    duplicates: str = "drop",
    vocabulary: GraphVocabulary | None = None,
    max_nodes: int | None = None,
    seed: int = 0,
    name: str | None = None,
    progress: bool = False,
) -> Dataset:
    """Splits of a table whose rows hold an input and a graph.

    frame: a DataFrame, or the path of a csv, tsv (also gzipped) or parquet file.
    smiles or graph: the column with the output; graphs are networkx graphs or node-link JSON.
    input: the column with the input (text, SMILES), or several numeric columns (a vector). None: with smiles= the
        SMILES as written; with graph= no inputs.
    fractions: train, validation, test. duplicates: "drop" keeps the first row of each graph; "keep" keeps all,
        together in one split.
    vocabulary: rows that do not fit it are skipped; None makes one of what is there. max_nodes: skip larger graphs.

    Rows that cannot be read are skipped and listed in `Dataset.skipped`. Raises ValueError for a missing column, an
    empty table, and a table of which nothing can be read.
    """
    source = str(frame) if not isinstance(frame, pd.DataFrame) else "the frame"
    table = frame if isinstance(frame, pd.DataFrame) else read_table(frame)
    if (smiles is None) == (graph is None):
        raise ValueError("name the column of the outputs: either smiles= or graph=")
    inputs_in = [input] if isinstance(input, str) else list(input or ([smiles] if smiles else []))
    missing = [c for c in [smiles or graph, *inputs_in] if c not in table.columns]
    if missing:
        raise ValueError(f"{source} has no column {missing[0]!r}; it has {list(table.columns)}")
    if duplicates not in ("drop", "keep"):
        raise ValueError(f"duplicates must be 'drop' or 'keep', got {duplicates!r}")
    if len(table) == 0:
        raise ValueError(f"{source} holds no rows")

    table = table.reset_index(drop=True)
    vector = len(inputs_in) > 1 or (inputs_in and pd.api.types.is_numeric_dtype(table[inputs_in[0]]))
    if smiles:
        read = reading.read_smiles_column(table[smiles].tolist(), vocabulary, max_nodes, progress)
    else:
        read = reading.read_networkx_column([_as_networkx(g) for g in table[graph]], vocabulary, max_nodes)

    reasons = list(read.reasons)
    if inputs_in:
        lacking = table[inputs_in].isna().any(axis=1)
        infinite = ~torch.isfinite(_numbers(table[inputs_in])).all(1) if vector else torch.zeros(len(table)).bool()
        for row in range(len(table)):
            if not reasons[row] and lacking[row]:
                reasons[row] = "input missing or NaN"
            elif not reasons[row] and infinite[row]:  # NaN was told above
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
    skipped = pd.DataFrame(
        [(row, shown[row], reason) for row, reason in enumerate(reasons) if reason],
        columns=["row", "value", "reason"],
    )
    if not kept:
        raise ValueError(f"{source}: none of {len(table)} rows can be used; first: {skipped.iloc[0].to_dict()}")

    rest = table.iloc[kept].drop(columns=[graph] if graph else []).reset_index(drop=True)
    inputs = None
    if inputs_in:
        inputs = _numbers(rest[inputs_in]) if vector else rest[inputs_in[0]].astype(str).tolist()
    rest = rest.rename(columns={"row": "source_row", "key": "source_key"})  # names taken below
    rest.insert(0, "row", kept)
    rest.insert(1, "key", [read.keys[row] for row in kept])
    everything = Split(inputs, Graph.from_labels(read.nodes[kept], read.edges[kept], read.vocabulary), rest)
    places = assign_splits(rest["key"].tolist(), fractions, seed)
    train, validation, test = splits = [
        everything.take([i for i, place in enumerate(places) if place == split]) for split in SPLITS
    ]
    return Dataset(name or source, read.vocabulary, train, validation, test, skipped, digest(splits))


def from_networkx_graphs(graphs: Sequence[nx.Graph], inputs: Sequence | None = None, **options) -> Dataset:
    """Splits of a list of labeled networkx graphs, with inputs beside them (strings or vectors) or without.

    Node and edge labels are read from the attribute `label`. options as in `from_frame`.
    """
    table = pd.DataFrame({"graph": pd.Series(list(graphs), dtype=object)})
    columns: str | list[str] | None = None
    if inputs is not None:
        if len(inputs) != len(table):
            raise ValueError(f"{len(inputs)} inputs for {len(table)} graphs; they stand side by side")
        if len(inputs) and not isinstance(inputs[0], str):
            vectors = pd.DataFrame(torch.as_tensor(inputs, dtype=torch.float32).reshape(len(table), -1).numpy())
            vectors.columns = columns = [f"x{i}" for i in vectors.columns]
            table = pd.concat([table, vectors], axis=1)
        else:
            table["input"], columns = list(inputs), "input"
    options.setdefault("name", "graphs")
    return from_frame(table, graph="graph", input=columns, **options)


def read_table(path: str | Path) -> pd.DataFrame:
    """A csv, tsv (also compressed) or parquet file as a DataFrame; one clear error where it cannot be read."""
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


def _as_networkx(value) -> nx.Graph | str:
    """A networkx graph as it is, node-link JSON read; anything else comes back as the reason why not."""
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
        raise ValueError(
            f"input columns {list(columns.columns)} are not all numbers; give one text column or only numbers"
        ) from None

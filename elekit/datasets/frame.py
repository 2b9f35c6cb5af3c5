"""Data sets from tables with a column of SMILES or graphs, and from lists of networkx graphs."""

import numbers
import os
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import networkx as nx
import numpy as np
import pandas as pd
import torch

from elekit.datasets import reading, tables
from elekit.datasets.prepare import DataWarning, Prepare
from elekit.datasets.splits import SPLITS, Dataset, Split, assign_splits, digest, kind_of
from elekit.datasets.strict_json import parse_json
from elekit.graphs.graph import GraphVocabulary, is_unicode, short

FRACTIONS = (0.8, 0.1, 0.1)
MAX_TEXT = 1_000_000  # characters of an input
MAX_SHOWN = 1_000  # characters of a value in `Dataset.skipped`
VECTORS = (list, tuple, np.ndarray, torch.Tensor)


class MissingColumnError(ValueError):
    """A table lacks a column that was named, `column`."""

    def __init__(self, source: str, column: Hashable, columns: Iterable[Hashable]) -> None:
        names = list(columns)
        shown = ", ".join(short(name, 40) for name in names[:12]) + (", ..." if len(names) > 12 else "")
        super().__init__(f"{source} has no column {short(column)}; it has [{shown}]")
        self.column = column


def from_frame(
    frame: pd.DataFrame | str | Path, *, smiles: Hashable | None = None, graph: Hashable | None = None,
    input: Hashable | Sequence[Hashable] | None = None, fractions: Sequence[float] = FRACTIONS,
    duplicates: str = "drop", vocabulary: GraphVocabulary | None = None, prepare: Prepare | None = None,
    node_attribute: str | None = "label", edge_attribute: str | None = "label", spans: Hashable | None = None,
    split: Hashable | None = None, seed: int = 0, name: str | None = None, progress: bool = False,
) -> Dataset:  # fmt: skip
    """Load a table with one input and one graph per row, and split it. Invalid rows go to `Dataset.skipped`.

    Args:
        frame: A DataFrame, or the path of a file: csv, tsv, txt, parquet, JSON (records or lines), smi, sdf, GraphML,
            GML or CoNLL-U, also compressed. Text is UTF-8; the separator is that of the header line.
        smiles: Column of the graphs as SMILES; give either this or `graph`. A file may leave out both if it has a
            column `smiles` or `graph`.
        graph: Column of the graphs as networkx graphs or node-link JSON (of networkx or D3).
        input: Column of the inputs (text, SMILES, vectors), or several numeric columns (vectors). None uses the
            column `smiles`, or no inputs with `graph`.
        fractions: Fractions of train, validation and test, summing to 1.
        duplicates: "drop" keeps the first row of each graph; "keep" keeps all rows, with equal graphs in one split.
        vocabulary: Labels of the channels, rows that do not fit are skipped; None uses the labels that occur.
        prepare: Which rows are read, and how they become graphs; None = `Prepare()`.
        node_attribute: Attribute of the node labels, text or numbers; None for nodes without labels.
        edge_attribute: Attribute of the edge labels; None for edges without labels.
        spans: Column of the places of the nodes in the input text, a list (or JSON) of [start, end] in characters for
            each node in its order, null for a node without a place. A place may lie within another, such as "filter"
            in "air filter". `Split.frame` holds them as `spans`.
        split: Column that names the split of each row: "train", "validation" or "test"; `fractions` are unused. Equal
            graphs then may be in different splits.
        seed: Seed of the splits.
        name: Name of the data set; None uses the path.
        progress: Show a progress bar.

    Returns:
        The data set.

    Raises:
        MissingColumnError: If the table lacks a column.
        ValueError: If the table cannot be read, is empty or has no valid row.

    Warns:
        DataWarning: If options of `prepare` would save much time, such as `max_nodes` for a few large graphs.
    """
    if not isinstance(frame, (pd.DataFrame, str, os.PathLike)):
        raise ValueError(f"expected a pandas DataFrame or the path of a file, got a {type(frame).__name__}")
    table, refused, source = frame, dict[int, str](), "the frame"
    if not isinstance(frame, pd.DataFrame):
        source = str(frame)
        table, refused = tables.read_file(frame)
        if smiles is None and graph is None:
            alike = [name for name in table if str(name).lower() == "smiles"]
            smiles = "smiles" if "smiles" in alike or len(alike) != 1 else alike[0]
            smiles, graph = (None, "graph") if not alike and "graph" in table else (smiles, None)
    return build(
        cast(pd.DataFrame, table), refused, source, smiles=smiles, graph=graph, input=input, fractions=fractions,
        duplicates=duplicates, vocabulary=vocabulary, prepare=prepare, node_attribute=node_attribute,
        edge_attribute=edge_attribute, spans=spans, split=split, seed=seed, name=name, progress=progress,
    )  # fmt: skip


def build(
    table: pd.DataFrame, refused: dict[int, str], source: str, *, smiles: Hashable | None = None,
    graph: Hashable | None = None, input: Hashable | Sequence[Hashable] | None = None,
    fractions: Sequence[float] = FRACTIONS, duplicates: str = "drop", vocabulary: GraphVocabulary | None = None,
    prepare: Prepare | None = None, node_attribute: str | None = "label", edge_attribute: str | None = "label",
    spans: Hashable | None = None, split: Hashable | None = None, seed: int = 0, name: str | None = None,
    progress: bool = False, notes: Sequence[str] = (), shown: Sequence[Any] | None = None,
) -> Dataset:  # fmt: skip
    """`from_frame` of a table whose rows in `refused` cannot be read, for the reasons there.

    notes: What each row does not keep of its source, "" for nothing. shown: Its value in `Dataset.skipped`.
    """
    table = table.reset_index(drop=True)
    if (smiles is None) == (graph is None):
        raise ValueError("name the column of the graphs: either smiles= or graph=")
    if duplicates not in ("drop", "keep"):
        raise ValueError(f"duplicates must be 'drop' or 'keep', got {duplicates!r}")
    prepare, given = prepare or Prepare(), vocabulary is not None
    column = graph if smiles is None else smiles
    if input is None or (isinstance(input, list) and not input):
        inputs_in = [] if smiles is None else [smiles]
    elif isinstance(input, Iterable) and not isinstance(input, str):
        inputs_in = [input] if isinstance(input, tuple) and input in table.columns else list(input)
    else:
        inputs_in = [input]
    table = _distinct_columns(
        source, table, [column, *inputs_in, *(one for one in (spans, split) if one is not None)]
    )
    if len(table) == 0:
        raise ValueError(f"{source} has no rows")
    if shown is None:
        numbered = [f"graph {row}" for row in range(len(table))]
        shown = numbered if smiles is None else table[smiles].astype(str).tolist()
    shown = [value[:MAX_SHOWN] if isinstance(value, str) else value for value in shown]  # NaN stays
    numbers_read = np.arange(len(table))  # the row in the source of each row that is read
    if prepare.subset is not None and prepare.subset < len(table):
        numbers_read = np.sort(np.random.default_rng(seed).permutation(len(table))[: prepare.subset])
        table = table.iloc[numbers_read].reset_index(drop=True)

    attributes: dict[str, Any] = {"node_attribute": node_attribute, "edge_attribute": edge_attribute}
    try:
        if smiles is None:
            read, vocabulary = reading.read_graph_column(table[graph].tolist(), vocabulary, prepare, **attributes)
        else:
            read, vocabulary = reading.read_smiles_column(table[smiles].tolist(), vocabulary, prepare, progress)
        inputs, problems = read_inputs(table, inputs_in) if inputs_in else (None, {})
        if spans is not None:
            places, of_spans = _read_spans(table[spans].tolist(), inputs, read.sizes.tolist())
            problems = of_spans | problems
            if spans != "spans" and "spans" in table:
                table = table.rename(columns={"spans": _free_name("source_spans", "_", table.columns)})
            table["spans"] = pd.Series(places, dtype=object)
    except ValueError as wrong:
        raise ValueError(f"{source}: {wrong}") from None
    if split is not None:
        named = [one if isinstance(one, str) else short(one) for one in table[split]]
        problems |= {row: f"no name of a split: {short(one)}" for row, one in enumerate(named) if one not in SPLITS}
    reasons = [
        refused.get(number) or reason or problems.get(row, "")
        for row, (number, reason) in enumerate(zip(numbers_read.tolist(), read.reasons))
    ]
    if duplicates == "drop":
        seen = set()
        for row, key in enumerate(read.keys):
            if not reasons[row] and key in seen:
                reasons[row] = "duplicate of an earlier graph"
            elif not reasons[row]:
                seen.add(key)
    kept = [row for row, reason in enumerate(reasons) if not reason]
    why = dict.fromkeys(range(len(shown)), "not in the subset") | dict(zip(numbers_read.tolist(), reasons))
    left_out = [(row, shown[row], reason) for row, reason in why.items() if reason]
    skipped = pd.DataFrame(left_out, columns=["row", "value", "reason"])
    if not kept:
        row, value, reason = next(one for one in left_out if one[0] == numbers_read[0])
        kinds = [f"{count:,} x {kind}" for kind, count in Counter(map(kind_of, reasons)).most_common(3)]
        more = f"; in all {', '.join(kinds)}" if len(kinds) > 1 else ""
        first = f"row {row}, {short(value)}: {reason}"
        raise ValueError(f"{source}: none of {len(table)} rows is valid; first: {first}{more}")

    taken = [one for one in (column if smiles is None else None, spans, split) if one not in (None, "spans")]
    assigned = table[split].iloc[kept].tolist() if split is not None else None
    rest = table.iloc[kept].drop(columns=taken).reset_index(drop=True)
    for own in ("row", "key"):
        if own in rest:
            rest = rest.rename(columns={own: _free_name(f"source_{own}", "_", rest.columns)})
    rest.insert(0, "row", numbers_read[kept])
    rest.insert(1, "key", [read.keys[row] for row in kept])
    graphs = read.graphs(vocabulary)
    assigned = assigned or assign_splits(rest["key"].tolist(), fractions, seed)
    splits = []
    for part in SPLITS:
        own_rows = [i for i, place in enumerate(assigned) if place == part]
        of_table = [kept[i] for i in own_rows]
        own_inputs = inputs
        if inputs is not None:
            own_inputs = inputs[of_table] if torch.is_tensor(inputs) else [inputs[row] for row in of_table]
        splits.append(Split(own_inputs, graphs[of_table], rest.iloc[own_rows].reset_index(drop=True)))
    dropped = [read.dropped[row] for row in kept] if read.dropped else []
    dropped += [notes[row] for row in numbers_read[kept].tolist()] if notes else []
    advice = () if given else prepare.advice(graphs[kept])
    if advice:
        warnings.warn(f"{source}: {'; '.join(advice)}", DataWarning, stacklevel=3)
    train, validation, test = splits
    return Dataset(
        name or source,
        vocabulary,
        train,
        validation,
        test,
        skipped,
        digest(splits),
        Counter(part for note in dropped for part in note.split("; ") if part),
        prepare.to_json(),
        advice,
    )


def from_networkx_graphs(
    graphs: Iterable[nx.Graph], inputs: Sequence[Any] | torch.Tensor | None = None, *,
    spans: Sequence[Any] | None = None, **options: Any,
) -> Dataset:  # fmt: skip
    """Split networkx graphs with labels in the attribute `label`, or in those of `node_attribute`, `edge_attribute`.

    Args:
        graphs: n graphs.
        inputs: n strings or n vectors of one length (list, array, Series, tensor), None or NaN where one is missing;
            None if only outputs are known.
        spans: n lists of the places of the nodes in the input text, see `from_frame`.
        **options: Other arguments of `from_frame`.

    Returns:
        The data set.

    Raises:
        ValueError: If the numbers of inputs, spans and graphs differ, or no graph is valid.
    """
    if isinstance(graphs, (nx.Graph, str, dict)) or not isinstance(graphs, Iterable):
        raise ValueError(f"expected a list of networkx graphs, got a {type(graphs).__name__}")
    table = pd.DataFrame({"graph": pd.Series(list(graphs), dtype=object)})
    columns: str | list[str] | None = None
    if inputs is not None:
        if isinstance(inputs, (str, bytes, dict, set)):
            raise ValueError(f"expected one input per graph, in a list, got a {type(inputs).__name__}")
        cells = list(inputs.detach().cpu() if torch.is_tensor(inputs) else inputs)
        if len(cells) != len(table):
            raise ValueError(f"{len(cells)} inputs for {len(table)} graphs; give one input per graph")
        table["input"], columns = pd.Series(cells, dtype=object), "input"
        values, problems = read_inputs(table, ["input"])
        if torch.is_tensor(values) and not any("input has" in problem for problem in problems.values()):
            vectors = pd.DataFrame(values.numpy())
            vectors.columns = columns = [f"x{i}" for i in vectors.columns]
            table = pd.concat([table.drop(columns="input"), vectors], axis=1)
    if spans is not None:
        if len(spans) != len(table):
            raise ValueError(f"{len(spans)} spans for {len(table)} graphs; give one list per graph")
        table["spans"], options["spans"] = pd.Series(list(spans), dtype=object), "spans"
    options.setdefault("name", "graphs")
    return from_frame(table, graph="graph", input=columns, **options)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a file as `from_frame` does; rows that cannot be read are empty.

    Args:
        path: A file of a format of `from_frame`.

    Returns:
        The table.

    Raises:
        ValueError: If it cannot be read; a FileNotFoundError if there is none.
    """
    return tables.read_file(path)[0]


def _distinct_columns(source: str, table: pd.DataFrame, named: Sequence[Hashable]) -> pd.DataFrame:
    """The table with distinct names of columns; raises a ValueError if a named one is missing or there twice."""
    if table.columns.nlevels > 1:
        raise ValueError(f"{source} has {table.columns.nlevels} levels of column names; flatten them to one")
    names, count = list(table.columns), Counter(table.columns)
    for column in named:
        if not isinstance(column, Hashable) or column not in count:
            raise MissingColumnError(source, column, names)
        if count[column] > 1:
            raise ValueError(f"{source} has {count[column]} columns {short(column)}; rename all but one")
    if len(count) == len(names):
        return table
    seen = set()
    for place, name in enumerate(names):
        if name in seen:
            names[place] = _free_name(name, ".", names)
        seen.add(name)
    return table.set_axis(names, axis=1)


def _free_name(name: Hashable, mark: str, taken: Iterable[Hashable]) -> Hashable:
    free, k, names = name, 1, set(taken)
    while free in names:
        free, k = f"{name}{mark}{k}", k + 1
    return free


def read_inputs(table: pd.DataFrame, columns: list[Hashable]) -> tuple[list[str] | torch.Tensor, dict[int, str]]:
    """Read the inputs in one or several columns of a table.

    Args:
        table: n rows.
        columns: One column of texts or vectors, or several numeric ones.

    Returns:
        n texts, or vectors (n, d); and by row, why it has no input.

    Raises:
        ValueError: If a column has numbers and other values.
    """
    column = table[columns[0]]
    absent = table[columns].isna().any(axis=1).to_numpy()
    problems = dict.fromkeys(np.flatnonzero(absent).tolist(), "input missing or NaN")
    if len(columns) > 1 or pd.api.types.is_numeric_dtype(column):
        return _finite(_numbers(table[columns]), problems)
    if not (column.dtype == object or pd.api.types.is_string_dtype(column)):
        return column.astype(str).tolist(), problems  # dates, categories
    cells = column.tolist()
    present = [cell for cell, missing in zip(cells, absent) if not missing]
    if present and all(isinstance(cell, numbers.Number) for cell in present):
        return _finite(_numbers(table[columns]), problems)
    if present and all(isinstance(cell, VECTORS) for cell in present):
        return _finite(_vectors(cells, problems), problems)
    texts = [cell for cell in present if isinstance(cell, str)]
    numeric = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").notna()
    if 0.5 < numeric.mean() < 1:
        odd = short(texts[int(numeric.to_numpy().argmin())])
        problem = (
            f"column {short(columns[0])} has numbers and {len(texts) - numeric.sum()} other values, such as {odd}"
        )
        raise ValueError(f"{problem}; correct or empty these cells")
    for row, cell in enumerate(cells):
        if row not in problems and not isinstance(cell, str):
            problems[row] = f"input is a {type(cell).__name__}, not text"
        elif row not in problems and len(cell) > MAX_TEXT:
            problems[row] = f"input has more than {MAX_TEXT:,} characters"
        elif row not in problems and not cell.strip():
            problems[row] = "input is empty"
        elif row not in problems and not is_unicode(cell):
            problems[row] = "input is no valid Unicode (a lone surrogate)"
    return [str(cell) for cell in cells], problems


def _read_spans(
    cells: list[Any], inputs: Any, sizes: list[int]
) -> tuple[list[list[tuple[int, int] | None] | None], dict[int, str]]:
    """Places of the nodes of each row in its text, and why rows have none."""
    if not isinstance(inputs, list):
        raise ValueError("spans= are places in texts; name the column of the texts with input=")
    found: list[list[tuple[int, int] | None] | None] = []
    problems: dict[int, str] = {}
    for row, (cell, text, size) in enumerate(zip(cells, inputs, sizes)):
        try:
            found.append(_spans(cell, len(text), size))
        except ValueError as wrong:
            found.append(None)
            problems[row] = str(wrong)
    return found, problems


def _spans(cell: Any, length: int, size: int) -> list[tuple[int, int] | None]:
    """The places of so many nodes in a text of this length; a ValueError with the reason if they are none."""
    value = cell
    if isinstance(cell, str):
        try:
            value = parse_json(cell)
        except ValueError:
            raise ValueError(f"spans are no JSON: {short(cell)}") from None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"spans are no list: {short(cell)}")
    if len(value) != size:
        raise ValueError(f"not one span for each node: {len(value)} spans, {size} nodes")
    places: list[tuple[int, int] | None] = []
    for node, one in enumerate(value):
        place = tuple(one) if isinstance(one, (list, tuple, np.ndarray)) else one
        if place is not None:
            whole = isinstance(place, tuple) and [isinstance(end, numbers.Integral) for end in place] == [True, True]
            if not whole:
                raise ValueError(f"a span is no pair of whole numbers: {short(one)} of node {node}")
            place = int(place[0]), int(place[1])
            if not 0 <= place[0] < place[1] <= length:
                raise ValueError(f"a span outside its text: {list(place)} of node {node}, {length} characters")
        places.append(place)
    around: list[tuple[int, int]] = []  # places that the next one may lie in, the innermost last
    for start, end in sorted((place for place in places if place), key=lambda place: (place[0], -place[1])):
        while around and around[-1][1] <= start:
            around.pop()
        if around and (around[-1] == (start, end) or end > around[-1][1]):
            raise ValueError(f"spans overlap: {list(around[-1])} and {[start, end]}")
        around.append((start, end))
    return places


def _vectors(cells: list[Any], problems: dict[int, str]) -> torch.Tensor:
    rows: dict[int, np.ndarray] = {}
    for row, cell in enumerate(cells):
        if row not in problems:
            try:
                rows[row] = np.asarray(cell, dtype=np.float32).ravel()
            except (TypeError, ValueError, RuntimeError):
                problems[row] = "input has other values than numbers"
    width = Counter(len(one) for one in rows.values()).most_common(1)[0][0] if rows else 0
    values = torch.full((len(cells), width), float("nan"))
    for row, one in rows.items():
        if len(one) == width:
            values[row] = torch.from_numpy(one)
        else:
            problems[row] = f"input has {len(one)} numbers, others {width}"
    return values


def _finite(values: torch.Tensor, problems: dict[int, str]) -> tuple[torch.Tensor, dict[int, str]]:
    for name, bad in (("missing or NaN", values.isnan()), ("not finite", values.isinf())):
        for row in bad.any(1).nonzero()[:, 0].tolist():
            problems.setdefault(row, f"input {name}")
    return values, problems


def _numbers(columns: pd.DataFrame) -> torch.Tensor:
    try:
        if any(pd.api.types.is_complex_dtype(kind) for kind in columns.dtypes):
            raise TypeError
        return torch.tensor(columns.to_numpy(dtype="float32", na_value=float("nan")))  # a copy
    except (TypeError, ValueError):
        names = short(list(columns.columns), 150)
        raise ValueError(f"input columns {names} are not all numbers; give one text column or only numbers") from None

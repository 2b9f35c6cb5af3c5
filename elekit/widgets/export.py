"""Write selected graphs to a file: csv, SMILES, SDF, node-link JSON, or a sheet of drawings."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pandas as pd

from elekit import draw
from elekit.graphs._optional import LazyModule
from elekit.graphs.graph import GraphBatch, to_edge_lists, to_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import is_molecular, to_mol, to_smiles

Chem, AllChem = LazyModule("rdkit.Chem", "chem"), LazyModule("rdkit.Chem.AllChem", "chem")

DRAWN = 60  # graphs on a sheet
MOLECULES = (".smi", ".sdf")


def formats(graphs: GraphBatch) -> tuple[str, ...]:
    """Endings of the files that these graphs can be written to."""
    return tuple(kind for kind in WRITERS if kind not in MOLECULES or is_molecular(graphs.vocabulary))


def content(kind: str, graphs: GraphBatch, table: pd.DataFrame) -> bytes:
    """The content of a file of m graphs.

    Args:
        kind: Ending such as ".csv", see `formats`.
        graphs: m graphs.
        table: m rows of facts, with a column id.

    Raises:
        ValueError: If the kind is unknown, there are no graphs, or they are not molecules and must be.
    """
    if kind not in WRITERS:
        raise ValueError(f"no export to {kind!r}; the endings are {', '.join(formats(graphs))}")
    if kind not in formats(graphs):
        raise ValueError(
            f"these graphs are not molecules, so {kind} cannot hold them; use {', '.join(formats(graphs))}"
        )
    if not len(graphs):
        raise ValueError("nothing to export: select some graphs first")
    return WRITERS[kind](graphs, table)


def _csv(graphs: GraphBatch, table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def _smiles(graphs: GraphBatch, table: pd.DataFrame) -> bytes:
    """One molecule a line, SMILES and id; graphs without SMILES are left out, as their ids say."""
    pairs = zip(to_smiles(graphs), table["id"])
    return "".join(f"{smiles}\t{' '.join(str(name).split())}\n" for smiles, name in pairs if smiles).encode()


def _sdf(graphs: GraphBatch, table: pd.DataFrame) -> bytes:
    """Molecules in the plane, with the columns of the table as properties."""
    text = io.StringIO()
    writer = Chem.SDWriter(text)
    for (nodes, bonds), (_, facts) in zip(to_edge_lists(graphs), table.iterrows()):
        molecule = to_mol(nodes, bonds)
        if Chem.SanitizeMol(molecule, catchErrors=True):
            continue
        AllChem.Compute2DCoords(molecule)
        molecule.SetProp("_Name", " ".join(str(facts["id"]).split()))
        for name, value in facts.items():
            molecule.SetProp(str(name), "" if pd.isna(value) else str(value))
        writer.write(molecule)
    writer.close()
    return text.getvalue().encode()


def _node_link(graphs: GraphBatch, table: pd.DataFrame) -> bytes:
    """A list of graphs as networkx writes them, each with its facts as attributes."""
    facts = json.loads(table.to_json(orient="records", default_handler=str))
    found = []
    for graph, about in zip(to_networkx(graphs), facts):
        graph.graph.update(about)
        found.append(nx.node_link_data(graph, edges="edges"))
    return json.dumps(found, ensure_ascii=False, indent=1).encode()


def _sheet(kind: str) -> Callable[[GraphBatch, pd.DataFrame], bytes]:
    def write(graphs: GraphBatch, table: pd.DataFrame) -> bytes:
        some = PackedGraphs.of(graphs)[:DRAWN]
        file = io.BytesIO()
        titles = [str(name) for name in table["id"].iloc[: len(some)]]
        draw.graphs(some.dense(), titles, columns=6).savefig(file, format=kind)
        return file.getvalue()

    return write


WRITERS: dict[str, Callable[[GraphBatch, pd.DataFrame], bytes]] = {
    ".csv": _csv, ".smi": _smiles, ".sdf": _sdf, ".json": _node_link, ".png": _sheet("png"), ".svg": _sheet("svg"),
}  # fmt: skip


def kind_of(path: str | Path) -> str:
    """The ending of a path, lower case."""
    return Path(path).suffix.lower()

"""Checks of notebook 07: name the flaw of a loss, and say only what holds in every training."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

from checks.answers import whole
from checks.verdict import Verdict, quoted
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi

if TYPE_CHECKING:
    import pandas as pd

FLAWS = ("nothing", "node labels", "edge labels", "size")  # what a reader may accuse a loss of
DOSE = 2.0  # how much farther size reaches than all else


def suspect(psi: Psi, number: int) -> Psi:
    """A loss with one of three flaws, for the reader to find. number: 1, 2 or 3; ValueError for others."""
    made = {1: _one_edge_label, 2: _by_size, 3: _one_node_label}
    if number not in made:
        raise ValueError(f"the suspects are {', '.join(map(str, made))}; got {quoted(number)}")
    return made[number](psi)


def _one_edge_label(psi: Psi) -> Psi:
    """All edges count as the first kind."""

    def blind(graph: Graph) -> Tensor:
        edges = torch.zeros_like(graph.edges)
        edges[..., 0], edges[..., 1] = graph.edges[..., 0], graph.edges[..., 1:].sum(-1)
        return psi(Graph(graph.nodes, edges, graph.vocabulary))

    return blind


def _one_node_label(psi: Psi) -> Psi:
    """Nodes of the last label count as the last but one."""

    def blind(graph: Graph) -> Tensor:
        nodes = graph.nodes.clone()
        nodes[..., -2] += nodes[..., -1]
        nodes[..., -1] = 0
        return psi(Graph(nodes, graph.edges, graph.vocabulary))

    return blind


def _by_size(psi: Psi) -> Psi:
    """An arc along which graphs lie by their number of nodes, that drowns the rest."""

    def heavy(graph: Graph) -> Tensor:
        angle = (1 - graph.nodes[..., 0]).sum(1, keepdim=True) * torch.pi / graph.vocabulary.max_nodes
        return normalize(torch.cat([psi(graph), DOSE * angle.cos(), DOSE * angle.sin()], 1), dim=1)

    return heavy


def check_suspect(answer, number: int) -> Verdict:
    """Whether an answer, one of `FLAWS`, names the flaw of `suspect(psi, number)`."""
    said = answer.strip().lower() if isinstance(answer, str) else answer
    if said not in FLAWS:
        return Verdict(False, f"accuse it of one of: {', '.join(FLAWS)}; {quoted(answer)} is none of these.")
    if said == {1: "edge labels", 2: "size", 3: "node labels"}[number]:
        return Verdict(True, "that is what was done to it, and the findings say so in their first line.")
    if said == "nothing":
        return Verdict(False, "something is wrong with this one: read what the findings say, defects first.")
    return Verdict(False, f"of {said} it is innocent. Which edits cost nothing, or next to nothing, or all too much?")


def check_caveat(answer, table: "pd.DataFrame") -> Verdict:
    """Whether an answer is a claim that a table of `elekit.audit.stability` does *not* call stable.

    answer: the words of the claim, or its row.
    """
    claims = table["claim"].tolist()
    if isinstance(answer, str):
        rows = [row for row, claim in enumerate(claims) if claim.lower() == answer.strip().lower()]
    else:
        row = whole(answer)
        rows = [row] if row is not None and 0 <= row < len(claims) else []
    if not rows:
        return Verdict(
            False, f"{quoted(answer)} is no claim of the table: give its words, or its row, 0 to {len(claims) - 1}."
        )
    row = table.iloc[rows[0]]
    told = f'"{row["claim"]}" holds in {row["holds"]} of {row["of"]} trainings'
    if row["stable"]:
        return Verdict(False, f"{told}, so it may be said. Find one that may not.")
    return Verdict(True, f"{told}: say it only with that caveat, or not at all.")

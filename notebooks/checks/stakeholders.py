"""Checks of notebook 07: identify the flaw of a loss, and a claim that does not hold in every training."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

from checks.verdict import Verdict, as_integer, quote
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi

if TYPE_CHECKING:
    import pandas as pd

FLAWS = ("nothing", "node labels", "edge labels", "size")  # possible answers
SIZE_WEIGHT = 2.0  # length of the size component, relative to the point of psi


def suspect(psi: Psi, number: int) -> Psi:
    """A psi with one of three planted flaws.

    Args:
        psi: The embedding to wrap, of molecules with N and O.
        number: 1, 2 or 3.

    Returns:
        The flawed embedding.

    Raises:
        ValueError: If `number` is not 1, 2 or 3.
    """
    flawed = {1: _one_edge_label, 2: _by_size, 3: _one_node_label}
    if number not in flawed:
        raise ValueError(f"the suspects are {', '.join(map(str, flawed))}; got {quote(number)}")
    return flawed[number](psi)


def _one_edge_label(psi: Psi) -> Psi:
    """All edge labels count as the first."""

    def blind(graph: Graph) -> Tensor:
        edges = torch.zeros_like(graph.edges)
        edges[..., 0], edges[..., 1] = graph.edges[..., 0], graph.edges[..., 1:].sum(-1)
        return psi(Graph(graph.nodes, edges, graph.vocabulary))

    return blind


def _one_node_label(psi: Psi) -> Psi:
    """Oxygen counts as nitrogen."""

    def blind(graph: Graph) -> Tensor:
        oxygen, nitrogen = (1 + graph.vocabulary.node_labels.index(label) for label in ("O", "N"))
        nodes = graph.nodes.clone()
        nodes[..., nitrogen] += nodes[..., oxygen]
        nodes[..., oxygen] = 0
        return psi(Graph(nodes, graph.edges, graph.vocabulary))

    return blind


def _by_size(psi: Psi) -> Psi:
    """The number of nodes as an angle, with so much weight that little else counts."""

    def heavy(graph: Graph) -> Tensor:
        angle = (1 - graph.nodes[..., 0]).sum(1, keepdim=True) * torch.pi / graph.vocabulary.max_nodes
        return normalize(torch.cat([psi(graph), SIZE_WEIGHT * angle.cos(), SIZE_WEIGHT * angle.sin()], 1), dim=1)

    return heavy


def check_suspects(answer) -> Verdict:
    """Check that an answer maps each suspect to its flaw, one of `FLAWS`. No message says which one is wrong."""
    flaws = {1: "edge labels", 2: "size", 3: "node labels"}
    if not isinstance(answer, Mapping) or set(answer) != set(flaws):
        return Verdict(False, f"{quote(answer)} is not a dictionary with a flaw for each of the suspects 1, 2 and 3.")
    given = {number: flaw.strip().lower() if isinstance(flaw, str) else flaw for number, flaw in answer.items()}
    unknown = [flaw for flaw in given.values() if not isinstance(flaw, str) or flaw not in FLAWS]
    if unknown:
        return Verdict(False, f"{quote(unknown[0])} is not one of the flaws {', '.join(FLAWS)}.")
    if given == flaws:
        return Verdict(True, "These flaws were planted, and the first finding on each describes it.")
    if "nothing" in given.values():
        return Verdict(False, "Each of the three has a flaw. Compare their prices with those of the shipped loss.")
    return Verdict(False, "At least one is wrong. Which edits cost nothing, almost nothing, or far too much?")


def check_caveat(answer, table: "pd.DataFrame") -> Verdict:
    """Check that an answer is a claim that is not stable.

    Args:
        answer: Text of the claim, or its row.
        table: As returned by `elekit.audit.stability`.

    Returns:
        The verdict; its message has the number of trainings in which the claim holds.
    """
    claims = table["claim"].tolist()
    if isinstance(answer, str):
        rows = [row for row, claim in enumerate(claims) if claim.lower() == answer.strip().lower()]
    else:
        row = as_integer(answer)
        rows = [row] if row is not None and 0 <= row < len(claims) else []
    if not rows:
        return Verdict(
            False, f"{quote(answer)} is not a claim of the table. Give its text or its row, 0 to {len(claims) - 1}."
        )
    row = table.iloc[rows[0]]
    result = f'"{row["claim"]}" holds in {row["holds"]} of {row["of"]} trainings'
    if row["stable"]:
        return Verdict(False, f"{result}, so it is stable. Find one that is not.")
    return Verdict(True, f"{result}. State it only with this caveat, or not at all.")

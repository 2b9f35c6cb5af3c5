"""Judgments of people: "this graph is closer to that one than to the other"; stored in append-only files."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from elekit.datasets.reading import graph_of
from elekit.datasets.strict_json import parse_json
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, short, to_networkx
from elekit.graphs.smiles import from_smiles, is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.model.loss import Psi, paired_distance, points_of

LEFT, RIGHT, CANNOT_SAY = "left", "right", "cannot say"
ANSWERS = (LEFT, RIGHT, CANNOT_SAY)
WITHDRAWN = "taken back"  # line of a file that removes the one before

SIDES = ("anchors", "lefts", "rights")

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Judgments:
    """Judgments of one or several people; row i of every attribute: is anchor i closer to left i or right i?

    Attributes:
        anchors: n graphs.
        lefts: n graphs.
        rights: n graphs.
        answers: n times "left", "right" or "cannot say".
        random: (n,) bool, whether the triplet was drawn at random, not because it was informative. Only random
            triplets estimate how often a loss agrees with people.
        problems: Lines of the file that could not be read, and why.
    """

    anchors: Graph
    lefts: Graph
    rights: Graph
    answers: tuple[str, ...]
    random: Tensor
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.answers)
        sizes = [len(self.anchors), len(self.lefts), len(self.rights), len(self.random)]
        wrong = next((a for a in self.answers if a not in ANSWERS), None)
        if sizes != [n] * 4:
            raise ValueError(f"need as many anchors, lefts, rights and random marks as answers ({n}), got {sizes}")
        if wrong is not None:
            raise ValueError(f"no answer {wrong!r}; the answers are {', '.join(map(repr, ANSWERS))}")

    @classmethod
    def empty(cls, vocabulary: GraphVocabulary) -> "Judgments":
        """Create a collection without judgments.

        Args:
            vocabulary: Of the graphs.

        Returns:
            No judgments.
        """
        return _from_rows([], vocabulary)

    def __add__(self, other: "Judgments") -> "Judgments":
        anchors, lefts, rights = (Graph.cat([getattr(j, side) for j in (self, other)]) for side in SIDES)
        random = torch.cat([self.random, other.random])
        return Judgments(anchors, lefts, rights, self.answers + other.answers, random, self.problems + other.problems)

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, rows: Any) -> "Judgments":
        """Judgments of some rows, or of a mask (n,)."""
        rows = torch.as_tensor(rows)
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows.long()
        answers = tuple(self.answers[i] for i in rows.tolist())
        sides = self.anchors[rows], self.lefts[rows], self.rights[rows]
        return Judgments(*sides, answers, self.random[rows], self.problems)

    @property
    def decided(self) -> "Judgments":
        """Judgments with an answer other than "cannot say"."""
        return self[[answer != CANNOT_SAY for answer in self.answers]]

    @property
    def sides(self) -> tuple[Graph, Graph]:
        """The n nearer and the n farther graphs; left and right for "cannot say"."""
        turned = torch.tensor([answer == RIGHT for answer in self.answers], dtype=torch.bool)
        both = Graph.cat([self.lefts, self.rights])
        rows = torch.arange(len(self)) + len(self) * turned
        return both[rows], both[(rows + len(self)) % max(1, 2 * len(self))]

    def margins(self, psi: Psi) -> Tensor:
        """Compare judgments with a loss.

        Args:
            psi: The embedding.

        Returns:
            (n,) learned loss to the farther graph minus that to the nearer, in [-4, 4]; positive where psi agrees.
        """
        if not len(self):
            return torch.zeros(0, dtype=torch.float64)
        anchors, nearer, farther = (points_of(psi, graphs) for graphs in (self.anchors, *self.sides))
        return paired_distance(anchors, farther) - paired_distance(anchors, nearer)

    @cached_property
    def pairs(self) -> list[tuple[Pair, Pair]]:
        """For each judgment the nearer and the farther pair of graphs; equal graphs have equal numbers."""
        codes = [tuple(row) for row in graph_hashes(Graph.cat([self.anchors, *self.sides]), ROUNDS).tolist()]
        number = {code: i for i, code in enumerate(dict.fromkeys(codes))}
        rows = np.array([number[code] for code in codes], dtype=int).reshape(3, -1).T.tolist()
        return [((min(a, b), max(a, b)), (min(a, c), max(a, c))) for a, b, c in rows]

    @cached_property
    def contradictory(self) -> Tensor:
        """(n,) bool, whether no symmetric loss can satisfy the judgment together with the others.

        Each judgment orders two pairs of graphs; judgments on a cycle contradict each other.
        """
        order: nx.DiGraph = nx.DiGraph()
        decided = [answer != CANNOT_SAY for answer in self.answers]
        order.add_edges_from(itertools.compress(self.pairs, decided))
        part = {pair: n for n, some in enumerate(nx.strongly_connected_components(order)) for pair in some}
        cyclic = [sure and part[near] == part[far] for sure, (near, far) in zip(decided, self.pairs)]
        return torch.tensor(cyclic, dtype=torch.bool)

    def digest(self) -> str:
        """Hash graphs and answers.

        Returns:
            A sha256 in hexadecimal.
        """
        parts = [graphs.digest() for graphs in (self.anchors, self.lefts, self.rights)]
        return hashlib.sha256(json.dumps([parts, self.answers, self.random.tolist()]).encode()).hexdigest()

    def split(self, share: float = 0.25, *, seed: int = 0) -> tuple["Judgments", "Judgments"]:
        """Split into judgments to learn from and judgments to hold out.

        Random triplets are held out; if there are none, or no others, a share is. Judgments on the same two pairs of
        graphs as a held-out one are not learned from.

        Args:
            share: Share to hold out, in [0, 1].
            seed: Seed of the choice.

        Returns:
            Judgments to learn from, judgments held out.
        """
        groups = [frozenset(both) for both in self.pairs]
        held = self.random.clone()
        if not held.any() or held.all():
            known = list(dict.fromkeys(groups))
            chosen = np.random.default_rng(seed).permutation(len(known))[: round(share * len(known))]
            kept = {known[i] for i in chosen.tolist()}
            held = torch.tensor([group in kept for group in groups], dtype=torch.bool)
        held_groups = set(itertools.compress(groups, held.tolist()))
        free = torch.tensor([group not in held_groups for group in groups], dtype=torch.bool)
        return self[free], self[held]

    # -- files: one judgment per line ------------------------------------------------------------------------------
    @classmethod
    def read(cls, path: str | Path, vocabulary: GraphVocabulary) -> "Judgments":
        """Read a file of `append`; incomplete or invalid lines are listed in `problems`.

        A graph is SMILES or node-link JSON, so that files can be written by hand.

        Args:
            path: The file.
            vocabulary: Of the graphs.

        Returns:
            The judgments.
        """
        rows: list[tuple[Graph, Graph, Graph, str, bool]] = []
        problems = []
        for number, line in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            try:
                entry = parse_json(line)
                if entry == {"answer": WITHDRAWN}:
                    rows = rows[:-1]
                    continue
                anchor, left, right = (_parse_graph(entry[side], vocabulary) for side in ("anchor", LEFT, RIGHT))
                if entry["answer"] not in ANSWERS:
                    raise ValueError(f"no answer {short(entry['answer'])}")
                if not isinstance(entry.get("random", False), bool):
                    raise ValueError(f"random must be true or false, got {short(entry['random'])}")
                rows.append((anchor, left, right, entry["answer"], entry.get("random", False)))
            except (ValueError, KeyError, TypeError, AttributeError, nx.NetworkXError) as error:
                problems.append(f"line {number}: {' '.join(str(error).split())[:300] or type(error).__name__}")
        return replace(_from_rows(rows, vocabulary), problems=tuple(problems))

    def append(self, path: str | Path) -> None:
        """Append the judgments to a file.

        Args:
            path: The file; it is created if needed.
        """
        write_lines(path, self.lines)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each judgment as plain values: anchor, left, right, answer and random."""
        sides = [[_plain_graph(graph) for graph in graphs] for graphs in (self.anchors, self.lefts, self.rights)]
        rows = zip(*sides, self.answers, self.random.tolist())
        return [dict(zip(("anchor", LEFT, RIGHT, "answer", "random"), row)) for row in rows]


def write_lines(path: str | Path, lines: Iterable[dict[str, Any]]) -> None:
    """Append plain values to a file, one per line, and flush; an incomplete last line is ended first."""
    path = Path(path)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                text = text if file.read(1) == b"\n" else "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno or 0, f"cannot append to {path}: {error.strerror or error}") from error


def _from_rows(rows: Sequence[tuple[Graph, Graph, Graph, str, bool]], vocabulary: GraphVocabulary) -> Judgments:
    N = vocabulary.max_nodes
    none = Graph.from_labels(torch.zeros(0, N), torch.zeros(0, N, N), vocabulary)
    graphs = list(zip(*(row[:3] for row in rows))) or [()] * 3
    anchors, lefts, rights = (Graph.cat([none, *side]) for side in graphs)
    random = torch.tensor([row[4] for row in rows], dtype=torch.bool)
    return Judgments(anchors, lefts, rights, tuple(row[3] for row in rows), random)


def _parse_graph(written: str | dict[str, Any], vocabulary: GraphVocabulary) -> Graph:
    """One graph from SMILES or node-link JSON."""
    if isinstance(written, str) and not written.lstrip().startswith("{"):
        if not is_molecular(vocabulary):
            raise ValueError(f"{short(written)} is not node-link JSON, and these graphs are not molecules")
        return from_smiles(written, vocabulary)
    linked = graph_of(written)
    if isinstance(linked, str):
        raise ValueError(linked)
    return from_networkx([linked], vocabulary)


def _plain_graph(graph: Graph) -> str | dict[str, Any]:
    """SMILES if it is read back as the same graph, else node-link JSON."""
    if is_molecular(graph.vocabulary):
        (smiles,) = to_smiles(graph)
        if smiles is not None:
            again = from_smiles(smiles, graph.vocabulary)
            if torch.equal(graph_hashes(again, ROUNDS), graph_hashes(graph, ROUNDS)):  # the same Kekule form
                return smiles
    plain: dict[str, Any] = nx.node_link_data(to_networkx(graph)[0], edges="edges")
    return plain

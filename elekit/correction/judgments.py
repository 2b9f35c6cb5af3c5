"""What people judge: "this graph is closer to that one than to the other"; kept in files that lose nothing."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_networkx
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.model.loss import Psi, paired_distance, points_of

LEFT, RIGHT, CANNOT_SAY = "left", "right", "cannot say"
ANSWERS = (LEFT, RIGHT, CANNOT_SAY)
TAKEN_BACK = "taken back"  # a line of a file that strikes out the one before


@dataclass(frozen=True, eq=False)
class Judgments:
    """Judgments of one person or several; row i of everything is one: is the anchor closer to left or to right?

    anchors, lefts, rights: n graphs each. answers: "left", "right" or "cannot say". random: (n,) bool, whether the
    question was drawn at random, not because it was informative; only those tell how often a loss agrees at large.
    problems: lines of the file that could not be read, in words.
    """

    anchors: Graph
    lefts: Graph
    rights: Graph
    answers: tuple[str, ...]
    random: Tensor
    problems: tuple[str, ...] = ()

    def __post_init__(self):
        n = len(self.answers)
        sizes = [len(self.anchors), len(self.lefts), len(self.rights), len(self.random)]
        wrong = next((a for a in self.answers if a not in ANSWERS), None)
        if sizes != [n] * 4:
            raise ValueError(f"want as many anchors, lefts, rights and marks as answers ({n}), got {sizes}")
        if wrong is not None:
            raise ValueError(f"no answer {wrong!r}; the answers are {', '.join(map(repr, ANSWERS))}")

    @classmethod
    def none(cls, vocabulary: GraphVocabulary) -> "Judgments":
        """No judgments yet."""
        return _made([], vocabulary)

    @classmethod
    def of(cls, anchors: Graph, nearer: Graph, farther: Graph) -> "Judgments":
        """Anchors that are closer to `nearer` than to `farther`, row by row; as if asked at random."""
        n = len(anchors)
        return cls(anchors, nearer, farther, (LEFT,) * n, torch.ones(n, dtype=torch.bool))

    @classmethod
    def cat(cls, several: Sequence["Judgments"]) -> "Judgments":
        """All of them, one after the other."""
        graphs = (Graph.cat([getattr(j, side) for j in several]) for side in ("anchors", "lefts", "rights"))
        problems = tuple(problem for j in several for problem in j.problems)
        return cls(
            *graphs, tuple(a for j in several for a in j.answers), torch.cat([j.random for j in several]), problems
        )

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, rows) -> "Judgments":
        """Some of them: row numbers, or (n,) bool."""
        rows = torch.as_tensor(rows)
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows.long()
        graphs = (self.anchors[rows], self.lefts[rows], self.rights[rows])
        return Judgments(*graphs, tuple(self.answers[i] for i in rows.tolist()), self.random[rows], self.problems)

    def decided(self) -> "Judgments":
        """Those with an answer other than "cannot say"."""
        return self.take([answer != CANNOT_SAY for answer in self.answers])

    def sides(self) -> tuple[Graph, Graph]:
        """(nearer, farther) graphs; of "cannot say" as they stood."""
        turned = torch.tensor([answer == RIGHT for answer in self.answers], dtype=torch.bool)
        both = Graph.cat([self.lefts, self.rights])
        rows = torch.arange(len(self)) + len(self) * turned
        return both[rows], both[(rows + len(self)) % max(1, 2 * len(self))]

    def margins(self, psi: Psi) -> Tensor:
        """(n,) learned loss to the farther graph minus that to the nearer, in [-4, 4]: above 0, psi agrees."""
        anchors, nearer, farther = (points_of(psi, graphs) for graphs in (self.anchors, *self.sides()))
        return (
            paired_distance(anchors, farther) - paired_distance(anchors, nearer)
            if len(self)
            else torch.zeros(0, dtype=torch.float64)
        )

    @cached_property
    def pairs(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Of each, (the nearer pair of graphs, the farther one); equal graphs have equal numbers."""
        together = Graph.cat([self.anchors, *self.sides()])
        codes = [tuple(row) for row in graph_hashes(together, ROUNDS).tolist()]
        number = {code: i for i, code in enumerate(dict.fromkeys(codes))}
        rows = np.array([number[code] for code in codes], dtype=int).reshape(3, -1).T.tolist()
        return [(tuple(sorted((a, b))), tuple(sorted((a, c)))) for a, b, c in rows]

    def contradictory(self) -> Tensor:
        """(n,) bool: decided, but with some others of them it cannot be true of any symmetric loss.

        Each judgment puts a pair of graphs before another; those that close a circle are at odds.
        """
        order, pairs = nx.DiGraph(), self.pairs
        decided = [answer != CANNOT_SAY for answer in self.answers]
        order.add_edges_from(itertools.compress(pairs, decided))
        part = {pair: n for n, some in enumerate(nx.strongly_connected_components(order)) for pair in some}
        odd = [sure and part[near] == part[far] for sure, (near, far) in zip(decided, pairs)]
        return torch.tensor(odd, dtype=torch.bool)

    def digest(self) -> str:
        """sha256 of the graphs and the answers."""
        parts = [graphs.digest() for graphs in (self.anchors, self.lefts, self.rights)]
        return hashlib.sha256(json.dumps([parts, self.answers, self.random.tolist()]).encode()).hexdigest()

    def held_out(self, share: float = 0.25, *, seed: int = 0) -> tuple["Judgments", "Judgments"]:
        """(to learn from, to hold out).

        Where questions were drawn at random, those are held out; else a share, which says nothing of questions at
        large. What asks of the same two pairs of graphs as one that is held out is not learned from.
        """
        groups = [frozenset(both) for both in self.pairs]
        held = self.random.clone()
        if not held.any() or held.all():
            known = list(dict.fromkeys(groups))
            chosen = np.random.default_rng(seed).permutation(len(known))[: round(share * len(known))]
            kept = {known[i] for i in chosen.tolist()}
            held = torch.tensor([group in kept for group in groups], dtype=torch.bool)
        told = set(itertools.compress(groups, held.tolist()))
        free = torch.tensor([group not in told for group in groups], dtype=torch.bool)
        return self.take(free), self.take(held)

    # -- files: one judgment a line, only ever appended to ----------------------------------------------------------
    @classmethod
    def read(cls, path: str | Path, vocabulary: GraphVocabulary) -> "Judgments":
        """Judgments from a file of `append`; lines that were cut off or do not fit are left out, see `problems`.

        A graph is a SMILES or node-link JSON, so that files can be written by hand. Raises FileNotFoundError.
        """
        rows, problems = [], []
        for number, line in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            try:
                told = json.loads(line)
                if told == {"answer": TAKEN_BACK}:
                    rows = rows[:-1]
                    continue
                graphs = [_graph(told[side], vocabulary) for side in ("anchor", LEFT, RIGHT)]
                if told["answer"] not in ANSWERS:
                    raise ValueError(f"no answer {told['answer']!r}")
                rows.append((*graphs, told["answer"], bool(told.get("random", False))))
            except (ValueError, KeyError, TypeError, AttributeError, nx.NetworkXError) as unfit:
                problems.append(f"line {number}: {' '.join(str(unfit).split()) or type(unfit).__name__}")
        return replace(_made(rows, vocabulary), problems=tuple(problems))

    def append(self, path: str | Path) -> None:
        """Add these to the end of a file, all or, where that fails, none of a line; OSError says what failed."""
        write_lines(path, [self.line(i) for i in range(len(self))])

    def line(self, row: int) -> dict:
        """One judgment as plain values."""
        sides = zip(("anchor", LEFT, RIGHT), (self.anchors, self.lefts, self.rights))
        return {name: _plain(graphs[row]) for name, graphs in sides} | {
            "answer": self.answers[row],
            "random": bool(self.random[row]),
        }


def write_lines(path: str | Path, lines: Iterable[dict]) -> None:
    """Append plain values to a file, one a line, and flush them; what was cut off before gets a line of its own."""
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
    except OSError as failed:
        raise OSError(failed.errno or 0, f"cannot add to {path}: {failed.strerror or failed}") from failed


def _made(rows: Sequence[tuple], vocabulary: GraphVocabulary) -> Judgments:
    empty = Graph.from_labels(
        torch.zeros(0, vocabulary.max_nodes), torch.zeros(0, *[vocabulary.max_nodes] * 2), vocabulary
    )
    graphs = [Graph.cat([empty, *(row[side] for row in rows)]) for side in range(3)]
    return Judgments(*graphs, tuple(row[3] for row in rows), torch.tensor([row[4] for row in rows], dtype=torch.bool))


def _graph(written: str | dict, vocabulary: GraphVocabulary) -> Graph:
    """One graph from SMILES or node-link JSON."""
    if isinstance(written, str) and not written.lstrip().startswith("{"):
        from elekit.graphs.smiles import from_smiles, is_molecular  # RDKit loads here, not with the module

        if not is_molecular(vocabulary):
            raise ValueError(f"{written!r} is no node-link JSON, and these graphs are no molecules")
        return from_smiles(written, vocabulary)
    told = json.loads(written) if isinstance(written, str) else written
    linked = nx.node_link_graph(told, multigraph=False, edges="links" if "links" in told else "edges")
    return from_networkx([linked], vocabulary)


def _plain(graph: Graph) -> str | dict:
    """SMILES where it is read back as the very same graph, else node-link JSON."""
    from elekit.graphs.smiles import from_smiles, is_molecular, to_smiles

    if is_molecular(graph.vocabulary):
        (smiles,) = to_smiles(graph)
        if smiles is not None:
            again = from_smiles(smiles, graph.vocabulary)
            if torch.equal(graph_hashes(again, ROUNDS), graph_hashes(graph, ROUNDS)):  # the same Kekule form, too
                return smiles
    return nx.node_link_data(to_networkx(graph)[0], edges="edges")

"""Asking people what a loss should say: is this graph closer to that one or to the other?"""

import threading
from collections.abc import Sequence
from pathlib import Path

import torch
import traitlets
from matplotlib.figure import Figure

from elekit import draw
from elekit.correction import Judgments, Triplet, Triplets
from elekit.correction.judgments import CANNOT_SAY, WITHDRAWN, write_lines
from elekit.draw.scenes import palette, scene
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.model.loss import Psi
from elekit.widgets.base import Panel
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.inspector_io import alone, is_molecular


def judge(
    psi: Psi | Sequence[Psi],
    graphs: Graph,
    *,
    file: str | Path | None = None,
    names: Sequence[str] | None = None,
    random: float = 0.25,
    seed: int = 0,
) -> "TripletJudge":
    """A widget that asks which of two graphs is closer to a third, the most informative questions first.

    psi: the loss to correct, or several trainings of it, which are asked about where they disagree; the first is the
    one that answers are held against. graphs: what questions are about. file: where judgments are added, one a line
    as they are made; one that is there goes on. names: of the graphs; None = their SMILES, where they are molecules.
    random: share of the questions that are drawn at random, to hold out, see `elekit.correction.Triplets`.
    Raises ValueError for fewer than 3 different graphs and for another number of names.
    """
    return TripletJudge(psi, graphs, file=file, names=names, random=random, seed=seed)


class TripletJudge(Panel):
    """Questions, answered by buttons or keys, and what was answered; made by `judge`.

    judgments: all that was answered, as `elekit.correction.correct` takes it. triplet: the question now, None when
    there is none left. question: what the browser shows of it: number, and scene and name of each graph; {} when
    there is none.
    told: how far it is, in sentences; whether the loss agrees is told of all together, so as to sway nobody.
    """

    _esm = traitlets.Unicode(script(STATIC / "triplets.js")).tag(sync=True)
    _css = traitlets.Unicode(style("triplets.css")).tag(sync=True)
    COMMANDS = ("answer", "undo")

    question = traitlets.Dict().tag(sync=True)
    told = traitlets.List(traitlets.Unicode()).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def __init__(self, psi, graphs: Graph, *, file, names, random: float, seed: int):
        self.psi = psi[0] if isinstance(psi, Sequence) and len(psi) else psi
        self.graphs, self.file = graphs.detach().rounded(), None if file is None else Path(file)
        self._triplets, self._lock = Triplets(psi, self.graphs, random=random, seed=seed), threading.RLock()
        self._names = _names(self.graphs, names)
        self._asked: list[Triplet | None] = []  # of each judgment; None where its graphs are others
        self._unwritten: list[dict] = []
        self.judgments = Judgments.empty(graphs.vocabulary)
        if self.file is not None and self.file.exists():
            self.judgments = Judgments.read(self.file, graphs.vocabulary)
            self._asked = _found_again(self.judgments, self.graphs)
        self._margins = self.judgments.margins(self.psi).tolist()
        super().__init__(palette=palette(graphs.vocabulary))
        self._ask()

    @alone
    def answer(self, choice: str, number: int | None = None) -> None:
        """Judge the question: "left", "right" or "cannot say". number: of the question meant; no other is answered.

        What cannot be written is kept, and written with the next answer; the error says so.
        """
        if self.triplet is None or number not in (None, len(self._asked)):
            return
        rows = [torch.tensor([row]) for row in self.triplet.rows]
        made = Judgments(*(self.graphs[row] for row in rows), (choice,), torch.tensor([self.triplet.random]))
        self.judgments = Judgments.cat([self.judgments, made])
        self._margins += made.margins(self.psi).tolist()
        self._asked.append(self.triplet)
        self._unwritten.append(made.line(0))
        self._ask()
        self._write()

    @alone
    def undo(self, number: int | None = None) -> None:
        """Take the last answer back, and ask again. number: of the question now, as of `answer`."""
        if not self._asked or number not in (None, len(self._asked)):
            return
        self._asked.pop()
        self._margins.pop()
        self.judgments = self.judgments.take(range(len(self._asked)))
        self._unwritten.append({"answer": WITHDRAWN})
        self._ask()
        self._write()

    def picture(self) -> Figure:
        """The question, as a figure."""
        if self.triplet is None:
            return draw.graphs(self.graphs[0], ["no question is left"])
        asked = ("is", "closer to (1)", "or to (2)")
        titles = [f"{words} {self._names[row]}".strip() for words, row in zip(asked, self.triplet.rows)]
        return draw.graphs([self.graphs[row] for row in self.triplet.rows], titles, columns=3)

    def _ask(self) -> None:
        self.triplet = self._triplets.next([one for one in self._asked if one is not None])
        shown = {}
        if self.triplet is not None:
            sides = zip(("anchor", "left", "right"), self.triplet.rows)
            shown = {side: {"scene": scene(self.graphs[row]), "name": self._names[row]} for side, row in sides}
        with self.hold_sync():
            self.answered, self.told = len(self._asked), self._progress()
            self.question = {"number": len(self._asked), **shown}

    def _write(self) -> None:
        if self.file is not None and self._unwritten:
            write_lines(self.file, self._unwritten)
        self._unwritten = []

    def _progress(self) -> list[str]:
        """How many were judged, and how many the loss agrees with."""
        held = self.judgments
        agrees = [margin > 0 for margin, answer in zip(self._margins, held.answers) if answer != CANNOT_SAY]
        told = [f"{len(held)} judged, {len(held) - len(agrees)} of them 'cannot say'."]
        if agrees:
            told.append(
                f"The loss agrees with {sum(agrees)} of {len(agrees)}; most are questions that it is unsure of."
            )
        by_lot = [
            margin > 0
            for margin, answer, drawn in zip(self._margins, held.answers, held.random.tolist())
            if drawn and answer != CANNOT_SAY
        ]
        if by_lot:
            told[-1] += f" Of those drawn at random: {sum(by_lot)} of {len(by_lot)}."
        odd = int(held.contradictory().sum())
        if odd:
            told.append(f"{odd} contradict each other.")
        if held.problems:
            lines = f"{n} lines" if (n := len(held.problems)) > 1 else "1 line"
            told.append(f"{lines} of the file could not be read ({held.problems[0]}); what is there stays there.")
        return told


def _names(graphs: Graph, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(graphs):
            raise ValueError(f"want a name for each of {len(graphs)} graphs, got {len(names)}")
        return [str(name) for name in names]
    if is_molecular(graphs.vocabulary):
        from elekit.graphs.smiles import to_smiles

        return [smiles or "" for smiles in to_smiles(graphs)]
    return [""] * len(graphs)


def _found_again(judgments: Judgments, graphs: Graph) -> list[Triplet | None]:
    """The questions that judgments answered, by the rows of their graphs; None where a graph is not among these."""
    known = {tuple(code): row for row, code in reversed(list(enumerate(graph_hashes(graphs, ROUNDS).tolist())))}
    sides = [graph_hashes(side, ROUNDS).tolist() for side in (judgments.anchors, judgments.lefts, judgments.rights)]
    rows = [[known.get(tuple(code)) for code in codes] for codes in zip(*sides)]
    return [
        None if None in found else Triplet(*found, random=by_lot)
        for found, by_lot in zip(rows, judgments.random.tolist())
    ]

"""The triplet judge: people answer whether a graph is closer to one graph or to another."""

import threading
from collections.abc import Sequence
from pathlib import Path

import torch
import traitlets
from matplotlib.figure import Figure

from elekit import draw
from elekit.correction import Judgments
from elekit.correction.judgments import CANNOT_SAY, WITHDRAWN, write_lines
from elekit.correction.triplets import Triplet, Triplets
from elekit.draw.scenes import palette, scene
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.model.loss import Psi
from elekit.widgets.base import Panel, in_own_colors, verdict
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.inspector_io import Json, synchronized


def judge(
    psi: Psi | Sequence[Psi], graphs: GraphBatch, *, file: str | Path | None = None,
    names: Sequence[str] | None = None, random: float = 0.25, seed: int = 0,
) -> "TripletJudge":  # fmt: skip
    """Make a widget that asks which of two graphs is closer to a third, the most informative questions first.

    Args:
        psi: The embedding to correct, or several trainings of it: questions are about triplets where they disagree,
            and answers are compared with the first.
        graphs: The graphs to ask about, at least 3 different ones.
        file: Judgments are appended here, one per line; an existing file is continued.
        names: A name for each graph; None = SMILES for molecules.
        random: Share of questions drawn at random, to be held out, see `elekit.correction.triplets`.
        seed: Seed of the questions.

    Returns:
        The widget, an `elekit.widgets.triplets.TripletJudge`.

    Raises:
        ValueError: If there are fewer than 3 different graphs, or another number of names.
    """
    return TripletJudge(psi, graphs, file=file, names=names, random=random, seed=seed)


class TripletJudge(Panel):
    """Questions, answered by buttons or keys; made by `judge`.

    judgments: all answers, for `elekit.correction.correct`. triplet: the current question, or None if none is left.
    question: what the browser shows: number, and scene and name of each graph; without graphs if none is left.
    progress: the number of answers, and how often the loss agrees, in sentences (for all answers together, so that it
    does not influence the next one). answered: number of answers.
    """

    _esm = traitlets.Unicode(script(STATIC / "triplets.js")).tag(sync=True)
    _css = traitlets.Unicode(style("triplets.css")).tag(sync=True)
    COMMANDS = ("answer", "undo")

    question = traitlets.Dict().tag(sync=True)
    progress = traitlets.List(traitlets.Unicode()).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def __init__(
        self, psi: Psi | Sequence[Psi], graphs: GraphBatch, *, file: str | Path | None, names: Sequence[str] | None,
        random: float, seed: int,
    ):  # fmt: skip
        psis = list(psi) if isinstance(psi, Sequence) else [psi]
        self.graphs, self.file = PackedGraphs.of(graphs), None if file is None else Path(file)
        self._triplets, self._lock = Triplets(psis, self.graphs, random=random, seed=seed), threading.RLock()
        self.psi = psis[0]
        self._names = _names(self.graphs, names)
        self._answered: list[Triplet | None] = []  # of each judgment; None if its graphs are not among `graphs`
        self._unwritten: list[Json] = []
        self.judgments = Judgments.empty(graphs.vocabulary)
        if self.file is not None and self.file.exists():
            self.judgments = Judgments.read(self.file, graphs.vocabulary)
            self._answered = _found_again(self.judgments, self.graphs)
        self._margins = self.judgments.margins(self.psi).tolist()
        super().__init__(palette=palette(graphs.vocabulary), health=verdict(self.psi))
        self._next()

    @synchronized
    def answer(self, choice: str, number: int | None = None) -> None:
        """Answer the current question with "left", "right" or "cannot say".

        number: number of the question that was answered; if another one is current, nothing happens.
        """
        if self.triplet is None or number not in (None, len(self._answered)):
            return
        rows = [torch.tensor([row]) for row in self.triplet.rows]
        anchor, left, right = (self.graphs[row].dense() for row in rows)
        made = Judgments(anchor, left, right, (choice,), torch.tensor([self.triplet.random]))
        self.judgments = self.judgments + made
        self._margins += made.margins(self.psi).tolist()
        self._answered.append(self.triplet)
        self._unwritten.append(made.lines[0])
        self._next()
        self._write()

    @synchronized
    def undo(self, number: int | None = None) -> None:
        """Take back the last answer and ask its question again, unless `number` is not the current question."""
        if not self._answered or number not in (None, len(self._answered)):
            return
        self._answered.pop()
        self._margins.pop()
        self.judgments = self.judgments[range(len(self._answered))]
        self._unwritten.append({"answer": WITHDRAWN})
        self._next()
        self._write()

    @in_own_colors
    def picture(self) -> Figure:
        if self.triplet is None:
            return draw.graphs(self.graphs[0].dense(), ["no question is left"])
        parts = ("is", "closer to (1)", "or to (2)")
        titles = [f"{part} {self._names[row]}".strip() for part, row in zip(parts, self.triplet.rows)]
        return draw.graphs([self.graphs[row].dense() for row in self.triplet.rows], titles, columns=3)

    def _next(self) -> None:
        self.triplet = self._triplets.next([triplet for triplet in self._answered if triplet is not None])
        shown: Json = {}
        if self.triplet is not None:
            sides = list(zip(("anchor", "left", "right"), self.triplet.rows))
            scenes = {side: scene(self.graphs[row].dense()) for side, row in sides}
            shown = {side: {"scene": scenes[side], "name": self._names[row]} for side, row in sides}
        with self.hold_sync():
            self.answered, self.progress = len(self._answered), self._progress()
            self.question = {"number": len(self._answered), **shown}

    def _write(self) -> None:
        if self.file is not None and self._unwritten:
            write_lines(self.file, self._unwritten)
        self._unwritten = []

    def _progress(self) -> list[str]:
        held = self.judgments
        answers = zip(self._margins, held.answers, held.random.tolist())
        agrees = [(margin > 0, drawn) for margin, answer, drawn in answers if answer != CANNOT_SAY]
        words = [f"{len(held)} judged, {len(held) - len(agrees)} of them 'cannot say'."]
        if agrees:
            count = sum(agree for agree, _ in agrees)
            agreement = f"The loss agrees with {count} of {len(agrees)}"
            words.append(f"{agreement}; most questions are those it is least sure of.")
        random = [agree for agree, drawn in agrees if drawn]
        if random:
            words[-1] += f" Of those drawn at random: {sum(random)} of {len(random)}."
        if contradictory := int(held.contradictory.sum()):
            words.append(f"{contradictory} contradict each other.")
        if held.problems:
            lines = f"{n} lines" if (n := len(held.problems)) > 1 else "1 line"
            words.append(f"{lines} of the file could not be read ({held.problems[0]}); they are left unchanged.")
        return words


def _names(graphs: GraphBatch, names: Sequence[str] | None) -> list[str]:
    if names is None:
        names = (
            [smiles or "" for smiles in to_smiles(graphs)] if is_molecular(graphs.vocabulary) else [""] * len(graphs)
        )
    if len(names) != len(graphs):
        raise ValueError(f"expected one name for each of {len(graphs)} graphs, got {len(names)}")
    return [str(name) for name in names]


def _found_again(judgments: Judgments, graphs: GraphBatch) -> list[Triplet | None]:
    """The triplets of rows of `graphs` that were judged; None if a graph is not among them."""
    rows = {tuple(code): row for row, code in reversed(list(enumerate(graph_hashes(graphs, ROUNDS).tolist())))}
    sides = [graph_hashes(side, ROUNDS).tolist() for side in (judgments.anchors, judgments.lefts, judgments.rights)]
    found: list[Triplet | None] = []
    for *codes, drawn in zip(*sides, judgments.random.tolist()):
        known = [rows[tuple(code)] for code in codes if tuple(code) in rows]
        found.append(Triplet(known[0], known[1], known[2], random=drawn) if len(known) == 3 else None)
    return found

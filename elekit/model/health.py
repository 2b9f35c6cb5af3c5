"""Whether a learned loss is of use: figures measured after training, and a verdict in one line."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from elekit.graphs import _schema

COLLAPSED = 1e-3  # loss of two random graphs
COINCIDENT = 0.1  # share of graphs at the point of a different graph
GOOD, WEAK = 0.8, 0.3  # shares of graphs that are found again
CROWDED = 0.1  # loss of the nearest other graph, as a share of that of an edit
FEWEST = 5  # graphs to decode, to judge by that

_LOSS = _schema.maybe(_schema.number(0))
HEALTH_FIELDS = _schema.fields(
    {
        **dict.fromkeys(("graphs", "coincident", "decoded", "found"), _schema.whole(0, 10**9)),
        **dict.fromkeys(("edit", "nearest", "random", "wrong"), _LOSS),
        "held_out": _schema.one_of(True, False),
    }
)


class Level(StrEnum):
    """How well a learned loss can be used."""

    GOOD = "good"
    WEAK = "weak"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class Health:
    """Figures of a learned loss; `str()` is the verdict.

    Args:
        graphs: Number of graphs that were compared.
        held_out: Whether the decoded graphs were not part of the training.
        edit: Median loss between a graph and a valid single edit of it, in [0, 4]; None if there is none.
        nearest: Median loss between a graph and the nearest different one.
        random: Median loss between two random graphs.
        coincident: Number of graphs that lie at the point of a different graph.
        decoded: Number of graphs that were decoded from their own point.
        found: Number of decoded graphs that were found again.
        wrong: Median loss of the wrong answers; None if there are none.
    """

    graphs: int
    held_out: bool
    edit: float | None
    nearest: float
    random: float
    coincident: int
    decoded: int
    found: int
    wrong: float | None

    @property
    def level(self) -> Level:
        """The verdict in one word."""
        if self.random < COLLAPSED or self.coincident > COINCIDENT * self.graphs:
            return Level.UNUSABLE
        if self.decoded < FEWEST:
            return Level.WEAK
        share = self.found / self.decoded
        if self.edit is not None and self.nearest < CROWDED * self.edit:
            share = min(share, (GOOD + WEAK) / 2)  # other graphs lie much nearer than an edit
        return Level.GOOD if share >= GOOD else Level.WEAK if share >= WEAK else Level.UNUSABLE

    def __str__(self) -> str:
        return f"Health: {self.level}: {self._reason()}."

    def _reason(self) -> str:
        if self.random < COLLAPSED:
            return f"all graphs lie at one point (loss of two random graphs {_figure(self.random)})"
        parts = []
        if self.coincident:
            parts.append(f"{self.coincident} of {self.graphs} graphs lie at the point of a different graph")
        kind = "unseen graphs" if self.held_out else "training graphs"
        if self.decoded >= FEWEST:
            parts.append(f"{self.found} of {self.decoded} {kind} are found again from their own point")
        else:
            parts.append(f"time was too short to decode {kind} from their own point")
        prices = f"one edit costs {_figure(self.edit)}" if self.edit is not None else ""
        if self.wrong is not None and self.edit is not None and self.found < GOOD * self.decoded:
            side = "nearer" if self.wrong < self.edit else "further"
            parts.append(f"wrong answers lie {side} ({_figure(self.wrong)}) than one edit ({_figure(self.edit)})")
            prices = ""
        scale = f"the nearest other graph {_figure(self.nearest)}, a random one {_figure(self.random)}"
        parts.append(f"{prices}, {scale}" if prices else scale)
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values.

        Returns:
            What `from_json` reads.
        """
        return {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Any) -> "Health":
        """Read figures.

        Args:
            value: As of `to_json`.

        Returns:
            The figures.

        Raises:
            ValueError: If a figure is missing or has another type.
        """
        HEALTH_FIELDS(value, "the health")
        return cls(**value)


NOT_MEASURED = "Health: not measured."


def _figure(value: float) -> str:
    return f"{value:.2g}" if value < 1 else f"{value:.1f}"


def typical_edit(psi: Any) -> float:
    """The unit in which losses are shown.

    Args:
        psi: An embedding.

    Returns:
        Price of a typical edit, 0 if its health was not measured.
    """
    return getattr(getattr(psi, "health", None), "edit", None) or 0.0

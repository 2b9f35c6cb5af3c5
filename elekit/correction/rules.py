"""What an expert wants of a loss, as plain rules: kept as JSON, held against a vocabulary, never at odds."""

import difflib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from elekit.evaluation.formatting import figure, joined, percent
from elekit.graphs.graph import GraphVocabulary
from elekit.inspect.edit_costs import FREE

TYPICAL = "a typical edit"  # median over kinds of their median prices, of single edits that no rule names
EITHER_WAY = " either way"  # after a kind: this one and what undoes it
SLACK = 1e-9  # of a bound, so that rounding makes no contradiction


@dataclass(frozen=True)
class NearlyFree:
    """Each of these kinds of edits costs at most `at_most` times a typical edit (its median price does).

    kinds: as in `elekit.inspect.edit_costs`, such as "relabel C to N"; "*" stands for anything ("relabel *"), and
    "either way" after a kind names what undoes it, too ("relabel C to N either way").
    """

    kinds: tuple[str, ...]
    at_most: float = FREE
    NAME = "nearly free"

    def __post_init__(self):
        object.__setattr__(self, "kinds", _several(self.kinds, self))
        _above_zero(self.at_most, "at_most", self)

    def __str__(self) -> str:
        return f"{_quoted(self.kinds)}: at most {figure(self.at_most)} times {TYPICAL}"


@dataclass(frozen=True)
class AtLeast:
    """Each of these kinds costs at least `times` as much as each of those (`of`), by median prices.

    kinds, of: as in `NearlyFree`; of empty: a typical edit.
    """

    kinds: tuple[str, ...]
    times: float
    of: tuple[str, ...] = ()
    NAME = "at least"

    def __post_init__(self):
        object.__setattr__(self, "kinds", _several(self.kinds, self))
        object.__setattr__(self, "of", _several(self.of, self) if self.of else ())
        _above_zero(self.times, "times", self)

    def __str__(self) -> str:
        return (
            f"{_quoted(self.kinds)}: at least {figure(self.times)} times {_quoted(self.of) if self.of else TYPICAL}"
        )


@dataclass(frozen=True)
class Grows:
    """Along a walk of edits, none of which undoes another, each further one takes the graph further from the start.

    steps: edits of a walk, at least 2. share: of the steps on which the loss must grow, in (0, 1].
    """

    steps: int = 4
    share: float = 0.9
    NAME = "grows"

    def __post_init__(self):
        if not (isinstance(self.steps, int) and self.steps >= 2):
            raise ValueError(f"rule {self.NAME!r}: steps must be an integer of at least 2, got {self.steps!r}")
        if not (_is_number(self.share) and 0 < self.share <= 1):
            raise ValueError(f"rule {self.NAME!r}: share must lie in (0, 1], got {self.share!r}")

    def __str__(self) -> str:
        return f"the loss grows with each of {self.steps} edits: on at least {percent(self.share)} of the steps"


Rule = NearlyFree | AtLeast | Grows
RULES: dict[str, type] = {kind.NAME: kind for kind in (NearlyFree, AtLeast, Grows)}


def to_json(rules: Sequence[Rule]) -> list[dict]:
    """Rules as plain values; `from_json` reads them back."""
    return [{"rule": rule.NAME, **_listed(asdict(rule))} for rule in rules]


def from_json(fields: Sequence[dict]) -> tuple[Rule, ...]:
    """Rules from plain values: a list of objects such as `{"rule": "nearly free", "kinds": ["relabel C to N"]}`.

    Raises ValueError that names the rule, by its number from 1, for anything else.
    """
    if isinstance(fields, (dict, str)) or not isinstance(fields, Sequence):
        raise ValueError(f"rules must be a list of objects, got {type(fields).__name__}; put one rule into [ ]")
    found = []
    for number, given in enumerate(fields, 1):
        if not isinstance(given, dict) or given.get("rule") not in RULES:
            named = given.get("rule") if isinstance(given, dict) else given
            raise ValueError(f"rule {number}: no rule {named!r}; there are {joined([repr(r) for r in RULES])}")
        kind = RULES[given["rule"]]
        names = tuple(kind.__dataclass_fields__)
        unknown = [name for name in given if name not in ("rule", *names)]
        if unknown:
            raise ValueError(f"rule {number}, {kind.NAME!r}, has no {unknown[0]!r}; it has {joined(list(names))}")
        try:
            found.append(kind(**{name: value for name, value in given.items() if name != "rule"}))
        except TypeError:
            missing = [name for name in ("kinds", "times") if name in names and name not in given]
            raise ValueError(f"rule {number}, {kind.NAME!r}, lacks {joined(missing)}") from None
        except ValueError as refused:
            raise ValueError(f"rule {number}: {refused}") from None
    return tuple(found)


def known_kinds(vocabulary: GraphVocabulary) -> dict[str, str]:
    """Every kind of edit that graphs of a vocabulary can have, as `elekit.graphs.features.detailed_kinds` names them.

    Each with the kind that undoes it; with itself, where no single kind does.
    """
    labels, links = vocabulary.node_labels, vocabulary.edge_labels
    kinds = {}
    for names, verb in ((labels, "relabel"), (links, "edge")):
        kinds |= {f"{verb} {a} to {b}": f"{verb} {b} to {a}" for a, b in itertools.permutations(names, 2)}
    kinds |= {f"add leaf {k} by {r} edge": "remove leaf" for k in labels for r in links}
    kinds |= {f"add {k} on its own": "remove leaf" for k in labels}
    kinds |= {f"close a ring with a {r} edge": "open a ring" for r in links}
    kinds |= {f"join parts with a {r} edge": "cut an edge" for r in links}
    alone = ["remove leaf", "remove node", "open a ring", "cut an edge", "shift order"]
    alone += ["swap labels {} and {}".format(*sorted(pair)) for pair in itertools.combinations(labels, 2)]
    alone += [f"move a {r} edge" for r in links]
    return kinds | {kind: kind for kind in alone}


def kinds_named(patterns: Sequence[str], vocabulary: GraphVocabulary) -> tuple[str, ...]:
    """The kinds that patterns name, see `NearlyFree`; ValueError, with the nearest names, for one that names none."""
    known = known_kinds(vocabulary)
    undoing = {kind: [other for other, back in known.items() if back == kind] for kind in known}
    found = {}
    for pattern in patterns:
        wanted = pattern.removesuffix(EITHER_WAY)
        shape = re.compile(".*".join(map(re.escape, wanted.split("*"))))
        some = [wanted] if wanted in known else [kind for kind in known if shape.fullmatch(kind)]
        if not some:
            near = difflib.get_close_matches(wanted, known, 3, 0.3)
            raise ValueError(f"no kind of edit {pattern!r}; the nearest are {joined([repr(n) for n in near], 'or')}")
        found |= dict.fromkeys(some)
        if pattern.endswith(EITHER_WAY):
            found |= dict.fromkeys(other for kind in some for other in (known[kind], *undoing[kind]))
    return tuple(found)


def named_by(rules: Sequence[Rule], vocabulary: GraphVocabulary) -> set[str]:
    """Every kind that some rule names."""
    patterns = [p for rule in rules if not isinstance(rule, Grows) for p in (*rule.kinds, *getattr(rule, "of", ()))]
    return set(kinds_named(patterns, vocabulary))


def check_rules(rules: Sequence[Rule], vocabulary: GraphVocabulary) -> None:
    """ValueError for rules that name unknown kinds, and for rules that no loss can keep all at once.

    Rules bound ratios of prices, so their logarithms are difference constraints: they can be kept together unless
    some of them, followed round in a circle, ask of a price that it be less than itself (Bellman and Ford). A learned
    loss is symmetric, so what relabels C to N and what relabels N to C are taken to cost the same.
    """
    import networkx as nx

    bounds = nx.DiGraph()

    def bound(low: str, high: str, at_most: float, rule: int | None):
        """log price(low) - log price(high) <= at_most."""
        if not bounds.has_edge(high, low) or bounds[high][low]["weight"] > at_most:
            bounds.add_edge(high, low, weight=at_most + SLACK, rule=rule)

    for number, rule in enumerate(rules):
        if not isinstance(rule, Rule):
            names = joined([kind.__name__ for kind in RULES.values()])
            raise ValueError(f"rule {number + 1} is a {type(rule).__name__}; rules are {names}")
        try:
            kinds = [] if isinstance(rule, Grows) else kinds_named(rule.kinds, vocabulary)
            others = kinds_named(getattr(rule, "of", ()), vocabulary) or (TYPICAL,)
        except ValueError as refused:
            raise ValueError(f"rule {number + 1}, {rule.NAME!r}: {refused}") from None
        for kind, other in itertools.product(kinds, others):
            if isinstance(rule, NearlyFree):
                bound(kind, other, math.log(rule.at_most), number)
            else:
                bound(other, kind, -math.log(rule.times), number)
    for kind, back in known_kinds(vocabulary).items():
        if kind.startswith(("relabel ", "edge ")) and {kind, back} <= set(bounds):
            bound(kind, back, 0.0, None)
    circle = _negative_circle(bounds)
    if circle:
        at_odds = sorted({r for a, b in itertools.pairwise(circle) if (r := bounds[a][b]["rule"]) is not None})
        told = joined([f"rule {n + 1} ({rules[n]})" for n in at_odds])
        whom = "contradicts itself" if len(at_odds) == 1 else "contradict each other"
        raise ValueError(
            f"{told} {whom}: no loss keeps what they say of {_quoted(sorted({*circle} - {TYPICAL}))}; drop one"
        )


def _negative_circle(bounds) -> list[str]:
    """A closed walk whose bounds sum to less than 0, [] where there is none."""
    import networkx as nx

    for part in nx.strongly_connected_components(bounds):
        inside = bounds.subgraph(part)
        for a, b, held in inside.edges(data=True):
            if a == b and held["weight"] < 0:
                return [a, a]
        source = next(iter(part))
        try:
            return nx.find_negative_cycle(inside, source)
        except nx.NetworkXError:
            continue
    return []


def _several(kinds, rule) -> tuple[str, ...]:
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds) if isinstance(kinds, Sequence) else ()
    if not kinds or not all(isinstance(kind, str) and kind.strip() for kind in kinds):
        raise ValueError(f"rule {rule.NAME!r}: kinds of edits must be named in words, got {list(kinds)!r}")
    return tuple(" ".join(kind.split()) for kind in kinds)


def _above_zero(value, name: str, rule) -> None:
    if not (_is_number(value) and 0 < value < math.inf):
        raise ValueError(f"rule {rule.NAME!r}: {name} must be a number above 0, got {value!r}")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quoted(kinds: Sequence[str]) -> str:
    return joined([f"'{kind}'" for kind in kinds])


def _listed(fields: dict) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

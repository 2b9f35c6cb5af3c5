"""Rules for prices of edits: stored as JSON, checked against a vocabulary and for contradictions."""

import difflib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as fields_of
from typing import Any, ClassVar, NamedTuple

import networkx as nx

from elekit.evaluation.formatting import figure, joined, percent
from elekit.graphs._schema import cut
from elekit.graphs.graph import GraphVocabulary
from elekit.inspect.edit_costs import CHEAP

TYPICAL = "a typical edit"  # median over kinds of their median prices, of single edits that no rule names
EITHER_WAY = " either way"  # after a kind: this one and its inverse
MAX_STEPS = 1_000  # of a walk
SLACK = 1e-9  # keeps rounding from making contradictions


@dataclass(frozen=True)
class NearlyFree:
    """Rule: the median price of each of these kinds of edits is at most `at_most` times that of a typical edit.

    Attributes:
        kinds: Kinds as in `EditCosts.edits`, for example "relabel C to N". "*" matches anything ("relabel *");
            "either way" after a kind adds its inverse ("relabel C to N either way").
        at_most: Above 0.
    """

    kinds: tuple[str, ...]
    at_most: float = CHEAP
    NAME: ClassVar[str] = "nearly free"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", _checked_kinds(self.kinds, self.NAME))
        _check_positive(self.at_most, "at_most", self.NAME)

    def __str__(self) -> str:
        return f"{_quoted(self.kinds)}: at most {figure(self.at_most)} times {TYPICAL}"


@dataclass(frozen=True)
class AtLeast:
    """Rule: the median price of each of these kinds of edits is at least `times` that of each of others.

    Attributes:
        kinds: Kinds as in `NearlyFree`.
        times: Above 0.
        of: The other kinds; empty for a typical edit.
    """

    kinds: tuple[str, ...]
    times: float
    of: tuple[str, ...] = ()
    NAME: ClassVar[str] = "at least"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", _checked_kinds(self.kinds, self.NAME))
        object.__setattr__(self, "of", _checked_kinds(self.of, self.NAME) if self.of else ())
        _check_positive(self.times, "times", self.NAME)

    def __str__(self) -> str:
        of = _quoted(self.of) if self.of else TYPICAL
        return f"{_quoted(self.kinds)}: at least {figure(self.times)} times {of}"


@dataclass(frozen=True)
class Grows:
    """Rule: along a walk of edits, none of which undoes another, the loss to the start grows with each edit.

    Attributes:
        steps: Edits of a walk, at least 2.
        share: Share of the steps on which the loss must grow, in (0, 1].
    """

    steps: int = 4
    share: float = 0.9
    NAME: ClassVar[str] = "grows"

    def __post_init__(self) -> None:
        if not (isinstance(self.steps, int) and 2 <= self.steps <= MAX_STEPS):
            limits = f"an integer of at least 2, got {cut(self.steps)}; at most {MAX_STEPS:,}"
            raise ValueError(f"rule {self.NAME!r}: steps must be {limits}")
        if not (_is_number(self.share) and 0 < self.share <= 1):
            raise ValueError(f"rule {self.NAME!r}: share must lie in (0, 1], got {self.share!r}")

    def __str__(self) -> str:
        return f"the loss grows with each of {self.steps} edits: on at least {percent(self.share)} of the steps"


Rule = NearlyFree | AtLeast | Grows
RULES: dict[str, Any] = {kind.NAME: kind for kind in (NearlyFree, AtLeast, Grows)}


def to_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Rules as plain values, for `from_json`."""
    fields = ({name: list(v) if isinstance(v, tuple) else v for name, v in asdict(rule).items()} for rule in rules)
    return [{"rule": rule.NAME, **values} for rule, values in zip(rules, fields)]


def from_json(fields: Sequence[dict[str, Any]]) -> tuple[Rule, ...]:
    """Read rules from plain values.

    Args:
        fields: Dictionaries such as `{"rule": "nearly free", "kinds": ["relabel C to N"]}`.

    Returns:
        The rules.

    Raises:
        ValueError: If a rule is invalid; the message has its number, counted from 1.
    """
    if isinstance(fields, (dict, str)) or not isinstance(fields, Sequence):
        raise ValueError(f"rules must be a list of objects, got {type(fields).__name__}; put one rule into [ ]")
    found: list[Rule] = []
    for number, given in enumerate(fields, 1):
        named = given.get("rule") if isinstance(given, dict) else given
        if not isinstance(given, dict) or not isinstance(named, str) or named not in RULES:
            listed = joined([repr(rule) for rule in RULES])
            raise ValueError(f"rule {number}: no rule {cut(named)}; the rules are {listed}")
        kind = RULES[given["rule"]]
        names, values = [field.name for field in fields_of(kind)], {**given}
        del values["rule"]
        if unknown := [name for name in values if name not in names]:
            raise ValueError(f"rule {number}, {kind.NAME!r}, has no {unknown[0]!r}; it has {joined(names)}")
        try:
            found.append(kind(**values))
        except TypeError:
            missing: list[str] = [name for name in ("kinds", "times") if name in names and name not in given]
            raise ValueError(f"rule {number}, {kind.NAME!r}, lacks {joined(missing)}") from None
        except ValueError as error:
            raise ValueError(f"rule {number}: {error}") from None
    return tuple(found)


class KnownKind(NamedTuple):
    inverse: str  # the kind that undoes it; itself if no single one does
    edit: str  # as in `elekit.graphs.edits.KINDS`


def kind_catalog(vocabulary: GraphVocabulary) -> dict[str, KnownKind]:
    """Every kind of edit of graphs of a vocabulary, by its name in `elekit.graphs.features.detailed_kinds`."""
    labels, links = vocabulary.node_labels, vocabulary.edge_labels
    kinds: dict[str, KnownKind] = {}
    for names, verb, edit in ((labels, "relabel", "relabel"), (links, "edge", "change edge")):
        for a, b in itertools.permutations(names, 2):
            kinds[f"{verb} {a} to {b}"] = KnownKind(f"{verb} {b} to {a}", edit)
    added = [f"add leaf {k} by {r} edge" for k in labels for r in vocabulary.edge_names[1:]]
    added += [f"add {k} on its own" for k in labels]
    kinds |= dict.fromkeys(added, KnownKind("remove leaf", "add node"))
    kinds |= {f"close a ring with a {r} edge": KnownKind("open a ring", "change edge") for r in links}
    kinds |= {f"join parts with a {r} edge": KnownKind("cut an edge", "change edge") for r in links}
    alone = {"remove leaf": "remove node", "remove node": "remove node", "open a ring": "change edge"}
    alone |= {"cut an edge": "change edge", "shift order": "shift order"}
    pairs = (sorted(pair) for pair in itertools.combinations(labels, 2))
    alone |= {f"swap labels {a} and {b}": "swap labels" for a, b in pairs}
    alone |= {f"move a {r} edge": "move edge" for r in links}
    alone |= {f"turn a {links[r - 1]} edge round": "change edge" for r in vocabulary.directed_labels}
    return kinds | {name: KnownKind(name, edit) for name, edit in alone.items()}


def known_kinds(vocabulary: GraphVocabulary) -> dict[str, str]:
    """Every kind of edit that graphs of a vocabulary can have, and the kind that undoes it; itself if none does."""
    return {name: kind.inverse for name, kind in kind_catalog(vocabulary).items()}


def match_kinds(patterns: Sequence[str], vocabulary: GraphVocabulary) -> tuple[str, ...]:
    """The kinds that patterns match, see `NearlyFree`; ValueError, with the nearest names, if one matches nothing."""
    known, found = known_kinds(vocabulary), dict[str, None]()
    for pattern in patterns:
        name = pattern.removesuffix(EITHER_WAY)
        shape = re.compile(".*".join(map(re.escape, name.split("*"))))
        some = [name] if name in known else [kind for kind in known if shape.fullmatch(kind)]
        if not some:
            near = difflib.get_close_matches(name, known, 3, 0.3)
            raise ValueError(f"no kind of edit {pattern!r}; the nearest are {joined([repr(n) for n in near], 'or')}")
        found |= dict.fromkeys(some)
        if pattern.endswith(EITHER_WAY):
            undoing = {kind: [known[kind], *(o for o in known if known[o] == kind)] for kind in some}
            found |= dict.fromkeys(itertools.chain(*undoing.values()))
    return tuple(found)


def named_kinds(rules: Sequence[Rule], vocabulary: GraphVocabulary) -> set[str]:
    """Every kind that some rule names."""
    patterns = [p for rule in rules if not isinstance(rule, Grows) for p in (*rule.kinds, *getattr(rule, "of", ()))]
    return set(match_kinds(patterns, vocabulary))


def check_rules(rules: Sequence[Rule], vocabulary: GraphVocabulary) -> None:
    """Raise ValueError for unknown kinds, and for rules that no loss can keep together.

    Rules bound ratios of prices, so logarithms of prices have difference constraints. These are contradictory exactly
    if they contain a negative cycle (Bellman and Ford). A learned loss is symmetric, so a kind and its inverse cost
    the same if each undoes the other.
    """
    bounds: nx.DiGraph = nx.DiGraph()

    def bound(low: str, high: str, at_most: float, rule: int | None) -> None:
        """log price(low) - log price(high) <= at_most."""
        if not bounds.has_edge(high, low) or bounds[high][low]["weight"] > at_most:
            bounds.add_edge(high, low, weight=at_most + SLACK, rule=rule)

    for number, rule in enumerate(rules):
        if not isinstance(rule, Rule):
            names = joined([kind.__name__ for kind in RULES.values()])
            raise ValueError(f"rule {number + 1} is a {type(rule).__name__}; rules are {names}")
        try:
            kinds = () if isinstance(rule, Grows) else match_kinds(rule.kinds, vocabulary)
            others = match_kinds(getattr(rule, "of", ()), vocabulary) or (TYPICAL,)
        except ValueError as error:
            raise ValueError(f"rule {number + 1}, {rule.NAME!r}: {error}") from None
        for kind, other in itertools.product(kinds, others):
            if isinstance(rule, NearlyFree):
                bound(kind, other, math.log(rule.at_most), number)
            elif isinstance(rule, AtLeast):
                bound(other, kind, -math.log(rule.times), number)
    known = known_kinds(vocabulary)
    for kind, inverse in known.items():
        if inverse != kind and known[inverse] == kind and {kind, inverse} <= set(bounds):
            bound(kind, inverse, 0.0, None)
    if cycle := _negative_cycle(bounds):
        numbers = sorted({r for a, b in itertools.pairwise(cycle) if (r := bounds[a][b]["rule"]) is not None})
        listed = joined([f"rule {n + 1} ({rules[n]})" for n in numbers])
        verb = "contradicts itself" if len(numbers) == 1 else "contradict each other"
        raise ValueError(f"{listed} {verb} about {_quoted(sorted({*cycle} - {TYPICAL}))}; drop one rule")


def _negative_cycle(bounds: nx.DiGraph) -> list[str]:
    """A closed walk whose bounds sum to less than 0; [] if there is none."""
    rooted = bounds.copy()
    rooted.add_weighted_edges_from(("", kind, 0.0) for kind in bounds)
    try:
        cycle: list[str] = nx.find_negative_cycle(rooted, "")
        return cycle
    except nx.NetworkXException:
        return []


def _checked_kinds(kinds: Any, rule: str) -> tuple[str, ...]:
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds) if isinstance(kinds, Sequence) else ()
    if not kinds or not all(isinstance(kind, str) and kind.strip() for kind in kinds):
        raise ValueError(f"rule {rule!r}: kinds of edits must be names, got {list(kinds)!r}")
    return tuple(" ".join(kind.split()) for kind in kinds)


def _check_positive(value: Any, name: str, rule: str) -> None:
    if not (_is_number(value) and 0 < value < math.inf):
        raise ValueError(f"rule {rule!r}: {name} must be a number above 0, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quoted(kinds: Sequence[str]) -> str:
    return joined([f"'{kind}'" for kind in kinds])

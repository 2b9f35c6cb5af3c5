"""Reports of faults on a packaging line with the directed graph behind each: components, faults, causes, measures.

Operators write what went wrong in a line or two. The generator holds what they may mean and how they may put it:

- The rule book in `faults.toml` says which machine has which part, what can be wrong with it, what causes what, and
  what helps. `broken_rules` checks a graph against it. The rules are invented after common practice, not surveyed.
- The language in `faults.toml` has names, words and sentences. `readings` reads a report by exhaustive search over
  that language and returns every meaning that it can have. A report is written only if it has one, so the graph is
  determined by the report and an exact answer is possible for each.

In the graph a component `has fault`, a part is `part of` its machine, one fault `causes` another, a fault is
`fixed by` a measure or, tried in vain, `not fixed by` it. What is denied ("no leak on the filler"), suspected and
dismissed, or only planned ("will replace it at the weekend") is not in the graph. There is one part of a name at each
machine; a part belongs to the machine named with it, else to the one named last. "It" is the fault, or the component,
named last; "both" are the two faults of the last statement. Rebuild the shipped file with
``python data/build/faults.py``.
"""

import argparse
import csv
import gzip
import hashlib
import io
import itertools
import json
import random
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from elekit.datasets.files import write_atomically

FILE = Path(__file__).resolve().parents[2] / "data" / "faults.csv.gz"
COUNT = 10_000
COLUMNS = ("report", "graph", "spans")
MIN_NODES, MAX_NODES = 3, 8
HAS, PART_OF, CAUSES, FIXED, NOT_FIXED = RELATIONS = "has fault", "part of", "causes", "fixed by", "not fixed by"


class Forms(NamedTuple):
    """How a fault is expressed, see faults.toml; nouns with their article and preposition, ("a ", "leak", "on")."""

    adjectives: tuple[str, ...]
    after: tuple[str, ...]
    verbs: tuple[str, ...]
    doing: tuple[str, ...]
    nouns: tuple[tuple[str, str, str], ...]


def _split(text: str, mark: str = "|") -> tuple[str, ...]:
    return tuple(filter(None, text.split(mark)))


def _lists(table: dict[str, str], mark: str = ", ") -> dict[str, tuple[str, ...]]:
    return {name: _split(text, mark) for name, text in table.items()}


def _forms(words: dict[str, str]) -> Forms:
    nouns = (re.fullmatch(r"(a )?(.+)/(.+)", noun) for noun in _split(words.get("nouns", "")))
    plain = (_split(words.get(name, "")) for name in Forms._fields[:-1])
    return Forms(*plain, tuple((noun[1] or "", noun[2], noun[3]) for noun in nouns))


_BOOK = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
PARTS, FAULTS_OF, MEASURES_FOR, ONLY_FOR = (_lists(_BOOK[name]) for name in ("parts", "faults", "measures", "only"))
LINE = tuple(PARTS)  # the machines in their order
NAMES, VERBS = _lists(_BOOK["names"], "|"), _lists(_BOOK["verbs"], "|")
FORMS = {fault: _forms(words) for fault, words in _BOOK["forms"].items()}
SENTENCES = _BOOK["sentences"]
SILENT = ("note", "denied", "absent", "planned", "remark")  # statements that the graph leaves out
ACTIONS = ("fix", "fix of", "fix both", "vain", "vain of", "vain both")
OFTEN = ("on and off", "now and then", "every few min")  # not of lasting faults
EVENTS = {
    "jammed", "stopped", "tripped", "slipping", "misreading", "noisy", "vibrating", "slow", "backed up", "starved",
    "leaking", *(fault for fault, forms in FORMS.items() if not forms.adjectives),
}  # fmt: skip
COPULAS = ("", "is ", "was ")
ARTICLES = ("", "a ", "an ", "the ")
ON = (" on ", " of ", " at ")


# -- what a report means -------------------------------------------------------------------------------------------
Component = tuple[
    str | None, str | None
]  # a machine and a part; no machine where none is named, no part: the machine
Fault = tuple[Component, str]
Span = tuple[int, int]


class ComponentPhrase(NamedTuple):
    """A component as named: machine and part with their places; neither for "it" and for what is left out."""

    machine: str | None = None
    machine_at: Span | None = None
    part: str | None = None
    part_at: Span | None = None


class FaultPhrase(NamedTuple):
    """A fault as the text puts it, and whose it is."""

    of: ComponentPhrase
    fault: str
    at: Span


class MeasurePhrase(NamedTuple):
    """A measure as the text puts it."""

    measure: str
    at: Span


class UnclearError(Exception):
    """Statements that have no meaning in this order."""


@dataclass
class Meaning:
    """The graph that statements build up, with the place of each node in the text."""

    nodes: dict = field(default_factory=dict)  # component, fault or number of a measure -> (label, place)
    edges: dict = field(default_factory=dict)  # (node, node) -> relation
    machine: str | None = None  # named last
    component: Component | None = None  # named last
    focus: tuple[Fault, ...] = ()  # faults of the last statement
    history: list[Fault] = field(default_factory=list)

    def state(self, kind: str, args: list) -> None:
        """Add one statement of a kind of `SENTENCES`; raises UnclearError if it refers to nothing."""
        if kind in SILENT:
            return
        old = self.focus
        faults = tuple(self.fault(one) for one in args if isinstance(one, FaultPhrase))
        done = next((one for one in args if isinstance(one, MeasurePhrase)), None)
        if kind == "machine":
            if args[0].machine is None or args[0].part is not None:
                raise UnclearError
            self.name(args[0])
        elif kind in ("cause", "two causes"):
            for fault in faults:
                self.cause(fault, *self.one(old))
        elif kind in ("effect", "two effects"):
            for fault in faults:
                self.cause(*self.one(old), fault)
        elif kind == "joint effect":
            for fault in self.two(old):
                self.cause(fault, *faults)
        elif kind in ("cause and effect", "effect and cause"):
            first, second = faults
            self.cause(*((first, second) if kind == "cause and effect" else (second, first)))
            faults = (second,)
        elif done:
            chosen = self.two(old) if kind.endswith("both") else self.one(old)
            if kind.endswith("of"):
                component = self.name(next(one for one in args if isinstance(one, ComponentPhrase)))
                chosen = tuple([fault for fault in self.history if fault[0] == component][-1:])
            if not chosen:
                raise UnclearError
            node = len(self.nodes)
            self.nodes[node] = done.measure, done.at
            for fault in chosen:
                self.edges[fault, node] = FIXED if kind.startswith("fix") else NOT_FIXED
        self.focus = faults or old

    @staticmethod
    def one(focus: tuple[Fault, ...]) -> tuple[Fault, ...]:
        if len(focus) != 1:
            raise UnclearError
        return focus

    @staticmethod
    def two(focus: tuple[Fault, ...]) -> tuple[Fault, ...]:
        if len(focus) != 2:
            raise UnclearError
        return focus

    def name(self, one: ComponentPhrase) -> Component:
        """The component that is meant, with nodes for it and its machine."""
        if one.machine is None and one.part is None:  # "it"
            if self.component is None:
                raise UnclearError
            return self.component
        machine = one.machine or self.machine
        component = (machine, one.part)
        if one.part is not None and machine is not None and one.part not in PARTS[machine]:
            raise UnclearError
        if one.machine is None and (None, one.part) in self.nodes:
            component = (None, one.part)
        if machine is not None and one.machine_at:
            self.nodes.setdefault((machine, None), (machine, one.machine_at))
        if one.part is not None and component not in self.nodes:
            self.nodes[component] = one.part, one.part_at
            if component[0] is not None:
                self.edges[component, (machine, None)] = PART_OF
        self.machine, self.component = machine, component
        return component

    def fault(self, phrase: FaultPhrase) -> Fault:
        component = self.name(phrase.of)
        if not _possible(component, phrase.fault):
            raise UnclearError
        fault = (component, phrase.fault)
        if fault in self.nodes:
            raise UnclearError
        self.nodes[fault] = phrase.fault, phrase.at
        self.edges[component, fault] = HAS
        self.history.append(fault)
        return fault

    def cause(self, cause: Fault, effect: Fault) -> None:
        self.edges[cause, effect] = CAUSES

    def graph(self) -> tuple[tuple[str, ...], tuple[tuple[int, int, str], ...], tuple[Span, ...]]:
        """Node labels, edges (from, to, relation) and places, in the order of the text."""
        order = sorted(self.nodes, key=lambda node: self.nodes[node][1])
        number = {node: k for k, node in enumerate(order)}
        edges = sorted((number[a], number[b], relation) for (a, b), relation in self.edges.items())
        return tuple(self.nodes[n][0] for n in order), tuple(edges), tuple(self.nodes[n][1] for n in order)


# -- reading -------------------------------------------------------------------------------------------------------
def readings(report: str) -> set:
    """Every meaning of a report, by exhaustive search.

    Args:
        report: The text.

    Returns:
        Distinct (node labels, edges, spans), see `Meaning.graph`; empty if the text is not of the language.
    """
    found, text = set(), report.removesuffix(".")
    for statements in _statements(text, 0, "start"):
        meaning = Meaning()
        try:
            for kind, args in statements:
                meaning.state(kind, args)
        except UnclearError:
            continue
        found.add(meaning.graph())
    return found


FIRST = ("fault", "two faults", "cause and effect", "effect and cause")
NEXT = {"start": ("note", "machine", *FIRST), "note": ("machine", *FIRST), "machine": ("machine's fault", *FIRST)}
REST = tuple(kind for kind in SENTENCES if kind not in ("note", "machine", "machine's fault", *FIRST))


def _statements(text: str, at: int, last: str) -> Iterator[list]:
    if at == len(text) and last != "start":
        yield []
        return
    for kind in NEXT.get(last, REST):
        for sentence in SENTENCES[kind]:
            for end, args in _match(_parts(sentence), 0, text, at):
                if end > at:
                    for rest in _statements(text, end, kind):
                        yield [(kind, args), *rest]


@cache
def _parts(sentence: str) -> tuple[str, ...]:
    """Literals and slots: ". {M} it" -> (". ", "{M}", " it")."""
    return tuple(filter(None, re.split(r"(\{\w\})", sentence)))


def _slots(sentence: str) -> list[str]:
    return [part[1] for part in _parts(sentence) if part[0] == "{"]


def _match(parts: tuple[str, ...], k: int, text: str, at: int) -> Iterator[tuple[int, list]]:
    if k == len(parts):
        yield at, []
    elif not parts[k].startswith("{"):
        if text.startswith(parts[k], at):
            yield from _match(parts, k + 1, text, at + len(parts[k]))
    else:
        for end, value in SLOTS[parts[k][1]](text, at):
            for final, args in _match(parts, k + 1, text, end):
                yield final, [value, *args]


class Words:
    """Phrases with what they mean, found at a place of a text."""

    def __init__(self, phrases: list[tuple[str, str]]):
        self.by_letter: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for phrase, meaning in dict.fromkeys(phrases):
            self.by_letter[phrase[0]].append((phrase, meaning))

    def __call__(self, text: str, at: int) -> Iterator[tuple[int, str]]:
        for phrase, meaning in self.by_letter.get(text[at : at + 1], ()):
            if text.startswith(phrase, at):
                yield at + len(phrase), meaning


def _words(*names: str) -> Words:
    return Words([(word, fault) for fault, forms in FORMS.items() for name in names for word in getattr(forms, name)])


MACHINES = Words([(name, one) for one in LINE for name in NAMES[one]])
PIECES = Words([(name, one) for one in NAMES if one not in LINE for name in NAMES[one]])
ADJECTIVES, PREDICATES, DOES, DOING = (
    _words("adjectives"),
    _words("adjectives", "after"),
    _words("verbs"),
    _words("doing"),
)
NOUNS = Words([(noun, fault) for fault, forms in FORMS.items() for _, noun, _ in forms.nouns])
NOUNS_ON = Words(
    [(f"{noun} {on} ", (fault, len(noun))) for fault, forms in FORMS.items() for _, noun, on in forms.nouns]
)
MEASURES = [Words([(one.split("/")[k], name) for name, verbs in VERBS.items() for one in verbs]) for k in range(3)]


def _after(text: str, at: int, *options: str) -> Iterator[int]:
    yield from (at + len(one) for one in options if text.startswith(one, at))


def _components(text: str, at: int) -> Iterator[tuple[int, ComponentPhrase]]:
    for start in _after(text, at, "", "the "):
        for end, machine in MACHINES(text, start):
            yield end, ComponentPhrase(machine, (start, end))
            for middle in _after(text, end, " "):
                for last, part in PIECES(text, middle):
                    yield last, ComponentPhrase(machine, (start, end), part, (middle, last))
        for end, part in PIECES(text, start):
            yield end, ComponentPhrase(part=part, part_at=(start, end))
            for middle in _after(text, end, *(on + the for on in ON for the in ("", "the "))):
                for last, machine in MACHINES(text, middle):
                    yield last, ComponentPhrase(machine, (middle, last), part, (start, end))


def _clauses(text: str, at: int) -> Iterator[tuple[int, FaultPhrase]]:
    for end, named in (*_components(text, at), *((end, ComponentPhrase()) for end in _after(text, at, "it"))):
        for start in _after(text, end, " "):
            yield from ((final, phrase._replace(of=named)) for final, phrase in _predicates(text, start))
    yield from _nouns(text, at)


def _predicates(text: str, at: int) -> Iterator[tuple[int, FaultPhrase]]:
    """What can follow a component; the component is left out in the result."""
    for start in _after(text, at, *COPULAS):
        for words in (PREDICATES, DOING):
            yield from (
                (end, FaultPhrase(ComponentPhrase(), fault, (start, end))) for end, fault in words(text, start)
            )
    yield from ((end, FaultPhrase(ComponentPhrase(), fault, (at, end))) for end, fault in DOES(text, at))


def _nouns(text: str, at: int) -> Iterator[tuple[int, FaultPhrase]]:
    """ "wear on the belt", and "wear" alone for that of the component named last."""
    for start in _after(text, at, *ARTICLES):
        for end, (fault, length) in NOUNS_ON(text, start):
            place = start, start + length
            yield from ((final, FaultPhrase(named, fault, place)) for final, named in _components(text, end))
        yield from ((end, FaultPhrase(ComponentPhrase(), fault, (start, end))) for end, fault in NOUNS(text, start))


def _noun_phrases(text: str, at: int) -> Iterator[tuple[int, FaultPhrase]]:
    yield from _nouns(text, at)
    for start in _after(text, at, *ARTICLES):
        for end, fault in ADJECTIVES(text, start):
            for after in _after(text, end, " "):
                if not text.startswith("the ", after):
                    yield from (
                        (final, FaultPhrase(named, fault, (start, end))) for final, named in _components(text, after)
                    )
    for end, named in _components(text, at):
        for start in _after(text, end, " "):
            yield from ((final, FaultPhrase(named, fault, (start, final))) for final, fault in DOING(text, start))


def _left_out(text: str, at: int) -> Iterator[tuple[int, FaultPhrase]]:
    yield from _predicates(text, at)
    yield from ((end, FaultPhrase(ComponentPhrase(), fault, (at, end))) for end, fault in NOUNS(text, at))


def _denied(text: str, at: int) -> Iterator[tuple[int, ComponentPhrase]]:
    for start, _ in NOUNS_ON(text, at):
        yield from _components(text, start)


def _pattern(pattern: str) -> Callable[[str, int], Iterator[tuple[int, None]]]:
    return lambda text, at: ((at + len(found[0]), None) for found in [re.compile(pattern).match(text, at)] if found)


def _verb(k: int) -> Callable[[str, int], Iterator[tuple[int, MeasurePhrase]]]:
    return lambda text, at: ((end, MeasurePhrase(measure, (at, end))) for end, measure in MEASURES[k](text, at))


SLOTS = {
    "C": _clauses, "N": _noun_phrases, "E": _left_out, "P": _components, "M": _verb(0), "G": _verb(1), "B": _verb(2),
    "O": _denied, "A": ADJECTIVES, "T": _pattern(r"\d\d:\d\d"), "D": _pattern(r"\d+"), "L": _pattern(r"\d"),
}  # fmt: skip
CONTENT = {**dict.fromkeys("CNE", "fault"), **dict.fromkeys("PO", "component"), **dict.fromkeys("MGB", "measure")}


# -- writing -------------------------------------------------------------------------------------------------------
@cache
def causes() -> tuple[dict[Fault, list[Fault]], dict[Fault, list[Fault]]]:
    """The rule book's causes of each fault, and its effects."""

    def fault(name: str, machine: str) -> Fault:
        *owner, label = name.split(": ")
        return ((owner[0], None) if machine == "line" else (machine, owner[0] if owner else None)), label

    rules = {name: [rule.split(" > ") for rule in listed] for name, listed in _lists(_BOOK["causes"]).items()}
    pairs = [
        (((machine, part), cause), ((machine, part), effect))
        for machine in LINE for part in PARTS[machine] for cause, effect in rules["part"]
    ]  # fmt: skip
    pairs += [(fault(a, name), fault(b, name)) for name, some in rules.items() if name != "part" for a, b in some]
    for up, down in itertools.pairwise(LINE):
        pairs += [(((up, None), stop), ((down, None), "starved")) for stop in ("jammed", "stopped")]
        pairs += [(((down, None), stop), ((up, None), "backed up")) for stop in ("jammed", "stopped", "slow")]
    reasons, effects = defaultdict(list), defaultdict(list)
    for cause, effect in dict.fromkeys(pairs):
        if _possible(*cause) and _possible(*effect):
            reasons[effect].append(cause)
            effects[cause].append(effect)
    return dict(reasons), dict(effects)


def measures(fault: Fault) -> list[str]:
    """What may help against a fault at its component."""
    (machine, part), label = fault
    kinds = {part} if part else {machine, "machine"}
    found = [one for one in MEASURES_FOR[label] if one not in ONLY_FOR or kinds & set(ONLY_FOR[one])]
    return found or [MEASURES_FOR[label][0]]


def _possible(component: Component, fault: str) -> bool:
    return fault in FAULTS_OF[component[1] or component[0]]


def _slot_kind(content: Fault | Component | str) -> str:
    return "measure" if isinstance(content, str) else "fault" if isinstance(content[0], tuple) else "component"


class Writer:
    """Writes one report, statement by statement; `meaning` keeps what it means so far."""

    def __init__(self, choose: random.Random, faults: set[Fault]):
        self.choose, self.faults, self.text, self.meaning = choose, faults, "", Meaning()
        self.articles, self.copulas = choose.choice((0.0, 0.1, 0.8)), choose.choice((0.0, 0.2, 0.9))
        self.machine: str | None = None  # named last in the text, as `component`
        self.component: Component | None = None
        self.explicit = False  # whether the next component needs its name, and its machine's
        self.kind = self.last = ""  # of this statement, and of the one before
        self.names: dict[str, str] = {}  # an operator rarely changes the name of a component
        self.slots = {
            "C": self._clause, "N": self._noun_phrase, "E": self._left_out, "P": self._component,
            "M": partial(self._verb, k=0), "G": partial(self._verb, k=1), "B": partial(self._verb, k=2),
            "O": self._absent_noun, "A": self._absent_adjective, "T": self._time, "D": self._number,
            "L": lambda _: self._put(str(choose.randint(1, 4))),
        }  # fmt: skip

    def say(self, kind: str, *contents: Fault | Component | str) -> None:
        """Add a statement on these faults, components and measures; UnclearError if no sentence can take them."""
        self.kind, kinds = kind, sorted(map(_slot_kind, contents))
        fitting = [one for one in SENTENCES[kind] if sorted(CONTENT[s] for s in _slots(one) if s in CONTENT) == kinds]
        if self.last in (*SILENT[1:], *ACTIONS):  # no connective refers to the fault before
            fitting = [one for one in fitting if one[0] in ".;" or (self.last in ACTIONS and kind == "denied")]
        if "fault" in kinds and any(one[1] not in EVENTS for one in contents if _slot_kind(one) == "fault"):
            fitting = [one for one in fitting if not one.endswith(OFTEN)]
        before = len(self.text), self.machine, self.component
        for sentence in self.choose.sample(fitting, len(fitting)):
            left, args = list(contents), []
            try:
                for part in _parts(sentence):
                    if part[0] != "{":
                        self.text += part
                        continue
                    takes = CONTENT.get(part[1])
                    content = next((one for one in left if _slot_kind(one) == takes), None)
                    if takes:
                        left.remove(content)
                    args.append(self.slots[part[1]](content))
            except UnclearError:  # this sentence has no words for it
                length, self.machine, self.component = before
                self.text = self.text[:length]
                continue
            if kind in SILENT:
                _, self.machine, self.component = before
                self.explicit = True  # another machine may have been named
            self.meaning.state(kind, args)
            self.last = kind
            return
        raise UnclearError

    def _put(self, text: str) -> Span:
        self.text += text
        return len(self.text) - len(text), len(self.text)

    def _one(self, words: Sequence) -> Any:
        if not words:
            raise UnclearError
        return self.choose.choice(words)

    def _the(self) -> None:
        self.text += "the " * (self.choose.random() < self.articles)

    def _name(self, one: str) -> Span:
        name = self._one(NAMES[one])
        return self._put(name if self.choose.random() < 0.1 else self.names.setdefault(one, name))

    def _component(self, component: Component, article: bool = True) -> ComponentPhrase:
        machine, part = component
        if article and self.kind != "machine":
            self._the()
        known = machine is None or (machine == self.machine and not self.explicit and self.choose.random() < 0.85)
        self.machine, self.component, self.explicit = machine, component, False
        if part is None:
            return ComponentPhrase(machine, self._name(machine))
        if known:
            return ComponentPhrase(part=part, part_at=self._name(part))
        if self.choose.random() < 0.5:
            at = self._name(machine)
            self.text += " "
            return ComponentPhrase(machine, at, part, self._name(part))
        at = self._name(part)
        self.text += self._one(ON[:2])
        self._the()
        return ComponentPhrase(machine, self._name(machine), part, at)

    def _clause(self, fault: Fault) -> FaultPhrase:
        component, label = fault
        ways = [name for name in Forms._fields[:-1] if getattr(FORMS[label], name)]
        if not ways or (FORMS[label].nouns and self.choose.random() < 0.12):
            return self._noun(fault)
        way = self._one(ways)
        pronoun = component == self.component and not self.explicit and self.choose.random() < 0.7
        named = ComponentPhrase() if pronoun else self._component(component)
        self.text += "it " if pronoun else " "
        if way != "verbs" and (pronoun or self.choose.random() < self.copulas):
            self.text += self._one(COPULAS[1:])
        return FaultPhrase(named, label, self._put(self._one(getattr(FORMS[label], way))))

    def _noun(self, fault: Fault) -> FaultPhrase:
        component, label = fault
        article, noun, preposition = self._one(FORMS[label].nouns)
        self.text += article * (self.articles > 0.5)
        at = self._put(noun)
        if component == self.component and not self.explicit:
            return FaultPhrase(ComponentPhrase(), label, at)
        self.text += f" {preposition} "
        return FaultPhrase(self._component(component), label, at)

    def _noun_phrase(self, fault: Fault) -> FaultPhrase:
        component, label = fault
        way = self._one([name for name in ("adjectives", "doing", "nouns") if getattr(FORMS[label], name)])
        if way == "nouns":
            return self._noun(fault)
        word = self._one(getattr(FORMS[label], way))
        if way == "doing":
            named = self._component(component)
            self.text += " "
            return FaultPhrase(named, label, self._put(word))
        if self.choose.random() < self.articles:
            self.text += self._one(("the ", "an " if word[0] in "aeiou" else "a "))
        at = self._put(word)
        self.text += " "
        return FaultPhrase(self._component(component, article=False), label, at)

    def _left_out(self, fault: Fault) -> FaultPhrase:
        component, label = fault
        forms = FORMS[label]
        words = (*forms.after, *forms.verbs, *forms.doing, *(noun for _, noun, _ in forms.nouns))
        return FaultPhrase(
            ComponentPhrase(), label, self._put(self._one(words if component == self.component else ()))
        )

    def _verb(self, measure: str, k: int) -> MeasurePhrase:
        return MeasurePhrase(measure, self._put(self._one(VERBS[measure]).split("/")[k]))

    def _absent_noun(self, component: Component) -> None:
        _, noun, preposition = self._one([one for one in self._absent(component, "nouns") if one[1][:3] != "no "])
        self.text += f"{noun} {preposition} "
        self._component(component)

    def _absent_adjective(self, _: None) -> None:
        self.text += self._one(self._absent(self.component, "adjectives"))

    def _absent(self, component: Component, form: str) -> list:
        """Words for faults that the component can have and has not."""
        labels = [label for label in FAULTS_OF[component[1] or component[0]] if (component, label) not in self.faults]
        return [word for label in labels for word in getattr(FORMS[label], form)]

    def _time(self, _: None) -> None:
        self.text += f"{self.choose.randrange(24):02}:{self.choose.randrange(0, 60, 5):02}"

    def _number(self, _: None) -> None:
        self.text += str(self.choose.choice((1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 45, 60, 90)))


def draw_report(choose: random.Random) -> tuple[str, tuple]:
    """One report with its meaning, see `Meaning.graph`; UnclearError if this draw cannot be written."""
    reasons, _ = causes()
    nameless = choose.random() < 0.12  # no machine is named
    faults, plan = _incident(choose, [one for one in reasons if one[0][1] or not nameless])
    also, more = [], []
    if nameless:
        if len({machine for (machine, _), _ in faults}) > 1 or not all(part for (_, part), _ in faults):
            raise UnclearError
        faults, plan = [_nameless(one) for one in faults], [(kind, *map(_nameless, one)) for kind, *one in plan]
    elif choose.random() < 0.3:
        also, ((_, first), *more) = _incident(choose, list(reasons), small=True)
        more = [("other fault", first), *more]
    writer = Writer(choose, {*faults, *also})
    if choose.random() < 0.3:
        writer.say("note")
    if not nameless and choose.random() < 0.3:
        (kind, fault, *_), *following = plan
        writer.say("machine", (fault[0][0], None))
        if kind == "fault" and fault[0][1] is None and choose.random() < 0.7:
            plan = [("machine's fault", fault), *following]
    for statement, after in zip(plan, [*plan[1:], ("",)]):
        writer.say(*statement)
        if after[0] in ("cause", "effect") and choose.random() < 0.15:
            _deny(writer)
    for statement in more:
        writer.say(*statement)
    if choose.random() < 0.3:
        _deny(writer)
    labels = [label for label, _ in writer.meaning.nodes.values()]
    if choose.random() < 0.15 and len(writer.meaning.focus) == 1:
        (fault,) = writer.meaning.focus
        named = writer.last in SILENT or choose.random() < 0.4
        measure = choose.choice([one for one in (*measures(fault), "replace") if one not in labels] or ["adjust"])
        writer.say("planned", measure, *[fault[0]] * named)
    for _ in range(choose.choice((0, 0, 1, 1, 2))):
        writer.say("remark")
    edges = writer.meaning.edges.items()
    tried = [(fault, writer.meaning.nodes[to][0]) for (fault, to), kind in edges if kind in (FIXED, NOT_FIXED)]
    if len(set(tried)) < len(tried):  # one measure twice
        raise UnclearError
    return writer.text + "." * (choose.random() < 0.5), writer.meaning.graph()


def _nameless(content: Fault | Component | str) -> Fault | Component | str:
    """The same without a machine."""
    if _slot_kind(content) == "fault":
        return (None, content[0][1]), content[1]
    return content if isinstance(content, str) else (None, content[1])


def _incident(choose: random.Random, starts: list[Fault], small: bool = False) -> tuple[list[Fault], list[tuple]]:
    """Faults of one chain of causes, and the statements that report it."""
    reasons, effects = causes()
    last = choose.choice(starts)
    weights = (2, 4, 0, 0, 0) if small else (2, 6, 4, 2, 2)
    (shape,) = choose.choices(("one", "pair", "chain", "two causes", "two effects"), weights)
    if shape == "two effects":
        root = choose.choice(list(effects))
        faults = [root, *_two(choose, effects[root])]
        plan = [("fault", root), ("two effects", *faults[1:])]
    elif shape == "two causes":
        faults, root = [*_two(choose, reasons[last]), last], None
        ways = [("fault", last), ("two causes", *faults[:2])], [("two faults", *faults[:2]), ("joint effect", last)]
        plan = list(choose.choice(ways))
    else:
        faults = [last]
        for _ in range(("one", "pair", "chain").index(shape)):
            faults.insert(0, choose.choice(reasons.get(faults[0]) or [last]))
        root = faults[0]
        if len(set(faults)) < len(faults):
            raise UnclearError
        if choose.random() < 0.6:  # from the effect back
            plan = [("fault", last), *(("cause", one) for one in faults[-2::-1])]
        else:
            plan = [("fault", root), *(("effect", one) for one in faults[1:])]
        if choose.random() < 0.3 and len(faults) > 1 and not small:
            (_, one), (kind, other), *rest = plan
            plan = [("cause and effect" if kind == "effect" else "effect and cause", one, other), *rest]
    measured = _fixed(choose, faults, plan, root)
    if plan[0][0] == "fault" and len(plan) > 1 and not small and choose.random() < 0.2:  # before the cause is known
        plan.insert(1, _tried(choose, plan[0][1]))
    return faults, [*plan, *measured]


def _two(choose: random.Random, some: list[Fault]) -> list[Fault]:
    if len(some) < 2:
        raise UnclearError
    return choose.sample(some, 2)


def _tried(choose: random.Random, fault: Fault) -> tuple[str, str]:
    if fault[1] == "jammed" and choose.random() < 0.6:
        return "fix", "clear"
    return "vain", "restart" if choose.random() < 0.2 else choose.choice(measures(fault))


def _fixed(choose: random.Random, faults: list[Fault], plan: list[tuple], root: Fault | None) -> list[tuple]:
    """What was done at the end."""
    kind, *focus = plan[-1]
    focus = focus[1:] if kind in ("cause and effect", "effect and cause") else focus
    if choose.random() < 0.2:
        return []
    common = [one for one in measures(focus[0]) if one in measures(focus[-1])]
    if len(focus) == 2 and common and (focus[0][1] == focus[1][1] or choose.random() < 0.35):
        return [(choose.choice(("fix both", "fix both", "vain both")), choose.choice(common))]
    target = focus[0] if len(focus) == 1 and choose.random() < 0.5 else root or choose.choice(faults)
    named = [target] != focus or choose.random() < 0.35
    if named and [one for one in faults if one[0] == target[0]] != [target]:  # it would be another fault's
        raise UnclearError
    kinds = ["fix"] if choose.random() < 0.7 else ["vain", "fix"] if choose.random() < 0.6 else ["vain"]
    useful = measures(target)
    chosen = choose.sample(useful, min(len(kinds), len(useful)))
    return [(f"{kind}{' of' * named}", measure, *[target[0]] * named) for kind, measure in zip(kinds, chosen)]


def _deny(writer: Writer) -> None:
    """Add a statement on what is in order."""
    choose, known = writer.choose, list(dict.fromkeys(component for component, _ in writer.meaning.history))
    if known[0][0] is None:  # no machine is named
        raise UnclearError
    machine = writer.machine if choose.random() < 0.7 else choose.choice(LINE)
    component = machine, choose.choice((None, *PARTS[machine], *PARTS[machine]))
    if choose.random() < 0.5:
        writer.say("absent", component if choose.random() < 0.6 else choose.choice(known))
    elif component in {one for one, _ in writer.faults} or component in {(one[0], None) for one in known}:
        raise UnclearError
    else:
        writer.say("denied", component)


def reports(count: int, seed: int = 0) -> Iterator[tuple[str, tuple]]:
    """Yield different reports with their meaning; each has one reading, and no graph comes more than twice.

    Args:
        count: Number of reports.
        seed: Equal seeds yield equal reports.

    Yields:
        The report, and its meaning: node labels, edges (from, to, relation) and spans, in the order of the text.
    """
    choose, seen, written = random.Random(seed), set(), defaultdict(int)
    while count:
        try:
            report, meaning = draw_report(choose)
        except UnclearError:
            continue
        key = canonical(*meaning[:2])
        if report in seen or written[key] == 2 or not MIN_NODES <= len(meaning[0]) <= MAX_NODES or len(report) > 240:
            continue
        if readings(report) != {meaning}:
            continue
        seen.add(report)
        written[key] += 1
        count -= 1
        yield report, meaning


def canonical(labels: tuple[str, ...], edges: tuple[tuple[int, int, str], ...]) -> tuple:
    """A form that equal graphs share: each node is named by its label and by what it belongs to."""
    names = {k: (label,) for k, label in enumerate(labels)}
    for relation in (PART_OF, HAS):  # a part by its machine, a fault by its component
        for a, b, kind in edges:
            if kind == relation:
                one, owner = (a, b) if kind == PART_OF else (b, a)
                names[one] = (*names[owner], labels[one])
    for node in range(len(labels)):  # a measure by its faults
        faults = sorted((kind, names[a]) for a, b, kind in edges if b == node and kind in (FIXED, NOT_FIXED))
        if faults:
            names[node] = (labels[node], *faults)
    return tuple(sorted(map(repr, names.values()))), tuple(
        sorted(repr((kind, names[a], names[b])) for a, b, kind in edges)
    )


def broken_rules(labels: tuple[str, ...], edges: tuple[tuple[int, int, str], ...]) -> list[str]:
    """Check a graph against the rule book.

    Args:
        labels: Node labels.
        edges: (from, to, relation), with positions in the labels.

    Returns:
        One sentence per broken rule; empty for a graph that the rules allow.
    """
    found = []
    owners = {b: a for a, b, kind in edges if kind == HAS}
    machines = {a: b for a, b, kind in edges if kind == PART_OF}
    for k, label in enumerate(labels):
        into = [kind for _, b, kind in edges if b == k]
        if label in FORMS and into.count(HAS) != 1:
            found.append(f"The fault {label!r} belongs to {into.count(HAS)} components.")
        if label in VERBS and not {FIXED, NOT_FIXED} & set(into):
            found.append(f"No fault is fixed by {label!r}, or tried to be.")
        if label not in NAMES and label not in FORMS and label not in VERBS:
            found.append(f"{label!r} is no component, fault or measure.")

    def component(fault: int) -> list[Component]:
        owner = owners.get(fault)
        if owner is None:
            return []
        if labels[owner] in PARTS:
            return [(labels[owner], None)]
        some = [labels[machines[owner]]] if owner in machines else [m for m in LINE if labels[owner] in PARTS[m]]
        return [(machine, labels[owner]) for machine in some]

    reasons = causes()[0]
    for a, b, kind in edges:
        allowed = {
            HAS: labels[a] in NAMES and labels[b] in FAULTS_OF[labels[a]],
            PART_OF: labels[a] in PARTS.get(labels[b], ()),
            CAUSES: any(
                (one, labels[a]) in reasons.get((other, labels[b]), ())
                for one in component(a)
                for other in component(b)
            ),
            FIXED: labels[a] in FORMS and labels[b] in MEASURES_FOR[labels[a]],
            NOT_FIXED: labels[a] in FORMS and labels[b] in (*MEASURES_FOR[labels[a]], "restart"),
        }
        if not allowed.get(kind, False):
            found.append(f"{labels[a]!r} {kind} {labels[b]!r} is not in the rule book.")
    return found


def node_link(labels: tuple[str, ...], edges: tuple[tuple[int, int, str], ...]) -> str:
    """networkx's node-link format as one line of JSON; the ids of nodes are their positions."""
    nodes = [{"id": k, "label": label} for k, label in enumerate(labels)]
    links = [{"source": a, "target": b, "label": relation} for a, b, relation in edges]
    return json.dumps({"directed": True, "nodes": nodes, "edges": links}, separators=(",", ":"))


def build(path: str | Path, count: int = COUNT, seed: int = 0) -> None:
    """Write the gzipped csv with the columns report, graph (node-link JSON) and spans, and its sha256 beside it.

    Args:
        path: File to write.
        count: Number of reports.
        seed: Seed of `reports`.

    Raises:
        OSError: If `path` cannot be written; an older file is unchanged.
    """
    path, text = Path(path), io.StringIO()
    rows = (
        (report, node_link(labels, edges), json.dumps(spans))
        for report, (labels, edges, spans) in reports(count, seed)
    )
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    content = gzip.compress(text.getvalue().encode(), 9, mtime=0)  # reproducible bytes
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    line = f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"
    write_atomically(path.with_name("faults.sha256"), lambda temporary: temporary.write_text(line))


def main():
    """Rebuild the shipped csv."""
    parser = argparse.ArgumentParser(description="Rebuild the reports of faults.")
    parser.add_argument("--out", type=Path, default=FILE, help="file to write (default: %(default)s)")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()

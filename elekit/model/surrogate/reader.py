"""How h reads its inputs: their normal form, what it refuses, and how much of an input it knows.

h maps any input to the sphere, even one unlike everything it was trained on. A reader records what the training
inputs hold, and limits that come from held-out inputs (conformal quantiles). An input beyond a limit is unsure.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from elekit.graphs import _schema
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.smiles import is_molecular, parse_smiles
from elekit.model.surrogate.tokens import MAX_TOKENS, TOKEN_PATTERNS, Tokenizer, check_texts

UNSURE_SHARE = 0.05  # of inputs like those of calibration, at most this share exceeds a limit
READS = ("auto", "smiles", "verbatim")
SMILES_SHARE = 0.95  # of the first texts, if so many are valid SMILES, the column holds SMILES
SMILES_CHECKED = 1_000
SHOWN = 5  # unknown tokens in a message
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST = 5  # letters of an unknown word that may be a misspelled known one
MOST_UNKNOWN = 0.99  # share; an input of which h knows nothing is unsure, whatever calibration held
FARTHEST = 1e6  # standard deviations; h of values far beyond is not finite
END = -1  # before the first and after the last token
SMILES_TOKEN = re.compile(r"\[.*\]|Br|Cl|%\d\d|[BCNOSPFIbcnosp\d()=#$:/\\.@+*~-]")
UNITS = {"word": "words", "character": "characters", "smiles": "symbols"}  # what the tokens of a level are called
REASONS: dict[str, Callable[[float, float, str], str]] = {
    "unknown": lambda x, limit, unit: f"{x:.0%} of its {unit} are unknown to h (limit {limit:.1%})",
    "unseen": lambda x, limit, unit: f"{x:.0%} of its pairs of {unit} are unknown to h (limit {limit:.1%})",
    "deviation": lambda x, limit, _: f"a value lies {x:.3g} standard deviations from the mean (limit {limit:.3g})",
    "loss": lambda x, limit, _: f"no graph lies near h(x), the learned loss is {x:.3f} (limit {limit:.3f})",
}  # by measure: the description of a value above its limit


@dataclass(frozen=True)
class Reading:
    """One input as h reads it.

    Args:
        value: The normal form that h reads.
        refused: Why h does not read the input; "" if it does.
        dropped: What the normal form leaves out, such as "stereochemistry".
        unknown: Distinct tokens that no training input has, in order.
        respelled: For unknown words that are one typo away from exactly one known word, that word.
        measures: Value of each measure of `REASONS`, except the loss.
        limits: Largest value of each measure that is not unsure.
        unit: What the tokens are called.
    """

    value: Any
    refused: str = ""
    dropped: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    respelled: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    unit: str = "tokens"

    def doubt(self, loss: float | None = None) -> str:
        """Explain why an answer is unsure: the input is refused, or unlike those that h was calibrated on.

        Args:
            loss: Learned loss between h(x) and the decoded graph, in [0, 4]; None if nothing was decoded.

        Returns:
            The reasons in one line; "" if no limit is exceeded.
        """
        if self.refused:
            return self.refused
        found = {**self.measures, **({} if loss is None else {"loss": loss})}
        limits = dict(self.limits)
        if "unknown" in limits:
            limits["unknown"] = min(limits["unknown"], MOST_UNKNOWN)
        over = [name for name, limit in limits.items() if name in found and not found[name] <= limit]
        if "unknown" in over and "unseen" in over:
            over.remove("unseen")  # an unknown token is in two unknown pairs
        reasons = {name: REASONS[name](found[name], limits[name], self.unit) for name in over}
        if "unknown" in reasons:
            named = f"{reasons['unknown']}: {self.describe_unknown()}"
            reasons["unknown"] = named if self.unknown else f"it holds no {self.unit}"
        return "; ".join(reasons.values())

    def describe_unknown(self) -> str:
        """List the first unknown tokens, with the words they are read as.

        Returns:
            For example "'sulfanyl', 'flouro' (read as 'fluoro') and 2 more".
        """
        shown = [
            f"{token[:40]!r}" + (f" (read as {self.respelled[token]!r})" if token in self.respelled else "")
            for token in self.unknown[:SHOWN]
        ]
        return ", ".join(shown) + (f" and {len(self.unknown) - SHOWN} more" if len(self.unknown) > SHOWN else "")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What h knows about its inputs; a subclass for each format. limits: see `Reading`."""

    limits: Mapping[str, float] = field(default_factory=dict)
    calibrated_on: int = 0  # inputs

    def read(self, inputs: Any) -> list[Reading]:
        """Read inputs one by one.

        Args:
            inputs: B inputs.

        Returns:
            B readings.

        Raises:
            ValueError: If the inputs are of another kind, such as numbers in place of texts.
        """
        raise NotImplementedError

    def collect(self, values: list[Any]) -> Any:
        """Values of readings as a batch that h reads."""
        return values

    def calibrated(self, readings: Sequence[Reading], losses: Tensor | None = None) -> Self:
        """Set the limits: of inputs like these, at most `UNSURE_SHARE` exceed any of them.

        Args:
            readings: n readings of inputs that h was not trained on; refused ones are ignored.
            losses: (n,) learned losses of the graphs decoded from them; None sets no limit for the loss.

        Returns:
            A copy of the reader.
        """
        rows = [row for row, one in enumerate(readings) if not one.refused]
        if not rows:
            return self
        table = {name: [readings[row].measures[name] for row in rows] for name in readings[rows[0]].measures}
        if losses is not None:
            table["loss"] = losses[rows].tolist()
        rank = math.ceil((len(rows) + 1) * (1 - UNSURE_SHARE / len(table)))  # of few inputs, the largest value
        limits = {name: float(np.sort(column)[min(rank, len(rows)) - 1]) for name, column in table.items()}
        return replace(self, limits=limits, calibrated_on=len(rows))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `reader_from_json`."""
        fields = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {"format": next(name for name, kind in FORMATS.items() if kind is type(self)), **fields}


@dataclass(frozen=True, kw_only=True)
class TextReader(Reader):
    """Reads texts by tokens.

    Args:
        level: How texts are split, a key of `TOKEN_PATTERNS`.
        tokens: Tokens of the training inputs.
        followers: For each token and, last, for the beginning of a text: numbers of the tokens that follow it in
            training inputs, -1 = the end. None if not recorded.
        spelling: Read an unknown word of at least 5 letters as the known word one typo away, if there is exactly one.
            It still counts as unknown, since it may be another word.
    """

    level: str = "word"
    tokens: Sequence[str] = ()
    followers: Sequence[Sequence[int]] | None = None
    spelling: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokenizer", Tokenizer(self.level, tuple(self.tokens)))
        object.__setattr__(self, "_number", {token: i for i, token in enumerate(self.tokens)})
        object.__setattr__(self, "_longest", max(map(len, self.tokens), default=0))
        after = None if self.followers is None else [frozenset(numbers) for numbers in self.followers]
        if after is not None and len(after) != len(self.tokens) + 1:
            raise ValueError(
                f"{len(self.tokens)} tokens need {len(self.tokens) + 1} sets of followers, got {len(after)}"
            )
        object.__setattr__(self, "_after", after)

    @classmethod
    def from_texts(cls, texts: Sequence[str], level: str, **fields: Any) -> Self:
        """Record the tokens of training inputs, and which follow each other."""
        tokenizer = Tokenizer.from_texts(level, texts)
        number = {token: i for i, token in enumerate(tokenizer.tokens)}
        after: list[set[int]] = [set() for _ in range(len(number) + 1)]
        for text in texts:
            path = [number[token] for token in tokenizer.split(text)]
            for one, following in zip([END, *path], [*path, END]):
                after[one].add(following)
        return cls(level=level, tokens=tokenizer.tokens, followers=[sorted(numbers) for numbers in after], **fields)

    def read(self, inputs: Any) -> list[Reading]:
        if not isinstance(inputs, (str, Sequence)) and isinstance(inputs, Iterable):
            inputs = list(inputs.to_numpy() if hasattr(inputs, "to_numpy") else inputs)  # rows, not column names
        check_texts(inputs)
        return [self._read(text) for text in inputs]

    def _read(self, text: str, dropped: tuple[str, ...] = ()) -> Reading:
        split, number = self._tokenizer.split(text), self._number  # type: ignore[attr-defined]
        if len(split) > MAX_TOKENS:
            return Reading(text, f"{len(split):,} {UNITS[self.level]}, at most {MAX_TOKENS:,} are read")
        unknown = tuple(dict.fromkeys(token for token in split if token not in number))
        measures = {"unknown": sum(token not in number for token in split) / len(split) if split else 1.0}
        respelled = {token: known for token in unknown if self.spelling and (known := self._respelled(token))}
        if respelled:
            split = [respelled.get(token, token) for token in split]
            text = TOKEN_PATTERNS[self.level].sub(lambda m: respelled.get(m[0].lower(), m[0]), text)
        path = [number.get(token) for token in split]
        if (after := self._after) is not None:  # type: ignore[attr-defined]
            pairs = zip([END, *path], [*path, END])
            unseen = sum(a is None or b is None or b not in after[a] for a, b in pairs)
            measures["unseen"] = unseen / (len(path) + 1)
        return Reading(text, "", dropped, unknown, respelled, measures, self.limits, UNITS[self.level])

    def _respelled(self, word: str) -> str | None:
        """The only known word that one typo turns into this one; None if there is none or several."""
        longest: int = self._longest  # type: ignore[attr-defined]
        if not SHORTEST <= len(word) <= longest + 1 or not word.isalpha():
            return None
        cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        found = {a + b[1:] for a, b in cuts if b} | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
        found |= {a + c + b[skip:] for a, b in cuts for c in LETTERS for skip in (0, 1)}
        known = [other for other in found if other in self._number and len(other) >= SHORTEST]  # type: ignore[attr-defined]
        return known[0] if len(known) == 1 else None


@dataclass(frozen=True, kw_only=True)
class SmilesReader(TextReader):
    """Reads SMILES in the canonical form of their graphs, so that a molecule has one answer however it is written.

    Stereochemistry, isotopes, atom maps, explicit hydrogens and names are left out, as in graphs. Refused: what is no
    molecule, or has other or more atoms than the training inputs.

    Args:
        atoms: Node labels of the training inputs.
        max_atoms: Largest number of atoms of a training input.
    """

    level: str = "smiles"
    atoms: Sequence[str] = ()
    max_atoms: int = 0

    @classmethod
    def from_smiles(cls, inputs: Sequence[str]) -> Self:
        """Record the training inputs that are molecules; raises ValueError if none is."""
        parsed = [one for text in inputs if not (one := parse_smiles(text)).error]
        if not parsed:
            first = parse_smiles(inputs[0]).error
            raise ValueError(
                f"none of {len(inputs)} training inputs is a molecule; the first, {inputs[0][:80]!r}: {first}"
            )
        atoms = sorted({label for one in parsed for label in one.nodes})
        largest = max(len(one.nodes) for one in parsed)
        return cls.from_texts([one.canonical for one in parsed], "smiles", atoms=tuple(atoms), max_atoms=largest)

    def _read(self, text: str, dropped: tuple[str, ...] = ()) -> Reading:
        parsed = parse_smiles(text)
        refused = parsed.error
        if strange := sorted(set(parsed.nodes).difference(self.atoms)):
            refused = f"atoms unknown to h: {', '.join(strange)}; it knows {', '.join(self.atoms)}"
        elif len(parsed.nodes) > self.max_atoms:
            refused = f"{len(parsed.nodes)} atoms, h knows up to {self.max_atoms}"
        return Reading(text, refused) if refused else super()._read(parsed.canonical, parsed.dropped)


@dataclass(frozen=True, kw_only=True)
class ValueReader(Reader):
    """Reads vectors and images; measures how far values lie from those of the training inputs.

    Args:
        mean, scale: Mean and standard deviation of each of F training values; scale 1 where a value is constant.
    """

    mean: Sequence[float] = ()
    scale: Sequence[float] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale):
            raise ValueError(f"a reader of {len(self.mean)} values has {len(self.scale)} scales")

    @classmethod
    def from_values(cls, inputs: Tensor) -> Self:
        values = inputs.float().flatten(1)
        mean, scale = values.mean(0), values.std(0, correction=0)
        scale = torch.where(scale > 1e-6 * mean.abs(), scale, torch.ones_like(scale))
        return cls(mean=mean.tolist(), scale=scale.tolist())

    def read(self, inputs: Any) -> list[Reading]:
        try:
            with np.errstate(over="ignore"):
                values = torch.as_tensor(inputs if torch.is_tensor(inputs) else np.asarray(inputs, np.float32))
            flat = values.float().flatten(1)
        except (ValueError, TypeError, IndexError):
            raise ValueError(f"inputs must be rows of {len(self.mean)} numbers, got {repr(inputs)[:60]}") from None
        if flat.shape[1] != len(self.mean):
            raise ValueError(f"inputs must be (B, {len(self.mean)}), got {tuple(values.shape)}")
        away = ((flat.cpu() - torch.tensor(self.mean)) / torch.tensor(self.scale)).abs().amax(1).tolist()
        return [
            Reading(row, self._reason_to_refuse(far), measures={"deviation": far}, limits=self.limits)
            for row, far in zip(values.float(), away)
        ]

    def _reason_to_refuse(self, far: float) -> str:
        if not math.isfinite(far):
            return "holds NaN or infinity"
        return f"a value lies {far:.0e} standard deviations from the mean" if far > FARTHEST else ""

    def collect(self, values: list[Any]) -> Any:
        return torch.stack(values)


FORMATS: dict[str, type[Reader]] = {"text": TextReader, "smiles": SmilesReader, "values": ValueReader}


_NUMBERS = _schema.items(_schema.whole(END, 10**6), 10**6)
_SHARE = _schema.number(0, 1)
_LIMITS = {"unknown": _SHARE, "unseen": _SHARE, "deviation": _schema.number(0), "loss": _schema.number(0, 4)}
READER_SCHEMA = _schema.fields(
    {"format": _schema.one_of(*FORMATS)},
    {
        "limits": _schema.fields({}, _LIMITS),
        "calibrated_on": _schema.whole(0, 2**63),
        "level": _schema.one_of(*TOKEN_PATTERNS),
        "tokens": _schema.items(_schema.text(100_000), 10**6),
        "followers": _schema.maybe(_schema.items(_NUMBERS, 10**6)),
        "spelling": _schema.one_of(True, False),
        "atoms": _schema.items(_schema.text(), 1_000),
        "max_atoms": _schema.whole(0, 10**6),
        "mean": _schema.items(_schema.number(), 10**7),
        "scale": _schema.items(_schema.number(1e-30, 1e30), 10**7),
    },
)


def make_reader(inputs: Any, vocabulary: GraphVocabulary, reads: str = "auto") -> Reader | None:
    """The reader for training inputs; None if they are neither texts nor numbers.

    reads: of `READS`. "auto" means SMILES if the graphs are molecules and 95 % of the texts are valid SMILES.
    "verbatim" changes nothing of an input.
    """
    if reads not in READS:
        raise ValueError(f"reads must be one of {READS}, got {reads!r}")
    if torch.is_tensor(inputs):
        return ValueReader.from_values(inputs)
    if not all(isinstance(text, str) for text in inputs):
        return None
    words = holds_words(inputs)
    if reads == "smiles" or (reads == "auto" and not words and is_molecular(vocabulary) and _mostly_smiles(inputs)):
        return SmilesReader.from_smiles(inputs)
    level = "word" if words else "character"
    return TextReader.from_texts(inputs, level, spelling=words and reads == "auto")


def holds_words(texts: Sequence[str]) -> bool:
    """Whether texts consist of words; a column of SMILES does not, even if a name follows each after a blank."""
    some = [text.split() for text in texts[:SMILES_CHECKED]]
    if all(len(parts) < 2 for parts in some):
        return False
    return any(len(parts) > 2 for parts in some) or not _mostly_smiles(texts)


def _mostly_smiles(texts: Sequence[str]) -> bool:
    some = texts[:SMILES_CHECKED]
    try:
        return sum(not parse_smiles(text).error for text in some) >= SMILES_SHARE * len(some)
    except ModuleNotFoundError:  # without RDKit nothing is read as SMILES
        return False


def misspell(text: str, rate: float, generator: torch.Generator) -> str:
    """A text with typos: each letter is left out, replaced, doubled by another, or swapped with the one before it."""
    if not rate:
        return text
    kinds = (torch.rand(len(text), generator=generator) / rate * 4).tolist()  # below 4: a typo of this kind
    others = torch.randint(len(LETTERS), (len(text),), generator=generator).tolist()
    typed: list[str] = []
    for letter, kind, other in zip(text, kinds, others):
        if kind >= 4 or not letter.isalpha():
            typed.append(letter)
        elif kind >= 3 and typed:
            typed.insert(-1, letter)
        elif kind >= 1:
            typed += LETTERS[other] if kind < 2 else [letter, LETTERS[other]]
    return "".join(typed)


def reader_of_tokens(level: str, tokens: Sequence[str], vocabulary: GraphVocabulary) -> TextReader:
    """The reader of an h that was saved without one: any unknown token is unsure."""
    limits = {"unknown": 0.0}
    if level == "smiles" and is_molecular(vocabulary) and all(SMILES_TOKEN.fullmatch(token) for token in tokens):
        return SmilesReader(
            tokens=tokens, atoms=vocabulary.node_labels, max_atoms=vocabulary.max_nodes, limits=limits
        )
    return TextReader(level=level, tokens=tokens, limits=limits)


def reader_from_json(values: Mapping[str, Any]) -> Reader:
    """The reader that `to_json` described."""
    fields = dict(values)
    return FORMATS[fields.pop("format")](**fields)

"""Sentences of CoNLL-U files (universaldependencies.org/format.html) as dependency trees."""

import re
from collections.abc import Iterator
from typing import Any

import networkx as nx

from elekit.graphs.graph import short

COLUMNS = 10
ID = re.compile(r"([1-9]\d{0,6})(?:-([1-9]\d{0,6}))?|\d{1,7}\.\d{1,7}")
BLANKS = re.compile(r"\s*")
SHOWN = 8  # words in a reason

Row = dict[str, Any]


class _BrokenError(Exception):
    """A sentence that is no tree, or not in the format; its text is the reason to skip it."""


def sentences(text: str, *, subtypes: bool = True) -> Iterator[tuple[Row, str]]:
    """Parse a CoNLL-U file.

    Yields, for each sentence, a row and the reason to skip it ("" = valid). A row has `text`, `graph` (a tree of
    networkx), `spans` (places of the words in the text), `sent_id` (or the line) and `left_out` (what is not kept).
    """
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*re.split(r"\r\n|\n|\r", text), ""], 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield _sentence(block, subtypes)
            block = []


def _sentence(block: list[tuple[int, str]], subtypes: bool) -> tuple[Row, str]:
    comments = [line[1:].partition("=") for _, line in block if line.startswith("#")]
    named = {name.strip(): value.strip() for name, mark, value in comments if mark}
    text, name = named.get("text", ""), named.get("sent_id", f"line {block[0][0]}")
    row: Row = {"text": text, "graph": None, "spans": None, "sent_id": name, "left_out": ""}
    try:
        words, tokens = _words([(number, line) for number, line in block if not line.startswith("#")])
        row["graph"] = _tree(words, subtypes)
    except _BrokenError as broken:
        return row, str(broken)
    forms = [word[1] for word in words]
    spans = _places(text, forms, tokens)
    if spans is None:
        row["left_out"] = "a text that does not have these words" if text else ""
        row["text"] = "".join(form + " " * space for form, _, _, space in tokens).strip()
        spans = _places(row["text"], forms, tokens)
    row["spans"] = spans
    return row, "" if spans else "words of blanks only"


Token = tuple[str, int, int, bool]  # its text, its words from-to, and whether a blank follows


def _words(lines: list[tuple[int, str]]) -> tuple[list[list[str]], list[Token]]:
    """Words as their columns, and the tokens of the text: a multiword token ("don't") is that of its words.

    Empty nodes ("8.1") belong to enhanced dependencies, not to the tree, and are left out.
    """
    words: list[list[str]] = []
    tokens: list[Token] = []
    for number, line in lines:
        columns = line.rstrip("\r\n").split("\t")
        if len(columns) != COLUMNS:
            fix = "" if "\t" in line else "; separate them by tabs"
            raise _BrokenError(f"a line has other than {COLUMNS} columns: line {number} has {len(columns)}{fix}")
        found = ID.fullmatch(columns[0])
        if not found:
            raise _BrokenError(f"no ID of a word: {short(columns[0], 20)} in line {number}")
        if "." in columns[0]:
            continue
        first, last = int(found[1]), int(found[2] or found[1])
        inside = bool(tokens) and first <= tokens[-1][2]  # a word of the multiword token before
        if first != len(words) + 1 or last < first or (inside and found[2]):
            raise _BrokenError(f"IDs out of order: {columns[0]} in line {number}, {len(words) + 1} is the next word")
        if not inside:
            tokens.append((columns[1], first, last, "SpaceAfter=No" not in columns[9].split("|")))
        if not found[2]:
            words.append(columns)
    if not words:
        raise _BrokenError("no words")
    if tokens[-1][2] != len(words):
        raise _BrokenError(f"IDs out of order: the last token ends with word {tokens[-1][2]} of {len(words)}")
    return words, tokens


def _tree(words: list[list[str]], subtypes: bool) -> nx.DiGraph:
    """Nodes are words with their parts of speech, edges go from heads to dependents; the root has no head."""
    tree: nx.DiGraph = nx.DiGraph()
    roots, n = list[int](), len(words)
    for i, (_, _, _, tag, _, _, head, relation, _, _) in enumerate(words, 1):
        for value, what in ((tag, "part of speech"), (head, "head"), (relation, "relation")):
            if value in ("_", ""):
                raise _BrokenError(f"a word has no {what}: word {i}")
        if not re.fullmatch(r"\d{1,7}", head) or int(head) > n:
            raise _BrokenError(f"a head does not exist: {short(head, 20)} for word {i} of {n}")
        tree.add_node(i - 1, label=tag)
        if int(head) == 0:
            roots.append(i)
    for i, columns in enumerate(words):
        if columns[6].strip("0"):
            label = columns[7] if subtypes else columns[7].partition(":")[0]
            tree.add_edge(int(columns[6]) - 1, i, label=label)
    if len(roots) > 1:
        raise _BrokenError(f"more than one root: words {_listed(roots)}")
    if not roots:
        raise _BrokenError("no root")
    if missing := set(tree) - {roots[0] - 1} - nx.descendants(tree, roots[0] - 1):
        cycle = nx.find_cycle(tree.subgraph(missing))
        raise _BrokenError(f"heads form a cycle: words {_listed(sorted(i + 1 for i, _ in cycle))}")
    return tree


def _listed(words: list[int]) -> str:
    return ", ".join(map(str, words[:SHOWN])) + ", ..." * (len(words) > SHOWN)


def _places(text: str, forms: list[str], tokens: list[Token]) -> list[tuple[int, int] | None] | None:
    """Where the words are in the text; None if the text does not consist of these tokens."""
    places: list[tuple[int, int] | None] = []
    at = 0
    for token, first, last, _ in tokens:
        at = _after_blanks(text, at)
        if not token.strip() or not text.startswith(token, at):
            return None
        places += _shares(at, token, forms[first - 1 : last])
        at += len(token)
    return places if _after_blanks(text, at) == len(text) else None


def _after_blanks(text: str, at: int) -> int:
    blanks = BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _shares(at: int, token: str, forms: list[str]) -> list[tuple[int, int] | None]:
    """Places of the words of one token: its letters in turn, by equal shares if the words are spelt otherwise.

    None for a word that would get no letter.
    """
    if "".join(forms) == token:
        ends = [len("".join(forms[: k + 1])) for k in range(len(forms))]
    else:
        ends = [len(token) * (k + 1) // len(forms) for k in range(len(forms))]
    starts = [0, *ends[:-1]]
    return [(at + start, at + end) if start < end else None for start, end in zip(starts, ends)]

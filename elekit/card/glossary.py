"""Definitions of terms for readers without machine learning; fixed texts that state nothing about any one loss."""

import re

from markupsafe import Markup

from elekit.card.texts import TEXTS

TERMS: dict[str, str] = TEXTS["glossary"]
TITLES = {"holds in": "stability mark"}  # terms with another title in the glossary
ENDINGS = {"Kekulé form": "Kekul[eé] forms?", "loss": "loss(?:es)?", "exact": "exact(?:ly)?"}


def anchor_of(term: str) -> str:
    """The id of a term on the page."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


_WORDS = {ENDINGS.get(term, re.escape(term) + "s?"): term for term in sorted(TERMS, key=len, reverse=True)}
_ANY = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({pattern})' for pattern in _WORDS)})(?![\w-])")
_LINK = Markup('<a class="term" href="#{}">{}</a>')


def linked(text: str, known: set[str]) -> Markup:
    """A text with a link at the first use of each term that is not in `known`; the linked terms are added to it."""
    parts, end = [], 0
    for found in _ANY.finditer(text):
        term = list(_WORDS.values())[(found.lastindex or 1) - 1]
        if term not in known:
            known.add(term)
            parts += [text[end : found.start()], _LINK.format(anchor_of(term), found[0])]
            end = found.end()
    return Markup("").join([*parts, text[end:]])


def glossary() -> list[tuple[str, str, str]]:
    """(title, id, definition) of all terms, in alphabetical order."""
    listed = [(TITLES.get(term, term), anchor_of(term), text) for term, text in TERMS.items()]
    return sorted(listed, key=lambda entry: entry[0].lower())

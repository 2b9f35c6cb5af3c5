"""Definitions of terms for readers without machine learning; fixed texts that state nothing about any one loss."""

import re

from markupsafe import Markup

TERMS = {
    "loss": "A number that measures how wrong one answer is in place of another: 0 for the same, larger for worse. Whoever "
    "chooses the loss chooses what counts as a good prediction. Here it was learned from examples.",
    "learned loss": "A loss that was not written by hand. A network maps every graph to a point on a sphere; the loss between two graphs is "
    "the squared distance of their points, from 0 to 4.",
    "graph": "Things and the connections between them. A molecule is a graph of atoms and bonds.",
    "node": "One of the things in a graph; in a molecule, an atom.",
    "edge": "A connection between two nodes; in a molecule, a bond.",
    "ring": "A closed path along edges, such as the six bonds of benzene.",
    "typical change": "The unit of comparison: the median price over the kinds of single changes.",
    "price": "What a single change of a graph costs: the loss between the graph before and after it.",
    "median": "The value in the middle: half of all values are smaller, half are larger.",
    "95 % interval": "How sure a figure is. If everything were measured again on other examples of the same kind, the figure "
    "would be expected to lie in such an interval 19 times out of 20.",
    "training": "Showing examples to a network until it has learned what they have in common. Chance plays a part: another "
    "training on the same examples gives a slightly different loss.",
    "holds in": "How stable a statement is: losses from other trainings were measured in the same way, and the statement was "
    "true of this many. Only a statement that holds in all trainings needs no caveat.",
    "prediction": "The answer for an input: the input is mapped to a point on the sphere, and the graph whose point is "
    "nearest is searched for.",
    "exact": "The prediction is the true graph, up to the order in which its nodes are written down.",
    "valid": "The prediction can exist by the rules of chemistry as the RDKit library checks them.",
    "edit distance": "The fewest single changes that turn one graph into another.",
    "true point": "The point of the true answer on the sphere. Starting there shows what could be reached if every input "
    "were understood perfectly.",
    "decoding": "Going from a point on the sphere back to a graph.",
    "gradient descent": "A search that starts from a blurred graph and changes it, step by step, in the direction in which the "
    "loss falls fastest.",
    "beam": "How many half-finished answers a search keeps at a time: more find more and take longer.",
    "blind spot": "Two different graphs at nearly the same point: predictions may confuse them at no cost.",
    "defect": "Something that no sound loss does, such as a price that depends on the numbering of the atoms.",
    "digest": "A fingerprint of a file or of data: if a single letter changes, so does the digest.",
    "held out": "Kept away from training, so that a test on it is fair.",
    "rank correlation": "How well two ways to measure agree on which of two cases is the larger: 1 always, 0 no better than "
    "chance, -1 never.",
    "probe": "A simple test of whether a property can be read off the points on the sphere.",
    "control": "The same test with a property that means nothing. A probe counts only as far as it beats its control.",
    "Kekulé form": "One of the ways to draw the double bonds of an aromatic ring. They are the same molecule.",
    "SMILES": "A molecule written as a line of text: C#N is carbon bound to nitrogen by three bonds.",
}
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

"""What words mean, for readers who know no machine learning; fixed texts that say nothing about any one loss."""

import re

from elekit.card.elements import Html, element, joined_html

TERMS = {
    "loss": "A number that says how wrong one answer is in place of another: 0 for the same, larger for worse. Whoever "
    "chooses the loss chooses what counts as a good prediction. Here it was learned from examples.",
    "learned loss": "A loss that nobody wrote down. A network places every graph on a sphere; the loss between two graphs is "
    "the squared distance of their places, from 0 to 4.",
    "graph": "Things and what ties them together. A molecule is a graph of atoms and bonds.",
    "node": "One of the things in a graph; in a molecule, an atom.",
    "edge": "What ties two nodes together; in a molecule, a bond.",
    "ring": "A closed way along edges, such as the six bonds of benzene.",
    "typical change": "A yardstick: the price in the middle, when the kinds of single changes are ordered by their price.",
    "price": "What a single change of a graph costs: the loss between the graph before and after it.",
    "median": "The value in the middle: half of all values are smaller, half are larger.",
    "95 % interval": "How sure a figure is. If everything were measured again on other examples of the same kind, the figure "
    "would be expected to lie in such an interval 19 times out of 20.",
    "training": "Showing examples to a network until it has learned what they have in common. Chance plays a part: another "
    "training on the same examples gives a slightly different loss.",
    "holds in": "A mark of how stable a statement is: the same question was put to losses from other trainings, and the "
    "statement was true of so many of them. Only what holds in all trainings may be said without a caveat.",
    "prediction": "The answer that is made for an input: the input becomes a point on the sphere, and the graph whose place "
    "lies nearest to that point is looked for.",
    "exact": "The prediction is the true graph, up to the order in which its nodes are written down.",
    "valid": "The prediction can exist by the rules of chemistry as the RDKit library checks them.",
    "edit distance": "The fewest single changes that turn one graph into another.",
    "true point": "The place of the true answer on the sphere. Starting from there shows what could be reached if every input "
    "were understood perfectly.",
    "decoding": "Going from a point on the sphere back to a graph.",
    "gradient descent": "A search that starts from a blurred graph and changes it, step by step, in the direction in which the "
    "loss falls fastest.",
    "beam": "How many half-finished answers a search keeps at a time: more find more and take longer.",
    "blind spot": "Two different graphs at nearly the same place: predictions may confuse them and the loss will not mind.",
    "defect": "Something that no sound loss does, such as a price that depends on the order in which atoms are numbered.",
    "digest": "A fingerprint of a file or of data: if a single letter changes, so does the digest.",
    "held out": "Kept away from training, so that a test on it is fair.",
    "rank correlation": "How well two ways to measure agree on which of two cases is the larger: 1 always, 0 no better than "
    "chance, -1 never.",
    "probe": "A simple test of whether a property can be read off the places on the sphere.",
    "control": "The same test with a property that means nothing. A probe counts only as far as it beats its control.",
    "Kekulé form": "One of the ways to draw the double bonds of an aromatic ring. They are the same molecule.",
    "SMILES": "A molecule written as a line of text: C#N is carbon tied to nitrogen by three bonds.",
}  # fmt: skip
ALIKE = {"holds in": "stable mark"}  # shown under another heading
ENDINGS = {"Kekulé form": "Kekul[eé] forms?", "loss": "loss(?:es)?", "exact": "exact(?:ly)?"}


def anchor_of(term: str) -> str:
    """The id of a term on the page."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


_WORDS = {ENDINGS.get(term, re.escape(term) + "s?"): term for term in sorted(TERMS, key=len, reverse=True)}
_ANY = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({pattern})' for pattern in _WORDS)})(?![\w-])")


def linked(text: str, known: set[str]) -> Html:
    """A text with a link at the first use of each term, unless it is among `known`, which grows by those linked."""
    parts, end = [], 0
    for found in _ANY.finditer(text):
        term = list(_WORDS.values())[found.lastindex - 1]
        if term in known:
            continue
        known.add(term)
        parts += [text[end : found.start()], element("a", found[0], class_="term", href=f"#{anchor_of(term)}")]
        end = found.end()
    return joined_html([*parts, text[end:]])


def glossary() -> Html:
    """All terms, in alphabetical order."""
    listed = sorted((ALIKE.get(term, term), term) for term in TERMS)
    parts = []
    for name, term in sorted(listed, key=lambda entry: entry[0].lower()):
        parts += [element("dt", name, id=anchor_of(term)), element("dd", TERMS[term])]
    return element("dl", *parts, class_="glossary")

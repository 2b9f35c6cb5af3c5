"""Numbers, counts and graphs as text."""

import math

from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import is_molecular, to_smiles


def percent(share: float) -> str:
    """ "97 %"; one more digit below 10 %, and never "100 %" for less than all."""
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def figure(value: float) -> str:
    """A loss or a ratio in two to three digits."""
    digits = ".0f" if abs(value) >= 10 else ".2f" if abs(value) >= 0.1 or value == 0 else ".2g"
    return f"{value:{digits}}"


def significant(value: float) -> str:
    """Two significant digits and all digits before the point, without an exponent: "0.0034", "0.40", "2.3", "120"."""
    if abs(value) < 5e-7:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(abs(float(f"{value:.1e}")))))
    return f"{value:.{digits}f}"


def loss_words(loss: float, edit: float | None) -> str:
    """A loss in prices of a typical edit ("2.3 edits"); as it is ("loss 0.12") where that price is not known."""
    return f"{significant(loss / edit)} edits" if edit else f"loss {significant(loss)}"


def joined(words: list[str], last: str = "and") -> str:
    """ "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def counted(number: int, noun: str) -> str:
    """ "1 graph", "1,200 graphs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_article(noun: str) -> str:
    """ "a bond", "an aromatic bond"."""
    return f"{'an' if noun[:1].lower() in tuple('aeiou') else 'a'} {noun}"


def things(molecular: bool) -> dict[str, str]:
    """Nouns for graphs and their parts."""
    if molecular:
        return {"graph": "molecule", "node": "atom", "edge": "bond", "label": "element"}
    return {"graph": "graph", "node": "node", "edge": "edge", "label": "label"}


def graph_names(graphs: GraphBatch) -> list[str]:
    """Display names: SMILES of molecules, sizes of other graphs."""
    if is_molecular(graphs.vocabulary):
        return [smiles or "no valid molecule" for smiles in to_smiles(graphs)]
    packed = PackedGraphs.of(graphs)
    counts = zip(packed.sizes.tolist(), packed.pair_offsets.diff().tolist())
    return [f"a graph of {counted(n, 'node')} and {counted(e, 'edge')}" for n, e in counts]

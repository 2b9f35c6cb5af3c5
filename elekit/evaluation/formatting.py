"""Numbers, counts and graphs as text."""

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

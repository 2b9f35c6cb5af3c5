"""Scores of predicted structures by their parts: entities and relations of a text, words and arcs of a sentence."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from elekit.graphs.graph import EdgeList, GraphBatch, GraphVocabulary, to_edge_lists

Part = Hashable


def relation_scores(predicted: GraphBatch, truth: GraphBatch) -> dict[str, float]:
    """Compare the entities (nodes) and relations (edges) of predicted and true graphs, whatever the order of nodes.

    An entity is the label of a node; a relation is the label of an edge with the labels of its two ends, in the order
    of the edge if it has a direction. An entity or relation that a graph has several times counts as often.

    Args:
        predicted: B graphs; rounded.
        truth: B graphs; rounded.

    Returns:
        entity_f1 and relation_f1, in [0, 1]: micro averages, over the parts of all graphs.

    Raises:
        ValueError: If the numbers of graphs differ.
    """
    pairs = _pairs(predicted, truth)
    directed = _directed_names(truth.vocabulary)
    entities = [(nodes, true_nodes) for (nodes, _), (true_nodes, _) in pairs]
    relations = [tuple(_relations(graph, directed) for graph in pair) for pair in pairs]
    return {"entity_f1": micro_f1(entities), "relation_f1": micro_f1(relations)}


def tree_scores(predicted: GraphBatch, truth: GraphBatch) -> dict[str, float]:
    """Compare dependency trees word by word; node i is the i-th word of its sentence.

    The head of a word is the node that its edge comes from; the root has none, and a word with several has no right
    one. In a sentence with another number of words than the truth, every word counts as wrong.

    Args:
        predicted: B directed graphs; rounded.
        truth: B directed trees; rounded.

    Returns:
        Shares in [0, 1]: pos (words with the right label), uas and las (words with the right head, without and with
        the label of the edge), exact_trees (sentences in which all of this is right).

    Raises:
        ValueError: If the numbers of graphs differ, or if edges have no direction.
    """
    if not truth.vocabulary.directed:
        raise ValueError("heads of words need directed graphs, these are undirected")
    words = labels = heads = arcs = exact = 0
    pairs = _pairs(predicted, truth)
    for (nodes, edges), (true_nodes, true_edges) in pairs:
        words += len(true_nodes)
        if len(nodes) != len(true_nodes):
            continue
        found, true = _arcs(len(nodes), edges), _arcs(len(nodes), true_edges)
        labels += (right := sum(map(str.__eq__, nodes, true_nodes)))
        heads += sum([i for i, _ in one] == [i for i, _ in other] for one, other in zip(found, true))
        arcs += (right_arcs := sum(one == other for one, other in zip(found, true)))
        exact += right == right_arcs == len(nodes)
    shares = {"pos": labels / max(1, words), "uas": heads / max(1, words), "las": arcs / max(1, words)}
    return {**shares, "exact_trees": exact / max(1, len(pairs))}


def micro_f1(pairs: Iterable[Sequence[Iterable[Part]]]) -> float:
    """F1 of the parts of all pairs together, each part as often as it occurs.

    Args:
        pairs: Predicted and true parts, for each of any number of graphs.

    Returns:
        2 * right / (predicted + true), in [0, 1]; 1 if there are no parts at all.
    """
    right = total = 0
    for one, other in pairs:
        found, true = Counter(one), Counter(other)
        right += (found & true).total()
        total += found.total() + true.total()
    return 2 * right / total if total else 1.0


def _pairs(predicted: GraphBatch, truth: GraphBatch) -> list[tuple[EdgeList, EdgeList]]:
    if len(predicted) != len(truth):
        raise ValueError(f"predictions are compared pair by pair, got {len(predicted)} for {len(truth)} true graphs")
    return list(zip(to_edge_lists(predicted), to_edge_lists(truth)))


def _directed_names(vocabulary: GraphVocabulary) -> frozenset[str]:
    return frozenset(vocabulary.edge_labels[r - 1] for r in vocabulary.directed_labels)


def _relations(graph: EdgeList, directed: frozenset[str]) -> list[Part]:
    nodes, edges = graph
    ends = (([nodes[i], nodes[j]], label) for i, j, label in edges)
    return [(*(pair if label in directed else sorted(pair)), label) for pair, label in ends]


def _arcs(n: int, edges: Iterable[tuple[int, int, str]]) -> list[list[tuple[int, str]]]:
    """The (head, label) of each of n words; none at the root."""
    found: list[list[tuple[int, str]]] = [[] for _ in range(n)]
    for i, j, label in edges:
        found[j].append((i, label))
    return [sorted(one) for one in found]

"""Losses in prices of a typical edit, and graphs drawn over one another."""

import numpy as np
import pytest
import torch
from conftest import random_vertices
from hypothesis import given
from hypothesis import strategies as st

from elekit.draw.layouts import layout, present_nodes
from elekit.evaluation.formatting import loss_words, significant
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import from_smiles, molecule_vocabulary
from elekit.widgets.alignment import aligned


@given(st.floats(1e-5, 1e5))
def test_two_significant_digits_are_kept(value):
    text = significant(value)
    assert "e" not in text and float(text) == pytest.approx(value, rel=0.051)
    digits = text.replace(".", "").lstrip("0")
    assert len(digits) == 2 if value < 99.5 else len(digits) >= 2
    assert significant(-value) == f"-{text}"


def test_examples():
    assert [significant(v) for v in (0, 1e-9, 0.0034, 0.4, 0.996, 2.34, 12.3, 123.4)] == [
        "0", "0", "0.0034", "0.40", "1.0", "2.3", "12", "123",
    ]  # fmt: skip
    assert loss_words(0.5, 0.25) == "2.0 edits" and loss_words(0.5, None) == "loss 0.50" == loss_words(0.5, 0.0)


def rebuilt(scene, vocabulary):
    nodes = torch.tensor([scene["nodes"]])
    edges = torch.zeros(1, len(scene["nodes"]), len(scene["nodes"]), dtype=torch.long)
    for i, j, channel in scene["edges"]:
        edges[0, i, j], edges[0, j, i] = channel, vocabulary.reverse[channel]
    return Graph.from_labels(nodes, edges, vocabulary)


@pytest.mark.parametrize("directed", [False, True])
def test_an_aligned_graph_is_the_other_graph_and_its_marks_are_the_differences(directed):
    vocabulary = GraphVocabulary(("a", "b", "c"), ("x", "y"), 5, directed=directed)
    graphs = random_vertices(vocabulary, 24, torch.Generator().manual_seed(0))
    for one, other in zip(graphs[:12], graphs[12:]):
        found = aligned(one, other)
        after = rebuilt(found["scene"], vocabulary)
        assert isomorphic(after, other.dense(after.slots()))[0]
        before = one.dense(after.slots())
        (was, links), (now, ties) = (tuple(t[0].tolist() for t in y.labels()) for y in (before, after))
        differ = {(i,) for i in range(len(was)) if was[i] != now[i]}
        differ |= {(i, j) for i in range(len(was)) for j in range(i) if links[i][j] != ties[i][j]}
        assert {tuple(sorted(part, reverse=True)) for part, _ in found["marks"]} == differ
        assert (not found["marks"]) == (found["edits"] == []) == (found["words"] == "the same graph")


def test_common_atoms_keep_their_places():
    vocabulary = molecule_vocabulary(("C", "N", "O"), 9)
    one, other = (from_smiles(text, vocabulary) for text in ("CC1CCCCC1", "NC1CCCCC1"))
    places = layout(one)
    found = aligned(one, other, places)
    here = present_nodes(one)
    assert np.allclose(np.array(found["scene"]["positions"])[: len(places)][here], places[here], atol=2e-3)
    assert [kind for _, kind in found["marks"]] == ["changed"] and found["edits"] == ["node 0: C to N"]

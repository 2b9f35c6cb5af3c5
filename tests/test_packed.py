"""Packed graphs against the dense tensors of the same graphs."""

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import equal, isomorphic, padded
from hypothesis import given, settings
from hypothesis import strategies as st
from test_graph_properties import VOCABULARY, graphs

from elekit.graphs import packed
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_edge_lists, to_networkx
from elekit.graphs.packed import PackedGraphs, RelaxedPackedGraphs

few = settings(max_examples=25, deadline=None)
batches = st.integers(0, 5).flatmap(lambda count: graphs(count) if count else graphs(1).map(lambda g: g[:0]))
NAMES = ("offsets", "node_labels", "pairs", "edge_labels")


def same(one: PackedGraphs, other: PackedGraphs) -> bool:
    fields = ((getattr(one, name), getattr(other, name)) for name in NAMES)
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in fields)


@few
@given(batches, st.integers(0, 3))
def test_round_trips_and_digests_do_not_depend_on_free_slots(dense, extra):
    made = PackedGraphs.of(dense).check()
    assert made.sizes.tolist() == (dense.labels()[0] > 0).sum(1).tolist()
    assert same(PackedGraphs.of(padded(dense, extra)), made)
    assert same(PackedGraphs.of(made.dense()), made) and same(PackedGraphs.of(made.relaxed().dense()), made)
    assert same(PackedGraphs.from_edge_lists(to_edge_lists(made), VOCABULARY), made)
    assert to_edge_lists(made) == to_edge_lists(dense)
    assert made.digest() == dense.digest() == padded(dense, extra).digest()
    for one, other in zip(to_networkx(made), to_networkx(dense), strict=True):
        assert isomorphic(one, other)


@few
@given(graphs(6), st.data())
def test_selection_and_concatenation_equal_those_of_dense_graphs(dense, data):
    made, rows = PackedGraphs.of(dense), st.integers(-6, 5)
    index = data.draw(
        st.one_of(
            st.lists(rows, max_size=8).map(lambda r: torch.tensor(r, dtype=torch.long)),
            st.lists(rows, min_size=1, max_size=8),
            st.lists(st.booleans(), min_size=6, max_size=6).map(torch.tensor),
            st.lists(st.booleans(), min_size=6, max_size=6).map(np.array),
            st.builds(slice, st.none() | rows, st.none() | rows),
            rows,
            rows.map(torch.tensor),
        )
    )
    chosen = made[index].check()
    assert same(chosen, PackedGraphs.of(dense[index]))
    assert same(
        PackedGraphs.cat([chosen, made, dense]).check(), PackedGraphs.of(Graph.cat([dense[index], dense, dense]))
    )
    soft = RelaxedPackedGraphs.cat([made.relaxed()[index], made.relaxed()])
    assert equal(soft.dense(5), Graph.cat([chosen.dense(5), made.dense(5)]))


@few
@given(graphs(6), st.integers(1, 4), st.sampled_from((1, 40, 10**6)))
def test_blocks_cover_all_rows_once_within_the_budget(dense, size, values):
    made, seen = PackedGraphs.of(dense), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "BLOCK_VALUES", values)
        for rows, block in made.blocks(size):
            seen += rows.tolist()
            assert len(block) == 1 or (len(block) <= size and block.edges.numel() <= values)
            assert block.nodes.shape[1] == int(made[rows].sizes.max())
            assert same(PackedGraphs.of(block), made[rows])
    assert sorted(seen) == list(range(6)) and made.sizes[seen].tolist() == sorted(made.sizes.tolist())


@few
@given(batches)
def test_averages_and_violations_equal_those_of_dense_graphs(dense):
    made = PackedGraphs.of(dense)
    torch.testing.assert_close(made.valence_violation(), dense.valence_violation())
    if len(dense):
        expected, found = dense.average(), made.average()
        torch.testing.assert_close(found.nodes, expected.nodes)
        torch.testing.assert_close(found.edges, expected.edges)


def test_a_dense_batch_has_a_few_free_slots_within_the_vocabulary():
    chain, vocabulary = from_networkx([nx.path_graph(6), nx.path_graph(2)]), GraphVocabulary(("node",), ("edge",), 8)
    made = PackedGraphs.from_edge_lists(to_edge_lists(chain), vocabulary)
    assert made.dense().nodes.shape[1] == 8 and made[1].dense().nodes.shape[1] == 6
    assert made.dense(6).nodes.shape[1] == 6 and equal(made.dense(6).dense(8), made.dense(8))
    assert equal(made.dense(8).dense(6), made.dense(6))
    for one in (made, made.dense(8)):
        with pytest.raises(ValueError, match="slots"):
            one.dense(5)


def test_a_batch_that_is_too_large_for_dense_tensors_is_refused(monkeypatch):
    made = PackedGraphs.of(from_networkx([nx.path_graph(60)] * 3))
    monkeypatch.setattr(packed, "MAX_VALUES", 2 * 60**2 * 2)
    assert len(made[:2].dense()) == 2
    with pytest.raises(ValueError, match=r"3 graphs in 60 node slots each .* use blocks"):
        made.dense()


def test_pairs_come_in_any_order_and_the_last_of_equal_ones_counts(vocabulary):
    ends, kinds = torch.tensor([[4, 2, 0, 1, 2, 3], [3, 1, 1, 2, 0, 4]]), torch.tensor([1, 1, 2, 2, 1, 0])
    made = PackedGraphs.sorted(torch.tensor([0, 3, 5]), torch.ones(5), ends, kinds, vocabulary).check()
    assert made.pairs.T.tolist() == [[0, 1], [0, 2], [1, 2]] and made.edge_labels.tolist() == [2, 1, 2]


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"offsets": [0, 2, 4]}, "offsets"),
        ({"node_labels": [1, 1, 4, 1, 1]}, "node_labels must lie in 1 to 3, got 1 to 4"),
        ({"edge_labels": [1, 0]}, "edge_labels must lie in 1 to 2, got 0"),
        ({"edge_labels": [1]}, "one pair for each"),
        ({"pairs": [[1, 3], [0, 4]]}, "i < j"),
        ({"pairs": [[3, 0], [4, 1]]}, "sorted"),
        ({"pairs": [[0, 3], [1, 5]]}, "below 5"),
        ({"pairs": [[0, 2], [1, 4]]}, r"\[2, 4\] joins two graphs"),
    ],
)
def test_what_is_no_batch_is_refused(vocabulary, change, problem):
    fields = {"offsets": [0, 3, 5], "node_labels": [1, 2, 3, 1, 1], "pairs": [[0, 3], [1, 4]], "edge_labels": [1, 2]}
    PackedGraphs(*(torch.tensor(fields[name]) for name in NAMES), vocabulary).check()
    with pytest.raises(ValueError, match=problem):
        PackedGraphs(*(torch.tensor({**fields, **change}[name]) for name in NAMES), vocabulary).check()
    with pytest.raises(IndexError):
        PackedGraphs(*(torch.tensor(fields[name]) for name in NAMES), vocabulary)[2]

"""InfoNCE against an explicit loop, and the learned loss."""

import math

import pytest
import torch

from elekit.graphs import projections
from elekit.model.contrastive import info_nce
from elekit.model.loss import LearnedLoss, squared_distance


def units(*shape, seed=0):
    return projections.sphere(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def loop(anchors, positives, t, negatives=None):
    """Both directions, term by term; hard negatives compete with the anchors' own positives only."""
    B, total = len(anchors), 0.0
    for i in range(B):
        forward = [math.exp(anchors[i] @ positives[j] / t) for j in range(B)]
        extra = [math.exp(anchors[i] @ n / t) for n in negatives[i]] if negatives is not None else []
        backward = [math.exp(positives[i] @ anchors[j] / t) for j in range(B)]
        total -= math.log(forward[i] / (sum(forward) + sum(extra))) + math.log(backward[i] / sum(backward))
    return total / (2 * B)


@pytest.mark.parametrize("hard", [0, 3])
@pytest.mark.parametrize("B", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_info_nce_equals_a_loop(B, temperature, hard):
    anchors, positives = units(B, 5), units(B, 5, seed=1)
    negatives = units(B, hard, 5, seed=2) if hard else None
    expected = loop(anchors, positives, temperature, negatives)
    assert info_nce(anchors, positives, temperature, negatives).item() == pytest.approx(expected)


def test_info_nce_is_lowest_for_equal_views_of_distant_graphs():
    apart = torch.eye(4)
    best = info_nce(apart, apart, 0.1)
    assert best < info_nce(apart, apart.roll(1, 0), 0.1)
    assert best < info_nce(torch.ones(4, 4) / 2, torch.ones(4, 4) / 2, 0.1)
    assert info_nce(apart, apart, 0.1, apart[:, None]) > best  # a hard negative on the anchor itself


def test_info_nce_is_symmetric_without_hard_negatives():
    a, p = units(6, 3), units(6, 3, seed=1)
    torch.testing.assert_close(info_nce(a, p, 0.2), info_nce(p, a, 0.2))


def flat_psi(graph):
    """A fixed map to the sphere."""
    flat = torch.cat([graph.nodes.flatten(1), graph.edges.flatten(1)], 1).double()
    weights = torch.randn(flat.shape[1], 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return projections.sphere(flat @ weights)


def test_learned_loss_is_symmetric_zero_on_self_and_in_0_to_4(relaxed, vertices):
    loss = LearnedLoss(flat_psi)
    y, other = relaxed, vertices[: len(relaxed)]
    torch.testing.assert_close(loss(y, other), loss(other, y))
    torch.testing.assert_close(loss(y, y), torch.zeros(len(y)).double())
    assert (loss(y, other) > 0.01).all() and (loss(y, other) <= 4).all()
    opposite = units(3, 5)
    torch.testing.assert_close(loss(opposite, -opposite), torch.full((3,), 4.0).double())


def test_matrix_agrees_with_pairs_and_with_distances(relaxed, vertices):
    loss = LearnedLoss(flat_psi)
    matrix = loss.matrix(relaxed, vertices)
    assert matrix.shape == (len(relaxed), len(vertices))
    for b, y in enumerate(relaxed):
        torch.testing.assert_close(loss(y, vertices), matrix[b])
    torch.testing.assert_close(matrix, torch.cdist(flat_psi(relaxed), flat_psi(vertices)) ** 2)


def test_points_may_replace_graphs(relaxed, vertices):
    loss = LearnedLoss(flat_psi)
    torch.testing.assert_close(loss.matrix(flat_psi(relaxed), vertices), loss.matrix(relaxed, vertices))
    torch.testing.assert_close(
        squared_distance(flat_psi(relaxed), flat_psi(vertices)[:1]), loss(relaxed, vertices[0])
    )


def test_learned_loss_is_differentiable_in_a_graph(relaxed):
    nodes = relaxed.nodes.clone().requires_grad_()
    moved = type(relaxed)(nodes, relaxed.edges, relaxed.vocabulary)
    LearnedLoss(flat_psi)(moved, relaxed[0]).sum().backward()
    assert nodes.grad.abs().sum() > 0 and torch.isfinite(nodes.grad).all()

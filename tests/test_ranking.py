"""Ranks of the truth among candidates, hits and reciprocal ranks."""

import pytest
import torch

from elekit.evaluation.ranking import hits_at, mean_reciprocal_rank, ranks


def test_ranks_count_ties_against_the_truth():
    scores = torch.tensor([[0.1, 0.5, 0.3], [0.2, 0.2, 0.9], [0.0, 0.0, 0.0], [3.0, 1.0, 2.0]])
    assert ranks(scores, torch.tensor([0, 1, 2, 0])).tolist() == [1, 2, 3, 3]
    assert ranks(torch.zeros(1, 1), torch.tensor([0])).tolist() == [1]


def test_ranks_are_positions_in_a_sort():
    scores = torch.rand(50, 20, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(50) % 20
    expected = [row.argsort().tolist().index(t) + 1 for row, t in zip(scores, truth.tolist())]
    assert ranks(scores, truth).tolist() == expected


def test_hits_and_reciprocal_rank_by_hand():
    found = torch.tensor([1, 2, 4, 10])
    assert [hits_at(found, k) for k in (1, 3, 4, 10)] == [0.25, 0.5, 0.75, 1.0]
    assert mean_reciprocal_rank(found) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 10) / 4)


@pytest.mark.parametrize(
    "scores, truth, what",
    [
        (torch.zeros(3), torch.tensor([0]), r"got \(3,\) and \(1,\)"),
        (torch.zeros(2, 3), torch.tensor([0]), r"got \(2, 3\) and \(1,\)"),
        (torch.zeros(1, 3), torch.tensor([3]), r"columns 0\.\.2"),
        (torch.zeros(1, 3), torch.tensor([-1]), r"columns 0\.\.2"),
        (torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), torch.tensor([0, 0]), "row 1 contain NaN"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(scores, truth, what):
    with pytest.raises(ValueError, match=what):
        ranks(scores, truth)


def test_ranks_that_are_none_are_refused():
    for call in (lambda r: hits_at(r, 1), mean_reciprocal_rank):
        for bad in (torch.tensor([0, 1]), torch.tensor([]), torch.ones(2, 2)):
            with pytest.raises(ValueError, match="counted from 1"):
                call(bad)
    with pytest.raises(ValueError, match="k must be"):
        hits_at(torch.tensor([1]), 0)

"""Projections: onto the simplex, symmetric edges, the polytope, the sphere."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from elekit.graphs import projections


def by_enumeration(x):
    """Nearest point of the simplex, trying every support; x (K,) float64."""
    best = None
    for size in range(1, len(x) + 1):
        for support in itertools.combinations(range(len(x)), size):
            p = np.zeros(len(x))
            p[list(support)] = x[list(support)] + (1 - x[list(support)].sum()) / size
            if p.min() >= 0 and (best is None or ((p - x) ** 2).sum() < ((best - x) ** 2).sum()):
                best = p
    return best


def by_quadratic_programme(x, constraints, start):
    solved = minimize(
        lambda p: ((p - x) ** 2).sum(),
        start,
        jac=lambda p: 2 * (p - x),
        bounds=[(0, 1)] * len(x),
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return solved.x


def draws(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("K", [1, 2, 3, 5])
def test_simplex_equals_enumeration_of_supports(K):
    x = draws(50, K)
    expected = np.stack([by_enumeration(row) for row in x.numpy()])
    np.testing.assert_allclose(projections.simplex(x).numpy(), expected, atol=1e-12)


def test_simplex_equals_a_quadratic_programme():
    for x in draws(10, 6).numpy():
        slow = by_quadratic_programme(x, {"type": "eq", "fun": lambda p: p.sum() - 1}, np.full(6, 1 / 6))
        np.testing.assert_allclose(projections.simplex(torch.from_numpy(x)).numpy(), slow, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_simplex_lands_on_the_simplex_and_stays(scale):
    once = projections.simplex(draws(4, 30, 7, scale=scale).float())
    assert once.amin() >= 0
    torch.testing.assert_close(once.sum(-1), torch.ones(4, 30), atol=2e-4, rtol=0)
    torch.testing.assert_close(projections.simplex(once), once, atol=2e-4, rtol=0)


def test_no_random_point_of_the_simplex_is_nearer():
    x = draws(20, 4)
    others = -torch.rand(20, 2000, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64).log()
    others = others / others.sum(-1, keepdim=True)  # uniform on the simplex
    nearest = (projections.simplex(x) - x).norm(dim=-1)
    assert ((others - x[:, None]).norm(dim=-1) >= nearest[:, None] - 1e-12).all()


def test_simplex_of_a_vertex_is_the_vertex():
    assert torch.equal(projections.simplex(torch.eye(5)), torch.eye(5))


def test_simplex_gradient_away_from_kinks():
    x = draws(200, 5)
    shift = x - projections.simplex(x)
    kink = (x - shift.amax(-1, keepdim=True)).abs().amin(-1) < 1e-3  # an entry just entering or leaving the support
    smooth = x[~kink][:10].requires_grad_()
    assert torch.autograd.gradcheck(projections.simplex, smooth)


def test_symmetric_is_symmetric_empty_on_the_diagonal_idempotent():
    edges = projections.symmetric(draws(3, 4, 4, 2))
    assert torch.equal(edges, edges.transpose(1, 2))
    assert torch.equal(edges.diagonal(dim1=1, dim2=2), torch.tensor([[1.0], [0.0]]).double().expand(3, 2, 4))
    assert torch.equal(projections.symmetric(edges), edges)


def test_symmetric_is_nearest_off_the_diagonal():
    edges = draws(3, 3, 2)
    nearest = projections.symmetric(edges)
    for seed in range(50):
        move = draws(3, 3, 2, seed=seed, scale=0.1)
        other = nearest + move + move.transpose(0, 1)
        gap = [((e - edges) ** 2)[~torch.eye(3, dtype=torch.bool)].sum() for e in (nearest, other)]
        assert gap[0] <= gap[1]


def test_polytope_is_the_nearest_point():
    """Against a quadratic programme over all entries of a graph of 3 nodes at once."""
    N, K, R = 3, 2, 3
    nodes, edges = draws(N, K, seed=1, scale=1), draws(N, N, R, seed=2, scale=1)
    x = torch.cat([nodes.flatten(), edges.flatten()]).numpy()

    def taken_apart(p):
        return p[: N * K].reshape(N, K), p[N * K :].reshape(N, N, R)

    def broken(p):
        n, e = taken_apart(p)
        i, j = np.triu_indices(N, 1)
        rows = [n.sum(1) - 1, e[i, j].sum(1) - 1, (e[i, j] - e[j, i]).ravel()]
        return np.concatenate([*rows, (e[range(N), range(N)] - np.eye(R)[0]).ravel()])

    slow = taken_apart(by_quadratic_programme(x, {"type": "eq", "fun": broken}, np.full(len(x), 0.4)))
    for fast, found in zip(projections.polytope(nodes, edges), slow, strict=True):
        np.testing.assert_allclose(fast.numpy(), found, atol=1e-5)


def test_polytope_is_idempotent():
    once = projections.polytope(draws(2, 4, 3), draws(2, 4, 4, 3))
    for first, second in zip(once, projections.polytope(*once), strict=True):
        torch.testing.assert_close(first, second)


def test_sphere_is_the_nearest_unit_vector_and_keeps_zero():
    x = draws(30, 4)
    unit = projections.sphere(x)
    torch.testing.assert_close(unit.norm(dim=-1), torch.ones(30).double())
    others = projections.sphere(draws(30, 500, 4, seed=3))
    assert ((others - x[:, None]).norm(dim=-1) >= (unit - x).norm(dim=-1)[:, None]).all()
    assert torch.equal(projections.sphere(torch.zeros(2, 3)), torch.zeros(2, 3))

"""Step rules: on the simplex, against hand-made projections and torch's own Adam, towards a known optimum."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elekit.decoding.step_rules import RULES, AdamOnLogits, Euclidean, EuclideanAdam, Exponentiated

EVERY = {**RULES, "long": Euclidean(10.0), "plain": Euclidean(0.7, normalized=False, momentum=0.0)}
# settings that suit a quadratic whose rows have gradients of about 1
CALM = {
    "euclidean": Euclidean(0.3, normalized=False, momentum=0.0),
    "heavy ball": Euclidean(0.1, normalized=False, momentum=0.5),
    "normalized": Euclidean(0.02, normalized=True, momentum=0.0),
    "euclidean-adam": EuclideanAdam(0.01),
    "exponentiated": Exponentiated(1.0, normalized=False, momentum=0.0),
    "exponentiated, heavy ball": Exponentiated(0.5, normalized=False, momentum=0.5),
    "adam": AdamOnLogits(0.1),
}


def rows_of(generator, *shape):
    return torch.rand(*shape, generator=generator).softmax(-1)


def projected(x):
    """Simplex projection by bisection on the threshold: `sum max(x - tau, 0) = 1`."""
    low, high = x.amin(-1, keepdim=True) - 1, x.amax(-1, keepdim=True)
    for _ in range(60):
        middle = (low + high) / 2
        above = (x - middle).clamp_min(0).sum(-1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (x - high).clamp_min(0)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 6, 2), (1, 1, 3), (2, 0, 3)], ids=str)
def test_rows_stay_on_the_simplex(name, shape, generator):
    rows, memory = rows_of(generator, *shape), {}
    for t in range(6):
        rows, unprojected = EVERY[name].step(rows, 5 * torch.randn(*shape, generator=generator), memory, t)
        assert rows.shape == shape and torch.isfinite(rows).all() and (rows >= 0).all()
        torch.testing.assert_close(rows.sum(-1), torch.ones(shape[:-1]))
        assert (unprojected is None) == isinstance(EVERY[name], (Exponentiated, AdamOnLogits))


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(EVERY)),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    scale=st.sampled_from([0.0, 1e-12, 1.0, 1e4]),
    vertices=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_rows_stay_on_the_simplex_from_any_start_under_any_gradient(name, shape, scale, vertices, seed):
    generator = torch.Generator().manual_seed(seed)
    rows, memory = rows_of(generator, *shape), {}
    if vertices:
        rows = torch.nn.functional.one_hot(rows.argmax(-1), shape[-1]).float()
    for t in range(5):
        rows, _ = EVERY[name].step(rows, scale * torch.randn(*shape, generator=generator), memory, t)
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(-1), torch.ones(shape[:-1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("normalized", [True, False])
def test_euclidean_is_the_projection_of_the_step(normalized, generator):
    rows, gradient = rows_of(generator, 3, 4, 5).double(), torch.randn(3, 4, 5, generator=generator).double()
    rule = Euclidean(0.4, normalized=normalized, momentum=0.0)
    scale = torch.stack([g.abs().max() for g in gradient]).reshape(3, 1, 1) if normalized else 1
    moved = rows - 0.4 * gradient / scale
    new, unprojected = rule.step(rows, gradient, {}, 0)
    torch.testing.assert_close(unprojected, moved)
    torch.testing.assert_close(new, projected(moved))


@pytest.mark.parametrize("rule", [Euclidean, Exponentiated])
def test_momentum_sums_past_gradients(rule, generator):
    first, second, third = torch.randn(3, 2, 1, 4, generator=generator)
    rows = rows_of(generator, 2, 1, 4)
    heavy, memory = rule(0.1, normalized=False, momentum=0.5), {}
    for t, gradient in enumerate((first, second)):
        heavy.step(rows, gradient, memory, t)
    plain = rule(0.1, normalized=False, momentum=0.0)
    expected, _ = plain.step(rows, third + 0.5 * second + 0.25 * first, {}, 0)
    torch.testing.assert_close(heavy.step(rows, third, memory, 2)[0], expected)


def test_exponentiated_is_multiplicative(generator):
    rows, gradient = rows_of(generator, 3, 4, 5), torch.randn(3, 4, 5, generator=generator)
    new, _ = Exponentiated(0.7, normalized=False, momentum=0.0).step(rows, gradient, {}, 0)
    expected = rows * (-0.7 * gradient).exp()
    torch.testing.assert_close(new, expected / expected.sum(-1, keepdim=True))


@pytest.mark.parametrize("name", EVERY)
def test_a_zero_gradient_moves_nothing(name, generator):
    vertex = torch.nn.functional.one_hot(torch.tensor([[0, 2], [1, 1]]), 3).float()
    for rows in (rows_of(generator, 2, 4, 5), vertex):
        memory, now = {}, rows
        for t in range(3):
            now, _ = EVERY[name].step(now, torch.zeros_like(rows), memory, t)
        torch.testing.assert_close(now, rows, atol=1e-6, rtol=0)


def losses(rows, weight):
    return (weight * (rows - 0.3).square()).sum()


def test_adam_on_logits_is_torch_adam_through_a_softmax(generator):
    rows, weight = rows_of(generator, 2, 3, 4).double().softmax(-1), torch.rand(2, 3, 4, generator=generator).double()
    rule, memory = AdamOnLogits(0.2), {}
    logits = rows.log().requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.2, betas=(rule.beta1, rule.beta2), eps=1e-10)
    for t in range(8):
        at = rows.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(losses(at, weight), at)
        rows, _ = rule.step(rows, gradient, memory, t)
        adam.zero_grad()
        losses(logits.softmax(-1), weight).backward()
        adam.step()
        torch.testing.assert_close(rows, logits.softmax(-1).detach(), atol=1e-9, rtol=1e-9)


def test_euclidean_adam_is_the_projection_of_torch_adam(generator):
    rows, weight = rows_of(generator, 2, 3, 4).double(), torch.rand(2, 3, 4, generator=generator).double()
    rule, memory = EuclideanAdam(0.05), {}
    free = rows.clone().requires_grad_()
    adam = torch.optim.Adam([free], lr=0.05, betas=(rule.beta1, rule.beta2), eps=1e-10)
    for t in range(8):
        at = rows.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(losses(at, weight), at)
        rows, unprojected = rule.step(rows, gradient, memory, t)
        adam.zero_grad()
        losses(free, weight).backward()
        adam.step()
        torch.testing.assert_close(unprojected, free.detach())
        free.data = projected(free.data)
        torch.testing.assert_close(rows, free.detach(), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("where", ["inside", "at a vertex"])
@pytest.mark.parametrize("name", CALM)
def test_a_convex_quadratic_is_descended_to_its_optimum(name, where, generator):
    """`sum w (y - y*)^2 / 2` over rows of simplexes, y* on them."""
    optimum = rows_of(generator, 4, 3, 5)
    if where == "at a vertex":
        optimum = torch.nn.functional.one_hot(optimum.argmax(-1), 5).float()
    weight = 0.5 + torch.rand(4, 3, 5, generator=generator)
    rows, memory, values = (3 * torch.randn(4, 3, 5, generator=generator)).softmax(-1), {}, []
    for t in range(400):
        values.append((weight * (rows - optimum).square()).flatten(1).sum(1) / 2)
        rows, _ = CALM[name].step(rows, weight * (rows - optimum), memory, t)
    assert (values[10] < values[0]).all()
    assert (values[-1] < 0.01 * values[0]).all()


@pytest.mark.parametrize("name", EVERY)
def test_graphs_are_independent(name, generator):
    rows, gradients = rows_of(generator, 3, 2, 4), torch.randn(4, 3, 2, 4, generator=generator)
    together, apart = ({}, rows), [({}, rows[b : b + 1]) for b in range(3)]
    for t, gradient in enumerate(gradients):
        together = together[0], EVERY[name].step(together[1], gradient, together[0], t)[0]
        apart = [(m, EVERY[name].step(y, gradient[b : b + 1], m, t)[0]) for b, (m, y) in enumerate(apart)]
    torch.testing.assert_close(together[1], torch.cat([y for _, y in apart]))


def test_rules_are_values():
    assert RULES["euclidean"] == replace(RULES["euclidean"]) and len(set(RULES.values())) == len(RULES)

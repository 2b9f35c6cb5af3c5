"""The time of a long call: budgets, their parts, Ctrl-C, progress bars."""

import itertools
import signal
import types

import pandas as pd
import pytest
import torch
from conftest import random_vertices

from elekit import audit, inspect
from elekit.graphs import budget
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphVocabulary
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import points_of


@pytest.fixture
def now(monkeypatch):
    """A time that tests move."""
    time = [0.0]
    monkeypatch.setattr(budget, "time", types.SimpleNamespace(monotonic=lambda: time[0]))
    return time


@pytest.fixture(autouse=True)
def own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_parts_share_what_is_left(now):
    clock = Clock(10)
    first = clock.part(1 / 2)
    assert (clock.left, first.left, clock.part(at_most=3).left) == (10, 5, 3)
    now[0] = 2  # the first part needs 2 of its 5 seconds
    assert clock.part(1 / 2).left == 4 and first.left == 3 and not first.over
    now[0] = 10
    assert clock.over and first.over and clock.part().left == 0
    assert Clock().left == Clock().part(1 / 3).left == float("inf")
    assert Clock.of(clock) is clock and Clock.of(3).left == 3 and Clock.of(None).left == float("inf")
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="budget must be seconds above 0"):
            Clock.of(wrong)


def test_a_loop_ends_with_the_budget(now, capsys):
    seen = []
    for item in Clock(3).track(itertools.count(), "items"):
        now[0] += 1
        seen.append(item)
    assert seen == [0, 1, 2] and capsys.readouterr().err == ""
    assert list(Clock().track([1, 2], "items", progress=True)) == [1, 2] and "items" in capsys.readouterr().err


def test_the_first_ctrl_c_ends_the_budget_of_the_whole_call(capsys):
    clock, seen = Clock(), []
    with clock:
        part = clock.part(1 / 2)
        with part:
            for item in part.track(range(10), "items"):
                seen.append(item)
                if item == 3:
                    signal.raise_signal(signal.SIGINT)
        assert clock.interrupted and clock.over and not list(clock.track(range(3), "more"))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert seen == [0, 1, 2, 3] and "what is there" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):  # as before
        signal.raise_signal(signal.SIGINT)


def test_a_handler_of_the_user_stays():
    received = []
    own = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    with Clock() as clock:
        signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGINT] and not clock.interrupted
    signal.signal(signal.SIGINT, own)


LONG = GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 7)
OVER = 1e-9  # seconds: a budget that is used up at once


@pytest.fixture(scope="module")
def psi():
    torch.manual_seed(0)
    return GraphEmbedding(LONG, EmbeddingConfig(hidden=8, rounds=2, dim=16, shape="local")).eval()


@pytest.fixture
def graphs(generator):
    return random_vertices(LONG, 80, generator)


def test_faithfulness_has_the_pairs_that_fit_the_budget(psi, graphs):
    points = points_of(psi, graphs)
    found = inspect.faithfulness(psi, graphs[:5], points[5:10], samples=4, orders=2, budget=OVER)
    assert found.areas["pair"].unique().tolist() == [0]
    whole = inspect.faithfulness(psi, graphs[:1], points[5:6], samples=4, orders=2)
    pd.testing.assert_frame_equal(found.areas, whole.areas)


def test_counterfactuals_say_that_they_are_no_proof_when_the_time_is_up(psi, graphs):
    references = {"one": graphs[1], "other": graphs[2]}
    found = inspect.counterfactuals(psi, graphs[0], references, budget=OVER)
    whole = inspect.counterfactuals(psi, graphs[0], references, max_edits=1)
    assert found.tried <= whole.tried and found.exhausted == 0 and not found.complete
    assert len(found.table) or "this is no proof" in found.describe()


def test_properties_without_time_are_not_measured(psi, graphs):
    table = audit.concepts(psi, graphs, budget=OVER).table
    assert (table["mark"] == "not measured").all()
    assert table["description"].str.contains("time of the budget").any()


def test_a_claim_is_not_stable_without_time_to_check_it(psi):
    calls = []
    table = audit.stability(
        {"one": psi, "other": psi}, lambda one: calls.append(one), {"always": lambda _: True}, budget=OVER
    )
    assert not calls and not table["stable"].any() and table["of"].tolist() == [0]

"""Checks of notebook 07: the planted flaws exist, and only the correct flaw and unstable claims are accepted."""

from itertools import product

import pandas as pd
import pytest
import torch

import checks
import elekit as ele
from checks.stakeholders import FLAWS

PLANTED = {1: "edge labels", 2: "size", 3: "node labels"}


@pytest.fixture(scope="module")
def psi():
    return ele.load("molecules7").psi


def prices(psi, *smiles):
    return ele.LearnedLoss(psi)(*(psi(ele.from_smiles(s, ele.load("molecules7").vocabulary)) for s in smiles)).item()


def test_each_suspect_has_its_flaw(psi):
    edges, size, nodes = (checks.suspect(psi, number) for number in (1, 2, 3))
    assert prices(edges, "CC=O", "CCO") < 1e-5 < prices(psi, "CC=O", "CCO")
    assert prices(nodes, "CCN", "CCO") < 1e-5 < prices(psi, "CCN", "CCO")
    assert prices(nodes, "CCN", "CCC") > 0.05  # and nothing else is blind
    assert prices(edges, "CCN", "CCO") > 0.05
    same, other = prices(size, "CCCCCC", "C1CC1C#N"), prices(size, "CCCCCC", "CC")
    assert other > 5 * same  # whatever else differs


@pytest.mark.parametrize("number", PLANTED)
def test_suspects_are_unit_vectors_of_relaxed_graphs_too(psi, number):
    graphs = ele.load("molecules7").psi.typical
    points = checks.suspect(psi, number)(graphs)
    assert torch.allclose(points.norm(dim=1), torch.ones(len(points)), atol=1e-5)


def test_all_suspects_must_be_right_and_no_hint_says_which_is_not():
    assert checks.check_suspects(PLANTED).correct
    assert checks.check_suspects({number: f" {flaw.upper()} " for number, flaw in PLANTED.items()}).correct
    wrong = [checks.check_suspects(dict(zip(PLANTED, flaws))) for flaws in product(FLAWS[1:], repeat=3)]
    assert sum(verdict.correct for verdict in wrong) == 1 and len({verdict.message for verdict in wrong}) == 2
    for nonsense in (
        None,
        3,
        "size",
        object(),
        {1: "size"},
        {1: 1, 2: None, 3: []},
        dict.fromkeys(PLANTED, "nothing"),
    ):
        assert not checks.check_suspects(nonsense).correct


def test_there_are_three_suspects(psi):
    with pytest.raises(ValueError, match="the suspects are 1, 2, 3; got '4'"):
        checks.suspect(psi, 4)


def test_only_unstable_claims_are_correct():
    table = pd.DataFrame(
        {"claim": ["a is dear", "b is cheap"], "holds": [5, 3], "of": [5, 5], "stable": [True, False]}
    )
    assert not checks.check_caveat("a is dear", table).correct
    found = checks.check_caveat("B is cheap ", table)
    assert found.correct and "3 of 5" in found.message
    assert checks.check_caveat(1, table).correct and not checks.check_caveat(0, table).correct
    for nonsense in (2, -1, True, None, "c is nothing", 1.5):
        assert not checks.check_caveat(nonsense, table).correct

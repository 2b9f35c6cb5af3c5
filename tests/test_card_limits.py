"""Acceptance limits of a card: read strictly, judged by the figures, and stated where a reader looks first."""

import re
from dataclasses import replace

import cards
import pytest

from elekit.card import Limit, read_limits
from elekit.card.page import render
from elekit.card.results import Results
from elekit.card.statements import statements
from elekit.cli import main
from elekit.widgets.page import plain_values

KEY = "exact from the true point"


def judged(*limits):
    """The statements of a small card with these limits, by key."""
    made = cards.made()
    results = Results.from_json(made.results.to_json())
    results.facts["limits"] = plain_values([vars(limit) for limit in limits])
    return {one.key: one for one in statements(results)}, results


def test_a_limit_is_met_by_its_figure_and_with_certainty_by_its_interval():
    found, _ = judged()
    exact = found[KEY]
    assert exact.low < exact.value < exact.high
    just = {"at_least": exact.value, "at_most": exact.value}
    by_key, _ = judged(Limit(KEY, **just))
    one = by_key[f"limit: {KEY}"]
    assert one.facts["met"] and "another sample may miss" in one.text and one.value == exact.value
    for limit, met in (
        (Limit(KEY, at_least=exact.low, certain=True), True),
        (Limit(KEY, at_least=exact.value, certain=True), False),
        (Limit(KEY, at_most=exact.high, certain=True), True),
        (Limit(KEY, at_most=exact.value, certain=True), False),
        (Limit(KEY, at_least=exact.value + 1e-6), False),
        (Limit(KEY, at_most=exact.value - 1e-6), False),
    ):
        by_key, _ = judged(limit)
        one = by_key[f"limit: {KEY}"]
        assert one.facts["met"] is met and one.text.startswith("Met: " if met else "Not met: "), limit
        assert by_key["limits"].value == met and by_key["limits"].facts["not_met"] == ([] if met else [KEY])


def test_what_was_not_measured_meets_no_limit():
    found, _ = judged(Limit("exact finding nobody", at_least=0.0), Limit("rules", at_most=9))
    for key in ("limit: exact finding nobody", "limit: rules"):
        assert not found[key].facts["met"] and "not measured" in found[key].text
    assert found["limits"].value == 0


def test_the_first_screen_says_which_limits_are_met_or_that_there_are_none():
    found, results = judged(Limit(KEY, at_least=0.0, why="<b>bold</b>"), Limit("purpose", at_least=99))
    page = render(results, list(found.values()))
    first = page[: page.index('<nav aria-label="contents">')]
    assert "1 of 2 limits met; not met: purpose." in first
    assert "&lt;b&gt;bold" in page and "<b>bold" not in page
    found, results = judged()
    first = render(results, list(found.values())).split('<nav aria-label="contents">')[0]
    assert "No acceptance limits were given" in first


GOOD = '[[limit]]\nstatement = "price of relabel C to N"\nat_most = 0.5\nwhy = "w"\n[[limit]]\nstatement = "exact"\nat_least = 1\n'


def test_limits_are_read_from_toml(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(GOOD)
    assert read_limits(path) == [Limit("price of relabel C to N", at_most=0.5, why="w"), Limit("exact", at_least=1)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD.replace('"exact"', '"exakt"'), "no card has a statement 'exakt'; near are 'exact'"),
        (GOOD.replace("at_least = 1", ""), "'exact' has no bound"),
        (GOOD + "at_most = 0.5\n", "excludes everything"),
        (GOOD.replace("at_least = 1", 'at_least = "1"'), "at_least"),
        (GOOD.replace("at_least", "atleast"), "atleast"),
        (GOOD + GOOD, "several limits"),
        ("[limit]\nstatement = 1", "limit"),
        ("limits = []", "limit"),
        ("[[limit", "limits.toml"),
        ("", "limit"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, capsys, text, problem):
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path))) as refused:
        read_limits(path)
    assert problem in str(refused.value)
    out = tmp_path / "card.html"
    assert main(["card", "--artifact", "molecules7", "--limits", str(path), "--out", str(out)]) == 1
    assert problem in capsys.readouterr().err and not out.exists()


def test_every_statement_of_a_card_can_be_limited():
    for one in cards.made().statements:
        if not one.key.startswith(("limit", "no limits")):
            assert replace(Limit(one.key, at_least=0.0)).statement == one.key

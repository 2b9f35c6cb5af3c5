"""Several trainings: which statements hold in all of them, how far figures move, and the repeats themselves."""

import itertools
import math
import shutil
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import differences, random_vertices
from test_draw import HOSTILE, rendered
from torch.nn.functional import normalize

from elekit import datasets, draw
from elekit.audit import claims
from elekit.audit.findings import Finding, FindingKind, Severity
from elekit.audit.stability import across_trainings, neighbor_overlap, ruled_out, stability
from elekit.graphs.edits import SINGLE
from elekit.inspect.edit_costs import EditCosts, edit_costs, sample_edits
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig
from elekit.model.loss import points_of
from elekit.training import EmbeddingTraining, fit_embedding, reruns
from elekit.training.loop import TrainerConfig


def weighing(weights):
    """A psi that sees what a graph weighs, each label so much: relabeling costs what the two weights differ."""

    def psi(graph):
        weight = (graph.nodes[..., 1:].sum(1) * torch.tensor(weights)).sum(1, keepdim=True)
        return normalize(torch.cat([weight, torch.full_like(weight, 100.0)], 1), dim=1)

    return psi


@pytest.fixture(scope="module")
def graphs(vocabulary):
    return random_vertices(vocabulary, 60, torch.Generator().manual_seed(0))


def listed(*rows):
    """A price list's summary of (kind, median), (kind, median, mark), and (kind, median, None): no interval."""
    table = pd.DataFrame([(*row, "")[:3] for row in rows], columns=["kind", "median", "mark"])
    told = table["mark"].notna()
    low, high = (table["median"] - 0.05).where(told), (table["median"] + 0.05).where(told)
    return table.assign(low=low, high=high, mark=table["mark"].fillna(""))


# -- stability -----------------------------------------------------------------------------------------------------
def test_a_training_that_violates_a_claim_is_named(graphs):
    """Labels weigh 1, 2 and 6 or about so; in the odd training b lies near c and not near a."""
    psis = {name: weighing([1.0, 2.0, c]) for name, c in {"own": 6.0, "one": 6.2, "two": 7.0}.items()}
    psis["odd"] = weighing([1.0, 5.0, 6.0])
    asked = []

    def measure(psi):
        asked.append(psi)
        return edit_costs(psi, graphs, kinds=("relabel",), valid_only=False).summary()

    made = claims.cost_claims(measure(psis["own"]), ends=2)
    asked.clear()
    table = stability(psis, measure, made)
    assert asked == list(psis.values())  # once of each
    assert list(table.columns) == ["claim", *psis, "holds", "of", "stable"] and list(table["claim"]) == list(made)
    assert table[["own", "one", "two"]].all(axis=None) and (table["of"] == 4).all()
    rows = table.set_index("claim")
    for kind in ("a to c", "c to a"):
        assert rows.loc[f"relabel {kind} is among the 2 most expensive", ["holds", "stable"]].tolist() == [4, True]
    for kind in ("a to b", "b to a"):
        row = rows.loc[f"relabel {kind} is among the 2 cheapest"]
        assert row[["odd", "holds", "stable"]].tolist() == [False, 3, False]
    assert {3, 4} == set(table["holds"]) and (table["stable"] == (table["holds"] == 4)).all()
    assert table["stable"].dtype == bool and table["odd"].dtype == "boolean"


def test_what_cannot_be_checked_is_neither_true_nor_stable():
    answers = {"one": {"a": 2, "b": 1}, "two": {"a": 2}, "three": {"a": 1, "b": 2}}
    made = {"a above b": claims.decreasing(["a", "b"]), "a there": lambda answer: np.bool_("a" in answer)}
    table = stability({name: name for name in answers}, answers.get, made)
    assert table["two"].isna().tolist() == [True, False]
    assert table[["holds", "of", "stable"]].values.tolist() == [[1, 2, False], [3, 3, True]]
    without = stability({"one": "one", "two": "two"}, answers.get, made)
    assert without[["holds", "of", "stable"]].values.tolist() == [[1, 1, False], [2, 2, True]]
    assert not without["two"].isna()[1] and bool(without["two"][1]) is True


def test_an_error_names_the_claim_and_the_training():
    psis = {"own": 1, "other": 0}
    with pytest.raises(ValueError, match="claim 'K is dear' failed on training 'other': ZeroDivisionError"):
        stability(psis, lambda psi: psi, {"K is dear": lambda answer: 1 / answer > 0})
    with pytest.raises(ValueError, match="training 'other'.*ZeroDivisionError: division by zero"):
        stability(psis, lambda psi: 1 / psi, {})
    with pytest.raises(ValueError, match="claim 'K' returned 'yes' on training 'own'"):
        stability(psis, lambda psi: psi, {"K": lambda answer: "yes"})

    def interrupt(psi):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stability(psis, interrupt, {})


def test_one_training_proves_nothing_and_names_must_be_free():
    for few in ({}, {"own": None}):
        with pytest.raises(ValueError, match=f"at least 2 trainings, got {len(few)}"):
            stability(few, lambda psi: psi, {})
    for name in ("claim", "holds", "of", "stable"):
        with pytest.raises(ValueError, match=f"training '{name}'"):
            stability({"own": 1, name: 2}, lambda psi: psi, {})
    assert len(stability({"own": 1, "other": 2}, lambda psi: psi, {})) == 0


# -- claims --------------------------------------------------------------------------------------------------------
def test_above_and_order():
    given = (0.6, 0.5, -1, math.nan, np.float32(0.6))
    assert [claims.above(0.5)(x) for x in given] == [True, False, False, None, True]
    order = claims.decreasing(["a", "b", "c"])
    assert order(pd.Series({"a": 3, "b": 2, "c": 1, "d": 9})) is True
    assert order({"a": 3, "b": 3, "c": 1}) is False, "a tie is no order"
    assert order({"a": 3, "c": 1}) is None and order({"a": 1, "c": 3}) is False
    assert order({"a": 3, "b": math.nan, "c": 1}) is None
    with pytest.raises(ValueError, match="at least 2 names, got .'a'."):
        claims.decreasing("a")


@pytest.mark.parametrize("largest", [True, False])
def test_a_place_is_claimed_only_where_no_missing_number_could_take_it(largest):
    """Against every way to fill in what is missing: True where all agree on it, False where all disagree."""
    names, values = "abcd", (0.5, 1.5, 2.5, 3.5, 4.5)
    for numbers in itertools.permutations((1.0, 2.0, 3.0, 4.0)):
        for missing in ({}, {"b"}, {"b", "d"}, {"a"}):
            told = {n: x for n, x in zip(names, numbers) if n not in missing}
            for most in (1, 2, 3):
                found = claims.among_top("a", names, most, largest=largest)({**told, "unknown": 9.0, "low": -9.0})
                if "a" in missing:
                    assert found is None
                    continue
                ways = set()
                for filled in itertools.product(values, repeat=len(missing)):
                    whole = {**told, **dict(zip(missing, filled))}
                    ranked = sorted(whole, key=whole.get, reverse=largest)
                    ways.add("a" in ranked[:most])
                assert found is (None if len(ways) == 2 else ways.pop())
    assert claims.among_top("a", "ab", 1)({"a": 1.0, "b": 1.0}) is False  # a tie


def test_claims_of_a_price_list():
    own = [("A", 0.9, "surprisingly dear"), ("B", 0.5), ("C", 0.45), ("D", 0.3), ("E", 0.01, "nearly free")]
    own = listed(*own, ("rare", 2, None))
    made = claims.cost_claims(own, ends=2)
    assert set(made) == {
        "A is among the 2 most expensive", "E is among the 2 cheapest",
        "D is among the 2 cheapest", "A costs more than B", "B costs more than D", "C costs more than D",
        "D costs more than E", "A is surprisingly dear", "E is nearly free",
    }  # fmt: skip
    assert all(claim(own) is True for claim in made.values())
    other = listed(("A", 0.1), ("B", 0.4), ("C", 0.5), ("D", 0.3, None), ("E", 0.02, "nearly free"))
    found = {name: claim(other) for name, claim in made.items()}
    assert found == {
        "A is among the 2 most expensive": False, "E is among the 2 cheapest": True,
        "D is among the 2 cheapest": None, "A costs more than B": False, "B costs more than D": None,
        "C costs more than D": None, "D costs more than E": None, "A is surprisingly dear": False,
        "E is nearly free": True,
    }  # fmt: skip
    assert "E is the cheapest" in claims.cost_claims(own, ends=1)
    assert not any("among" in name for name in claims.cost_claims(own))  # of five kinds each is among them
    assert claims.cost_claims(EditCosts(pd.DataFrame(columns=["kind", "price"])).summary()) == {}
    with pytest.raises(ValueError, match="ends must be at least 1, got 0"):
        claims.cost_claims(own, ends=0)


def test_claims_of_findings():
    blind, clean = Finding(FindingKind.BLIND, "...", "labels N and O"), []
    note = Finding(FindingKind.SEES_LITTLE_MORE_THAN, "...", "node label counts", Severity.NOTE)
    made = claims.finding_claims([blind, note])
    assert list(made) == ["defect: blind to labels N and O", "note: sees little more than node label counts"]
    assert [claim([note]) for claim in made.values()] == [False, True]
    none = claims.finding_claims([note])
    assert list(none) == ["no defect", "note: sees little more than node label counts"]
    assert [claim(clean) for claim in none.values()] == [True, False]
    assert none["no defect"]([blind]) is False


# -- figures over trainings ----------------------------------------------------------------------------------------
def test_numbers_across_trainings():
    answers = {"own": {"x": 1.0, "y": 5.0}, "one": {"x": 3.0, "y": 6.0, "z": 4.0}, "two": {"x": 2.0, "y": 7.0}}
    table = across_trainings({name: name for name in answers}, answers.get)
    assert list(table.columns) == ["name", *answers, "mean", "sd", "lowest", "highest", "of"]
    rows = table.set_index("name")
    assert list(rows.index) == ["y", "z", "x"]
    assert rows.loc["x", ["mean", "sd", "lowest", "highest", "of"]].tolist() == [2.0, 1.0, 1.0, 3.0, 3]
    assert rows.loc["z", ["mean", "lowest", "of"]].tolist() == [4.0, 4.0, 1] and math.isnan(rows.loc["z", "sd"])
    assert table[["own", "one"]].corr("spearman").iloc[0, 1] == 1.0
    with pytest.raises(ValueError, match="training 'sd'"):
        across_trainings({"own": "own", "sd": "one"}, answers.get)


def test_neighbors_kept_against_a_loop(graphs):
    """Points without ties: sets of neighbors, one graph after another."""
    noise = {name: torch.Generator().manual_seed(seed) for seed, name in enumerate(("own", "one", "two"))}
    base = torch.randn(60, 6, generator=torch.Generator().manual_seed(9))
    points = {name: normalize(base + 0.3 * torch.randn(60, 6, generator=g), dim=1) for name, g in noise.items()}
    psis = {name: fixed(graphs, table) for name, table in points.items()}
    found = neighbor_overlap(psis, graphs, k=5)
    assert list(zip(found["one"], found["other"])) == [("own", "one"), ("own", "two"), ("one", "two")]
    for row in found.itertuples():
        near = [
            [set(np.argsort(np.linalg.norm(p - p[i], axis=1), kind="stable")[1:6]) for i in range(60)]
            for p in (points[row.one].double().numpy(), points[row.other].double().numpy())
        ]
        expected = np.mean([len(a & b) / 5 for a, b in zip(*near)])
        assert row.overlap == pytest.approx(expected, abs=1e-6) and row.low <= row.overlap <= row.high
        assert row.chance == 5 / 59 and row.low < row.high
    again = neighbor_overlap(psis, graphs, k=5)
    pd.testing.assert_frame_equal(found, again)


def fixed(graphs, table):
    """A psi that gives each of these graphs its row, asked of all of them at once."""
    assert len(graphs) == len(table) <= 256
    return lambda some: table


def test_a_collapsed_loss_keeps_neighbors_by_chance_alone(graphs):
    psis = {"own": weighing([1.0, 2.0, 3.0]), "flat": lambda graph: torch.eye(4)[torch.zeros(len(graph)).long()]}
    psis["flat again"] = psis["flat"]
    found = neighbor_overlap(psis, graphs, k=7)
    np.testing.assert_allclose(found["overlap"], found["chance"], rtol=1e-5)
    same = neighbor_overlap({"own": psis["own"], "same": psis["own"]}, graphs[:2], k=1)
    assert same["overlap"].item() == same["chance"].item() == 1.0
    for k in (0, 60):
        with pytest.raises(ValueError, match=rf"\[1, 59\].*got {k}"):
            neighbor_overlap(psis, graphs, k=k)


# -- pictures ------------------------------------------------------------------------------------------------------
def grid(rows):
    table = pd.DataFrame([row for _, *row in rows], columns=["own", "one"], dtype="boolean")
    holds, of = table.sum(axis=1).astype(int), table.notna().sum(axis=1)
    table.insert(0, "claim", [claim for claim, *_ in rows])
    return table.assign(holds=holds, of=of, stable=holds == 2)


def marks(figure):
    return {line.get_gid() for line in figure.axes[0].lines if line.get_gid()}


def test_the_grid_shows_every_answer_and_the_stable_first():
    table = grid([("bad", True, False), (HOSTILE[0], True, True), ("open", None, True), ("z", True, True)])
    figure = rendered(draw.stability(table))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [HOSTILE[0], "z", "bad", "open"]
    assert marks(figure) == {
        "holds-0-0", "holds-1-0", "holds-0-1", "holds-1-1", "stable above", "holds-0-2", "fails-1-2",
        "cannot be checked-0-3", "holds-1-3",
    }  # fmt: skip
    assert [text.get_text() for text in figure.axes[0].texts] == ["all", "all", "1 of 2", "1 of 1 checked"]
    faces = {line.get_gid().split("-")[0]: line for line in figure.axes[0].lines if line.get_gid()}
    assert faces["fails"].get_markerfacecolor() == "white" != faces["holds"].get_markerfacecolor()
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"holds", "fails", "cannot be checked"}
    assert figure.get_suptitle() == "2 of 4 claims hold in all 2 trainings"
    few = draw.stability(table, most=1)
    assert few.get_suptitle().endswith("; 3 more are not drawn") and "stable above" not in marks(few)


def test_each_training_has_its_mark_on_the_line():
    answers = {"own": {f"k{n}": n / 10 for n in range(9)}, "one": {f"k{n}": n / 9 for n in range(1, 9)}}
    answers["own"][HOSTILE[0]] = 2.0
    table = across_trainings({name: name for name in answers}, answers.get)
    figure = rendered(draw.across_trainings(table, top=3))
    lines = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}
    assert list(lines) == ["training-0", "training-1"]
    assert lines["training-0"].get_marker() != lines["training-1"].get_marker()
    for name, line in zip(answers, lines.values()):
        expected = pd.concat([table.head(3), table.tail(3)])[name]
        np.testing.assert_array_equal(line.get_xdata(), expected)
        assert line.get_ydata().tolist() == [0, 1, 2, 4, 5, 6]
    assert "the 3 largest and the 3 smallest of 10" in figure.axes[0].get_title("left")


def test_pictures_refuse_what_is_no_such_table():
    table = grid([("a", True, True)])
    without = table.drop(columns=["own", "one"])
    for wrong, lacks in ((table.drop(columns="of"), "'of'"), (table[:0], "rows"), (without, "trainings")):
        with pytest.raises(ValueError, match=f"the table lacks .*{lacks}.*elekit.audit.stability"):
            draw.stability(wrong)
        with pytest.raises(ValueError, match="elekit.audit.across_trainings"):
            draw.across_trainings(wrong)
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        draw.stability(table, most=0)


# -- repeats -------------------------------------------------------------------------------------------------------
LOOP = TrainerConfig(steps=4, learning_rate=1e-3, warmup=1, validate_every=2, checkpoint_every=2)
CONFIG, TRAINING = EmbeddingConfig(hidden=8, rounds=1, dim=8), EmbeddingTraining(loop=LOOP, batch_size=8)


@pytest.fixture(scope="module")
def data():
    table = datasets.load("molecules7").train.frame[["smiles"]].iloc[10:61]
    return datasets.from_frame(table, smiles="smiles", seed=5)


@pytest.fixture
def folder(data, tmp_path):
    """An artifact of seed 5, as `elekit train embedding` leaves it."""
    psi = fit(data.train.graphs, data, 5)
    about = {"data": data.report(), "seed": 5, "psi": {"training": asdict(TRAINING), "history": psi.history}}
    artifacts.save(artifacts.Artifact("mine", psi, about=about), tmp_path / "mine")
    return tmp_path / "mine"


def fit(graphs, data, seed):
    return fit_embedding(
        graphs, validation=data.validation.graphs, config=CONFIG, training=TRAINING, seed=seed, progress=False
    )


def test_repeats_are_trainings_with_other_seeds_and_on_halves(folder, data):
    found = reruns.fit_repeats(folder, data, seeds=1, halves=1, by="me", command="this", progress=False)
    assert list(found) == ["seed-6", "half-7"]
    n, graphs = len(data.train), data.train.graphs
    half = torch.randperm(n, generator=torch.Generator().manual_seed(7))[: n // 2].sort().values
    for (name, repeat), rows in zip(found.items(), (torch.arange(n), half)):
        psi = fit(graphs[rows], data, int(name[-1]))
        for key, weight in repeat.psi.state_dict().items():
            assert torch.equal(weight, psi.state_dict()[key].half().float()), key
        assert repeat.about["repeat"] == {"graphs": len(rows)} and repeat.about["command"] == "this"
        assert repeat.about["trained"]["by"] == "me" and repeat.name == name
    assert [p.name for p in sorted((folder / "repeats").iterdir())] == ["half-7", "seed-6"]  # no checkpoint is left


def test_repeats_that_are_done_are_not_done_again(folder, data, monkeypatch):
    reruns.fit_repeats(folder, data, seeds=1, halves=0, progress=False)
    original, seeds = reruns.fit_embedding, []
    monkeypatch.setattr(reruns, "fit_embedding", lambda *a, **k: seeds.append(k["seed"]) or original(*a, **k))
    left = [folder / "repeats" / "seed-6" / artifacts.LOCK_NAME, folder / "repeats" / "seed-6.checkpoint"]
    for path in left:  # by a kill before the end of the repeat
        path.touch()
    assert list(reruns.fit_repeats(folder, data, seeds=1, halves=1, progress=False)) == ["seed-6", "half-7"]
    assert not any(path.exists() for path in left)
    (weights,) = (folder / "repeats" / "seed-6").glob("psi-*")
    weights.write_bytes(weights.read_bytes()[:-1])
    reruns.fit_repeats(folder, data, seeds=1, halves=1, progress=False)
    assert seeds == [7, 6]
    artifact = artifacts.load(folder)  # trained anew with other settings: its repeats are stale
    artifact.about["psi"]["training"]["temperature"] = 0.1
    artifacts.save(artifact, folder)
    with pytest.raises(artifacts.ArtifactError, match="half-7 repeats another training than .*mine: training differ"):
        artifacts.load_repeats(folder)
    reruns.fit_repeats(folder, data, seeds=1, halves=1, progress=False)
    assert seeds == [7, 6, 6, 7] and len(artifacts.load_repeats(folder)) == 2


@pytest.mark.parametrize("at", [1, 3, 5])
def test_ctrl_c_keeps_what_is_done_and_the_same_call_goes_on(folder, data, tmp_path, ctrl_c_at, at):
    shutil.copytree(folder, tmp_path / "whole")
    whole = reruns.fit_repeats(tmp_path / "whole", data, seeds=1, halves=1, progress=False)
    ctrl_c_at(at)
    with pytest.raises(KeyboardInterrupt, match="run the same command to continue"):
        reruns.fit_repeats(folder, data, seeds=1, halves=1, work=tmp_path / "work", progress=False)
    assert list(artifacts.load_repeats(folder)) == ["seed-6"][: at // 4]
    cut = reruns.fit_repeats(folder, data, seeds=1, halves=1, work=tmp_path / "work", progress=False)
    for name in whole:
        different = differences(whole[name], cut[name])
        assert [key for key in different if not key.endswith(("history", "trained.at"))] == []


def test_what_cannot_be_repeated_is_refused(folder, data):
    def changed(change):
        artifact = artifacts.load(folder)
        change(artifact.about)
        artifacts.save(artifact, folder)
        return folder

    for counts in ({"seeds": 0, "halves": 0}, {"seeds": -1, "halves": 3}):
        with pytest.raises(ValueError, match="seeds and halves must be at least 0"):
            reruns.fit_repeats(folder, data, **counts)
    other = replace(data, digest="other")
    with pytest.raises(ValueError, match="mine was trained on other data; give the table"):
        reruns.fit_repeats(folder, other)
    for change, match in (
        (lambda about: about.update(correction={}), "was corrected after its training"),
        (lambda about: about["psi"]["history"][-1].update(interrupted=True), "was interrupted; finish it"),
        (lambda about: about["psi"].pop("training"), "does not record its settings"),
    ):
        with pytest.raises(ValueError, match=f"the loss in .*mine cannot be repeated: .*{match}"):
            reruns.fit_repeats(changed(change), data)
    assert not (folder / "repeats").exists()


# -- what is shipped -----------------------------------------------------------------------------------------------
def test_the_shipped_loss_agrees_with_its_repeats():
    """On few molecules: trainings agree on what is dear and on most neighbors."""
    psis = {
        "shipped": artifacts.load("molecules7").psi,
        **{k: a.psi for k, a in artifacts.load_repeats("molecules7").items()},
    }
    some = datasets.load("molecules7").test.sample(100).graphs
    sample = sample_edits(some, kinds=SINGLE)

    def measure(psi):
        return sample.edit_costs(psi).summary()

    answers = {id(psi): measure(psi) for psi in psis.values()}
    made = claims.cost_claims(answers[id(psis["shipped"])])
    table = stability(psis, lambda psi: answers[id(psi)], made)
    assert table["shipped"].all() and len(table) > 15
    dear = table["claim"].str.contains(r"is among the \d+ most expensive$")
    assert table["stable"][dear].sum() >= 3 and table["stable"].mean() > 0.5
    kept = neighbor_overlap(psis, some)
    assert kept["overlap"].min() > 0.6 and len(kept) == math.comb(len(psis), 2)
    half = {name: points_of(psi, some) for name, psi in psis.items()}
    assert not torch.equal(half["seed-1"], half["seed-2"])


def test_what_reruns_rule_out():
    """A claim that fails in that share of all trainings passes them all with a chance of 5 %."""
    for number in (1, 4, 9):
        assert (1 - ruled_out(number)) ** number == pytest.approx(0.05)
    assert ruled_out(9) == pytest.approx(0.283, abs=1e-3)


def test_a_larger_plan_of_repeats_begins_with_a_smaller_one():
    assert list(reruns.plan(0, 2, 2)) == ["seed-1", "seed-2", "half-3", "half-4"]
    assert list(reruns.plan(0)) == [*reruns.plan(0, 2, 2), "seed-5", "seed-6", "half-7", "half-8", "seed-9"]
    assert list(reruns.plan(3, 1, 3)) == ["seed-4", "half-5", "half-6", "half-7"]

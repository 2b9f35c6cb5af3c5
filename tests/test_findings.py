"""Losses with known flaws: each flaw is found, clean losses have no defects, and the figures are right."""

import re

import numpy as np
import pytest
import torch
from planted import CASES, channel, edge_channel, graphs_of, judged, place, probes_of, shipped, table, trained
from planted_beyond import BEYOND
from torch.nn.functional import normalize

import elekit as ele
from elekit.audit.findings import Finding, FindingKind, Severity, findings, hold_out, make_probe_set, probe_set
from elekit.audit.findings.attractors import contraction
from elekit.audit.findings.conditions import Condition
from elekit.audit.findings.dominance import count_share
from elekit.audit.findings.graph_traits import graph_counts, graph_traits
from elekit.audit.findings.responses import Responses
from elekit.audit.findings.saturation import dimensions, split_in_two
from elekit.audit.findings.subgroups import find_subgroups
from elekit.evaluation.formatting import figure, joined, percent
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import Graph

PLANTED = [case for case in CASES + BEYOND if case.expected and case.tested]
CLEAN = [
    pytest.param(case, marks=pytest.mark.realdata if case.world in ("qm9", "chembl", "large") else (), id=case.name)
    for case in CASES
    if not case.expected and case.tested
]
JARGON = re.compile(r"psi|embedding|vector|tensor|logit|gradient|contrastive|InfoNCE|eigen", re.IGNORECASE)


@pytest.fixture(scope="module")
def probes():
    return probes_of("molecules7")[0]


@pytest.fixture(scope="module")
def responses(probes):
    return Responses.of(shipped(), probes)


# -- the table -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.name)
def test_a_planted_flaw_is_named_and_nothing_else_is_blamed(case):
    found = case.findings()
    named, alarms = judged(case, found)
    assert named and alarms == [], [f"{f.name}: {f.description}" for f in found]
    for finding in found:
        assert re.search(r"\d", finding.description) and 0 <= finding.strength <= 1
        assert not JARGON.search(finding.description), finding.description
        assert all(np.isfinite(v) for v in finding.figures.values() if isinstance(v, float))


@pytest.mark.parametrize("case", CLEAN)
def test_a_clean_loss_has_no_defect(case):
    found = [f"{f.name}: {f.description}" for f in case.findings() if f.severity == Severity.DEFECT]
    assert found == []


def test_the_table_has_a_row_for_each():
    some = [next(case for case in CASES if case.name == name) for name in ("constant", "collapsed")]
    rows = table(some)
    assert rows["found"].tolist() == ["yes", "yes"] and rows["false alarms"].tolist() == ["", ""]
    listed = [case for case in CASES if case.expected and case.listed]
    assert len(listed) >= 12 and len([case for case in CASES if case.expected and not case.listed]) >= 4


def test_evidence_is_what_the_sentence_says():
    case = next(case for case in CASES if case.name == "blind to N or O")
    (finding,) = case.findings()
    before, after = finding.evidence
    assert len(before) == len(after) == 50 and not isomorphic(before, after).any()
    loss = ele.LearnedLoss(case.psi())
    with torch.no_grad():
        assert float(loss(before, after).max()) < 1e-5
    (nodes, edges), (nodes_after, edges_after) = before.labels(), after.labels()
    assert torch.equal(edges, edges_after) and ((nodes != nodes_after).sum(1) == 1).all()
    assert set(nodes[nodes != nodes_after].tolist()) == {channel(before, label) for label in "NO"}
    assert finding.figures["share"] == 1 and finding.figures["edits"] > 100


# -- what is asked, and how it is answered -------------------------------------------------------------------------
def test_the_same_arguments_find_the_same(probes):
    some = graphs_of("molecules7")[0][:60]
    psi = trained("labels")
    state = torch.random.get_rng_state()
    one, other = (findings(psi, some, held_out=some[:30]) for _ in range(2))
    assert [f.description for f in one] == [f.description for f in other] and len(one) >= 1
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_loss_is_judged_whatever_it_returns(probes):
    """NaN, points off the sphere, and a loss that only ever sees one thing."""

    def broken(graph):
        triple = graph.edges[..., edge_channel(graph, "triple")].sum((1, 2))
        return torch.where(triple[:, None] > 0, torch.nan, shipped()(graph))

    (finding,) = findings(broken, probes.graphs, probe_set=probes)
    assert (
        finding.kind is FindingKind.NOT_FINITE
        and (finding.evidence.edges[..., edge_channel(finding.evidence, "triple")].sum((1, 2)) > 0).all()
    )
    long = findings(lambda graph: 3 * shipped()(graph), probes.graphs, probe_set=probes)
    assert [f.kind for f in long] == [FindingKind.NOT_UNIT_LENGTH] and long[0].figures["high"] == pytest.approx(3)
    with pytest.raises(ValueError, match="at least 20 graphs"):
        findings(shipped(), probes.graphs[:19])


def test_held_out_graphs_of_another_size_are_no_proof_of_memorizing():
    """Small graphs lie nearer to each other under any loss, as under the reference."""
    probes, graphs = probes_of("molecules7")[0], ele.datasets.load("molecules7").test.graphs
    small = graphs[graphs.sizes <= 6]
    assert len(small) > 80
    found = findings(shipped(), probes.graphs, probe_set=probes, held_out=small)
    assert [f.name for f in found if f.severity == Severity.DEFECT] == []


def test_pairs_share_a_trait_and_not_the_next(probes):
    pool = Graph.cat([probes.pool, probes.extra])
    identity = probe_set.level_codes(pool)
    assert [len(rows) for rows in probes.pairs[:5]] == [probe_set.PAIRS] * 5 or min(map(len, probes.pairs[:5])) > 200
    for level, rows in enumerate(probes.pairs):
        assert (identity[rows[:, 0], level] == identity[rows[:, 1], level]).all()
        assert (identity[rows[:, 0], level + 1] != identity[rows[:, 1], level + 1]).all()
    rows = torch.cat(probes.pairs)
    assert not isomorphic(pool[rows[:, 0]], pool[rows[:, 1]]).any()


def test_levels_are_what_they_say(probes):
    """Each against a count by loops, on a few hundred graphs."""
    graphs = probes.pool[:400]
    identity = probe_set.level_codes(graphs)
    nodes, edges = (labels.tolist() for labels in graphs.labels())
    told = [[], [], [], [], []]
    for n, e in zip(nodes, edges):
        here = [i for i, label in enumerate(n) if label]
        at = {i: (n[i], *sorted(e[i][j] for j in here if e[i][j])) for i in here}
        told[0].append(len(here))
        told[1].append(sorted(n[i] for i in here))
        told[2].append((told[1][-1], sorted(e[i][j] for i in here for j in here)))
        told[3].append(sorted(at.values()))
        told[4].append(sorted((n[i], *sorted((e[i][j], n[j]) for j in here if e[i][j])) for i in here))
    for level, values in enumerate(told):
        same = identity[:, None, level] == identity[None, :, level]
        expected = torch.tensor([[a == b for b in values] for a in values])
        assert torch.equal(same, expected)


def test_the_reference_is_sane(probes):
    """It is held to the same probe_set as the losses, and nothing is wrong with it but that it knows no blur."""
    points = probe_set.reference(probes.graphs)
    assert torch.allclose(points.norm(dim=1), torch.ones(len(points)), atol=1e-5)
    found = findings(probe_set.reference, probes.graphs, probe_set=probes)
    assert [f.name for f in found if f.severity == Severity.DEFECT] == []


def test_conditions_are_what_they_say(responses):
    """Against the words of the price list and a look at the graphs."""
    told = {c.name: c.holds for c in responses.probes.conditions}
    kind, edit = responses.edits["kind"], responses.edits["edit"]
    assert (told["any edit"] == edit.isin(SINGLE)).all()
    assert (told["labels C and N"] == kind.isin(["relabel C to N", "relabel N to C"])).all()
    assert (
        told["edges single and double (edge order)"] == kind.isin(["edge single to double", "edge double to single"])
    ).all()
    assert (told["ring closure"] == kind.str.contains("close a ring|open a ring")).all()
    assert (told["leaves"] == kind.str.contains("leaf")).all()
    assert (told["isolated nodes"] == kind.str.contains("on its own")).all()  # no graph is in parts before
    sizes = [told[f"ring closure of {s} nodes"] for s in (3, 4, 5, 6, 7)]
    assert (np.sum(sizes, 0)[told["ring closure"]] == 1).all()
    where = {c.name: c.holds for c in responses.probes.locations}
    nodes, oxygen = responses.probes.graphs.labels()[0], channel(responses.probes.graphs, "O")
    for e in range(0, len(kind), 53):
        row, slots = responses.edits["graph"][e], set(responses.edits["nodes"][e]).union(*responses.edits["pairs"][e])
        labels = {int(nodes[row, i]) for i in slots}
        oxygens = int((nodes[row] == oxygen).sum())
        assert where[" at O"][e] == (oxygen in labels) and where[" in graphs that contain O"][e] == (oxygens >= 1)
        assert where[" in graphs that contain at least 2 O"][e] == (oxygens >= 2)
        assert where[" beyond node 5 in node order"][e] == (max(slots) >= 5)
        assert where[" outside the largest component"][e] == all(nodes[row, i] == 0 for i in slots)


def test_slices_are_described_by_the_shortest_rule():
    generator = np.random.default_rng(0)
    size, label, noise = generator.integers(0, 4, 4_000), generator.integers(0, 3, 4_000), generator.random(4_000)
    what = [
        Condition("any", "any", np.ones(4_000, bool)),
        *(Condition(f"label {k}", "", label == k) for k in range(3)),
    ]
    where = [Condition("", "", np.ones(4_000, bool)), *(Condition(f" size {k}", "", size == k) for k in range(4))]
    marked = ((label == 1) & (size == 2)) | (noise < 0.002)

    def found(marked):
        options = {"rate": 0.8, "min_edits": 10, "min_graphs": 4}
        return find_subgroups(marked, np.ones(4_000, bool), (np.arange(4_000) % 50, what, where), **options)

    (one,) = found(marked)
    assert one.name == "label 1 size 2" and one.rate > 0.99 and (one.edits == ((label == 1) & (size == 2))).all()
    (wide,) = found(label == 1)
    assert wide.name == "label 1"
    assert [s.name for s in found((label == 1) | (size == 3))] == ["label 1", "any size 3"] or len(
        found((label == 1) | (size == 3))
    ) == 2
    assert found(noise < 0.4) == [] and found(np.zeros(4_000, bool)) == []


def test_a_count_explains_what_it_explains():
    generator = np.random.default_rng(0)
    count = generator.integers(0, 5, 150)
    exact = np.abs(count[:, None] - count) ** 1.5
    noise = generator.normal(size=(150, 150))
    assert count_share(exact, count) == pytest.approx(1)
    assert count_share(noise + noise.T, count) < 0.02 and count_share(exact, np.ones(150)) == 0
    half = count_share(exact / exact.std() + (noise + noise.T) / (noise + noise.T).std(), count)
    assert half == pytest.approx(0.5, abs=0.08)


def test_counts_and_traits_are_those_of_a_loop(vertices):
    counted = {count.name: count.values for count in graph_counts(vertices)}
    held = {trait.phrase: trait.holds for trait in graph_traits(vertices)}
    assert len(held) == len(graph_traits(vertices))  # no words twice
    for b, (nodes, edges) in enumerate(zip(*(labels.tolist() for labels in vertices.labels()))):
        degrees = [sum(e > 0 for e in row) for row in edges]
        thick = sum(row.count(2) for row in edges) // 2
        assert counted["the number of nodes"][b] == sum(n > 0 for n in nodes)
        assert counted["the number of nodes b"][b] == nodes.count(2)
        assert counted["the number of edges thick"][b] == thick
        assert counted["the number of leaves"][b] == degrees.count(1)
        assert counted["the number of branchings"][b] == sum(d >= 3 for d in degrees)
        assert counted["the largest degree"][b] == max(degrees)
        for words, holds in (
            ("contain b", nodes.count(2) >= 1),
            ("contain at least 2 b", nodes.count(2) >= 2),
            ("contain at most 1 b", nodes.count(2) <= 1),
            ("contain no edge thick", thick == 0),
            ("contain an even number of b", nodes.count(2) % 2 == 0),
        ):
            assert bool(held[words][b]) == holds, words


def test_contraction_leaves_out_graphs_of_one_origin(generator):
    points = normalize(torch.randn(60, 8, generator=generator), dim=1)
    origin, holds = torch.arange(60) // 4, torch.rand(3, 60, generator=generator) < 0.6
    found = contraction(points, origin, holds)
    for value, some in zip(found, holds):
        pairs = [(i, j) for i in range(60) for j in range(60) if some[i] and some[j] and origin[i] != origin[j]]
        loss = np.mean([float((points[i] - points[j]).square().sum()) for i, j in pairs])
        assert value == pytest.approx(loss, rel=1e-4)
    assert np.isnan(contraction(points[:8], origin[:8], holds[:1, :8])[0])  # two origins


def test_dimensions_are_those_of_the_subspace(generator):
    flat = torch.zeros(2_000, 32)
    flat[:, :5] = torch.randn(2_000, 5, generator=generator)
    effective, rank = dimensions(normalize(flat, dim=1))
    assert rank == 5 and effective == pytest.approx(5, abs=0.1)
    assert dimensions(place(32).expand(50, -1) * 1.0)[1] == 0


def test_two_heaps_are_found_and_one_is_not(generator):
    one = torch.randn(120, 8, generator=generator)
    share, heap = split_in_two(one)
    assert share < 0.3
    planted = torch.arange(120) < 40
    share, heap = split_in_two(one + 12 * planted[:, None] / 8**0.5)
    assert share > 0.65 and (torch.equal(heap, planted) or torch.equal(heap, ~planted))
    between = torch.stack([(one + 12 * planted[:, None] / 8**0.5)[some].mean(0) for some in (planted, ~planted)])
    points = one + 12 * planted[:, None] / 8**0.5
    within = sum(float((points[some] - m).square().sum()) for some, m in zip((planted, ~planted), between))
    assert share == pytest.approx(1 - within / float((points - points.mean(0)).square().sum()), abs=1e-5)


def test_held_out_graphs_and_questions_may_be_made_once(probes):
    graphs, held = graphs_of("molecules7")
    assert len(make_probe_set(graphs[:40]).graphs) == 40
    made = hold_out(held)
    psi = next(case for case in CASES if case.name.startswith("memorizes: places")).psi()
    one, other = (findings(psi, graphs, probe_set=probes, held_out=h) for h in (held, made))
    assert [f.description for f in one] == [f.description for f in other]
    alone = findings(psi, graphs, probe_set=probes)  # found even without held-out graphs
    assert alone[0].kind is FindingKind.MEMORIZES and alone[0].figures["share"] > 0.5


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.004, "0.4 %"), (0.0994, "9.9 %"), (0.5, "50 %"), (0.9991, "over 99 %"), (1, "100 %")],
)
def test_shares_in_words(share, words):
    assert percent(share) == words


def test_figures_in_words():
    assert [figure(v) for v in (0, 0.00048, 0.25, 1.956, 12.3)] == ["0.00", "0.00048", "0.25", "1.96", "12"]
    assert [joined(w) for w in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert Finding(FindingKind.HUB, "y").severity is Severity.DEFECT

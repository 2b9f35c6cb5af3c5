"""Findings drawn: every word stands there, pairs are marked where they differ in little, whatever the evidence is."""

import pandas as pd
import pytest
import torch
from test_draw import HOSTILE, marked, rendered

from elekit import draw
from elekit.audit.findings import Finding, FindingKind, Severity, findings_table
from elekit.graphs.graph import Graph
from elekit.graphs.smiles import from_smiles, molecule_vocabulary

SAYS = "The loss is blind to labels C and N: relabeling one to the other costs 0.00, a typical edit 0.25 (100 %)."


@pytest.fixture
def molecules():
    return from_smiles(["CCCO", "C1CC1O", "CC(C)O"], molecule_vocabulary(["C", "N", "O"], 5))


def relabeled(graphs: Graph) -> Graph:
    nodes, edges = graphs.labels()
    return Graph.from_labels(nodes.where(nodes != 3, 2), edges, graphs.vocabulary)


def said(figure) -> str:
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ").replace("\u00a0", " ")


def test_every_finding_has_a_figure_with_its_words(molecules):
    found = [
        Finding(FindingKind.BLIND, SAYS, "labels C and N", evidence=(molecules, relabeled(molecules))),
        Finding(FindingKind.ATTRACTOR, SAYS, "contain O", Severity.NOTE, evidence=molecules),
        Finding(FindingKind.DOMINATED, SAYS, "size", evidence=pd.DataFrame({"trait": ["size"]})),
        Finding(FindingKind.COLLAPSED, SAYS),
    ]
    figures = draw.findings(found)
    assert [len(figure.axes) for figure in figures] == [6, 3, 0, 0]
    for finding, figure in zip(found, figures):
        assert SAYS in said(figure) and finding.name in said(figure) and finding.severity in said(figure)
        rendered(figure)
    assert len(draw.findings(found, most=1)[0].axes) == 2 and draw.findings([]) == []
    with pytest.raises(ValueError, match="at least 1"):
        draw.findings(found, most=0)


def test_few_changes_are_marked_and_many_are_not(molecules):
    other = molecules[1:2].permuted(torch.arange(5).flip(0))
    pairs = (molecules[:1], relabeled(molecules[:1])), (molecules[:1], other)
    near, far = (draw.findings([Finding(FindingKind.BLIND, SAYS, "x", evidence=pair)])[0] for pair in pairs)
    assert len(marked(near, "changed")) == 2 and "→" in said(near)
    assert not marked(far, "changed") and "→" not in said(far)


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_of_the_user_are_drawn_as_they_are(molecules, label):
    rendered(draw.findings([Finding(FindingKind.BLIND, f"{label} costs 0.", label, evidence=molecules[:1])])[0])


def test_the_table_has_a_row_for_each():
    note = Finding(FindingKind.BLIND, "B.", "b", Severity.NOTE, 0.5, {"share": 1.0})
    rows = findings_table([Finding(FindingKind.HUB, "A."), note])
    assert rows["name"].tolist() == ["hub", "blind to b"] and rows["severity"].tolist() == ["defect", "note"]
    assert rows["figures"][1] == {"share": 1.0} and rows["description"].tolist() == ["A.", "B."]
    assert len(findings_table([])) == 0 and "description" in findings_table([])

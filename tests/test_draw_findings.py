"""Findings drawn: every word stands there, pairs are marked where they differ in little, whatever the evidence is."""

import pandas as pd
import pytest
import torch
from test_draw import HOSTILE, marked, rendered

from elekit import draw
from elekit.audit.findings import NOTE, Finding, table
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
        Finding("blind to labels", SAYS, evidence=(molecules, relabeled(molecules))),
        Finding("attractor", SAYS, NOTE, evidence=molecules),
        Finding("size dominates", SAYS, evidence=pd.DataFrame({"trait": ["size"]})),
        Finding("collapsed", SAYS),
    ]
    figures = draw.findings(found)
    assert [len(figure.axes) for figure in figures] == [6, 3, 0, 0]
    for finding, figure in zip(found, figures):
        assert SAYS in said(figure) and finding.what in said(figure) and finding.severity in said(figure)
        rendered(figure)
    assert len(draw.findings(found, most=1)[0].axes) == 2 and draw.findings([]) == []
    with pytest.raises(ValueError, match="at least 1"):
        draw.findings(found, most=0)


def test_few_changes_are_marked_and_many_are_not(molecules):
    other = molecules[1:2].permuted(torch.arange(5).flip(0))
    pairs = (molecules[:1], relabeled(molecules[:1])), (molecules[:1], other)
    near, far = (draw.findings([Finding("x", SAYS, evidence=pair)])[0] for pair in pairs)
    assert len(marked(near, "changed")) == 2 and "→" in said(near)
    assert not marked(far, "changed") and "→" not in said(far)


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_of_the_user_are_drawn_as_they_are(molecules, label):
    rendered(draw.findings([Finding(label, f"{label} costs 0.", evidence=molecules[:1])])[0])


def test_the_table_has_a_row_for_each():
    rows = table([Finding("a", "A."), Finding("b", "B.", NOTE, 0.5, {"share": 1.0})])
    assert rows["what"].tolist() == ["a", "b"] and rows["severity"].tolist() == ["defect", "note"]
    assert rows["numbers"][1] == {"share": 1.0} and len(table([])) == 0 and "says" in table([])

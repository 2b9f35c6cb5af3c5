"""The colors of atoms: by choice, readable on white and on black, and kept by a widget."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from elekit import draw
from elekit.draw.base import ATOM_COLORS, CPK, SAFE
from elekit.draw.scenes import palette
from elekit.draw.shapes import text_color
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.smiles import from_smiles, molecule_vocabulary
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.widgets import explore, inspect_loss


def luminance(color):
    part = np.array(to_rgb(color))
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def molecules():
    return from_smiles(["CCO", "CN", "C=O", "CC"], molecule_vocabulary(("C", "N", "O"), 4))


def test_atoms_of_cpk_stand_out_from_dark_and_light_and_carry_their_label():
    assert CPK.keys() == SAFE.keys() and len(set(CPK.values())) == len(CPK)
    for color in CPK.values():
        assert contrast(color, "#111111") > 3 and contrast(color, "#ffffff") > 1.9
        assert contrast(color, text_color(to_rgb(color))) > 3


def test_a_choice_holds_for_a_block_or_from_now_on(molecules):
    def colors():
        fill = [patch.get_facecolor() for patch in draw.graph(molecules[0].dense()).axes[0].patches]
        return {to_hex(color) for color in fill}

    red, safe = CPK["O"].lower(), SAFE["O"].lower()
    with draw.atom_colors("cpk"):
        assert red in colors() and palette(molecules.vocabulary)["colors"][2] == red
        with draw.atom_colors("safe"):
            assert safe in colors()
        assert red in colors()
    assert safe in colors() and red not in colors()
    try:
        draw.atom_colors("cpk")
        assert red in colors()
    finally:
        draw.atom_colors("safe")
    with pytest.raises(ValueError, match="no atom colors 'jmol'; there are safe, cpk"):
        draw.atom_colors("jmol")
    assert safe in colors() and set(ATOM_COLORS) == {"safe", "cpk"}


def test_labels_that_are_no_atoms_keep_their_colors():
    vocabulary = GraphVocabulary(("N", "O"), ("a", "b"), 3)
    with draw.atom_colors("cpk"):
        assert palette(vocabulary)["colors"] == [one.lower() for one in draw.OKABE_ITO[:2]]


def test_widgets_keep_the_colors_that_they_were_made_with(molecules, tmp_path):
    torch.manual_seed(0)
    psi = GraphEmbedding(molecules.vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=8)).requires_grad_(False)
    with draw.atom_colors("cpk"):
        explorer, inspector = explore(psi, molecules), inspect_loss(psi, molecules[0].dense())
    explorer.pinned = 0
    red = CPK["O"].lower()
    for widget in (explorer, inspector):
        assert widget.palette["colors"][2] == red
        patches = [
            patch for ax in widget.picture().findobj(lambda one: hasattr(one, "patches")) for patch in ax.patches
        ]
        assert red in {to_hex(patch.get_facecolor()) for patch in patches}
        widget.close()
    assert red in explorer.save_html(tmp_path / "page.html").read_text()
    assert red in explorer.export(tmp_path / "sheet.svg").read_text()
    assert palette(molecules.vocabulary)["atoms"] == "safe"

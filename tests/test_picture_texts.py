"""Pictures of the widgets: no text leaves its figure, whatever the size of the graphs."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from elekit import DecodeConfig, GradientConfig, decode
from elekit.datasets import from_frame
from elekit.draw.maps import embedding_map
from elekit.graphs.graph import GraphVocabulary
from elekit.inspect.maps import trust_words
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.widgets import explore, inspect_loss, step_through

SIZES = [9, 24, 40]


def outside(figure) -> list[str]:
    """Drawn texts that leave their figure, by more than a pixel."""
    drawn, draw = [], Text.draw
    renderer = FigureCanvasAgg(figure).get_renderer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda self, renderer, *rest: (drawn.append(self), draw(self, renderer, *rest)))
        figure.draw(renderer)
    texts = [text for text in drawn if text.get_visible() and text.get_text().strip()]
    assert len(texts) > 3
    found = []
    for text in texts:
        box = text.get_window_extent(renderer)
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.width + 1 or box.y1 > figure.bbox.height + 1:
            found.append(text.get_text())
    return found


@pytest.fixture(scope="module", params=SIZES)
def case(request):
    """An embedding of molecules, and molecules of one size."""
    n = request.param
    smiles = ["C" * k + "N" * (k % 2) + "C(=O)O" + "c1ccccc1" * (n > 9) for k in range(1, n - 8 - 6 * (n > 9) + 6)]
    smiles += ["C" * k + "(F)" + "C" * (n - 1 - k) for k in range(1, n - 2)]
    data = from_frame(
        pd.DataFrame({"smiles": smiles, "text": smiles}), smiles="smiles", input="text", fractions=(0.8, 0.1, 0.1)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        psi = GraphEmbedding(data.vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=24)).requires_grad_(False)
    return psi, data.train


def test_the_explorers(case):
    psi, split = case
    made = explore(psi, split)
    try:
        assert outside(made.picture()) == []
        made.pinned, made.color_by = int(split.graphs.sizes.argmax()), "loss to pinned"
        made.selection = np.arange(3)
        assert outside(made.picture()) == []
    finally:
        made.close()
    both = explore(psi, split, other=psi, color="nodes")
    both.pinned = 0
    try:
        assert outside(both.picture()) == []
    finally:
        both.close()


def test_the_inspectors(case):
    psi, split = case
    made = inspect_loss(psi, split.graphs[int(split.graphs.sizes.argmax())], anchor=split.graphs[0])
    try:
        assert outside(made.picture()) == []
        made.view = "shares"
        assert outside(made.picture()) == []
    finally:
        made.close()


def test_the_steppers(case):
    psi, split = case
    one = split.graphs[int(split.graphs.sizes.argmax())]
    config = DecodeConfig("gradient+polish", gradient=GradientConfig(iterations=4))
    traces = decode(psi, psi.embed(one), config=config, record=True).traces
    made = step_through(traces, truth=one)
    try:
        for step in (0, 3, made.last):
            made.step = step
            assert outside(made.picture()) == []
    finally:
        made.close()


@pytest.mark.parametrize("share", [0.9, 0.4, 0.05, np.nan])
@pytest.mark.parametrize("graphs", [0, 9])
def test_the_caveats_of_a_map(share, graphs):
    vocabulary = GraphVocabulary(("a",), ("x",), 5)
    rows = random_vertices(vocabulary, graphs, torch.Generator().manual_seed(0)) if graphs else None
    positions = np.random.default_rng(0).normal(size=(40, 2))
    for method in ("umap", "pca"):
        words = trust_words(np.full(40, share), method)
        figure = embedding_map(
            positions, np.arange(40), column="nodes", graphs=rows, titles=["a title"] * graphs, trust=words
        )
        assert outside(figure) == []
        assert words in " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))

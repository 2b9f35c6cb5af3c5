"""Pictures of prediction sets: what is drawn is what the set holds, in words too."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices

from elekit import draw
from elekit.evaluation.conformal import Calibration
from elekit.evaluation.conformal.sets import PredictionSet


@pytest.fixture
def graphs(vocabulary, generator):
    return random_vertices(vocabulary, 9, generator)


def set_of(graphs, losses, decoded, size=None, most=7):
    size = len(graphs) if size is None else size
    return PredictionSet(graphs, torch.tensor(losses), size, decoded, 0.3, Calibration(0.9, 0.25, 99), most)


def words_of(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def drawn(figure, gid):
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def test_a_set_is_drawn_with_its_losses_inside_the_radius(graphs):
    losses = [0.01, 0.05, 0.2]
    figure = draw.prediction_set(set_of(graphs[:3], losses, graphs[0]), truth=graphs[1])
    said = words_of(figure)
    assert "one of these 3, at 90 %" in said and "radius 0.250" in said
    assert any(text.startswith("loss 0.010") and "decoded" in text for text in said)
    assert any(text.startswith("loss 0.050") and "truth" in text for text in said)
    (line,), (band,) = drawn(figure, "losses"), drawn(figure, "within")
    assert line.get_xdata() == pytest.approx(losses) and band.get_width() == pytest.approx(0.25)
    assert (np.array(line.get_xdata()) <= 0.25).all()


def test_an_empty_set_shows_what_lies_outside(graphs):
    figure = draw.prediction_set(set_of(graphs[:0], [], graphs[4]))
    said = words_of(figure)
    assert "unsure: no graph lies within the radius of 0.250" in said
    assert "loss 0.300\ndecoded, outside the set" in said
    (line,) = drawn(figure, "losses")
    assert line.get_xdata() == pytest.approx([0.3]) and line.get_marker() == "D"  # another sign, not only a color


def test_of_large_sets_the_nearest_are_drawn(graphs):
    figure = draw.prediction_set(set_of(graphs[:7], [0.1] * 7, graphs[0], size=40), shown=3)
    assert "unsure: 40 graphs lie within the radius, more than 7 (the nearest 3 are shown)" in words_of(figure)
    assert len(drawn(figure, "losses")[0].get_xdata()) == 3
    with pytest.raises(ValueError, match="shown must be at least 1"):
        draw.prediction_set(set_of(graphs[:1], [0.1], graphs[0]), shown=0)


def test_coverage_by_slice_is_drawn_beside_the_promise():
    names = ["slice", "by", "pairs", "coverage", "low", "high", "mean_size", "few"]
    rows = [("all", "all", 200, 0.9, 0.85, 0.93, 2.0, False), ("with $F$", "holds", 80, 0.8, 0.7, 0.88, 3.5, False),
            ("of 1 node", "size", 3, 0.0, 0.0, 0.56, 0.0, True)]  # fmt: skip
    figure = draw.coverage(pd.DataFrame(rows, columns=names), 0.9)
    said = words_of(figure)
    (dots,), (line,) = drawn(figure, "coverage"), drawn(figure, "level")
    assert dots.get_xdata() == pytest.approx([0.9, 0.8]) and line.get_xdata()[0] == 0.9
    assert "80.0 %   3.5 graphs   (of 80)" in said and "with $F$" in said
    assert "too few pairs: of 1 node (3)" in said and "target: 90 %" in said
    with pytest.raises(ValueError, match="lacks columns"):
        draw.coverage(pd.DataFrame({"slice": []}), 0.9)
    with pytest.raises(ValueError, match="lacks rows"):
        draw.coverage(pd.DataFrame(columns=names), 0.9)

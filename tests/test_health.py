"""The health of a loss: figures against losses of known quality, the verdict, artifacts, widgets."""

import json
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

import elekit as ele
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.weisfeiler_lehman import graph_hashes
from elekit.model import artifact as artifacts
from elekit.model.health import Health, Level
from elekit.training import measure_health

GOOD = Health(
    graphs=1_040, held_out=True, edit=0.12, nearest=0.35, random=1.9, coincident=0, decoded=40, found=39, wrong=0.01
)


@pytest.fixture(scope="module")
def data():
    return ele.datasets.load("molecules7")


def counting(graphs):
    """A loss that counts labels: many different graphs lie at one point."""
    return normalize(graphs.nodes[..., 1:].sum(1) + 1e-3, dim=1)


def test_the_shipped_loss_is_good_and_an_untrained_one_is_not(data):
    psi = ele.load("molecules7").psi
    found = measure_health(psi, data.train.graphs, held_out=data.test.graphs, budget=60)
    assert found.level is Level.GOOD and found.found >= 0.9 * found.decoded and found.decoded == 40
    assert found.held_out and 0 < found.edit < found.random and found.nearest < found.random and found.coincident == 0
    torch.manual_seed(0)
    untrained = ele.GraphEmbedding(psi.vocabulary, ele.EmbeddingConfig(hidden=4, rounds=1, dim=3, walks=0)).eval()
    other = measure_health(untrained, data.train.graphs[:300], budget=60)
    assert other.level is not Level.GOOD and not other.held_out and "training graphs" in str(other)
    assert other.wrong < 10 * other.edit and str(other.found) in str(other)


def test_coinciding_points_of_different_graphs_are_counted(data):
    graphs = data.train.graphs[:200]
    found = measure_health(counting, graphs, budget=60)
    assert found.level is Level.UNUSABLE and found.coincident > 0.5 * found.graphs
    nothing = measure_health(lambda graphs: 0 * graphs.nodes.sum((1, 2))[:, None] + 1, graphs, budget=60)
    assert nothing.random == 0 and "lie at one point" in str(nothing)
    twins = ele.Graph.cat([graphs[:3]] * 20)  # equal graphs may coincide
    assert measure_health(ele.load("molecules7").psi, twins, budget=60).coincident == 0


def test_figures_are_those_of_all_pairs(data):
    graphs, psi = data.train.graphs[:30], ele.load("molecules7").psi
    found = measure_health(psi, graphs, budget=60)
    points = psi.embed(graphs).double()
    loss = (2 - 2 * points @ points.T).fill_diagonal_(torch.inf)
    assert found.graphs == len(graph_hashes(graphs, 8).unique(dim=0)) == 30
    assert found.nearest == pytest.approx(float(loss.amin(1).median()), abs=1e-5)
    assert found.random == pytest.approx(float(loss[torch.isfinite(loss)].median()), abs=1e-5)
    packed = measure_health(psi, PackedGraphs.of(graphs), budget=60)
    assert packed.nearest == pytest.approx(found.nearest, abs=1e-5) and packed.found == found.found


def test_little_time_gives_figures_without_a_decoding(data):
    found = measure_health(ele.load("molecules7").psi, data.train.graphs[:50], budget=1e-6)
    assert found.decoded == found.found == 0 and found.level is Level.WEAK and "too short" in str(found)
    assert measure_health(counting, data.train.graphs[[0, 0, 0]]) is None


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({}, Level.GOOD, "39 of 40 unseen graphs are found again"),
        ({"found": 20}, Level.WEAK, "wrong answers lie nearer (0.01) than one edit (0.12)"),
        ({"found": 1, "wrong": 0.5}, Level.UNUSABLE, "wrong answers lie further (0.5) than one edit (0.12)"),
        ({"coincident": 200}, Level.UNUSABLE, "200 of 1040 graphs lie at the point of a different graph"),
        ({"edit": None, "wrong": None}, Level.GOOD, "the nearest other graph 0.35, a random one 1.9"),
        ({"decoded": 0, "found": 0, "wrong": None}, Level.WEAK, "too short"),
    ],
)
def test_the_verdict_is_one_line_with_figures(change, level, words):
    health = replace(GOOD, **change)
    assert health.level is level and str(health).startswith(f"Health: {level}: ") and words in str(health)
    assert "\n" not in str(health) and Health.from_json(json.loads(json.dumps(health.to_json()))) == health


def test_a_training_measures_it_and_artifact_and_widgets_show_it(data, tmp_path, measures_health, capsys):
    loop = ele.TrainerConfig(steps=3, learning_rate=1e-3, validate_every=3)
    training = ele.EmbeddingTraining(loop, batch_size=8)
    graphs = data.train.graphs[:60]
    psi = ele.fit_embedding(graphs, config=ele.EmbeddingConfig(hidden=8, dim=8), training=training, progress=True)
    assert str(psi.health) in capsys.readouterr().err
    artifacts.save(ele.Artifact("mine", psi, about={"seed": 0}), tmp_path)
    loaded = ele.load(tmp_path)
    assert loaded.health == Health.from_json(psi.health.to_json()) and loaded.about["health"]["graphs"] == 60
    widget = ele.widgets.inspect_loss(loaded.psi, graphs[0], among=graphs)
    assert widget.health == str(loaded.health) and ele.load("molecules7").health.level is Level.GOOD
    decoded = ele.decode(loaded.psi, loaded.psi.embed(graphs[:1]), record=True)
    assert ele.widgets.step_through(decoded.traces[0]).health == widget.health
    written = json.loads((tmp_path / artifacts.JSON_NAME).read_text())
    written["about"]["health"]["found"] = -1
    content = {name: value for name, value in written.items() if name != "digest"}
    (tmp_path / artifacts.JSON_NAME).write_text(json.dumps({**content, "digest": artifacts.digest(content)}))
    with pytest.raises(artifacts.ArtifactError, match="found must be a whole number"):
        ele.load(tmp_path)

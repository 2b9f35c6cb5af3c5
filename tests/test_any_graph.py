"""elekit is no molecule package: cycles, paths and stars with a label of their own, from vectors to graphs."""

import networkx as nx
import pytest
import torch

import elekit as ele
from elekit import datasets
from elekit.decoding import DecodeConfig, GradientConfig
from elekit.evaluation import judging
from elekit.training import EmbeddingTraining, SurrogateTraining

LABELS = ("red", "green", "blue")
EDGES = ("thin", "thick")


def drawn(shape: str, size: int, label: int, edge: int) -> nx.Graph:
    """A cycle, path or star; one node of a label of its own, the rest red; all edges of one kind."""
    make = {"cycle": nx.cycle_graph, "path": nx.path_graph, "star": lambda n: nx.star_graph(n - 1)}[shape]
    graph = make(size)
    nx.set_node_attributes(graph, LABELS[0], "label")
    graph.nodes[0]["label"] = LABELS[label]
    nx.set_edge_attributes(graph, EDGES[edge], "label")
    return graph


def all_of_them():
    """Every graph, and the vector that tells it: which shape, how large, which label, which edges."""
    graphs, vectors = [], []
    for shape in ("cycle", "path", "star"):
        for size in range(4, 9):
            for label in range(3):
                for edge in range(2):
                    graphs.append(drawn(shape, size, label, edge))
                    facts = [shape == s for s in ("cycle", "path", "star")] + [size == n for n in range(4, 9)]
                    facts += [label == k for k in range(3)] + [edge == 1]
                    vectors.append([float(fact) for fact in facts])
    return graphs, torch.tensor(vectors)


@pytest.fixture(scope="module")
def data():
    graphs, vectors = all_of_them()
    return datasets.from_networkx_graphs(graphs, vectors, seed=0, name="shapes")


@pytest.fixture(scope="module")
def psi(data):
    loop = ele.TrainerConfig(steps=250, learning_rate=5e-3, warmup=20, validate_every=250, checkpoint_every=250)
    return ele.fit_embedding(
        data.train.graphs,
        config=ele.EmbeddingConfig(hidden=24, rounds=3, dim=24, walks=6),
        training=EmbeddingTraining(loop=loop, batch_size=48, temperature=0.1),
        device="cpu",
        progress=False,
    )


@pytest.fixture(scope="module")
def h(psi, data):
    loop = ele.TrainerConfig(steps=300, learning_rate=5e-3, warmup=20, validate_every=300, checkpoint_every=300)
    training = SurrogateTraining(loop=loop, batch_size=48)
    backbone = ele.BackboneConfig("vector", width=48)
    return ele.fit_surrogate(psi, data.train, backbone=backbone, training=training, device="cpu", progress=False)


def test_the_data_says_what_it_is(data):
    report = data.report()
    assert report["rows"] == 90 and report["skipped"] == {}
    assert report["node_labels"] == sorted(LABELS) and report["edge_labels"] == sorted(EDGES)
    assert report["max_nodes"] == 8
    assert data.train.inputs.shape == (len(data.train), 12)
    assert not set(data.train.frame["key"]) & set(data.test.frame["key"])


def test_from_vectors_to_graphs_among_candidates(psi, h, data):
    """By chance 1 in 90 is exact."""
    graphs, _ = all_of_them()
    candidates = ele.from_networkx(graphs, data.vocabulary)
    known = ele.decode(psi, h(data.train.inputs), candidates=candidates)
    table = ele.evaluate(known.graphs, data.train.graphs)
    assert "valid" not in table and "predicted" not in table
    assert table["exact"].mean() > 0.8
    held_out = judging.judge(
        psi, h(data.test.inputs), data.test.graphs, candidates=candidates, config=DecodeConfig("candidates")
    )
    assert held_out.summary["exact"] >= 0.6
    others = data.test.graphs[torch.arange(len(data.test)).roll(1)]
    assert held_out.summary["edit_distance"] < 0.5 * ele.evaluate(others, data.test.graphs)["edit_distance"].mean()


def test_the_loss_is_decoded_without_candidates(psi, data):
    """From psi(y), by descent and polish, with nothing to choose from."""
    truth = data.test.graphs
    config = DecodeConfig("gradient+polish", gradient=GradientConfig(iterations=60, starts=8))
    judged = judging.judge(psi, psi.embed(truth), truth, config=config)
    assert judged.summary["exact"] >= 0.6
    assert judged.decoded.graphs.check() is judged.decoded.graphs
    drawn_again = ele.to_networkx(judged.decoded.graphs)
    assert {label for g in drawn_again for _, label in g.nodes(data="label")} <= set(LABELS)


def test_the_artifact_of_other_graphs_is_refused(psi, h, data, tmp_path):
    ele.save(ele.Artifact("shapes", psi, {"vector": h}), tmp_path)
    back = ele.load(tmp_path)
    assert torch.equal(back.surrogates["vector"](data.test.inputs), h(data.test.inputs))
    with pytest.raises(ValueError, match="graphs of another vocabulary"):
        ele.decode(back.psi, back.surrogates["vector"](data.test.inputs), candidates=ele.from_smiles(["C", "CC"]))

"""What the tests share: a small vocabulary, random graphs on and off the vertices, the folder of real data."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import networkx as nx
import pytest
import torch
from lab import Lab, browser_page, find_chromium, jupyter_lab

from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary
from elekit.model import artifact as artifacts
from elekit.model.contrastive import info_nce
from elekit.training import embedding, measure_health, surrogate

torch.set_num_threads(1)  # also while tests are collected; tensors are tiny, a second thread waits for the first


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out files; their tests with a browser, which come last, one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def __init__(self):
            super().__init__(config, log)
            self.units: dict[str, str] = {}

        def schedule(self):
            if not self.units:
                file, seen = "", set()
                for test in next(iter(self.registered_collections.values())):
                    seen |= {file} - {test.partition("::")[0]}
                    file = test.partition("::")[0]
                    self.units[test] = test if file in seen else file
            super().schedule()

        def _split_scope(self, nodeid):
            return self.units[nodeid]

    config.option.loadscopereorder = False
    return ByFile()


def pytest_collection_modifyitems(items):
    # A browser leaves an event loop running in this thread, in which other tests would find themselves: those with a
    # browser come last, and of these last those that share the one of the session, beside which no other can start.
    items.sort(key=lambda item: (item.get_closest_marker("browser") is not None, "running_lab" in item.fixturenames))
    if not os.environ.get("ELEKIT_DATA_DIR"):
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason="ELEKIT_DATA_DIR is not set"))


@pytest.fixture(autouse=True)
def one_thread():
    """UMAP sets the threads of torch, too; more than one round in another order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_health(monkeypatch):
    """To measure the health of a loss takes longer than most trainings of these tests; `measures_health` does."""
    monkeypatch.setattr(embedding, "measure_health", lambda *given, **options: None)


@pytest.fixture
def measures_health(no_health, monkeypatch):
    monkeypatch.setattr(embedding, "measure_health", measure_health)


@pytest.fixture
def data_dir() -> Path:
    folder = os.environ.get("ELEKIT_DATA_DIR")
    if not folder:
        pytest.skip("ELEKIT_DATA_DIR is not set")
    return Path(folder)


@pytest.fixture
def contrastive_loss(monkeypatch):
    """Puts a function in the place of the contrastive loss of both fits."""

    def put(replacement):
        for fit in (embedding, surrogate):
            monkeypatch.setattr(fit, "info_nce", replacement)

    return put


@pytest.fixture
def ctrl_c_at(contrastive_loss):
    """Ctrl-C at one call of the contrastive loss, counted from 0; a step of either fit makes at least one.

    Returns what counts the calls.
    """

    def prepare(at: int) -> Iterator[int]:
        calls = itertools.count()

        def interrupted(*given):
            if next(calls) == at:
                raise KeyboardInterrupt
            return info_nce(*given)

        contrastive_loss(interrupted)
        return calls

    return prepare


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one the test is skipped, in CI it fails."""
    found = find_chromium()
    if found is None and os.environ.get("CI"):
        pytest.fail("no Chromium found; .ci/run installs it")
    if found is None:
        pytest.skip("no Chromium found")
    return found


@pytest.fixture(scope="session")
def running_lab(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    with jupyter_lab(folder) as (url, token), browser_page(tmp_path_factory.mktemp("profile")) as (page, strays):
        yield Lab(url, token, folder, page, strays)


@pytest.fixture
def lab(running_lab):
    """The JupyterLab of the session; the test's notebook and kernel are closed after it, nothing may leave the machine."""
    running_lab.strays.clear()
    yield running_lab
    running_lab.leave()
    assert running_lab.strays == []


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def vocabulary() -> GraphVocabulary:
    """Two edge labels of order 1 and 2, three node labels that carry 3, 2 and 4 of it."""
    return GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 5, capacity=(3, 2, 4), order=(1, 2))


@pytest.fixture
def vertices(vocabulary, generator) -> Graph:
    """Discrete graphs of 1 to 5 nodes; some exceed a capacity."""
    return random_vertices(vocabulary, 40, generator)


@pytest.fixture
def relaxed(vocabulary, generator) -> Graph:
    return random_relaxed(vocabulary, 12, generator)


def random_vertices(vocabulary: GraphVocabulary, count: int, generator, density: float = 0.4) -> Graph:
    """Graphs of 1 to N nodes, the absent ones last; each pair of nodes linked with probability `density`."""
    N = vocabulary.max_nodes
    sizes = torch.randint(1, N + 1, (count, 1), generator=generator)
    there = torch.arange(N) < sizes
    nodes = torch.randint(1, vocabulary.K, (count, N), generator=generator) * there
    linked = torch.rand(count, N, N, generator=generator) < density
    edges = torch.randint(1, vocabulary.R, (count, N, N), generator=generator) * linked
    edges = (edges * there[:, None] * there[:, :, None]).triu(1)
    return Graph.from_labels(nodes, edges + edges.transpose(1, 2), vocabulary)


def random_relaxed(vocabulary: GraphVocabulary, count: int, generator, dtype=torch.float32) -> Graph:
    """Graphs in the inside of the polytope."""
    N, K, R = vocabulary.max_nodes, vocabulary.K, vocabulary.R
    nodes = torch.rand(count, N, K, generator=generator, dtype=dtype)
    edges = torch.rand(count, N, N, R, generator=generator, dtype=dtype)
    edges = edges + edges.transpose(1, 2)
    edges = edges / edges.sum(-1, keepdim=True)
    return Graph(nodes / nodes.sum(-1, keepdim=True), projections.symmetric(edges), vocabulary)


def padded(graph: Graph, extra: int) -> Graph:
    """The same graphs with `extra` absent nodes more."""
    B, N, K = graph.nodes.shape
    nodes = torch.zeros(B, N + extra, K, dtype=graph.nodes.dtype)
    edges = torch.zeros(B, N + extra, N + extra, graph.vocabulary.R, dtype=graph.edges.dtype)
    nodes[..., 0], edges[..., 0] = 1, 1
    nodes[:, :N], edges[:, :N, :N] = graph.nodes, graph.edges
    return Graph(nodes, edges, graph.vocabulary)


def equal(one: GraphBatch, other: GraphBatch) -> bool:
    """The same tensors; packed graphs are compared in their slots."""
    if not isinstance(one, Graph) or not isinstance(other, Graph):
        slots = max(one.slots(), other.slots())
        one, other = one.dense(slots), other.dense(slots)
    return torch.equal(one.nodes, other.nodes) and torch.equal(one.edges, other.edges)


def isomorphic(one: nx.Graph, other: nx.Graph) -> bool:
    """Labeled isomorphism."""

    def same(a, b):
        return a["label"] == b["label"]

    return nx.is_isomorphic(one, other, same, same)


def differences(one: artifacts.Artifact, other: artifacts.Artifact) -> dict[str, tuple]:
    """Dotted name -> (value of one, value of the other) for all that differs between two artifacts."""

    def flat(value, prefix=""):
        if isinstance(value, dict):
            return {k: v for key, inner in value.items() for k, v in flat(inner, f"{prefix}{key}.").items()}
        return {prefix.rstrip("."): value}

    def facts(artifact):
        modules = {"psi": artifact.psi, **{f"h-{k}": h for k, h in artifact.surrogates.items()}}
        weights = {name: artifacts.tensor_bytes(module.state_dict()) for name, module in modules.items()}
        config = asdict(artifact.psi.config)
        values = {"vocabulary": artifact.vocabulary.to_json(), "embedding": config, "about": artifact.about}
        return flat({**values, "weights": weights})

    first, second = facts(one), facts(other)
    return {k: (first.get(k), second.get(k)) for k in sorted({*first, *second}) if first.get(k) != second.get(k)}

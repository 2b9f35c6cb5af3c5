"""All labels of a graph at once, as GraphVAE does (Simonovsky, Komodakis 2018), in canonical order of the nodes."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from elekit import metrics, project
from elekit.benchmark.methods.base import Fitted, Method, Predictor
from elekit.benchmark.methods.ele import PSI_STEPS
from elekit.benchmark.methods.neural import SMALL_GRAPHS, Reader, count, learn
from elekit.benchmark.methods.regression import neural
from elekit.benchmark.methods.writing import in_order
from elekit.benchmark.problem import Problem
from elekit.embedding import EmbeddingConfig, GraphEmbedding
from elekit.graph import Graph, GraphVocabulary
from elekit.training import LoopConfig, run_loop, step_generator, stop_if_interrupted

TOGETHER = 256  # inputs read at a time


@dataclass(frozen=True)
class OneShotConfig:
    """dim: of the vector that is decoded. width: of the two hidden layers. dropout: after each of them.

    noise: added to each number of a point of the sphere while the autoencoder learns, times 1 / sqrt(dim).
    """

    dim: int = 256
    width: int = 512
    dropout: float = 0.0
    noise: float = 0.5


class GraphDecoder(nn.Module):
    """A vector (B, dim) to logits of all nodes (B, N, K) and of all pairs (B, N, N, R), symmetric."""

    def __init__(self, vocabulary: GraphVocabulary, config: OneShotConfig):
        super().__init__()
        self.vocabulary = vocabulary
        N, K, R = vocabulary.max_nodes, vocabulary.K, vocabulary.R
        layers, sizes = [], (config.dim, config.width, config.width)
        for size, width in zip(sizes, sizes[1:]):
            layers += [nn.Linear(size, width), nn.SiLU(), nn.Dropout(config.dropout)]
        self.hidden = nn.Sequential(*layers)
        self.nodes = nn.Linear(config.width, N * K)
        self.edges = nn.Linear(config.width, N * N * R)

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        B, N = len(vector), self.vocabulary.max_nodes
        hidden = self.hidden(vector)
        edges = self.edges(hidden).reshape(B, N, N, self.vocabulary.R)
        return self.nodes(hidden).reshape(B, N, self.vocabulary.K), (edges + edges.transpose(1, 2)) / 2

    def graph(self, vector: Tensor) -> Graph:
        """The probabilities, a point of the polytope."""
        nodes, edges = self(vector)
        return Graph(nodes.softmax(-1), edges.softmax(-1), self.vocabulary).symmetrised()

    def loss(self, vector: Tensor, truth: Graph) -> Tensor:
        """Mean cross entropy of a node or pair, slot by slot; truth has its nodes in canonical order."""
        nodes, edges = self(vector)
        N = self.vocabulary.max_nodes
        i, j = torch.triu_indices(N, N, 1)
        wanted = torch.cat([truth.nodes.argmax(-1), truth.edges.argmax(-1)[:, i, j]], 1)
        of_nodes = nn.functional.cross_entropy(nodes.transpose(1, 2), wanted[:, :N], reduction="sum")
        of_edges = nn.functional.cross_entropy(edges[:, i, j].transpose(1, 2), wanted[:, N:], reduction="sum")
        return (of_nodes + of_edges) / wanted.numel()


class OneShotModel(nn.Module):
    """Inputs to logits: the reader's vector, decoded."""

    def __init__(self, reader: Reader, decoder: GraphDecoder):
        super().__init__()
        self.reader, self.decoder = reader, decoder

    def vector(self, inputs) -> Tensor:
        return self.reader(inputs)[2]


class Autoencoder(nn.Module):
    """Graphs to points of the sphere by a network like psi, and back at once."""

    def __init__(self, vocabulary: GraphVocabulary, config: OneShotConfig):
        super().__init__()
        self.encoder = GraphEmbedding(vocabulary, EmbeddingConfig(dim=config.dim))
        self.decoder = GraphDecoder(vocabulary, config)


class AtOnce(Predictor):
    """The most probable label of each slot and pair."""

    def __init__(self, vector, decoder: GraphDecoder):
        self.vector, self.decoder = vector, decoder

    @torch.no_grad()
    def predict(self, inputs) -> Graph:
        together = range(0, len(inputs), TOGETHER)
        parts = [self.decoder.graph(self.vector(inputs[start : start + TOGETHER])).rounded() for start in together]
        return Graph.cat(parts)


@dataclass(frozen=True)
class OneShot(Method):
    """Encoder, vector, graph; trained from end to end on labelled pairs."""

    name: str = "one-shot"
    title: str = "one-shot decoder"
    about: str = "all node and edge labels at once, in canonical order of the nodes, by cross entropy"
    tasks: tuple[str, ...] | None = SMALL_GRAPHS
    config: OneShotConfig = OneShotConfig()

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        ordered, vocabulary = in_order(problem.train.graphs), problem.outputs.vocabulary
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = OneShotModel(Reader(problem, self.config.dim), GraphDecoder(vocabulary, self.config))
        predictor = AtOnce(model.vector, model.decoder)
        learn(
            model,
            problem,
            lambda inputs, rows: model.decoder.loss(model.vector(inputs), ordered[rows]),
            lambda: _exact(predictor, problem),
            identity={"fit": self.name, "config": asdict(self.config)},
            seed=seed,
            checkpoint=work / f"{self.name}.pt",
            progress=progress,
        )
        return Fitted({"": predictor}, asdict(self.config), count(model))


@dataclass(frozen=True)
class OneShotAutoencoder(OneShot):
    """The decoder is that of an autoencoder of all outputs; the encoder is regressed on its points, as h on psi."""

    name: str = "autoencoder"
    title: str = "graph autoencoder"
    about: str = "a one-shot decoder learned with an autoencoder of all outputs; its code is regressed on"

    def prepare(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> None:
        self.autoencoder(problem, work, progress)

    def autoencoder(self, problem: Problem, work: Path, progress: bool) -> Autoencoder:
        """Learned once from the outputs, in as many steps as psi, and kept beside the runs that use it."""
        graphs, held_out = problem.outputs, problem.validation.graphs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = Autoencoder(graphs.vocabulary, self.config)
        ordered = cache(lambda: in_order(graphs))  # not where all is learned already

        def loss_at(step: int) -> Tensor:
            generator = step_generator(0, step)
            truth = ordered()[torch.randint(len(graphs), (256,), generator=generator)]
            points = model.encoder(truth)
            spread = self.config.noise / self.config.dim**0.5
            points = project.sphere(points + spread * torch.randn(points.shape, generator=generator))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(step)  # dropout
                return model.decoder.loss(points, truth)

        def validate() -> dict[str, float]:
            again = model.decoder.graph(model.encoder.embed(held_out)).rounded()
            return {"exact": metrics.isomorphic(again, held_out).float().mean().item()}

        model.history = run_loop(
            model,
            LoopConfig(PSI_STEPS, 2e-3, matmul_precision="medium"),
            loss_at,
            validate,
            identity={"fit": self.name, "config": asdict(self.config), "graphs": graphs.digest()},
            checkpoint=work.parent / f"{self.name}-{graphs.digest()[:12]}.pt",
            progress=progress,
            title=self.name,
        )
        stop_if_interrupted(model)
        return model

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        model = self.autoencoder(problem, work, progress)
        h, settings = neural(model.encoder, problem, seed=seed, work=work, progress=progress)
        return Fitted({"": AtOnce(h, model.decoder)}, {**asdict(self.config), "h": settings}, count(h, model))


def _exact(predictor: Predictor, problem: Problem) -> dict[str, float]:
    found = predictor.predict(problem.validation.inputs)
    return {"exact": metrics.isomorphic(found, problem.validation.graphs).float().mean().item()}

"""elekit: learned losses for structured prediction (Explicit Loss Embedding, arXiv:2411.11682).

    data = ele.datasets.load("molecules7")
    psi = ele.fit_embedding(data.train.graphs, seed=0)
    h = ele.fit_surrogate(psi, data.train, seed=0)
    graphs, traces = ele.decode(psi, h.predict(data.test.inputs[:8]), candidates=data.train.graphs)
    ele.evaluate(graphs, data.test.graphs[:8])

Names load on first use, so `import elekit` is fast and needs none of the optional packages.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PACKAGES = (
    "graphs", "datasets", "model", "decoding", "training", "evaluation", "inspect", "draw", "audit", "correction",
    "operation", "widgets", "card", "cli",
)  # fmt: skip
_EXPORTS = {
    "graphs": ("Constraints", "Graph", "GraphVocabulary", "from_networkx", "from_smiles", "to_networkx", "to_smiles"),
    "model": (
        "Artifact", "BackboneConfig", "EmbeddingConfig", "GraphEmbedding", "LearnedLoss", "SurrogateRegressor",
        "load", "save",
    ),
    "decoding": (
        "Candidates", "DecodeConfig", "GradientConfig", "LocalSearchConfig", "Trace", "decode", "decode_candidates",
        "decode_gradient",
    ),
    "training": ("EmbeddingTraining", "SurrogateTraining", "TrainerConfig", "fit_embedding", "fit_surrogate"),
    "evaluation": ("evaluate", "judge"),
    "correction": ("correct",),
}  # fmt: skip
_HOME = {name: package for package, names in _EXPORTS.items() for name in names}

__all__ = ["__version__", *_HOME, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"elekit.{_HOME[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"elekit.{name}")
    raise AttributeError(f"module 'elekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

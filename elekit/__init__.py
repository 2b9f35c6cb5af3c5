"""elekit: learned losses for structured prediction (Explicit Loss Embedding, arXiv:2411.11682).

    data = ele.datasets.load("molecules7")
    psi = ele.fit_embedding(data.train.graphs, seed=0)
    h = ele.fit_surrogate(psi, data.train, seed=0)
    graphs, traces = ele.decode(psi, h(data.test.inputs[:8]), candidates=data.train.graphs)
    ele.evaluate(graphs, data.test.graphs[:8])

Names load when they are first used, so that `import elekit` costs next to nothing.
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "graph": ("Graph", "GraphVocabulary", "from_networkx", "to_networkx"),
    "chem": ("from_smiles", "to_smiles"),
    "embedding": ("EmbeddingConfig", "GraphEmbedding"),
    "loss": ("LearnedLoss",),
    "surrogate": ("BackboneConfig", "SurrogateRegressor"),
    "training": ("LoopConfig",),
    "train": ("EmbeddingTraining", "SurrogateTraining", "fit_embedding", "fit_surrogate"),
    "decoding": (
        "Candidates", "DecodeConfig", "GradientConfig", "PolishConfig", "Trace",
        "decode", "decode_candidates", "decode_gradient",
    ),
    "evaluation": ("evaluate", "judge"),
    "release": ("Artefact", "load", "save"),
    "correction": ("correct",),
}  # fmt: skip
_WHERE = {name: module for module, names in _HOME.items() for name in names}
_MODULES = (
    "augment", "card", "chem", "conformal", "contrastive", "correction", "datasets", "decoding",
    "distances", "draw", "edits", "embedding", "evaluation", "graph", "inspect", "lessons", "loss", "metrics",
    "project", "release", "surrogate", "train", "training", "widgets",
)  # fmt: skip

__all__ = ["__version__", *_WHERE, *_MODULES]


def __getattr__(name: str):
    if name in _WHERE:
        return getattr(importlib.import_module(f"elekit.{_WHERE[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"elekit.{name}")
    raise AttributeError(f"module 'elekit' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)

"""The kinds of backbones: made for training inputs, or rebuilt from plain values.

To add a kind, write a `Backbone` with `KINDS`, `from_inputs`, `to_config` and `from_config`, and list it in
`BACKBONES`.
"""

from dataclasses import asdict
from typing import Any

from torch import nn

from elekit.graphs.graph import GraphVocabulary
from elekit.model.loss import Psi
from elekit.model.surrogate.config import Backbone, BackboneConfig
from elekit.model.surrogate.graph_head import GraphBackbone
from elekit.model.surrogate.huggingface import HuggingFaceBackbone
from elekit.model.surrogate.image import ImageBackbone
from elekit.model.surrogate.reader import Reader, reader_of_tokens
from elekit.model.surrogate.text import TextBackbone
from elekit.model.surrogate.tfidf import TfidfBackbone
from elekit.model.surrogate.vector import VectorBackbone

_CLASSES: list[type[Backbone]] = [TextBackbone, TfidfBackbone, HuggingFaceBackbone, VectorBackbone, ImageBackbone]
BACKBONES: dict[str, type[Backbone]] = {kind: backbone for backbone in _CLASSES for kind in backbone.KINDS}
FIELDS = {name: check for backbone in _CLASSES for name, check in backbone.FIELDS.items()}  # what `to_config` adds


def make_backbone(
    config: BackboneConfig, inputs: Any, dim: int, *, vocabulary: GraphVocabulary | None = None,
    psi: Psi | None = None,
) -> Backbone:  # fmt: skip
    """An untrained backbone whose tokens or scaling come from the training inputs; a graph head needs psi."""
    return _with_head(_class_of(config.kind).from_inputs(inputs, config, dim), dim, vocabulary, psi)


def to_config(backbone: nn.Module) -> dict[str, Any]:
    """Plain values that describe a backbone without its weights; for a module of the user, the name of its class."""
    if isinstance(backbone, Backbone):
        return {"backbone": asdict(backbone.config), **backbone.to_config()}
    return {"backbone": {"kind": "module"}, "class": type(backbone).__name__}


def from_config(
    values: dict[str, Any], dim: int, *, vocabulary: GraphVocabulary | None = None, psi: Psi | None = None
) -> Backbone:
    """The backbone that `to_config` described, with untrained weights; for the parameters see `make_backbone`."""
    config = BackboneConfig(**values["backbone"])
    return _with_head(_class_of(config.kind).from_config(config, dim, values), dim, vocabulary, psi)


def tokens_reader(backbone: nn.Module, vocabulary: GraphVocabulary) -> Reader | None:
    """The reader of an h that was saved without one, by the tokens of its backbone; None without tokens."""
    inner = backbone.reader if isinstance(backbone, GraphBackbone) else backbone
    if not isinstance(inner, TextBackbone):
        return None
    return reader_of_tokens(inner.tokenizer.level, inner.tokenizer.tokens, vocabulary)


def _with_head(reader: Backbone, dim: int, vocabulary: GraphVocabulary | None, psi: Psi | None) -> Backbone:
    if reader.config.through == "point":
        return reader
    if vocabulary is None or psi is None:
        raise ValueError("through='graph' needs vocabulary= and psi= of the graphs")
    return GraphBackbone(reader, dim, vocabulary, psi)


def _class_of(kind: str) -> type[Backbone]:
    family = kind.partition(":")[0]  # "hf:NAME"
    if family not in BACKBONES or (family != kind and family not in HuggingFaceBackbone.KINDS):
        raise ValueError(f"no backbone {kind!r}; there are {(*BACKBONES,)}, or give a module")
    return BACKBONES[family]

"""Which backbone reads what: made for training inputs, described as plain values, and built again from those.

A new kind of backbone is one class with `KINDS`, `of`, `described` and `rebuilt`, named in `BACKBONES`.
"""

from dataclasses import asdict

from torch import nn

from elekit.graphs.graph import GraphVocabulary
from elekit.model.loss import Psi
from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.graph_head import GraphBackbone
from elekit.model.surrogate.huggingface import HuggingFaceBackbone
from elekit.model.surrogate.image import ImageBackbone
from elekit.model.surrogate.text import TextBackbone
from elekit.model.surrogate.tfidf import TfidfBackbone
from elekit.model.surrogate.vector import VectorBackbone

BACKBONES = {
    kind: backbone
    for backbone in (TextBackbone, TfidfBackbone, HuggingFaceBackbone, VectorBackbone, ImageBackbone)
    for kind in backbone.KINDS
}


def make_backbone(
    config: BackboneConfig, inputs, dim: int, *, vocabulary: GraphVocabulary | None = None, psi: Psi | None = None
) -> nn.Module:
    """A backbone for such inputs: its tokens, or its scaling, come from them.

    vocabulary, psi: of the graphs and their loss, where it goes through a graph.
    Raises ValueError for an unknown kind.
    """
    return _through(_class_of(config.kind).from_inputs(inputs, config, dim), dim, vocabulary, psi)


def to_config(backbone: nn.Module) -> dict:
    """A backbone without its weights, as plain values; of a module of the user's only what class it is."""
    if isinstance(backbone, (*BACKBONES.values(), GraphBackbone)):
        return {"backbone": asdict(backbone.config), **backbone.to_config()}
    return {"backbone": {"kind": "module"}, "class": type(backbone).__name__}


def from_config(
    described: dict, dim: int, *, vocabulary: GraphVocabulary | None = None, psi: Psi | None = None
) -> nn.Module:
    """The backbone that `describe` told of, with weights still to be filled in; vocabulary, psi: see `make_backbone`."""
    more = {name: value for name, value in described.items() if name not in ("backbone", "dim")}
    config = BackboneConfig(**described["backbone"])
    return _through(_class_of(config.kind).from_config(config, dim, **more), dim, vocabulary, psi)


def _through(reader: nn.Module, dim: int, vocabulary: GraphVocabulary | None, psi: Psi | None) -> nn.Module:
    """The reader itself, or on the way through a graph."""
    return reader if reader.config.through == "point" else GraphBackbone(reader, dim, vocabulary, psi)


def _class_of(kind: str):
    family = kind.partition(":")[0]  # "hf:NAME"
    if family not in BACKBONES or (family != kind and family not in HuggingFaceBackbone.KINDS):
        raise ValueError(f"no backbone {kind!r}; there are {(*BACKBONES,)}, or give a module")
    return BACKBONES[family]

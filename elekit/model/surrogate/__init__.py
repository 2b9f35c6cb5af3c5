"""h_W: inputs to points of the sphere, by a backbone u_W for texts, images and others (floor 2; paper eq. of h_W).

Whatever the backbone, `h_W(x) = u_W(x) / ||u_W(x)||`, and regression minimizes `2 - 2 <h_W(x), psi(y)>`. A backbone
may also go through a graph: `h_W(x) = psi(y_W(x))`, see `elekit.model.surrogate.graph_head`.
"""

from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.graph_head import GraphBackbone
from elekit.model.surrogate.huggingface import HuggingFaceBackbone
from elekit.model.surrogate.image import ImageBackbone
from elekit.model.surrogate.registry import BACKBONES, from_config, make_backbone, to_config
from elekit.model.surrogate.regressor import SurrogateRegressor
from elekit.model.surrogate.text import TextBackbone
from elekit.model.surrogate.tfidf import TfidfBackbone
from elekit.model.surrogate.tokens import PAD, UNKNOWN, Tokenizer
from elekit.model.surrogate.vector import VectorBackbone

__all__ = [
    "BACKBONES", "PAD", "UNKNOWN", "BackboneConfig", "GraphBackbone", "HuggingFaceBackbone", "ImageBackbone", "SurrogateRegressor",
    "TextBackbone", "TfidfBackbone", "Tokenizer", "VectorBackbone", "from_config", "make_backbone", "to_config",
]  # fmt: skip

"""h_W: inputs to points of the sphere, by a backbone u_W for texts, images and others (floor 2; paper eq. of h_W).

Whatever the backbone, `h_W(x) = u_W(x) / ||u_W(x)||`, and regression minimises `2 - 2 <h_W(x), psi(y)>`. A backbone
may also go through a graph: `h_W(x) = psi(y_W(x))`, see `elekit.surrogate.graph`.
"""

from elekit.surrogate.config import BackboneConfig
from elekit.surrogate.graph import GraphBackbone
from elekit.surrogate.huggingface import HuggingFaceBackbone
from elekit.surrogate.image import ImageBackbone
from elekit.surrogate.making import BACKBONES, describe, make_backbone, rebuild
from elekit.surrogate.regressor import SurrogateRegressor
from elekit.surrogate.text import TextBackbone
from elekit.surrogate.tfidf import TfidfBackbone
from elekit.surrogate.tokens import PAD, UNKNOWN, Tokeniser
from elekit.surrogate.vector import VectorBackbone

__all__ = [
    "BACKBONES", "PAD", "UNKNOWN", "BackboneConfig", "GraphBackbone", "HuggingFaceBackbone", "ImageBackbone", "SurrogateRegressor",
    "TextBackbone", "TfidfBackbone", "Tokeniser", "VectorBackbone", "describe", "make_backbone", "rebuild",
]  # fmt: skip

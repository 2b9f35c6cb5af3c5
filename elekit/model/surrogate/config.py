"""Backbones: their configuration and their interface."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from elekit.graphs import _schema

THROUGH = ("point", "graph")


BACKBONE_FIELDS = _schema.fields(
    {},
    {
        "kind": _schema.text(500, visible=True),
        "width": _schema.whole(1, 16_384),
        "layers": _schema.whole(0, 64),
        "embedding": _schema.whole(1, 16_384),
        "attention": _schema.whole(0, 64),
        "dropout": _schema.number(0, 1),
        "through": _schema.one_of(*THROUGH),
        "symmetric": _schema.one_of(False, True),
    },
)


@dataclass(frozen=True)
class BackboneConfig:
    """Architecture of a backbone.

    Args:
        kind: "character", "word" or "smiles" (recurrent net over such tokens), "tfidf" (n-grams), "hf:NAME" (an
            encoder of Hugging Face), "vector" (perceptron), "image" (convolutional net), or "module" (one of the
            user).
        width: Width of hidden layers, of each direction of a recurrent layer, or channels of an image net.
        layers: Number of hidden layers.
        embedding: Width of a token, or channels that keep their location in an image.
        dropout: Dropout probability, in [0, 1).
        attention: Number of layers of self-attention after the recurrent ones, of texts. They help where things are
            mentioned again, if there are thousands of texts to learn from.
        through: "point" ends in a linear map; "graph" adds the graph head, which needs a differentiable psi.
        symmetric: True if rotated and mirrored images have the same meaning: training draws from the eight views of
            an image; without the graph head, h averages over all eight.
    """

    kind: str = "smiles"
    width: int = 128
    layers: int = 2
    embedding: int = 64
    dropout: float = 0.0
    attention: int = 0
    through: str = "point"
    symmetric: bool = False

    def __post_init__(self) -> None:
        BACKBONE_FIELDS(vars(self), "the backbone")
        if self.symmetric and self.kind != "image":
            raise ValueError(f"only images can be symmetric (rotated and mirrored), not what {self.kind!r} reads")
        if self.attention and (self.kind not in ("character", "word", "smiles") or self.width % 2):
            raise ValueError(
                f"attention is for texts, with an even width; got kind {self.kind!r} and width {self.width}"
            )


class Backbone(nn.Module):
    """u_W: inputs to (B, dim). A new kind is a subclass that `elekit.model.surrogate.registry` lists."""

    KINDS: ClassVar[tuple[str, ...]] = ()
    FIELDS: ClassVar[dict[str, _schema.Check]] = {}  # what `to_config` returns, for the check of a file
    config: BackboneConfig

    @classmethod
    def from_inputs(cls, inputs: Any, config: BackboneConfig, dim: int) -> Self:
        """An untrained backbone whose vocabulary or scaling comes from the training inputs."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> Self:
        """The backbone with the values that `to_config` returned, untrained."""
        raise NotImplementedError

    def to_config(self) -> dict[str, Any]:
        """Plain values beside the configuration and the weights, such as the tokens."""
        raise NotImplementedError


class SequenceBackbone(Backbone):
    """A backbone with a state at each of T places: tokens of a text, locations of an image."""

    state_width: int
    num_relative_positions: int

    def relative_positions(self, T: int) -> Tensor:
        """(T, T) long, below `num_relative_positions`: index of the relative position of two places."""
        raise NotImplementedError

    def read(self, inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """States (B, T, state_width), a mask of the places that are not padding (B, T), and u_W (B, dim)."""
        raise NotImplementedError

    def forward(self, inputs: Any) -> Tensor:
        return self.read(inputs)[-1]

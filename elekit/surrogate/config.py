"""The shape of a backbone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneConfig:
    """kind: "character", "word", "smiles" (recurrent, over such tokens), "vector" (perceptron), or "module".

    width: of each direction of a recurrent layer, or of a hidden layer. embedding: width of a token.
    """

    kind: str = "smiles"
    width: int = 128
    layers: int = 2
    embedding: int = 64
    dropout: float = 0.0

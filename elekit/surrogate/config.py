"""The shape of a backbone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneConfig:
    """kind: "character", "word", "smiles" (recurrent, over such tokens), "tfidf" (n-grams of texts, perceptron),
    "hf:NAME" (an encoder of Hugging Face), "vector" (perceptron), "image" (convolutions), or "module".

    width: of each direction of a recurrent layer, of a hidden layer, or channels of an image. embedding: width of a
    token, or of what is kept apart by location in an image.
    """

    kind: str = "smiles"
    width: int = 128
    layers: int = 2
    embedding: int = 64
    dropout: float = 0.0

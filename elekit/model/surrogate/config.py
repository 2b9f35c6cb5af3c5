"""The shape of a backbone."""

from dataclasses import dataclass

THROUGH = ("point", "graph")


@dataclass(frozen=True)
class BackboneConfig:
    """kind: "character", "word", "smiles" (recurrent, over such tokens), "tfidf" (n-grams of texts, perceptron),
    "hf:NAME" (an encoder of Hugging Face), "vector" (perceptron), "image" (convolutions), or "module".

    width: of each direction of a recurrent layer, of a hidden layer, or channels of an image. embedding: width of a
    token, or of what is kept apart by location in an image.
    through: "point", u_W ends in a point, by a linear map; or "graph", u_W makes a relaxed graph and psi embeds it,
    which takes far fewer pairs and far more exact answers, and a differentiable psi (see `elekit.model.surrogate.graph_head`).
    symmetric: an image means the same turned and mirrored; h learns from any of the eight views of it, and by a point
    its answer is the mean over all eight.
    """

    kind: str = "smiles"
    width: int = 128
    layers: int = 2
    embedding: int = 64
    dropout: float = 0.0
    through: str = "point"
    symmetric: bool = False

    def __post_init__(self):
        if self.through not in THROUGH:
            raise ValueError(f"through must be one of {THROUGH}, got {self.through!r}")
        if self.symmetric and self.kind != "image":
            raise ValueError(f"only images can be symmetric, turned and mirrored, not what {self.kind!r} reads")

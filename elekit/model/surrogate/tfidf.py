"""u_W for texts: TF-IDF weights of n-grams (scikit-learn's) and a perceptron."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from elekit.graphs import _schema
from elekit.graphs._optional import extra
from elekit.model.surrogate.config import Backbone, BackboneConfig
from elekit.model.surrogate.tokens import check_texts

if TYPE_CHECKING:
    from scipy import sparse

ANALYZERS: tuple[dict[str, Any], ...] = (  # arguments of TfidfVectorizer
    {"analyzer": "char", "ngram_range": (3, 5)},
    {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"[^\W\d_]+|\d+"},
)
MAX_FEATURES = 20_000  # most frequent n-grams kept per analyzer
_READING = _schema.fields(
    {
        "terms": _schema.items(_schema.text(100_000), MAX_FEATURES),
        "idf": _schema.items(_schema.number(0, 1_000), MAX_FEATURES),
    }
)


class TfidfBackbone(Backbone):
    """Weighted counts of n-grams (3 to 5 characters, 1 to 2 words), projected, then residual layers.

    readings: for each of ANALYZERS its n-grams in column order and their inverse document frequencies. Counts are
    logarithmic, rows of each analyzer have unit length. A text without known n-grams counts as empty.
    """

    KINDS = ("tfidf",)
    FIELDS: ClassVar = {"readings": _schema.items(_READING, len(ANALYZERS), len(ANALYZERS))}

    def __init__(self, readings: Sequence[tuple[Sequence[str], Sequence[float]]], config: BackboneConfig, dim: int):
        super().__init__()
        self.config, self.readings = config, [(list(terms), [float(x) for x in idf]) for terms, idf in readings]
        known = zip(ANALYZERS, self.readings, strict=True)
        self.vectorizers = [_vectorizer(how, *reading) for how, reading in known if reading[0]]
        W = config.width
        self.enter = nn.EmbeddingBag(sum(len(terms) for terms, _ in self.readings), W, mode="sum")
        self.bias = nn.Parameter(torch.zeros(W))
        self.hidden = ResidualLayers(config)
        self.leave = nn.Linear(W, dim)

    def forward(self, inputs: Sequence[str]) -> Tensor:
        rows, device = self.rows(inputs), self.bias.device
        columns, starts = (torch.from_numpy(x.astype(np.int64)).to(device) for x in (rows.indices, rows.indptr[:-1]))
        values = torch.from_numpy(rows.data).to(device)
        out: Tensor = self.leave(self.hidden(self.enter(columns, starts, per_sample_weights=values) + self.bias))
        return out

    def rows(self, texts: Sequence[str]) -> "sparse.csr_matrix":
        """(B, F) float32, the weights of all analyzers side by side."""
        with extra("card"):
            from scipy import sparse

        check_texts(texts)
        return sparse.hstack([one.transform(texts) for one in self.vectorizers], format="csr", dtype=np.float32)

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "TfidfBackbone":
        check_texts(inputs, config.kind)
        readings: list[tuple[list[str], list[float]]] = []
        for how in ANALYZERS:
            try:
                fitted = _vectorizer(how).fit(inputs)
            except ValueError:  # every text is shorter than the n-grams
                readings.append(([], []))
            else:
                readings.append((fitted.get_feature_names_out().tolist(), fitted.idf_.tolist()))
        if not any(terms for terms, _ in readings):
            raise ValueError("backbone 'tfidf' found no n-gram in the inputs; use 'character' for very short texts")
        return cls(readings, config, dim)

    def to_config(self) -> dict[str, Any]:
        return {"readings": [{"terms": terms, "idf": idf} for terms, idf in self.readings]}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> "TfidfBackbone":
        return cls([(known["terms"], known["idf"]) for known in values["readings"]], config, dim)


class ResidualLayers(nn.ModuleList):
    def __init__(self, config: BackboneConfig):
        super().__init__()
        W, dropout = config.width, config.dropout
        for _ in range(config.layers):
            self.append(nn.Sequential(nn.LayerNorm(W), nn.Linear(W, W), nn.SiLU(), nn.Dropout(dropout)))

    def forward(self, state: Tensor) -> Tensor:
        for layer in self:
            state = state + layer(state)
        return state


def _vectorizer(how: dict[str, Any], terms: Sequence[str] | None = None, idf: Sequence[float] = ()) -> Any:
    """A TfidfVectorizer: not yet fitted, or with these n-grams and frequencies."""
    with extra("card"):
        from sklearn.feature_extraction.text import TfidfVectorizer

    if terms is None:
        return TfidfVectorizer(**how, sublinear_tf=True, max_features=MAX_FEATURES)
    made = TfidfVectorizer(**how, sublinear_tf=True, vocabulary={term: column for column, term in enumerate(terms)})
    made.idf_ = np.asarray(idf)
    return made

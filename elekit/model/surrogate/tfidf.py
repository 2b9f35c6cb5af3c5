"""u_W for texts as bags of n-grams: what TF-IDF of scikit-learn says, and a perceptron."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from elekit.graphs._optional import extra
from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.tokens import check_texts

if TYPE_CHECKING:
    from scipy import sparse

READINGS = (  # by scikit-learn's names
    {"analyzer": "char", "ngram_range": (3, 5)},
    {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"[^\W\d_]+|\d+"},
)
FEATURES = 20_000  # n-grams of each reading, at most: the most frequent ones


class TfidfBackbone(nn.Module):
    """u_W for texts: weighted counts of n-grams (characters 3 to 5, words 1 to 2), projected, then residual layers.

    readings: of each reading its n-grams in the order of columns, and their inverse document frequencies. Each
    reading is of unit length, in logarithms of counts. A text without any known n-gram is read as an empty one.
    """

    KINDS = ("tfidf",)

    def __init__(self, readings: Sequence[tuple[Sequence[str], Sequence[float]]], config: BackboneConfig, dim: int):
        super().__init__()
        self.config, self.readings = config, [(list(terms), [float(x) for x in idf]) for terms, idf in readings]
        self.vectorisers = [_vectoriser(how, *known) for how, known in zip(READINGS, self.readings, strict=True)]
        W = config.width
        self.enter = nn.EmbeddingBag(sum(len(terms) for terms, _ in self.readings), W, mode="sum")
        self.bias = nn.Parameter(torch.zeros(W))
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(W), nn.Linear(W, W), nn.SiLU(), nn.Dropout(config.dropout))
            for _ in range(config.layers)
        )
        self.leave = nn.Linear(W, dim)

    def forward(self, texts: Sequence[str]) -> Tensor:
        rows, device = self.rows(texts), self.bias.device
        columns, starts = (torch.from_numpy(x.astype(np.int64)).to(device) for x in (rows.indices, rows.indptr[:-1]))
        values = torch.from_numpy(rows.data).to(device)
        state = self.enter(columns, starts, per_sample_weights=values) + self.bias
        for layer in self.hidden:
            state = state + layer(state)
        return self.leave(state)

    def rows(self, texts: Sequence[str]) -> "sparse.csr_matrix":
        """(B, F) float32, the readings side by side. ValueError for what is no list of texts."""
        with extra("card"):
            from scipy import sparse

        check_texts(texts)
        return sparse.hstack([one.transform(texts) for one in self.vectorisers], format="csr", dtype=np.float32)

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "TfidfBackbone":
        """Its n-grams and their frequencies are those of the inputs."""
        if torch.is_tensor(inputs):
            shape = tuple(inputs.shape)
            raise ValueError(f"backbone {config.kind!r} reads texts, the inputs are vectors {shape}; use 'vector'")
        check_texts(inputs)
        readings = []
        for how in READINGS:
            try:
                fitted = _vectoriser(how).fit(inputs)
            except ValueError:  # no text is as long as that
                readings.append(([], []))
            else:
                readings.append((fitted.get_feature_names_out().tolist(), fitted.idf_.tolist()))
        if not any(terms for terms, _ in readings):
            raise ValueError("backbone 'tfidf' found no n-gram in the inputs; use 'character' for very short texts")
        return cls(readings, config, dim)

    def to_config(self) -> dict:
        return {"readings": [{"terms": terms, "idf": idf} for terms, idf in self.readings]}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, readings: Sequence[dict]) -> "TfidfBackbone":
        return cls([(known["terms"], known["idf"]) for known in readings], config, dim)


class _Nothing:
    """A reading that knows no n-gram."""

    def transform(self, texts: Sequence[str]) -> "sparse.csr_matrix":
        with extra("card"):
            from scipy import sparse

        return sparse.csr_matrix((len(texts), 0), dtype=np.float32)


def _vectoriser(how: dict, terms: Sequence[str] | None = None, idf: Sequence[float] = ()):
    """To be fitted, or as it was when it had these n-grams."""
    with extra("card"):
        from sklearn.feature_extraction.text import TfidfVectorizer

    if terms is None:
        return TfidfVectorizer(**how, sublinear_tf=True, max_features=FEATURES)
    if not len(terms):
        return _Nothing()
    made = TfidfVectorizer(**how, sublinear_tf=True, vocabulary={term: column for column, term in enumerate(terms)})
    made.idf_ = np.asarray(idf)
    return made

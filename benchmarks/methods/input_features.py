"""Inputs as rows of numbers, for methods that do not learn to read: counted n-grams of texts, pixels of images."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

ROWS = 512  # compared at a time with all others


def ngrams(analyzer: str, shortest: int, longest: int) -> TfidfVectorizer:
    """Rows of unit length: logarithms of counts of n-grams, weighted by how rare each is in training."""
    words = {"token_pattern": r"\w+"} if analyzer == "word" else {"lowercase": False}
    lengths = {"ngram_range": (shortest, longest)}
    return TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, dtype=np.float32, **lengths, **words)


def counts(shortest: int, longest: int):
    """Rows of unit length: plain counts of n-grams of characters, ends of texts marked."""
    marked = FunctionTransformer(lambda texts: [f"^{text}$" for text in texts])
    counted = CountVectorizer(analyzer="char", ngram_range=(shortest, longest), lowercase=False, dtype=np.float32)
    return make_pipeline(marked, counted, Normalizer())


class Pixels:
    """Images (B, C, H, W) as rows of unit length: averaged over squares of `pooled` pixels, less the mean image."""

    def __init__(self, pooled: int):
        self.pooled = pooled

    def fit_transform(self, images: torch.Tensor) -> np.ndarray:
        self.mean = self._flat(images).mean(0)
        return self.transform(images)

    def transform(self, images: torch.Tensor) -> np.ndarray:
        rows = self._flat(images) - self.mean
        return (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)).numpy()

    def _flat(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), self.pooled, ceil_mode=True).flatten(1)


READERS: dict[str, dict[str, Callable]] = {
    "smiles": {
        "characters 1-3": lambda: ngrams("char", 1, 3),
        "characters 1-5": lambda: ngrams("char", 1, 5),
        "characters 1-6, counted": lambda: counts(1, 6),
    },
    "text": {"characters 3-5": lambda: ngrams("char", 3, 5), "words 1-2": lambda: ngrams("word", 1, 2)},
    "image": {"pixels": lambda: Pixels(1), "pixels, 4 x 4": lambda: Pixels(4)},
}
"""By kind of input, what may be tried: `fit_transform` of the training inputs, then `transform` of others."""


def cosines(rows, others) -> np.ndarray:
    """(B, C) of rows of unit length, dense or sparse."""
    found = rows @ others.T
    return found if isinstance(found, np.ndarray) else found.toarray()


def most_alike(rows, others, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and numbers of the k rows of `others` that are most alike: (B, k) and (B, k), best first; k is cut."""
    k, found = min(k, others.shape[0]), []
    for start in range(0, rows.shape[0], ROWS):
        alike = torch.from_numpy(cosines(rows[start : start + ROWS], others))
        found.append(alike.topk(k, dim=1))
    return torch.cat([f.values for f in found]).numpy(), torch.cat([f.indices for f in found]).numpy()

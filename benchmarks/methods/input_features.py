"""Inputs as feature rows, for methods without a learned encoder: n-gram counts of texts, pixels of images."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

BLOCK = 512  # rows compared with all others at a time


def ngrams(analyzer: str, shortest: int, longest: int) -> TfidfVectorizer:
    """TF-IDF rows of unit length, with logarithmic counts of n-grams."""
    words = {"token_pattern": r"\w+"} if analyzer == "word" else {"lowercase": False}
    lengths = {"ngram_range": (shortest, longest)}
    return TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, dtype=np.float32, **lengths, **words)


def counts(shortest: int, longest: int):
    """Rows of unit length of plain character n-gram counts; both ends of a text are marked."""
    marked = FunctionTransformer(lambda texts: [f"^{text}$" for text in texts])
    counted = CountVectorizer(analyzer="char", ngram_range=(shortest, longest), lowercase=False, dtype=np.float32)
    return make_pipeline(marked, counted, Normalizer())


class Pixels:
    """Images (B, C, H, W) as rows of unit length: averaged over `pool` x `pool` pixels, minus the mean image."""

    def __init__(self, pool: int):
        self.pool = pool

    def fit_transform(self, images: torch.Tensor) -> np.ndarray:
        self.mean = self._flat(images).mean(0)
        return self.transform(images)

    def transform(self, images: torch.Tensor) -> np.ndarray:
        rows = self._flat(images) - self.mean
        return (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)).numpy()

    def _flat(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), self.pool, ceil_mode=True).flatten(1)


# Features to choose from for each kind of input; each has `fit_transform` and `transform`.
FEATURES: dict[str, dict[str, Callable]] = {
    "smiles": {
        "characters 1-3": lambda: ngrams("char", 1, 3),
        "characters 1-5": lambda: ngrams("char", 1, 5),
        "characters 1-6, counted": lambda: counts(1, 6),
    },
    "text": {"characters 3-5": lambda: ngrams("char", 3, 5), "words 1-2": lambda: ngrams("word", 1, 2)},
    "image": {"pixels": lambda: Pixels(1), "pixels, 4 x 4": lambda: Pixels(4)},
}


def cosines(rows, others) -> np.ndarray:
    """(B, C) cosines between rows of unit length, dense or sparse."""
    found = rows @ others.T
    return found if isinstance(found, np.ndarray) else found.toarray()


def nearest_rows(rows, others, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and indices (B, k) of the k nearest rows of `others`, nearest first; fewer if there are fewer."""
    k, found = min(k, others.shape[0]), []
    for start in range(0, rows.shape[0], BLOCK):
        similarity = torch.from_numpy(cosines(rows[start : start + BLOCK], others))
        found.append(similarity.topk(k, dim=1))
    return torch.cat([f.values for f in found]).numpy(), torch.cat([f.indices for f in found]).numpy()

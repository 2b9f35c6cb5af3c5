"""The contrastive objective of psi (views of one graph attract, others repel), and retrieval, which validates it."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

RETRIEVAL_SIZE = 1_000  # held-out graphs that validation compares, at most


def info_nce(anchors: Tensor, positives: Tensor, temperature: float, negatives: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE over a batch (van den Oord et al. 2018; the paper's contrastive objective), a scalar.

    `mean_i -log( exp(<a_i, p_i>/t) / sum_j exp(<a_i, p_j>/t) )`, averaged with the same for a and p exchanged.
    anchors, positives: (B, D) unit rows. negatives: (B, M, D) further (hard) negatives of each anchor.
    """
    B = len(anchors)
    logits = anchors @ positives.T / temperature  # (B, B)
    target = torch.arange(B, device=anchors.device)
    backward = cross_entropy(logits.T, target)
    if negatives is not None:
        own = torch.einsum("bd,bmd->bm", anchors, negatives) / temperature
        logits = torch.cat([logits, own], 1)
    return (cross_entropy(logits, target) + backward) / 2


def retrieval(queries: Tensor, gallery: Tensor) -> float:
    """Retrieval@1, in [0, 1]: share of queries (B, D) whose nearest row of the gallery (B, D) has the same index."""
    return (queries @ gallery.T).argmax(1).eq(torch.arange(len(queries), device=queries.device)).float().mean().item()

"""The contrastive objective of psi: views of one graph attract each other, views of different graphs repel."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


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

"""Relative positions of tokens or image locations, as indices of an embedding table."""

import torch
from torch import Tensor

MAX_DISTANCE = 12  # tokens; larger distances count as this


def text_relative_positions(T: int) -> Tensor:
    """(T, T) long, in [0, 2 MAX_DISTANCE]: signed distance of token i from token j, clipped and shifted."""
    place = torch.arange(T)
    return (place[:, None] - place).clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE


def image_relative_positions(S: int) -> Tensor:
    """(S S, S S) long, in [0, (2 S - 1)^2 - 1]: index of the (row, column) offset between two locations."""
    down, right = (step.flatten() for step in torch.meshgrid(torch.arange(S), torch.arange(S), indexing="ij"))
    return (down[:, None] - down + S - 1) * (2 * S - 1) + right[:, None] - right + S - 1

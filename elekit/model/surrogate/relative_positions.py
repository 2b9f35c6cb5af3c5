"""How far places of an input lie apart, as numbers of a table: what a graph's edges are told of two places."""

import torch
from torch import Tensor

REACH = 12  # tokens; further apart is all the same


def text_relative_positions(T: int) -> Tensor:
    """(T, T) long, from 0 to 2 REACH: how many tokens the one comes after the other."""
    place = torch.arange(T)
    return (place[:, None] - place).clamp(-REACH, REACH) + REACH


def image_relative_positions(S: int) -> Tensor:
    """(S S, S S) long, from 0 to (2 S - 1)^2 - 1: how many locations down and to the right, row by row."""
    down, right = (step.flatten() for step in torch.meshgrid(torch.arange(S), torch.arange(S), indexing="ij"))
    return (down[:, None] - down + S - 1) * (2 * S - 1) + right[:, None] - right + S - 1

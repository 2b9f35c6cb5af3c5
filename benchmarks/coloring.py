"""Coloring: images of coloured regions, and the graph of which regions touch.

After the synthetic image-to-graph task of Any2Graph (Krzakala, Yang, Flamary, d'Alché-Buc, Laclau, Labeau 2024,
arXiv:2402.12269): a picture is cut into regions, regions that touch get different ones of four colours, and the graph
is to be read off the picture. Theirs are Voronoi cells of the city-block distance, and short borders count for
nothing; here borders are bent, and pictures on which it could be disputed what touches what are drawn again.
"""

from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from elekit.datasets.files import cache_arrays, cache_folder
from elekit.datasets.splits import SPLITS, Dataset, Split, assign_splits, digest
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes

COLORS = {  # the first four of Okabe and Ito (2008), which colour-blind readers tell apart, too
    "orange": (230, 159, 0),
    "sky": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
}
REGIONS = (5, 10)
FRACTIONS = (0.91, 0.045, 0.045)
SMALLEST = 16  # pixels of a region
SHORTEST = 3  # pixel sides of a border; regions with a shorter one, or that meet at a corner alone, are drawn again
BEND = 0.05  # of the width: how far borders are bent, as the standard deviation of two waves in each direction
MADE = 1  # goes up when the same parameters make other images, so that old files are not read
TOGETHER = 2_000  # pictures drawn at a time

VOCABULARY = GraphVocabulary(tuple(COLORS), ("touches",), REGIONS[1])


def coloring(
    count: int = 66_000,
    *,
    size: int = 32,
    noise: float = 0.05,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> Dataset:
    """`count` images and their graphs, in seeded splits; kept as a file in the cache, so that they are drawn once.

    Inputs are a tensor (n, 3, size, size) in [0, 1]: the colours with normal noise of this standard deviation on each
    channel of each pixel, cut to [0, 1]. Nodes are regions, labelled by their colour, edges say "touches". As many
    images have 5 regions as have 6, ..., 10.
    Splits are by image: all images differ, though small graphs are common and turn up in several splits. Column `key`
    of the frames is equal for equal graphs, `regions` counts them.
    Raises ValueError for no images, for images under 24 pixels wide, which have no room for 10 regions, and for a
    noise below 0.
    """
    if count < 1 or size < 24 or noise < 0:
        raise ValueError(f"want count >= 1, size >= 24, noise >= 0; got count={count}, size={size}, noise={noise}")
    path = cache_folder() / f"coloring-{MADE}-{count}-{size}-{seed}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            regions, colors = stored["regions"], stored["colours"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        generator = np.random.default_rng(seed)
        regions = partitions(count, size, generator)
        colors = proper_colors(touching(regions), generator)
        cache_arrays(path, regions=regions, colors=colors)
    adjacency = touching(regions)
    graphs = Graph.from_labels(torch.from_numpy(colors), torch.from_numpy(adjacency), VOCABULARY)
    keys = [f"{number:016x}" for number in graph_hashes(graphs, ROUNDS)[:, -1].numpy().astype(np.uint64).tolist()]
    frame = pd.DataFrame({"row": range(count), "key": keys, "regions": (colors > 0).sum(1)})
    everything = Split(images(regions, colors, noise, seed), graphs, frame)
    places = np.array(assign_splits([str(row) for row in range(count)], fractions, seed))
    splits = [everything.take(np.flatnonzero(places == split)) for split in SPLITS]
    skipped = pd.DataFrame({"row": [], "value": [], "reason": []})
    return Dataset("coloring", VOCABULARY, *splits, skipped, digest(splits))


def partitions(count: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """(count, size, size) int8: the region of each pixel, from 0; 5 to 10 regions, each number equally often.

    Voronoi cells of random points, seen through two waves in each direction, which bend their borders.
    """
    fewest, most = REGIONS
    made = np.empty((count, size, size), np.int8)
    wanted = fewest + generator.permutation(count) % (most - fewest + 1)
    for regions in range(fewest, most + 1):
        open_ = np.flatnonzero(wanted == regions)
        while len(open_):
            drawn = _cells(TOGETHER, regions, size, generator)
            drawn = drawn[undisputed(drawn, regions)][: len(open_)]
            made[open_[: len(drawn)]] = drawn
            open_ = open_[len(drawn) :]
    return made


def _cells(count: int, regions: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """(count, size, size) int8: the nearest of `regions` random points, distances measured on a bent sheet."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = at[:, None], at[None, :]
    bent = []
    for place in (y, x):
        angle = generator.uniform(0, 2 * np.pi, (2, count, 1, 1)).astype(np.float32)
        phase = generator.uniform(0, 2 * np.pi, (2, count, 1, 1)).astype(np.float32)
        pace = 2 * np.pi * generator.uniform(0.5, 2, (2, count, 1, 1)).astype(np.float32)
        waves = np.sin(pace * (np.cos(angle) * y + np.sin(angle) * x) + phase)
        bent.append(place + BEND * waves.sum(0))
    points = generator.uniform(0, 1, (2, regions, count, 1, 1)).astype(np.float32)
    nearest = np.zeros((count, size, size), np.int8)
    least = np.full((count, size, size), np.inf, np.float32)
    for region in range(regions):
        distance = (bent[0] - points[0, region]) ** 2 + (bent[1] - points[1, region]) ** 2
        closer = distance < least
        nearest[closer] = region
        np.minimum(least, distance, out=least)
    return nearest


def borders(regions: np.ndarray, most: int = REGIONS[1]) -> tuple[np.ndarray, np.ndarray]:
    """How many pixel sides, and how many pixel corners, each two regions have in common: twice (n, most, most).

    A corner counts where two pixels meet in it that have no side in common.
    """
    n = len(regions)
    above, below, left, right = regions[:, :-1], regions[:, 1:], regions[:, :, :-1], regions[:, :, 1:]
    first = np.arange(n)[:, None, None] * most**2

    def counted(*sides: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        numbers = np.concatenate([(first + most * a.astype(np.int64) + b).ravel() for a, b in sides])
        found = np.bincount(numbers, minlength=n * most**2).reshape(n, most, most)
        found = found + found.transpose(0, 2, 1)
        found[:, range(most), range(most)] = 0
        return found

    corners = (above[:, :, :-1], below[:, :, 1:]), (above[:, :, 1:], below[:, :, :-1])
    return counted((above, below), (left, right)), counted(*corners)


def undisputed(regions: np.ndarray, count: int) -> np.ndarray:
    """(n,) bool: all `count` regions are there, large enough and in one piece, and touch for long or not at all."""
    size = regions.shape[1]
    areas = np.stack([(regions == region).sum((1, 2)) for region in range(count)], 1)
    sides, corners = borders(regions)
    fine = (areas >= SMALLEST).all(1) & ((sides >= SHORTEST) | (sides + corners == 0)).all((1, 2))
    rows = np.flatnonzero(fine)
    within = np.zeros((3, 3, 3), bool)  # sides join pixels of one picture; pictures are not joined
    within[1] = ndimage.generate_binary_structure(2, 1)
    pieces = np.zeros(len(rows), int)
    for region in range(count):
        numbers = ndimage.label(regions[rows] == region, within)[0].reshape(-1, size * size)
        pieces += np.array([len(np.unique(one)) - 1 for one in numbers], int)
    fine[rows] = pieces == count
    return fine


def touching(regions: np.ndarray) -> np.ndarray:
    """(n, most, most) int8: 1 for two regions that have a border, else 0."""
    return (borders(regions)[0] > 0).astype(np.int8)


def proper_colors(adjacency: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(n, most) int8 channels 1 to 4, different where regions touch, 0 where there is no region.

    Regions are coloured one by one, each in a random colour that no neighbour has. Where none is left that picture is
    begun anew: four are enough (Appel and Haken 1976), so this ends. A region without neighbours is taken for absent.
    """
    n, most, _ = adjacency.shape
    channels = len(COLORS) + 1
    colors = np.zeros((n, most), np.int8)
    there = adjacency.any(2)
    open_ = np.arange(n)
    while len(open_):
        tried = np.zeros((len(open_), most), np.int8)
        for region in range(most):
            beside = adjacency[open_, region].astype(bool)
            taken = np.zeros((len(open_), channels), bool)
            for other in range(region):
                taken[np.arange(len(open_)), tried[:, other] * beside[:, other]] = True
            chance = generator.random((len(open_), channels)) * ~taken
            chance[:, 0] = 0
            tried[:, region] = chance.argmax(1) * there[open_, region]  # 0, the first, where all are taken
        done = ((tried > 0) == there[open_]).all(1)
        colors[open_[done]] = tried[done]
        open_ = open_[~done]
    return colors


def images(regions: np.ndarray, colors: np.ndarray, noise: float, seed: int) -> torch.Tensor:
    """(n, 3, size, size) in [0, 1]: each region in its colour, with noise."""
    palette = torch.tensor([(0, 0, 0), *COLORS.values()], dtype=torch.float32) / 255
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.empty(len(regions), 3, *regions.shape[1:])
    for start in range(0, len(regions), TOGETHER):
        rows = slice(start, start + TOGETHER)
        which = np.take_along_axis(colors[rows], regions[rows].reshape(len(regions[rows]), -1), 1)
        clean = palette[torch.from_numpy(which).long()].mT.reshape(drawn[rows].shape)
        drawn[rows] = (clean + noise * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    return drawn

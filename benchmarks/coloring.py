"""Coloring: images of colored regions, and the graph of adjacent regions.

After the synthetic image-to-graph task of Any2Graph (Krzakala, Yang, Flamary, d'Alché-Buc, Laclau, Labeau 2024,
arXiv:2402.12269): an image is cut into regions, adjacent regions get different ones of four colors, and the graph is
predicted from the image. Their regions are Voronoi cells of the city-block distance, and short borders are ignored;
here borders are bent, and images with ambiguous borders are rejected.
"""

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from elekit.datasets.files import cache_arrays, cache_folder, cached_arrays
from elekit.datasets.splits import SPLITS, Dataset, Split, assign_splits, digest
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes

COLORS = {  # the first four of Okabe and Ito (2008), safe for color-blind readers
    "orange": (230, 159, 0),
    "sky": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
}
REGIONS = (5, 10)
FRACTIONS = (0.91, 0.045, 0.045)
MIN_AREA = 16  # pixels of a region
MIN_BORDER = 3  # pixel sides; images with a shorter border, or with regions that meet only at a corner, are rejected
BEND = 0.05  # amplitude of the border distortion relative to the width, two waves in each direction
CACHE_VERSION = 1  # increase when the same parameters generate other images
BLOCK = 2_000  # images generated at a time

VOCABULARY = GraphVocabulary(tuple(COLORS), ("touches",), REGIONS[1])


def coloring(
    count: int = 66_000,
    *,
    size: int = 32,
    noise: float = 0.05,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> Dataset:
    """Images and their graphs in seeded splits, generated once and kept in the cache.

    Inputs are a tensor (n, 3, size, size) in [0, 1]. Nodes are regions labeled by their color; edges are labeled
    "touches". Images have 5 to 10 regions with equal frequency. Splits are by image: images are distinct, but small
    graphs occur in several splits.

    Args:
        count: Number of images.
        size: Width and height in pixels, at least 24 so that 10 regions fit.
        noise: Standard deviation of normal noise on each channel of each pixel, clipped to [0, 1].
        fractions: Shares of training, validation and test split.
        seed: Seed of images and splits.

    Returns:
        The data set. Column `key` of its frames is equal for equal graphs; `regions` is the number of regions.

    Raises:
        ValueError: If `count` < 1, `size` < 24 or `noise` < 0.
    """
    if count < 1 or size < 24 or noise < 0:
        raise ValueError(f"need count >= 1, size >= 24, noise >= 0; got count={count}, size={size}, noise={noise}")
    path = cache_folder() / f"coloring-{CACHE_VERSION}-{count}-{size}-{seed}.npz"
    if (stored := cached_arrays(path)) is not None:
        regions, colors = stored["regions"], stored["colors"]
    else:
        generator = np.random.default_rng(seed)
        regions = partitions(count, size, generator)
        colors = proper_colors(adjacency_of(regions), generator)
        cache_arrays(path, regions=regions, colors=colors)
    adjacency = adjacency_of(regions)
    graphs = Graph.from_labels(torch.from_numpy(colors), torch.from_numpy(adjacency), VOCABULARY)
    keys = [f"{number:016x}" for number in graph_hashes(graphs, ROUNDS)[:, -1].numpy().astype(np.uint64).tolist()]
    frame = pd.DataFrame({"row": range(count), "key": keys, "regions": (colors > 0).sum(1)})
    everything = Split(images(regions, colors, noise, seed), PackedGraphs.of(graphs), frame)
    places = np.array(assign_splits([str(row) for row in range(count)], fractions, seed))
    train, validation, test = splits = [everything.take(np.flatnonzero(places == split)) for split in SPLITS]
    skipped = pd.DataFrame({"row": [], "value": [], "reason": []})
    return Dataset("coloring", VOCABULARY, train, validation, test, skipped, digest(splits))


def partitions(count: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """(count, size, size) int8: the region of each pixel, from 0; 5 to 10 regions with equal frequency.

    Voronoi cells of random points, with borders bent by two waves in each direction.
    """
    fewest, most = REGIONS
    found = np.empty((count, size, size), np.int8)
    counts = fewest + generator.permutation(count) % (most - fewest + 1)
    for regions in range(fewest, most + 1):
        open_ = np.flatnonzero(counts == regions)
        while len(open_):
            drawn = _cells(BLOCK, regions, size, generator)
            drawn = drawn[unambiguous(drawn, regions)][: len(open_)]
            found[open_[: len(drawn)]] = drawn
            open_ = open_[len(drawn) :]
    return found


def _cells(count: int, regions: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """(count, size, size) int8: the nearest of `regions` random points, in distorted coordinates."""
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
    """Numbers of common pixel sides and of common pixel corners of each pair of regions: twice (n, most, most).

    A corner counts if two pixels meet in it diagonally.
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


def unambiguous(regions: np.ndarray, count: int) -> np.ndarray:
    """(n,) bool: all `count` regions exist, are connected and large enough, and have long borders or none."""
    size = regions.shape[1]
    areas = np.stack([(regions == region).sum((1, 2)) for region in range(count)], 1)
    sides, corners = borders(regions)
    fine = (areas >= MIN_AREA).all(1) & ((sides >= MIN_BORDER) | (sides + corners == 0)).all((1, 2))
    rows = np.flatnonzero(fine)
    within = np.zeros((3, 3, 3), bool)  # pixels are connected by sides, within one image
    within[1] = ndimage.generate_binary_structure(2, 1)
    pieces = np.zeros(len(rows), int)
    for region in range(count):
        numbers = ndimage.label(regions[rows] == region, within)[0].reshape(-1, size * size)
        pieces += np.array([len(np.unique(one)) - 1 for one in numbers], int)
    fine[rows] = pieces == count
    return fine


def adjacency_of(regions: np.ndarray) -> np.ndarray:
    """(n, most, most) int8: 1 for regions with a common border, else 0."""
    return (borders(regions)[0] > 0).astype(np.int8)


def proper_colors(adjacency: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(n, most) int8 channels 1 to 4, different for adjacent regions, 0 for absent regions.

    Regions are colored one by one with a random color that no neighbor has; an image without a free color is started
    again. Four colors suffice (Appel and Haken 1976), so this terminates. A region without neighbors counts as
    absent.
    """
    n, most, _ = adjacency.shape
    channels = len(COLORS) + 1
    colors = np.zeros((n, most), np.int8)
    present = np.asarray(adjacency.any(2))
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
            tried[:, region] = chance.argmax(1) * present[open_, region]  # 0 if all are taken
        done = ((tried > 0) == present[open_]).all(1)
        colors[open_[done]] = tried[done]
        open_ = open_[~done]
    return colors


def images(regions: np.ndarray, colors: np.ndarray, noise: float, seed: int) -> torch.Tensor:
    """(n, 3, size, size) in [0, 1]: each region in its color, with noise."""
    palette = torch.tensor([(0, 0, 0), *COLORS.values()], dtype=torch.float32) / 255
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.empty(len(regions), 3, *regions.shape[1:])
    for start in range(0, len(regions), BLOCK):
        rows = slice(start, start + BLOCK)
        which = np.take_along_axis(colors[rows], regions[rows].reshape(len(regions[rows]), -1), 1)
        clean = palette[torch.from_numpy(which).long()].mT.reshape(drawn[rows].shape)
        drawn[rows] = (clean + noise * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    return drawn

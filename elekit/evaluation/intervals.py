"""How sure a mean or a share is."""

import math

import numpy as np

DRAWS = 400  # of the bootstrap
SURE = 0.95  # of an interval
FEWEST = 5  # values, or graphs, from which an interval is given


def central(drawn: np.ndarray) -> tuple[float, float]:
    """What holds 95 % of some values, such as draws of a bootstrap, as many left out at either end; nan is none."""
    low, high = np.nanquantile(drawn, [(1 - SURE) / 2, (1 + SURE) / 2])
    return float(low), float(high)


def mean_interval(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(M, 3) mean of each column of (n, M) and its 95 % interval by bootstrap over rows, nan from fewer than 5."""
    n, mean = len(values), values.mean(0)
    if n < FEWEST:
        return np.stack([mean, *np.full((2, len(mean)), np.nan)], 1)
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=DRAWS) @ values / n
    return np.stack([mean, *np.quantile(drawn, [(1 - SURE) / 2, (1 + SURE) / 2], axis=0)], 1)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of which `hits` of `count` were seen (Wilson 1927); (0, 1) of none.

    Of few cases, or where all or none of them hit, the bootstrap is too sure.
    """
    if not count:
        return 0.0, 1.0
    z, share = 1.959964, hits / count
    middle, width = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, float((middle - width) / (1 + z * z / count))), min(
        1.0, float((middle + width) / (1 + z * z / count))
    )

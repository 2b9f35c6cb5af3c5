"""Linear probes: what ridge and logistic regression read off features of graphs that they were not fitted to."""

from dataclasses import dataclass

import numpy as np

from elekit.graphs._optional import extra

FOLDS = 5
ALPHAS = np.logspace(-4, 3, 8)  # of the ridge, for features whose mean squared length is 1
LANDMARKS = 100
DEALS = 2  # of random values, a target
VARIED = 10  # graphs without the commonest value
LEFT = 0.01  # of the variance; where less is left, nothing is
STEPS = 1_000  # of the logistic regression, at most; it takes about 40


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be read off. values: (m,) numbers, or classes 0, 1, ...; classes: how many, 0 = numbers."""

    values: np.ndarray
    classes: int = 0

    @property
    def columns(self) -> np.ndarray:
        """(m, t) float: the numbers, or 0 and 1 for each class; of two classes the second is enough."""
        if not self.classes:
            return self.values[:, None].astype(float)
        return (self.values[:, None] == np.arange(self.classes)[self.classes == 2 :]).astype(float)


def held_out(features: np.ndarray, targets: list[Target], folds: np.ndarray) -> list[np.ndarray]:
    """Each target as predicted (m,) by probes that were fitted on the other folds.

    features: (m, F). folds: (m,) integers. Numbers by ridge regression, classes by logistic regression that weighs
    the classes alike. How strongly a probe is held back is chosen by leaving out one at a time of the graphs that it
    is fitted to: alpha of the ridge, and C = 4 / alpha of the logistic regression, since its loss is that of a ridge to
    second order. No number is told beyond those of the other folds, so that one graph far off spoils no score.
    """
    with extra("card"):
        from sklearn.linear_model import LogisticRegression

    columns, of = _side_by_side(targets)
    found = [np.zeros(len(folds), dtype=t.values.dtype if t.classes else float) for t in targets]
    for fold in np.unique(folds):
        fitted, asked = folds != fold, folds == fold
        known, new = scaled(features[fitted], features[asked])
        told, alphas = _ridge(known, columns[fitted], new)
        for target, at, answer in zip(targets, of, found):
            values = target.values[fitted]
            if not target.classes:
                answer[asked] = told[:, at][:, 0]
            elif (values == values[0]).all():
                answer[asked] = values[0]
            else:
                C = 4 / np.exp(np.log(alphas[at]).mean())
                probe = LogisticRegression(C=C, class_weight="balanced", max_iter=STEPS).fit(known, values)
                answer[asked] = probe.predict(new)
    return found


def errors(targets: list[Target], folds: np.ndarray, given: np.ndarray, features: np.ndarray) -> list[np.ndarray]:
    """Squared errors (m, 2) of each target: predicted from what is given, and with what features tell of the rest.

    The rest is what a ridge regression on `given` (m, G) leaves of the target in graphs that it was not fitted to; a
    second one, on `features`, is fitted to the rest in the other folds. A fold is never seen before it is told, not
    even by way of the rests. Classes are columns of 0 and 1, so theirs is the Brier score.
    """
    columns, of = _side_by_side(targets)
    rests, every = {}, np.unique(folds)

    def rest(out: frozenset) -> np.ndarray:
        """What a ridge that was fitted without these folds leaves of all graphs."""
        if out not in rests:
            fitted = ~np.isin(folds, list(out))
            known, all_of_them = scaled(given[fitted], given)
            rests[out] = columns - _ridge(known, columns[fitted], all_of_them)[0]
        return rests[out]

    found = np.zeros((2, *columns.shape))
    for fold in every:
        fitted, asked = folds != fold, folds == fold
        left = np.zeros_like(columns)
        for other in every:
            left[folds == other] = rest(frozenset((fold, other)))[folds == other]
        known, new = scaled(features[fitted], features[asked])
        found[0, asked] = left[asked]
        found[1, asked] = left[asked] - _ridge(known, left[fitted], new)[0]
    return [np.square(found[:, :, at]).sum(2).T for at in of]


def _side_by_side(targets: list[Target]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Columns of all targets (m, T), and which of them each target has."""
    columns = [target.columns for target in targets]
    ends = np.cumsum([part.shape[1] for part in columns])
    return np.concatenate(columns, 1), [np.arange(end - part.shape[1], end) for end, part in zip(ends, columns)]


def _ridge(known: np.ndarray, columns: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of new graphs, within what the columns of known ones are, and the alpha (T,) of each."""
    with extra("card"):
        from sklearn.linear_model import RidgeCV

    ridge = RidgeCV(ALPHAS, alpha_per_target=True).fit(known, columns)
    told = ridge.predict(new).reshape(len(new), -1)  # of one column it makes none
    return told.clip(columns.min(0), columns.max(0)), np.ravel(ridge.alpha_)


def scaled(known: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both moved and scaled alike in all directions, so that the known ones have mean 0 and mean squared length 1.

    One scale for all features: the answer of a probe does not change with how the sphere is turned, as no loss does.
    """
    middle = known.mean(0)
    length = np.sqrt(np.square(known - middle).sum(1).mean())
    scale = length if length > 1e-9 else 1.0
    return (known - middle) / scale, (new - middle) / scale


def bumps(counts: np.ndarray) -> np.ndarray:
    """(m, L) features in which any function of counts (m, c) is linear, the smooth ones with small weights.

    Gaussian bumps at the 100 counts that occur most often, one standard deviation of each count wide (times the root
    of c), and beside them, as heavy, one column for each of these counts that tells whether it is this one.
    """
    spread = counts.std(0)
    counts = (counts - counts.mean(0)) / np.where(spread > 0, spread, 1)
    places, times = np.unique(counts, axis=0, return_counts=True)
    places = places[np.argsort(-times, kind="stable")[:LANDMARKS]]
    apart = np.square(counts[:, None] - places).sum(2)
    blocks = np.exp(-apart / (2 * max(counts.shape[1], 1))), (apart == 0).astype(float)
    return np.concatenate([scaled(block, block)[0] for block in blocks], 1)


def explained_by(values: np.ndarray, told: np.ndarray, folds: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """R^2 (draws,) of numbers told, against the mean of the other folds: `1 - sum (y - told)^2 / sum (y - mean)^2`.

    weight: (draws, m). 1 = exact, 0 = no better than that mean; nan where nothing is to be told.
    """
    mean = np.zeros(len(values))
    for fold in np.unique(folds):
        mean[folds == fold] = values[folds != fold].mean()
    return share_removed(np.stack([np.square(values - mean), np.square(values - told)], 1), weight)


def share_removed(errors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(draws,) share of the first error that the second lacks: `1 - sum e_2 / sum e_1`; errors (m, 2)."""
    first, second = (weight @ errors).T
    return 1 - second / np.where(first > 0, first, np.nan)


def told_apart(values: np.ndarray, told: np.ndarray, classes: int, weight: np.ndarray) -> np.ndarray:
    """Balanced accuracy (draws,), scaled so that 0 is chance: `(mean of recalls - 1/k) / (1 - 1/k)`.

    A guess that does not depend on the graph scores 0, whichever it is. nan where a draw lacks a class.
    """
    recalls = []
    for k in range(classes):
        held = (weight * (values == k)).sum(1)
        recalls.append((weight * ((values == k) & (told == k))).sum(1) / np.where(held > 0, held, np.nan))
    return (np.mean(recalls, axis=0) * classes - 1) / (classes - 1)


def goes_with(points: np.ndarray, columns: np.ndarray) -> float:
    """Share of the mean loss between two graphs that goes with a property: adjusted R^2 of points on its columns.

    The mean of `||u - v||^2` over pairs is twice the variance of the points: shares of one are shares of the other.
    """
    m, _ = columns.shape
    points, columns = points - points.mean(0), columns - columns.mean(0)
    total, spare = np.square(points).sum(), m - 1 - np.linalg.matrix_rank(columns)
    if total < 1e-12 or spare < 1:
        return np.nan
    left = np.square(points - columns @ np.linalg.lstsq(columns, points, rcond=None)[0]).sum()
    return float(max(0.0, 1 - left / spare * (m - 1) / total))


@dataclass(frozen=True, eq=False)
class Probed:
    """What probes are fitted to, and how m different graphs are parted.

    features: (m, .) by their names. kinds: (m,) integers, graphs of one kind look alike at first sight. folds: (m,).
    weight: (1 + draws, m) of the graphs, first 1 of each, then draws of the bootstrap.
    """

    features: dict[str, np.ndarray]
    kinds: np.ndarray
    folds: np.ndarray
    weight: np.ndarray

    def at(self, rows: np.ndarray) -> "Probed":
        """The same of some graphs only."""
        features = {name: values[rows] for name, values in self.features.items()}
        return Probed(features, self.kinds[rows], self.folds[rows], self.weight[:, rows])

    def scores(self, name: str, targets: list[Target]) -> list[np.ndarray]:
        """Score (1 + draws,) of each target, told by features of that name."""
        if not targets:
            return []
        found = []
        for target, told in zip(targets, held_out(self.features[name], targets, self.folds)):
            if target.classes:
                found.append(told_apart(target.values, told, target.classes, self.weight))
            else:
                found.append(explained_by(target.values, told, self.folds, self.weight))
        return found

    def controls(self, targets: list[Target], kinds: np.ndarray, generator: np.random.Generator) -> list[float]:
        """Score of each target where its values are dealt out to kinds of graphs, mean over deals; nan without."""
        dealt = [(at, deal(t, kinds, generator)) for at, t in enumerate(targets) for _ in range(DEALS)]
        dealt = [(at, target) for at, target in dealt if target]
        scores = [draws[0] for draws in self.scores("score", [target for _, target in dealt])]
        of_each = [[score for (at, _), score in zip(dealt, scores) if at == i] for i in range(len(targets))]
        return [float(np.mean(these)) if these else np.nan for these in of_each]

    def beyond(self, name: str, targets: list[Target]) -> list[np.ndarray]:
        """Share (1 + draws,) of the squared error that features of that name leave and psi removes; nan where they
        leave next to nothing."""
        if not targets:
            return []
        found = []
        for target, error in zip(targets, errors(targets, self.folds, self.features[name], self.features["score"])):
            nothing = error[:, 0].mean() < LEFT * target.columns.var(0).sum()
            found.append(np.full(len(self.weight), np.nan) if nothing else share_removed(error, self.weight))
        return found


def deal(target: Target, kinds: np.ndarray, generator: np.random.Generator) -> Target | None:
    """The values dealt out at random to kinds of graphs (m,), one value to all graphs of a kind.

    None where chance never lets them vary, and where values are but names of the kinds, so that others are as good.
    """
    pairs = np.unique(np.stack([target.values, kinds], 1), axis=0)
    if len(pairs) == len(np.unique(pairs[:, 0])) == len(np.unique(kinds)) < len(kinds):
        return None
    for _ in range(20):
        order = generator.permutation(len(kinds))
        of_kind = target.values[order][np.unique(kinds, return_index=True)[1]]
        values = of_kind[np.unique(kinds, return_inverse=True)[1]]
        held, times = np.unique(values, return_counts=True)
        if len(held) > 1 and len(values) - times.max() >= VARIED:
            return Target(np.searchsorted(held, values), len(held)) if target.classes else Target(values)
    return None

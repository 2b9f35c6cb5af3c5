"""Linear probes: how well ridge and logistic regression predict targets from features of held-out graphs."""

from dataclasses import dataclass

import numpy as np

from elekit.graphs._optional import extra

FOLDS = 5
ALPHAS = np.logspace(-4, 3, 8)  # of the ridge, for features of mean squared length 1
LANDMARKS = 100
DRAWS = 2  # control targets per target
MIN_VARIED = 10  # graphs without the most frequent value
MIN_LEFT = 0.01  # of the variance: less is nothing
MAX_ITER = 1_000  # of the logistic regression, which takes about 40


@dataclass(frozen=True, eq=False)
class Target:
    """What a probe predicts. values: (m,) numbers, or classes 0, 1, ...; classes: how many, 0 for numbers."""

    values: np.ndarray
    classes: int = 0

    @property
    def columns(self) -> np.ndarray:
        """(m, t) float: the numbers, or indicators of the classes (of two classes, of the second)."""
        if not self.classes:
            return self.values[:, None].astype(float)
        return (self.values[:, None] == np.arange(self.classes)[self.classes == 2 :]).astype(float)


def cross_val_predict(features: np.ndarray, targets: list[Target], folds: np.ndarray) -> list[np.ndarray]:
    """(m,) predictions of each target by ridge or balanced logistic regression on features (m, F) of the other folds.

    Leave-one-out chooses the alpha of the ridge, and C = 4 / alpha: to second order the logistic loss is a ridge.
    """
    with extra("card"):
        from sklearn.linear_model import LogisticRegression

    columns, of = _side_by_side(targets)
    found = [np.zeros(len(folds), dtype=t.values.dtype if t.classes else float) for t in targets]
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        x, new = standardized(features[train], features[test])
        predicted, alphas = _ridge(x, columns[train], new)
        for target, at, answer in zip(targets, of, found):
            values = target.values[train]
            if not target.classes:
                answer[test] = predicted[:, at][:, 0]
            elif (values == values[0]).all():
                answer[test] = values[0]
            else:
                C = 4 / np.exp(np.log(alphas[at]).mean())
                probe = LogisticRegression(C=C, class_weight="balanced", max_iter=MAX_ITER).fit(x, values)
                answer[test] = probe.predict(new)
    return found


def residual_errors(
    targets: list[Target], folds: np.ndarray, baseline: np.ndarray, features: np.ndarray
) -> list[np.ndarray]:
    """Squared errors (m, 2) of each target: predicted from the baseline, and corrected by a probe of its residuals.

    Both ridges never see the predicted fold, not even by way of residuals. For classes this is the Brier score.
    """
    columns, of = _side_by_side(targets)
    residuals: dict[frozenset, np.ndarray] = {}

    def residual(out: frozenset) -> np.ndarray:
        if out not in residuals:
            train = ~np.isin(folds, list(out))
            x, everything = standardized(baseline[train], baseline)
            residuals[out] = columns - _ridge(x, columns[train], everything)[0]
        return residuals[out]

    found = np.zeros((2, *columns.shape))
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        left = np.zeros_like(columns)
        for other in np.unique(folds):
            left[folds == other] = residual(frozenset((fold, other)))[folds == other]
        x, new = standardized(features[train], features[test])
        found[0, test] = left[test]
        found[1, test] = left[test] - _ridge(x, left[train], new)[0]
    return [np.square(found[:, :, at]).sum(2).T for at in of]


def _side_by_side(targets: list[Target]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Columns of all targets (m, T), and the indices of each target's columns."""
    columns = [target.columns for target in targets]
    ends = np.cumsum([part.shape[1] for part in columns])
    return np.concatenate(columns, 1), [np.arange(end - part.shape[1], end) for end, part in zip(ends, columns)]


def _ridge(x: np.ndarray, columns: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predicted columns for new rows, clipped to the range of the fitted ones, and the alpha (T,) of each."""
    with extra("card"):
        from sklearn.linear_model import RidgeCV

    ridge = RidgeCV(ALPHAS, alpha_per_target=True).fit(x, columns)
    predicted = ridge.predict(new).reshape(len(new), -1)  # a single column comes back as (n,)
    return predicted.clip(columns.min(0), columns.max(0)), np.ravel(ridge.alpha_)


def standardized(x: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both shifted and scaled, all features alike, such that x has mean 0 and mean squared length 1."""
    mean = x.mean(0)
    length = np.sqrt(np.square(x - mean).sum(1).mean())
    scale = length if length > 1e-9 else 1.0
    return (x - mean) / scale, (new - mean) / scale


def rbf_features(counts: np.ndarray) -> np.ndarray:
    """(m, L) Gaussian kernels at the 100 most frequent counts (m, c), and an indicator of each of these counts."""
    spread = counts.std(0)
    counts = (counts - counts.mean(0)) / np.where(spread > 0, spread, 1)
    places, times = np.unique(counts, axis=0, return_counts=True)
    places = places[np.argsort(-times, kind="stable")[:LANDMARKS]]
    distance = np.square(counts[:, None] - places).sum(2)
    blocks = np.exp(-distance / (2 * max(counts.shape[1], 1))), (distance == 0).astype(float)
    return np.concatenate([standardized(block, block)[0] for block in blocks], 1)


def r2_scores(values: np.ndarray, predicted: np.ndarray, folds: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(draws,) R^2 against the mean of the other folds, under weights (draws, m); nan for constant values."""
    mean = np.zeros(len(values))
    for fold in np.unique(folds):
        mean[folds == fold] = values[folds != fold].mean()
    return error_reduction(np.stack([np.square(values - mean), np.square(values - predicted)], 1), weight)


def error_reduction(errors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(draws,) share of the first error that the second lacks: `1 - sum e_2 / sum e_1`; errors (m, 2)."""
    first, second = (weight @ errors).T
    return 1 - second / np.where(first > 0, first, np.nan)


def accuracy_scores(values: np.ndarray, predicted: np.ndarray, classes: int, weight: np.ndarray) -> np.ndarray:
    """(draws,) `(mean recall - 1/k) / (1 - 1/k)`; nan for draws without one of the k classes."""
    recalls = []
    for k in range(classes):
        held = (weight * (values == k)).sum(1)
        recalls.append((weight * ((values == k) & (predicted == k))).sum(1) / np.where(held > 0, held, np.nan))
    return (np.mean(recalls, axis=0) * classes - 1) / (classes - 1)


def loss_share(points: np.ndarray, columns: np.ndarray) -> float:
    """Share of the mean loss between two graphs that columns explain: adjusted R^2 of the points on them."""
    m = len(columns)
    points, columns = points - points.mean(0), columns - columns.mean(0)
    total, spare = np.square(points).sum(), m - 1 - np.linalg.matrix_rank(columns)
    if total < 1e-12 or spare < 1:
        return np.nan
    left = np.square(points - columns @ np.linalg.lstsq(columns, points, rcond=None)[0]).sum()
    return float(max(0.0, 1 - left / spare * (m - 1) / total))


@dataclass(frozen=True, eq=False)
class ProbeData:
    """What probes are fitted to."""

    features: dict[str, np.ndarray]  # (m, F) by name; "score" are the points of psi
    groups: np.ndarray  # (m,) integers, equal for graphs with equal label counts
    folds: np.ndarray  # (m,)
    weight: np.ndarray  # (1 + draws, m): ones, then bootstrap draws

    def at(self, rows: np.ndarray) -> "ProbeData":
        features = {name: values[rows] for name, values in self.features.items()}
        return ProbeData(features, self.groups[rows], self.folds[rows], self.weight[:, rows])

    def scores(self, name: str, targets: list[Target]) -> list[np.ndarray]:
        """(1 + draws,) score of each target, predicted from the features of that name."""
        predictions = cross_val_predict(self.features[name], targets, self.folds) if targets else []
        return [
            accuracy_scores(target.values, predicted, target.classes, self.weight)
            if target.classes
            else r2_scores(target.values, predicted, self.folds, self.weight)
            for target, predicted in zip(targets, predictions)
        ]

    def controls(self, targets: list[Target], groups: np.ndarray, generator: np.random.Generator) -> list[float]:
        """Mean score of control targets for each target; nan without one."""
        drawn = [(i, control_target(t, groups, generator)) for i, t in enumerate(targets) for _ in range(DRAWS)]
        kept = [(i, target) for i, target in drawn if target]
        scores = [draws[0] for draws in self.scores("score", [target for _, target in kept])]
        each = [[score for (at, _), score in zip(kept, scores) if at == i] for i in range(len(targets))]
        return [float(np.mean(some)) if some else np.nan for some in each]

    def beyond(self, baseline: str, targets: list[Target]) -> list[np.ndarray]:
        """(1 + draws,) share of the error of the baseline features that psi removes; nan if they leave nothing."""
        if not targets:
            return []
        every = residual_errors(targets, self.folds, self.features[baseline], self.features["score"])
        least, none = [MIN_LEFT * t.columns.var(0).sum() for t in targets], np.full(len(self.weight), np.nan)
        return [none if e[:, 0].mean() < low else error_reduction(e, self.weight) for e, low in zip(every, least)]


def control_target(target: Target, groups: np.ndarray, generator: np.random.Generator) -> Target | None:
    """The values assigned at random to groups (m,) of graphs; None if they hardly vary, or each is one group's."""
    pairs = np.unique(np.stack([target.values, groups], 1), axis=0)
    if len(pairs) == len(np.unique(pairs[:, 0])) == len(np.unique(groups)) < len(groups):
        return None
    for _ in range(20):
        order = generator.permutation(len(groups))
        of_group = target.values[order][np.unique(groups, return_index=True)[1]]
        values = of_group[np.unique(groups, return_inverse=True)[1]]
        held, times = np.unique(values, return_counts=True)
        if len(held) > 1 and len(values) - times.max() >= MIN_VARIED:
            return Target(np.searchsorted(held, values), len(held)) if target.classes else Target(values)
    return None

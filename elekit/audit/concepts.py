"""What does psi encode: which properties of a graph can be read off its point, and is that more than size tells?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from elekit.audit.probes import FOLDS, Probed, bumps, goes_with
from elekit.audit.properties import FEWEST, NUMBER, Property, different, properties_of, read
from elekit.evaluation.formatting import percent
from elekit.evaluation.intervals import DRAWS, central
from elekit.graphs.graph import Graph
from elekit.inspect._validation import finite
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import Psi, points_of
from elekit.training.loop import seeded

if TYPE_CHECKING:
    import pandas as pd

SOME, MUCH = 0.1, 0.5  # of a score
CLOSE = 0.05  # an untrained psi that comes so near reaches as much
ENCODED, WEAKLY, NOT, UNASKED = "encoded", "weakly encoded", "not encoded", "not measured"
THROUGH = "encoded, but only as far as size and counts tell"
FIGURES = (
    "score", "low", "high", "control", "selectivity", "shuffled", "untrained", "size", "counts",
    "beyond", "beyond_low", "beyond_high", "goes_with",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Concepts:
    """What can be read off the points of graphs, a row a property; see `concepts`.

    table: best score first, those not measured last. rows: (m,) which of the graphs were asked, no two isomorphic.
    """

    table: "pd.DataFrame"
    rows: np.ndarray


def concepts(
    psi: Psi,
    graphs: Graph,
    properties: "pd.DataFrame | Mapping | None" = None,
    *,
    seed: int = 0,
    progress: bool = False,
) -> Concepts:
    """Which properties of a graph a linear probe reads off psi, held against controls and against what size tells.

    A probe is fitted to the points of some graphs and asked about others, in 5 folds: ridge regression for numbers,
    logistic regression for yes or no and for kinds. Isomorphic graphs count once, so no graph is in two folds: its
    numbers are averaged, its kinds settled by majority.
    Score of numbers: `R^2 = 1 - sum (y - told)^2 / sum (y - mean)^2`, mean over the graphs of the other folds; of k
    kinds: `(balanced accuracy - 1/k) / (1 - 1/k)`. Of both 1 is always right and 0 is guessing.

    graphs: any batch of at least 50 different graphs; they are rounded; of more than 2,000 a sample.
    properties: a row a graph, columns of numbers, yes or no, or kinds; left out are missing values, and kinds that
    fewer than 10 graphs have. They come beside what is counted of every graph (see `elekit.audit.properties.
    properties_of`), and take the place of what has the same name.
    progress: show a bar. About 10 s for 1,000 molecules and 28 properties on one core.

    table, a row a property:
    property, kind ("number", "yes or no", "kinds"), graphs (different ones, of which it is known).
    score, low, high: of psi, with a 95 % interval (bootstrap over graphs that were held out; the probes stay as they
    are, so it does not tell how other training graphs would do).
    control: score of the same probe where the values are dealt out at random to the counts of node labels, one value
    to all graphs with the same ones, mean of 2 deals: what a probe of this psi reaches with a property that means
    nothing (Hewitt and Liang 2019; their types of words are our label counts). selectivity: score - control.
    shuffled: the same where each different graph is dealt a value of its own; about 0 unless something leaks.
    untrained: score of the same probe on an embedding with random weights, of the shape of psi if that is a
    `GraphEmbedding`. Where it is as high, psi encodes the property, but training need not have brought it in.
    size, counts: scores of the same probe without psi, from any function of the number of nodes, and of that and the
    counts of node labels.
    beyond, beyond_low, beyond_high: share of the squared error left by counts that psi removes (of yes or no and of
    kinds: of the Brier score); what is left is taken within the training folds. Of a count of a node label it is what
    size leaves. nan of the size itself, and where less than 1 % is left.
    goes_with: share of the mean loss between two graphs that goes with the property, in [0, 1] (adjusted R^2 of the
    points on it). A property may be encoded and yet matter little to the loss.
    mark: "not encoded" (a score below 0.1, or an interval that reaches down to 0 or to shuffled), "encoded, but only
    as far as size and counts tell" (beyond is below 0.1 or its interval holds 0, and counts reach half the score),
    "encoded" (a score of at least 0.5, beyond at least 0.1 and surely above 0 or of no meaning and, where counts are
    not taken out, low above the control), else "weakly encoded"; "not measured" (it hardly varies, or too few graphs
    have it).
    says: the same in a few sentences. Figures without a meaning are nan.

    Caveats: a probe that finds nothing shows that nothing is linear, not that nothing is there; of 40 properties that
    mean nothing one has an interval above 0 by chance; and the interval of a score without a mistake has no width,
    however few the graphs that have the property.
    Sources: Alain, Bengio (2017) and Conneau et al. (2018) on probes; Hewitt, Liang (2019) on control tasks.
    Raises ValueError for fewer than 50 different graphs, and for properties of another length.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    graphs = graphs.detach().rounded()
    given = _beside(graphs, properties)
    generator = np.random.default_rng(seed)
    rows, which = different(graphs, generator)
    first = rows[np.unique(which, return_index=True)[1]]  # of each different graph
    if len(first) < FEWEST:
        raise ValueError(
            f"concepts are probed on at least {FEWEST} different graphs, got {len(first)} "
            f"(isomorphic ones count once, of {len(graphs)}); give more"
        )
    counted = properties_of(graphs[torch.from_numpy(rows)])
    own = [name for name in counted if name not in given]
    table = pd.concat([counted[own], given.iloc[rows].reset_index(drop=True)], axis=1)
    found = [(read(name, table[name], which), _against(name, own)) for name in table]
    with threadpool_limits(1):  # the matrices are small
        probed = _probed(psi, graphs[torch.from_numpy(first)], generator, seed)
        figures = _figures(probed, found, generator, progress)
    columns = ["property", "kind", "graphs", *FIGURES, "mark", "says"]
    told = pd.DataFrame([_row(one, figures.get(one.name), against) for one, against in found], columns=columns)
    return Concepts(told.sort_values("score", ascending=False, kind="stable", ignore_index=True), first)


def _beside(graphs: Graph, properties) -> "pd.DataFrame":
    """The properties as a table, a row a graph, its columns called by distinct texts."""
    import pandas as pd

    if properties is None:
        return pd.DataFrame(index=range(len(graphs)))
    if not isinstance(properties, pd.DataFrame):
        properties = pd.DataFrame({name: pd.Series(list(values)) for name, values in properties.items()})
    if len(properties) != len(graphs):
        raise ValueError(
            f"the properties have {len(properties)} rows for {len(graphs)} graphs; they stand side by side"
        )
    table = properties.reset_index(drop=True)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    return table.loc[:, ~table.columns.duplicated()]


def _against(name: str, own: list[str]) -> str:
    """What is taken for known of a graph before psi is asked: "counts" (of node labels, so the size, too), "size"
    where the property is one of these, "" where it is the size."""
    if name == "nodes" and name in own:
        return ""
    return "size" if name.startswith("nodes: ") and name in own else "counts"


def _probed(psi: Psi, graphs: Graph, generator: np.random.Generator, seed: int) -> Probed:
    m, names = len(graphs), graphs.vocabulary
    counts = torch.nn.functional.one_hot(graphs.labels()[0], names.K)[..., 1:].sum(1).double().numpy()
    of_size = bumps(counts.sum(1, keepdims=True))
    features = {
        "score": finite(points_of(psi, graphs)).cpu().double().numpy(),
        "untrained": points_of(untrained(psi, graphs, seed), graphs).double().numpy(),
        "size": of_size,
        "counts": np.concatenate([of_size, bumps(counts)], 1),
    }
    weight = np.concatenate([np.ones((1, m)), generator.multinomial(m, np.full(m, 1 / m), size=DRAWS)])
    kinds = np.unique(counts, axis=0, return_inverse=True)[1].ravel()
    return Probed(features, kinds, generator.permutation(m) % FOLDS, weight)


def untrained(psi: Psi, graphs: Graph, seed: int) -> GraphEmbedding:
    """An embedding with random weights, of the shape of psi where that is known."""
    config = psi.config if isinstance(psi, GraphEmbedding) else EmbeddingConfig()
    with seeded(seed):
        return GraphEmbedding(graphs.vocabulary, config).eval()


def _figures(probed: Probed, found: list[tuple[Property, str]], generator, progress: bool) -> dict[str, dict]:
    """Figures of each property that can be told, by its name."""
    figures, groups = {}, {}
    for one, against in found:
        if one.target:
            groups.setdefault(one.rows.tobytes(), []).append((one, against))  # asked together
    total = (len(probed.features) + 3) * sum(map(len, groups.values()))
    with tqdm(total=total, desc="concepts", unit="probe", disable=not progress) as bar:
        for some in groups.values():
            here, targets = probed.at(some[0][0].rows), [one.target for one, _ in some]
            of_each = [{"goes_with": goes_with(here.features["score"], target.columns)} for target in targets]
            for name in here.features:
                for told, draws in zip(of_each, here.scores(name, targets)):
                    told[name] = draws[0]
                    if name == "score":
                        told["low"], told["high"] = _interval(draws)
                bar.update(len(some))
            for name, kinds in (("control", here.kinds), ("shuffled", np.arange(len(here.kinds)))):
                for told, control in zip(of_each, here.controls(targets, kinds, generator)):
                    told[name] = control
                bar.update(len(some))
            for name in ("size", "counts"):
                these = [at for at, (_, against) in enumerate(some) if against == name]
                for at, draws in zip(these, here.beyond(name, [targets[at] for at in these])):
                    told = of_each[at]
                    told["beyond"], (told["beyond_low"], told["beyond_high"]) = draws[0], _interval(draws)
            bar.update(len(some))
            for (one, against), told in zip(some, of_each):
                meaningless = {"": ("size", "counts"), "size": ("counts",), "counts": ()}[against]
                told["selectivity"] = told["score"] - told["control"]
                figures[one.name] = told | dict.fromkeys(meaningless, np.nan)
    return figures


def _interval(draws: np.ndarray) -> tuple[float, float]:
    """95 % interval of draws after the first, which is the figure itself."""
    if np.isnan(draws[0]):
        return np.nan, np.nan
    return central(draws[1:])


def mark(told: dict, against: str) -> str:
    """What the figures of a property come to; see `concepts`."""
    if not (told["score"] >= SOME and told["low"] > np.nanmax([0.0, told["shuffled"]])):
        return NOT
    beyond = not against or (told["beyond"] >= SOME and told["beyond_low"] > 0)
    if not beyond and (np.isnan(told["beyond"]) or told[against] >= told["score"] / 2):
        return THROUGH
    selective = against == "counts" or not told["low"] <= told["control"]  # what counts leave has no control to pass
    return ENCODED if beyond and selective and told["score"] >= MUCH else WEAKLY


def _row(one: Property, told: dict | None, against: str) -> dict:
    row = {"property": one.name, "kind": one.kind, "graphs": int(one.rows.sum())}
    if told is None:
        return row | {"mark": UNASKED, "says": f'"{one.name}" is not measured: {one.note}.'}
    found = mark(told, against)
    return row | told | {"mark": found, "says": _says(one, told, against, found)}


def _says(one: Property, told: dict, against: str, found: str) -> str:
    words = {"": "", "counts": "size and label counts tell", "size": "size tells"}[against]
    heads = {THROUGH: f"encoded, but only as far as {words}"}
    if told["score"] >= SOME:
        heads[NOT] = "not shown to be encoded"
    what = "variance between" if one.kind == NUMBER else "way from guessing to always right on"
    figures = {name: percent(max(value, 0.0)) if value >= 0.0005 else "0 %" for name, value in told.items()}
    say = figures.__getitem__
    said = [
        f'"{one.name}" is {heads.get(found, found)}: a probe of psi tells {say("score")} of the {what} held-out '
        f"graphs (95 % interval {say('low')} to {say('high')})"
    ]
    if not np.isnan(told["control"]):
        said.append(
            f"Values that mean nothing, dealt out to graphs by their label counts, it tells to {say('control')}"
        )
    if against and np.isnan(told["beyond"]):
        said.append(f"Without psi, {words} all of it, so nothing is left that psi could tell")
    elif against:
        said.append(
            f"Without psi, {words} {say(against)}; of the error that is left psi removes {say('beyond')} "
            f"({say('beyond_low')} to {say('beyond_high')})"
        )
    if found != NOT:
        said.append(f"It goes with {say('goes_with')} of the mean loss between two graphs")
        if told["untrained"] >= told["score"] - CLOSE:
            said.append(f"Random weights tell {say('untrained')}, so it need not come from training")
    if one.note:
        said.append(one.note[0].upper() + one.note[1:])
    return ". ".join(said) + "."

"""`elekit decode` and `elekit evaluate`."""

import sys
from dataclasses import replace

from elekit.cli import sources

LIMIT = 1_000  # graphs of a named test split that are judged unless told otherwise
CALIBRATED = 1_000  # pairs that a radius is found from, at most
SET_FIGURES = ("coverage", "low", "high", "mean_size", "median_size", "empty", "large")


def decode(chosen):
    """Decode inputs from the command line or standard input."""
    from elekit.evaluation import conformal, judging
    from elekit.graphs.graph import to_networkx
    from elekit.graphs.smiles import is_molecular, to_smiles
    from elekit.model import artifact as artifacts

    config = _config(chosen, polished_only=False)  # wrong options are refused before anything is read
    artifact = artifacts.load(chosen.artifact)
    name, h = artifact.surrogate(chosen.surrogate)
    inputs = chosen.inputs or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    graphs, _, config = _start(chosen, artifact, h)
    read = _vectors(inputs) if _kind(h) == "vector" else inputs
    target, start = h.predict(read), _start_graphs(config, h, read)
    decoded = judging.decode_many(artifact.psi, target, candidates=graphs, start=start, config=config)
    molecular = is_molecular(artifact.vocabulary)

    def told(some, losses) -> list[dict]:
        drawn = to_smiles(some) if molecular else [_plain(one) for one in to_networkx(some)]
        kind = "smiles" if molecular else "graph"
        return [{kind: one, "loss": round(max(0.0, loss), 6)} for one, loss in zip(drawn, losses)]

    def line(answer: dict) -> str:
        one = answer["smiles"] if molecular else answer["graph"]
        return f"{'(no valid molecule)' if one is None else one}\tloss {answer['loss']:.4f}"

    answers = [{"input": text, **a} for text, a in zip(inputs, told(decoded.graphs, decoded.loss.tolist()))]
    lines = [[f"{line(answer)}\t{answer['input']}"] for answer in answers]
    document = {"decoded": answers}
    if chosen.sets is not None:
        known = {"candidates": graphs, "config": config, "progress": sources.shows_bars(chosen)}
        held = _calibrated(chosen, artifact, name, h, known)
        sets = conformal.prediction_sets(artifact.psi, target, held, start=start, **known)
        for answer, said, one in zip(answers, lines, sets):
            members = told(one.graphs, one.losses.tolist())
            answer["set"] = {"says": one.says(), "size": one.size, "graphs": members}
            said += [f"  {one.says()}", *(f"    {line(member)}" for member in members)]
        document["calibration"] = held.to_json()
    sources.say(chosen, document, [text for said in lines for text in said])


def evaluate(chosen):
    """Decode a test set and judge it."""
    import pandas as pd
    import torch

    from elekit import datasets
    from elekit.evaluation import conformal, judging
    from elekit.graphs.smiles import randomize_smiles
    from elekit.model import artifact as artifacts

    sources.at_least_one(chosen, "limit")
    if not chosen.timeout >= 0:
        raise ValueError(f"--timeout must be seconds >= 0, got {chosen.timeout:g}")
    if chosen.oracle and chosen.sets is not None:
        raise ValueError("--sets says how sure h is, which --oracle leaves out; give one of them")
    _config(chosen, polished_only=False)  # wrong options are refused before anything is read
    artifact = artifacts.load(chosen.artifact)
    name, h = None, None
    if not chosen.oracle:
        name, h = artifact.surrogate(chosen.surrogate or surrogate_for(chosen, artifact))
        chosen.input = input_of(chosen, artifact, name, h)
    graphs, where, config = _start(chosen, artifact, h)
    seed = artifact.about.get("seed", 0)  # of the split: what was trained on is not judged
    data = sources.load(chosen, whole=True, vocabulary=artifact.vocabulary, inputs=not chosen.oracle, seed=seed)
    if data.vocabulary != artifact.vocabulary:
        raise ValueError(f"{chosen.data} has another vocabulary than the artifact {chosen.artifact}")
    limit = chosen.limit or (LIMIT if chosen.data in datasets.NAMES else len(data.test))
    test = data.test.sample(limit, chosen.seed)
    if chosen.oracle:
        target, start = artifact.psi.embed(test.graphs), None
    else:
        inputs = test.inputs
        if inputs is None:
            raise ValueError(f"nothing to decode from; name the column of {chosen.data} that h reads with --input")
        if chosen.randomize:
            if torch.is_tensor(inputs):
                raise ValueError("--randomize writes SMILES anew, but these inputs are vectors")
            inputs = randomize_smiles(inputs, chosen.seed)
        target, start = h.predict(inputs), _start_graphs(config, h, inputs)
    number, _ = pd.factorize(test.frame["key"])  # equal graphs rank as one
    distinct = test.frame["key"].drop_duplicates().index.tolist()
    judged = judging.judge(
        artifact.psi,
        target,
        test.graphs,
        candidates=graphs,
        start=start,
        config=config,
        timeout=chosen.timeout,
        rank_among=test.graphs[distinct],
        truth_among=torch.as_tensor(number),
        progress=sources.shows_bars(chosen),
    )
    if chosen.table:
        table = judged.table.copy()
        table.insert(0, "row", test.frame["row"].to_numpy())
        sources.write_csv(chosen.table, table)
    document = {
        "artifact": str(chosen.artifact),
        "data": chosen.data,
        "from": "psi(y)" if chosen.oracle else f"h({name})",
        "method": config.method,
        "candidates": where,
        "skipped": data.report()["skipped"],
        "ranked_among": len(distinct),
        **judged.summary,
    }
    if chosen.sets is not None:
        known = {"candidates": graphs, "config": config, "progress": sources.shows_bars(chosen)}
        held = _calibrated(chosen, artifact, name, h, known)
        table = conformal.coverage(artifact.psi, target, test.graphs, held, start=start, **known)
        whole = table.iloc[0].to_dict()
        document["sets"] = {**held.to_json(), **{name: whole[name] for name in SET_FIGURES}}
    flat = {k: v for k, v in document.items() if k != "sets"}
    flat |= {f"sets: {k.replace('_', ' ')}": v for k, v in document.get("sets", {}).items()}
    lines = [f"{k:>26}  {v:.4f}" if isinstance(v, float) else f"{k:>26}  {v}" for k, v in flat.items() if v != {}]
    sources.say(chosen, document, lines)


def _calibrated(chosen, artifact, name: str, h, known: dict):
    """The radius of --sets, from pairs that neither psi nor h learned from; known: candidates and how to search."""
    from elekit.evaluation import conformal

    pairs = sources.calibration_pairs(chosen, artifact, name).sample(CALIBRATED, chosen.seed)
    if pairs.inputs is None:
        raise ValueError(f"{chosen.calibrate} has no inputs that h could read")
    known = {**known, "start": _start_graphs(known["config"], h, pairs.inputs)}
    return conformal.calibrate(artifact.psi, h.predict(pairs.inputs), pairs.graphs, level=chosen.sets, **known)


def _start(chosen, artifact, h):
    """(candidates or None, where from, config with its method); h: None where psi of the truth is decoded."""
    graphs, where = sources.candidates(chosen, artifact)
    method, has_graph_head = chosen.method, h is not None and h.has_graph_head
    if method is None and has_graph_head:
        method = "rounded+polish"
    elif method is None:
        method = "candidates+polish" if graphs is not None else "gradient+polish"
    if graphs is None and method.startswith("candidates"):
        raise ValueError(f"--method {method} needs candidates, there are {where}; or use gradient+polish")
    if method.startswith("rounded") and not has_graph_head:
        mend = "elekit train surrogate --through graph"
        raise ValueError(f"--method {method} needs an h that goes through a graph ({mend})")
    polished_only = method in ("candidates+polish", "rounded+polish")
    return graphs, where, replace(_config(chosen, polished_only=polished_only), method=method)


def _start_graphs(config, h, inputs):
    """What is rounded, where something is."""
    return h.graphs(inputs) if config.needs_start else None


def _config(chosen, *, polished_only: bool):
    """How to decode, as chosen; a budget is shared between descent and polish where there are both."""
    from elekit.decoding import DecodeConfig

    config = DecodeConfig(method=chosen.method, seed=chosen.seed)
    budget = chosen.budget_ms
    if budget is not None and chosen.method != "gradient" and not polished_only:
        budget = budget / 2
    descent = {"starts": chosen.starts, "iterations": chosen.iterations, "rule": chosen.rule, "budget_ms": budget}
    search = {"beam": chosen.beam, "budget_ms": budget}
    return replace(
        config,
        gradient=replace(config.gradient, **{k: v for k, v in descent.items() if v is not None}),
        local_search=replace(config.local_search, **{k: v for k, v in search.items() if v is not None}),
    )


def _kind(h) -> str | None:
    """What the backbone reads; None for a module of the user's."""
    return getattr(getattr(h.backbone, "config", None), "kind", None)


def _vectors(rows: list[str]):
    import torch

    read = []
    for row in rows:
        try:
            read.append([float(number) for number in row.replace(",", " ").split()])
        except ValueError:
            raise ValueError(f"this h reads vectors: numbers with commas between them, got {row!r}") from None
        if len(read[-1]) != len(read[0]):
            raise ValueError(f"vectors of one length are wanted, got {len(read[0])} numbers and {len(read[-1])}")
    return torch.tensor(read)


def surrogate_for(chosen, artifact) -> str | None:
    """The surrogate named like the input column; for molecules as they are written one that reads SMILES."""
    wanted = chosen.input[0] if chosen.input else sources.DEFAULT_INPUT.get(chosen.data, "smiles")
    return wanted if wanted in artifact.surrogates else None


def input_of(chosen, artifact, name: str, h) -> list[str] | None:
    """--input; else what this h was trained on; else, of a shipped h, the input of its name, or SMILES as written."""
    from elekit import datasets

    if chosen.input:
        return chosen.input
    trained_on = artifact.about.get("surrogates", {}).get(name, {}).get("input")
    if chosen.data in datasets.NAMES:
        return trained_on or [name]
    if not trained_on and _kind(h) in ("word", "vector"):
        raise ValueError(f"surrogate {name!r} reads {_kind(h)}s; name their column in {chosen.data} with --input")
    return None if trained_on == ["smiles"] else trained_on


def _plain(graph) -> dict:
    """A networkx graph as plain values."""
    return {
        "nodes": [label for _, label in graph.nodes(data="label")],
        "edges": [[u, v, label] for u, v, label in graph.edges(data="label")],
    }

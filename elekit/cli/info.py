"""`elekit info`."""

from argparse import Namespace
from typing import Any

import elekit as ele
from elekit.cli import data as cli_data


def info(args: Namespace) -> None:
    """Print what an artifact holds, and the health of its loss; measured now if the training did not."""
    content = ele.model.artifact.verify(ele.model.artifact.locate(args.artifact))
    artifact = ele.model.load(args.artifact)
    about, vocabulary, health = artifact.about, artifact.vocabulary, artifact.health
    name = args.data or artifact.data_name
    if health is None and (args.data or (name in ele.datasets.NAMES and ele.datasets.available_offline(name))):
        cli_data.check_source(name)
        options: dict[str, Any] = {"vocabulary": vocabulary, "prepare": artifact.prepare}
        options |= {"seed": about.get("seed", 0)}
        named = name in ele.datasets.NAMES
        data = ele.datasets.load(name, **options) if named else ele.datasets.from_frame(name, **options)
        health = ele.training.measure_health(artifact.psi, data.train.graphs, held_out=data.test.graphs)
    last = (about.get("psi", {}).get("history") or [{}])[-1]
    document = {
        "name": artifact.name,
        "health": None if health is None else {"level": str(health.level), **health.to_json()},
        "node_labels": vocabulary.node_labels,
        "edge_labels": vocabulary.edge_labels,
        "directed": bool(vocabulary.directed),
        "max_nodes": vocabulary.max_nodes,
        "dimensions": artifact.psi.config.dim,
        "parameters": sum(weights.numel() for weights in artifact.psi.parameters()),
        "surrogates": list(artifact.surrogates),
        "trained_on": about.get("data", {}).get("name"),
        "training_graphs": about.get("data", {}).get("train"),
        "steps": last.get("step"),
        "trained": about.get("trained"),
        "digest": ele.model.artifact.digest(content),
    }
    words = {key.replace("_", " "): value for key, value in document.items() if key not in ("name", "health")}
    lines = [artifact.name, str(health or ele.model.health.NOT_MEASURED)]
    lines += [f"  {key:<16} {_plain(value)}" for key, value in words.items() if value not in (None, [])]
    cli_data.print_result(args, document, lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        value = [part for part in value.values() if part]
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)

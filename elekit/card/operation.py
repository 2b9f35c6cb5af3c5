"""What a registry says about the version of a card."""

from pathlib import Path
from typing import Any

from elekit.model.artifact import Artifact
from elekit.operation.registry import Registry, held_by, stages_of


def operation_facts(artifact: Artifact, registry: Registry | str | Path) -> tuple[dict[str, Any], Path | None]:
    """Stage, gates and history of a version, and the folder of the version in operation.

    Args:
        artifact: The version.
        registry: The registry, or its address.

    Returns:
        Plain values for the card; and the folder to compare with: that of the version in production, or of the one
        before if this version is in production; None if there is none.

    Raises:
        ValueError: If the registry was altered.
    """
    held = registry if isinstance(registry, Registry) else Registry(registry)
    entries = held.entries()
    stages, operating = stages_of(entries), held_by(entries, "production")
    earlier = [version for version in operating if version != artifact.digest]
    own = [entry for entry in entries if entry.version == artifact.digest]
    facts = {
        "address": held.store.address, "version": artifact.digest, "stages": stages,
        "production": stages.get("production", ""),
        "gates": [{**vars(entry), "gates": dict(entry.gates)} for entry in own if entry.gates],
        "history": list(map(str, entries)),
    }  # fmt: skip
    return facts, held.fetch(earlier[-1]) if earlier else None

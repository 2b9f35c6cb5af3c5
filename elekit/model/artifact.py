"""The artifact of a learned loss: weights, and all that is needed to trust and use them.

An artifact is a folder with `artefact.json` and safetensors files. The JSON holds the sha256 of each file and a
digest of itself. It is written last, by one rename: a reader sees either the old or the new artifact. Nothing is
pickled, so loading an artifact never runs code from it.
"""

import contextlib
import hashlib
import json
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

import elekit
from elekit.datasets.files import SHIPPED, write_atomically
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import SurrogateRegressor
from elekit.model.surrogate.registry import from_config, to_config

FORMAT = "elekit learned loss"
VERSION = 1
JSON_NAME = "artefact.json"
WEIGHTS_NAME = re.compile(r"(psi|h-[\w.-]+)-[0-9a-f]{12}\.safetensors")  # names that _write_tensors gives
MODELS = SHIPPED / "models"
REPEATS = "repeats"  # subfolder with the repeats of a training
Json = dict[str, Any]
Tensors = dict[str, Tensor]


class ArtifactError(ValueError):
    """An artifact that cannot be read or verified; the message names the file and the problem."""


@dataclass(eq=False)
class Artifact:
    """A learned loss, its surrogates, and their provenance.

    Args:
        name: Name of the artifact.
        psi: Embedding that defines the loss.
        surrogates: Surrogates h by the name of their inputs.
        about: Provenance as plain values (data report, seeds, settings, histories, metrics), as JSON holds them.
    """

    name: str
    psi: GraphEmbedding
    surrogates: dict[str, SurrogateRegressor] = field(default_factory=dict)
    about: Json = field(default_factory=dict)

    @property
    def vocabulary(self) -> GraphVocabulary:
        """Labels of the graphs that psi embeds."""
        return self.psi.vocabulary

    def surrogate(self, name: str | None = None) -> tuple[str, SurrogateRegressor]:
        """Get a surrogate.

        Args:
            name: Name of its inputs; None means the first surrogate.

        Returns:
            The name and the surrogate.

        Raises:
            ArtifactError: If the artifact has no such surrogate.
        """
        if not self.surrogates:
            raise ArtifactError(f"artifact {self.name!r} holds no surrogate; train one (elekit train surrogate)")
        name = name or next(iter(self.surrogates))
        if name not in self.surrogates:
            known = ", ".join(self.surrogates)
            raise ArtifactError(f"artifact {self.name!r} has no surrogate {name!r}; it has {known}")
        return name, self.surrogates[name]


def save(artifact: Artifact, folder: str | Path, *, half: bool = False, half_psi: bool = False) -> Path:
    """Write an artifact; an older artifact in the folder stays valid until the new one is complete.

    Args:
        artifact: What to write.
        folder: Where to write it.
        half: Store surrogate weights as float16.
        half_psi: Store the trained weights of psi as float16, which changes learned losses by up to 0.002.

    Returns:
        Path of the JSON file.

    Raises:
        OSError: If a file cannot be written; the message names it.
        ValueError: If `about` holds values that JSON cannot.
    """
    folder = Path(folder)
    psi, surrogates = artifact.psi, {}
    tensors = {"psi": {f"psi.{k}": v for k, v in _weights(psi, half_psi).items()}}
    if psi.typical is not None:
        tensors["psi"] |= {"typical.nodes": psi.typical.nodes, "typical.edges": psi.typical.edges}
    for name, h in artifact.surrogates.items():
        tensors[f"h-{name}"] = _weights(h, half)
        surrogates[name] = {"dim": h.dim, **to_config(h.backbone)}
    try:
        about = json.loads(json.dumps(artifact.about))
    except TypeError as error:
        raise ValueError(f"artifact.about must hold plain values only, as JSON does: {error}") from None
    before = set(folder.glob("*.safetensors"))
    try:
        path = _write(folder, artifact, about, surrogates, tensors)
    except BaseException:  # a full disk, or Ctrl-C: the new files go, the old artifact stays
        _remove_unused(folder, set(folder.glob("*.safetensors")) - before)
        raise
    _remove_unused(folder, before)
    return path


def _weights(module: nn.Module, half: bool) -> Tensors:
    trained = {k for k, v in module.named_parameters() if half and v.is_floating_point()}
    return {k: v.half() if k in trained else v for k, v in module.state_dict().items()}


def _remove_unused(folder: Path, files: set[Path]) -> None:
    """Remove those of these weights files that the artifact in the folder does not name."""
    path = folder / JSON_NAME
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # a spare file does no harm
        entries = json.loads(path.read_text())["files"].values() if path.exists() else ()
        named = {entry["file"] for entry in entries}
        for file in files:
            if file.name not in named and WEIGHTS_NAME.fullmatch(file.name):
                file.unlink()


def _write(folder: Path, artifact: Artifact, about: Json, surrogates: Json, tensors: dict[str, Tensors]) -> Path:
    psi = artifact.psi
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": artifact.name,
        "vocabulary": psi.vocabulary.to_json(),
        "embedding": asdict(psi.config),
        "surrogates": surrogates,
        "files": {name: _write_tensors(folder, name, held) for name, held in tensors.items()},
        "versions": {"elekit": elekit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "about": about,
    }
    content = json.loads(json.dumps(content))
    text = json.dumps({**content, "digest": _digest(content)}, indent=1)
    write_atomically(folder / JSON_NAME, lambda partial: partial.write_text(text))
    return folder / JSON_NAME


def load(folder: str | Path, *, modules: Mapping[str, nn.Module] | None = None) -> Artifact:
    """Read an artifact and verify its digests.

    Args:
        folder: Folder of the artifact, or the name of a shipped one ("molecules7", "qm9").
        modules: For surrogates that were trained with a module of the user, an instance of it, by name of the
            surrogate.

    Returns:
        The artifact, with psi and surrogates in evaluation mode.

    Raises:
        ArtifactError: If a file is missing, truncated, altered, of another format or of a newer version.
    """
    folder = locate(folder)
    content = verify(folder)
    try:
        return _build(content, folder, modules or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / JSON_NAME} does not describe a learned loss: {error!r}") from None


def _build(content: Json, folder: Path, modules: Mapping[str, nn.Module]) -> Artifact:
    vocabulary = GraphVocabulary.from_json(content["vocabulary"])
    psi = GraphEmbedding(vocabulary, EmbeddingConfig(**content["embedding"]))
    tensors = _read_tensors(folder, content["files"]["psi"])
    if "typical.nodes" in tensors:
        psi.typical = Graph(tensors.pop("typical.nodes"), tensors.pop("typical.edges"), vocabulary)
    _fill(psi, {k.removeprefix("psi."): v for k, v in tensors.items()}, folder)
    surrogates = {}
    for name, values in content["surrogates"].items():
        backbone = _backbone(name, values, modules.get(name), psi)
        surrogates[name] = SurrogateRegressor(backbone, values["dim"])
        _fill(surrogates[name], _read_tensors(folder, content["files"][f"h-{name}"]), folder)
    return Artifact(content["name"], psi, surrogates, content["about"])


def locate(folder: str | Path) -> Path:
    """The folder itself if it exists, otherwise that of the shipped artifact with this name, if any."""
    shipped = MODELS / str(folder)
    return shipped if not Path(folder).exists() and shipped.is_dir() else Path(folder)


def verify(folder: str | Path) -> Json:
    """The JSON of an artifact, after checking its format, its digest and all files; raises ArtifactError."""
    path = Path(folder) / JSON_NAME
    if not path.is_file():
        raise ArtifactError(f"no artifact at {folder}: there is no {JSON_NAME}")
    try:
        content: Json = json.loads(path.read_text())
        known = content["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{path} is truncated or not an artifact of elekit") from None
    if not known:
        raise ArtifactError(f"{path} is not an artifact of elekit (its format is {content['format']!r})")
    version = content.get("version")
    if version != VERSION:
        raise ArtifactError(f"{path} has version {version!r}, this elekit reads {VERSION}; upgrade elekit")
    if content.pop("digest", None) != _digest(content):
        raise ArtifactError(f"{path} was altered after it was written: its digest does not fit")
    try:
        for entry in content["files"].values():
            _read_checked(Path(folder), entry)
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} does not name its files: {error!r}") from None
    return content


def load_repeats(folder: str | Path) -> dict[str, Artifact]:
    """Repeats of an artifact's training (other seeds, or half of the graphs) by name, lowest seed first.

    They are artifacts of psi alone in `repeats/<name>`. Raises ArtifactError for a repeat of another training.
    """
    folder = locate(folder)
    own, found = verify(folder), {}
    for path in sorted((folder / REPEATS).glob(f"*/{JSON_NAME}")):
        if different := ", ".join(differing_settings(own, verify(path.parent))):
            problem = f"{path.parent} repeats another training than that of {folder}: {different} differ"
            raise ArtifactError(f"{problem}; delete it, or make it again (elekit train repeats)")
        found[path.parent.name] = load(path.parent)
    return dict(sorted(found.items(), key=lambda named: (named[1].about.get("seed", 0), named[0])))


def differing_settings(one: Json, other: Json) -> list[str]:
    """In what two trainings differ apart from seeds, by the JSON of their artifacts; [] if one repeats the other."""

    def settings(content: Json) -> Json:
        about = content["about"]
        return {
            "vocabulary": content["vocabulary"],
            "shape of psi": content["embedding"],
            "data": about.get("data", {}).get("digest"),
            "training": about.get("psi", {}).get("training"),
            "correction": about.get("correction"),
        }

    first, second = settings(one), settings(other)
    return [name for name in first if first[name] != second[name]]


def training_record(checkpoint: Path, by: str | None = None) -> Json:
    """The day a training ended (UTC, from its checkpoint) and who ran it (None: not recorded)."""
    ended = checkpoint.stat().st_mtime if checkpoint.exists() else time.time()
    return {"at": datetime.fromtimestamp(ended, UTC).date().isoformat(), "by": by or None}


def _digest(content: Json) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as a safetensors file; tensors that share memory (tied weights) are written separately."""
    return bytes_of({k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()})


def file_stem(name: str) -> str:
    """A name as part of a file name: a surrogate may have the name of any column."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:60]


def _write_tensors(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> Json:
    """Write a safetensors file, named by its content, so that it never replaces one that an old JSON names."""
    data = _bytes(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / f"{file_stem(name)}-{sha256[:12]}.safetensors"
    write_atomically(path, lambda partial: partial.write_bytes(data))
    return {"file": path.name, "sha256": sha256, "bytes": len(data)}


def _read_checked(folder: Path, entry: Json) -> bytes:
    path = folder / Path(entry["file"]).name  # the name only: an artifact reads no file outside its folder
    if not path.is_file():
        raise ArtifactError(f"{path} is missing")
    data = path.read_bytes()
    if len(data) != entry["bytes"]:
        raise ArtifactError(f"{path} is truncated or altered: {len(data)} bytes, {entry['bytes']} were written")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{path} was altered after it was written: its sha256 does not fit")
    return data


def _read_tensors(folder: Path, entry: Json) -> Tensors:
    try:
        return tensors_of(_read_checked(folder, entry))
    except SafetensorError as error:
        raise ArtifactError(f"{folder / entry['file']} is not a safetensors file: {error}") from None


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(tensors)  # float16 is cast to the type of the module
    except RuntimeError as error:
        why, kind = " ".join(str(error).split()), type(module).__name__
        raise ArtifactError(f"the weights in {folder} do not fit a {kind} of this configuration: {why}") from None
    module.eval().requires_grad_(False)


def _backbone(name: str, values: Json, module: nn.Module | None, psi: GraphEmbedding) -> nn.Module:
    if values["backbone"]["kind"] != "module":
        return from_config(values, values["dim"], vocabulary=psi.vocabulary, psi=psi)
    if module is None:
        fix = f"give it: load(..., modules={{{name!r}: {values['class']}(...)}})"
        raise ArtifactError(f"surrogate {name!r} was trained with a module {values['class']} of the user; {fix}")
    return module

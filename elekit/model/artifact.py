"""The artifact of a learned loss: weights, and all that is needed to trust and to use them (floor 3).

A folder with `artefact.json` and safetensors files. The JSON names each file with its sha256 and carries a digest of
itself; it is written last, in one rename, so a reader meets either the old artifact or the new one. Nothing is
pickled: loading an artifact runs no code that came with it.
"""

import contextlib
import hashlib
import json
import platform
import re
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import nn

import elekit
from elekit.datasets.files import SHIPPED, write_atomically
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import SurrogateRegressor, from_config, to_config

FORMAT = "elekit learned loss"
VERSION = 1
JSON_NAME = "artefact.json"
OURS = re.compile(r"(psi|h-[\w.-]+)-[0-9a-f]{12}\.safetensors")  # names that _write_tensors gives
MODELS = SHIPPED / "models"
REPEATS = "repeats"  # folder of the repeats of a training, in that of its artifact


class ArtifactError(ValueError):
    """An artifact that cannot be trusted or read; the message names the file and what is wrong."""


@dataclass(eq=False)
class Artifact:
    """A learned loss, the surrogates that regress on it, and where they come from.

    surrogates: h by the name of its inputs. about: plain values (data report, seeds, training configs, histories,
    metrics), as JSON holds them.
    """

    name: str
    psi: GraphEmbedding
    surrogates: dict[str, SurrogateRegressor] = field(default_factory=dict)
    about: dict = field(default_factory=dict)

    @property
    def vocabulary(self) -> GraphVocabulary:
        return self.psi.vocabulary

    def surrogate(self, name: str | None = None) -> tuple[str, SurrogateRegressor]:
        """The surrogate of this name (None: the first) with its name; ArtifactError where there is none."""
        if not self.surrogates:
            raise ArtifactError(f"artifact {self.name!r} holds no surrogate; train one (elekit train surrogate)")
        name = name or next(iter(self.surrogates))
        if name not in self.surrogates:
            there = ", ".join(self.surrogates)
            raise ArtifactError(f"artifact {self.name!r} has no surrogate {name!r}; it has {there}")
        return name, self.surrogates[name]


def save(artifact: Artifact, folder: str | Path, *, half: bool = False, half_psi: bool = False) -> Path:
    """Write an artifact; what stood in the folder before stays whole until the new one is.

    half: surrogate weights as float16, half the size. half_psi: those of psi, too, for losses that are only compared
    with others: it moves the learned loss of two graphs by up to 0.002. What is no weight, such as the scaling of
    vectors, stays as it is. Returns the path of the JSON file.
    Raises OSError, naming the file, where it cannot be written, and ValueError for `about` that JSON cannot hold.
    """
    folder = Path(folder)
    psi, tensors, described = artifact.psi, {}, {}
    tensors["psi"] = {f"psi.{k}": v for k, v in _weights(psi, half_psi).items()}
    if psi.typical is not None:
        tensors["psi"] |= {"typical.nodes": psi.typical.nodes, "typical.edges": psi.typical.edges}
    for name, h in artifact.surrogates.items():
        tensors[f"h-{name}"] = _weights(h, half)
        described[name] = {"dim": h.dim, **to_config(h.backbone)}
    try:
        about = json.loads(json.dumps(artifact.about))
    except TypeError as unfit:
        raise ValueError(f"artifact.about must hold plain values only, as JSON does: {unfit}") from None
    before = set(folder.glob("*.safetensors"))
    try:
        path = _write(folder, artifact, about, described, tensors)
    except BaseException:  # a full disk, or Ctrl-C: what is new goes, the old artifact stays
        _tidy(folder, set(folder.glob("*.safetensors")) - before)
        raise
    _tidy(folder, before)
    return path


def _weights(module: nn.Module, half: bool) -> dict:
    """The state of a module; half: what is learned of it as float16."""
    learned = {k for k, v in module.named_parameters() if half and v.is_floating_point()}
    return {k: v.half() if k in learned else v for k, v in module.state_dict().items()}


def _tidy(folder: Path, files: set[Path]):
    """Remove those of these weights files that no artifact in the folder names, and no others."""
    path = folder / JSON_NAME
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # a file too many is no harm
        entries = json.loads(path.read_text())["files"].values() if path.exists() else ()
        named = {entry["file"] for entry in entries}
        for file in files:
            if file.name not in named and OURS.fullmatch(file.name):
                file.unlink()


def _write(folder: Path, artifact: Artifact, about: dict, described: dict, tensors: dict[str, dict]) -> Path:
    """The weights, then the JSON that names them."""
    psi = artifact.psi
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": artifact.name,
        "vocabulary": psi.vocabulary.to_json(),
        "embedding": asdict(psi.config),
        "surrogates": described,
        "files": {name: _write_tensors(folder, name, held) for name, held in tensors.items()},
        "versions": {"elekit": elekit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "about": about,
    }
    content = json.loads(json.dumps(content))
    content["digest"] = _digest(content)
    path = folder / JSON_NAME
    text = json.dumps(content, indent=1)
    write_atomically(path, lambda partial: partial.write_text(text))
    return path


def load(folder: str | Path, *, modules: dict[str, nn.Module] | None = None) -> Artifact:
    """Read an artifact, checked against its own digests.

    folder: where it lies, or the name of one that is shipped (molecules7, qm9).
    modules: for surrogates that were trained with a module of the user's, that module (its weights are filled in).
    Raises ArtifactError for what is missing, truncated, altered, of another format or of a newer version.
    """
    folder = locate(folder)
    content = verify(folder)
    try:
        return _build(content, folder, modules or {})
    except (KeyError, TypeError, AttributeError) as odd:
        raise ArtifactError(f"{folder / JSON_NAME} does not describe a learned loss: {odd!r}") from None


def _build(content: dict, folder: Path, modules: dict[str, nn.Module]) -> Artifact:
    vocabulary = GraphVocabulary.from_json(content["vocabulary"])
    psi = GraphEmbedding(vocabulary, EmbeddingConfig(**content["embedding"]))
    tensors = _read_tensors(folder, content["files"]["psi"])
    if "typical.nodes" in tensors:
        psi.typical = Graph(tensors.pop("typical.nodes"), tensors.pop("typical.edges"), vocabulary)
    _fill(psi, {k.removeprefix("psi."): v for k, v in tensors.items()}, folder)
    surrogates = {}
    for name, described in content["surrogates"].items():
        backbone = _rebuild(name, described, modules.get(name), psi)
        surrogates[name] = SurrogateRegressor(backbone, described["dim"])
        _fill(surrogates[name], _read_tensors(folder, content["files"][f"h-{name}"]), folder)
    return Artifact(content["name"], psi, surrogates, content["about"])


def locate(folder: str | Path) -> Path:
    """The folder itself, or that of the shipped artifact of this name."""
    shipped = MODELS / str(folder)
    return shipped if not Path(folder).exists() and shipped.is_dir() else Path(folder)


def verify(folder: str | Path) -> dict:
    """The artifact's JSON, after checking its format, its digest and that of every file; ArtifactError otherwise."""
    path = Path(folder) / JSON_NAME
    if not path.is_file():
        raise ArtifactError(f"no artifact at {folder}: there is no {JSON_NAME}")
    try:
        content = json.loads(path.read_text())
        ours = content["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{path} is truncated or no artifact of elekit") from None
    if not ours:
        raise ArtifactError(f"{path} is no artifact of elekit (its format is {content['format']!r})")
    version = content.get("version")
    if version != VERSION:
        raise ArtifactError(f"{path} has version {version!r}, this elekit reads {VERSION}; upgrade elekit")
    if content.pop("digest", None) != _digest(content):
        raise ArtifactError(f"{path} was altered after it was written: its digest does not fit")
    try:
        for entry in content["files"].values():
            _read_checked(Path(folder), entry)
    except (KeyError, TypeError, AttributeError) as odd:
        raise ArtifactError(f"{path} does not name its files: {odd!r}") from None
    return content


def load_repeats(folder: str | Path) -> dict[str, Artifact]:
    """Repeats of an artifact's training by name, lowest seed first: other seeds, or half of the graphs.

    folder: of the artifact, or the name of one that is shipped. They lie in it as `repeats/<name>`, each an artifact
    of psi alone, made by `elekit train repeats`; {} where there are none.
    Raises ArtifactError as `load` does, and for a repeat of another vocabulary, shape, data set or training.
    """
    folder = locate(folder)
    own, found = verify(folder), {}
    for path in sorted((folder / REPEATS).glob(f"*/{JSON_NAME}")):
        different = differing_settings(own, verify(path.parent))
        if different:
            raise ArtifactError(
                f"{path.parent} repeats another training than that of {folder}: {', '.join(different)} differ; "
                "delete it, or make it again (elekit train repeats)"
            )
        found[path.parent.name] = load(path.parent)
    return dict(sorted(found.items(), key=lambda named: (named[1].about.get("seed", 0), named[0])))


def differing_settings(one: dict, other: dict) -> list[str]:
    """In what two trainings differ, seeds apart, by the JSON of their artifacts; [] where one repeats the other."""

    def settings(content: dict) -> dict:
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


def training_record(checkpoint: Path, by: str | None = None) -> dict:
    """When a training ended, a day in UTC as its checkpoint tells, and who ran it (None: not recorded)."""
    ended = checkpoint.stat().st_mtime if checkpoint.exists() else time.time()
    return {"at": datetime.fromtimestamp(ended, UTC).date().isoformat(), "by": by or None}


def compare(one: Artifact, other: Artifact) -> dict[str, tuple]:
    """What differs between two artifacts: dotted name -> (value of one, value of other); weights by their digest."""

    def flat(value, prefix=""):
        if isinstance(value, dict):
            return {k: v for key, inner in value.items() for k, v in flat(inner, f"{prefix}{key}.").items()}
        return {prefix.rstrip("."): value}

    def facts(artifact: Artifact) -> dict:
        weights = {"psi": artifact.psi, **{f"h-{k}": h for k, h in artifact.surrogates.items()}}
        return flat(
            {
                "vocabulary": artifact.vocabulary.to_json(),
                "embedding": asdict(artifact.psi.config),
                "weights": {k: hashlib.sha256(_bytes(m.state_dict())).hexdigest() for k, m in weights.items()},
                "about": artifact.about,
            }
        )

    first, second = facts(one), facts(other)
    return {k: (first.get(k), second.get(k)) for k in sorted({*first, *second}) if first.get(k) != second.get(k)}


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _bytes(tensors: dict) -> bytes:
    """Tensors as a safetensors file; those that share memory (tied weights) are written one by one."""
    return bytes_of({k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()})


def file_stem(name: str) -> str:
    """A name as part of a file name: a surrogate may be called after any column."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:60]


def _write_tensors(folder: Path, name: str, tensors: dict) -> dict:
    """Write a safetensors file named by its content, so that it never replaces one that an old JSON still names."""
    data = _bytes(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / f"{file_stem(name)}-{sha256[:12]}.safetensors"
    write_atomically(path, lambda partial: partial.write_bytes(data))
    return {"file": path.name, "sha256": sha256, "bytes": len(data)}


def _read_checked(folder: Path, entry: dict) -> bytes:
    path = folder / Path(entry["file"]).name  # a name only: an artifact reaches no file outside its folder
    if not path.is_file():
        raise ArtifactError(f"{path} is missing")
    data = path.read_bytes()
    if len(data) != entry["bytes"]:
        raise ArtifactError(f"{path} is truncated or altered: {len(data)} bytes, {entry['bytes']} were written")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{path} was altered after it was written: its sha256 does not fit")
    return data


def _read_tensors(folder: Path, entry: dict) -> dict:
    try:
        return tensors_of(_read_checked(folder, entry))
    except SafetensorError as broken:
        raise ArtifactError(f"{folder / entry['file']} is no safetensors file: {broken}") from None


def _fill(module: nn.Module, tensors: dict, folder: Path):
    try:
        module.load_state_dict(tensors)  # float16 becomes what the module holds
    except RuntimeError as unfit:
        why = " ".join(str(unfit).split())
        kind = type(module).__name__
        raise ArtifactError(f"the weights in {folder} do not fit a {kind} as described: {why}") from None
    module.eval().requires_grad_(False)


def _rebuild(name: str, described: dict, module: nn.Module | None, psi: GraphEmbedding) -> nn.Module:
    if described["backbone"]["kind"] != "module":
        return from_config(described, described["dim"], vocabulary=psi.vocabulary, psi=psi)
    if module is None:
        raise ArtifactError(
            f"surrogate {name!r} was trained with a module {described['class']} of its owner; "
            f"give it: load(..., modules={{{name!r}: {described['class']}(...)}})"
        )
    return module

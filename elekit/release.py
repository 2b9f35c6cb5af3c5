"""The artefact of a learned loss: weights, and all that is needed to trust and to use them (floor 3).

A folder with `artefact.json` and safetensors files. The JSON names each file with its sha256 and carries a digest of
itself; it is written last, in one rename, so a reader meets either the old artefact or the new one. Nothing is
pickled: loading an artefact runs no code that came with it.
"""

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import nn

import elekit
from elekit.datasets.named import SHIPPED
from elekit.embedding import EmbeddingConfig, GraphEmbedding
from elekit.files import write_atomically
from elekit.graph import Graph, GraphVocabulary
from elekit.surrogate import BackboneConfig, SurrogateRegressor, TextBackbone, Tokeniser, VectorBackbone

FORMAT = "elekit learned loss"
VERSION = 1
JSON_NAME = "artefact.json"
MODELS = SHIPPED / "models"


class ArtefactError(ValueError):
    """An artefact that cannot be trusted or read; the message names the file and what is wrong."""


@dataclass(eq=False)
class Artefact:
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
        """The surrogate of this name (None: the first) with its name; ArtefactError where there is none."""
        if not self.surrogates:
            raise ArtefactError(f"artefact {self.name!r} holds no surrogate; train one (elekit train surrogate)")
        name = name or next(iter(self.surrogates))
        if name not in self.surrogates:
            raise ArtefactError(f"artefact {self.name!r} has no surrogate {name!r}; it has {', '.join(self.surrogates)}")
        return name, self.surrogates[name]


def save(artefact: Artefact, folder: str | Path, *, half: bool = False) -> Path:
    """Write an artefact; what stood in the folder before stays whole until the new one is.

    half: surrogate weights as float16, half the size (psi stays as it is). Returns the path of the JSON file.
    Raises OSError, naming the file, where it cannot be written.
    """
    folder = Path(folder)
    psi, files = artefact.psi, {}
    tensors = {f"psi.{k}": v for k, v in psi.state_dict().items()}
    if psi.typical is not None:
        tensors |= {"typical.nodes": psi.typical.nodes, "typical.edges": psi.typical.edges}
    files["psi"] = _write_tensors(folder, "psi", tensors)
    described = {}
    for name, h in artefact.surrogates.items():
        weights = {k: v.half() if half and v.is_floating_point() else v for k, v in h.state_dict().items()}
        files[f"h-{name}"] = _write_tensors(folder, f"h-{name}", weights)
        described[name] = {"dim": h.dim, **_describe(h.backbone)}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": artefact.name,
        "vocabulary": psi.vocabulary.to_json(),
        "embedding": asdict(psi.config),
        "surrogates": described,
        "files": files,
        "versions": {"elekit": elekit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "about": artefact.about,
    }
    content = json.loads(json.dumps(content))
    content["digest"] = _digest(content)
    path = folder / JSON_NAME
    text = json.dumps(content, indent=1)
    write_atomically(path, lambda partial: partial.write_text(text))
    kept = {entry["file"] for entry in files.values()}
    for old in folder.glob("*.safetensors"):
        if old.name not in kept:
            old.unlink()
    return path


def load(folder: str | Path, *, modules: dict[str, nn.Module] | None = None) -> Artefact:
    """Read an artefact, checked against its own digests.

    folder: where it lies, or the name of one that is shipped (molecules7, qm9).
    modules: for surrogates that were trained with a module of the user's, that module (its weights are filled in).
    Raises ArtefactError for what is missing, truncated, altered, of another format or of a newer version.
    """
    folder = locate(folder)
    content = verify(folder)
    vocabulary = GraphVocabulary.from_json(content["vocabulary"])
    psi = GraphEmbedding(vocabulary, EmbeddingConfig(**content["embedding"]))
    tensors = _read_tensors(folder, content["files"]["psi"])
    if "typical.nodes" in tensors:
        psi.typical = Graph(tensors.pop("typical.nodes"), tensors.pop("typical.edges"), vocabulary)
    _fill(psi, {k.removeprefix("psi."): v for k, v in tensors.items()}, folder)
    surrogates = {}
    for name, described in content["surrogates"].items():
        backbone = _rebuild(name, described, (modules or {}).get(name))
        surrogates[name] = SurrogateRegressor(backbone, described["dim"])
        _fill(surrogates[name], _read_tensors(folder, content["files"][f"h-{name}"]), folder)
    return Artefact(content["name"], psi, surrogates, content["about"])


def locate(folder: str | Path) -> Path:
    """The folder itself, or that of the shipped artefact of this name."""
    shipped = MODELS / str(folder)
    return shipped if not Path(folder).exists() and shipped.is_dir() else Path(folder)


def verify(folder: str | Path) -> dict:
    """The artefact's JSON, after checking its format, its digest and that of every file; ArtefactError otherwise."""
    path = Path(folder) / JSON_NAME
    if not path.is_file():
        raise ArtefactError(f"no artefact at {folder}: there is no {JSON_NAME}")
    try:
        content = json.loads(path.read_text())
        ours = content["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        raise ArtefactError(f"{path} is truncated or no artefact of elekit") from None
    if not ours:
        raise ArtefactError(f"{path} is no artefact of elekit (its format is {content['format']!r})")
    if content.get("version") != VERSION:
        raise ArtefactError(f"{path} has version {content.get('version')!r}, this elekit reads {VERSION}; upgrade elekit")
    if content.pop("digest", None) != _digest(content):
        raise ArtefactError(f"{path} was altered after it was written: its digest does not fit")
    for entry in content["files"].values():
        _read_checked(Path(folder), entry)
    return content


def compare(one: Artefact, other: Artefact) -> dict[str, tuple]:
    """What differs between two artefacts: dotted name -> (value of one, value of other); weights by their digest."""

    def flat(value, prefix=""):
        if isinstance(value, dict):
            return {k: v for key, inner in value.items() for k, v in flat(inner, f"{prefix}{key}.").items()}
        return {prefix.rstrip("."): value}

    def facts(artefact: Artefact) -> dict:
        weights = {"psi": artefact.psi, **{f"h-{k}": h for k, h in artefact.surrogates.items()}}
        return flat(
            {
                "vocabulary": artefact.vocabulary.to_json(),
                "embedding": asdict(artefact.psi.config),
                "weights": {k: hashlib.sha256(bytes_of(m.state_dict())).hexdigest() for k, m in weights.items()},
                "about": artefact.about,
            }
        )

    first, second = facts(one), facts(other)
    return {k: (first.get(k), second.get(k)) for k in sorted({*first, *second}) if first.get(k) != second.get(k)}


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_tensors(folder: Path, name: str, tensors: dict) -> dict:
    """Write a safetensors file named by its content, so that it never replaces one that an old JSON still names."""
    data = bytes_of({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}-{sha256[:12]}.safetensors"
    write_atomically(path, lambda partial: partial.write_bytes(data))
    return {"file": path.name, "sha256": sha256, "bytes": len(data)}


def _read_checked(folder: Path, entry: dict) -> bytes:
    path = folder / Path(entry["file"]).name  # a name only: an artefact reaches no file outside its folder
    if not path.is_file():
        raise ArtefactError(f"{path} is missing")
    data = path.read_bytes()
    if len(data) != entry["bytes"]:
        raise ArtefactError(f"{path} is truncated or altered: {len(data)} bytes, {entry['bytes']} were written")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtefactError(f"{path} was altered after it was written: its sha256 does not fit")
    return data


def _read_tensors(folder: Path, entry: dict) -> dict:
    try:
        return tensors_of(_read_checked(folder, entry))
    except SafetensorError as broken:
        raise ArtefactError(f"{folder / entry['file']} is no safetensors file: {broken}") from None


def _fill(module: nn.Module, tensors: dict, folder: Path):
    try:
        module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except RuntimeError as unfit:
        raise ArtefactError(f"the weights in {folder} do not fit their own description: {unfit}") from None
    module.eval().requires_grad_(False)


def _describe(backbone: nn.Module) -> dict:
    if isinstance(backbone, TextBackbone):
        return {"backbone": asdict(backbone.config), "tokens": list(backbone.tokeniser.tokens)}
    if isinstance(backbone, VectorBackbone):
        return {"backbone": asdict(backbone.config), "features": len(backbone.mean)}
    return {"backbone": {"kind": "module"}, "class": type(backbone).__name__}


def _rebuild(name: str, described: dict, module: nn.Module | None) -> nn.Module:
    config = described["backbone"]
    if config["kind"] == "module":
        if module is None:
            raise ArtefactError(
                f"surrogate {name!r} was trained with a module {described['class']} of its owner; "
                f"give it: load(..., modules={{{name!r}: {described['class']}(...)}})"
            )
        return module
    config = BackboneConfig(**config)
    if config.kind == "vector":
        return VectorBackbone(described["features"], config, described["dim"])
    return TextBackbone(Tokeniser(config.kind, tuple(described["tokens"])), config, described["dim"])

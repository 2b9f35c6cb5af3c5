"""The artifact of a learned loss: weights, and all that is needed to trust and use them.

An artifact is a folder with `artefact.json` and safetensors files. The JSON holds the sha256 of each file and a
digest of itself. It is written last, by one rename: a reader sees either the old or the new artifact. Writers hold
`.lock` in the folder while they write, and keep the weights of the artifact before, for those who are reading it.

Nothing is pickled, so loading an artifact never runs code from it. Anybody can renew a digest, so the JSON is checked
(`_CONTENT`), and the weights are held against it, before anything is built.
"""

import contextlib
import hashlib
import json
import platform
import re
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

import elekit
from elekit.datasets.files import SHIPPED, locked, write_atomically
from elekit.datasets.prepare import Prepare
from elekit.datasets.strict_json import MAX_BYTES, parse_json, read_json
from elekit.graphs import _schema as schema
from elekit.graphs._schema import cut
from elekit.graphs.graph import VOCABULARY_FIELDS, Graph, GraphVocabulary
from elekit.graphs.prior import PRIOR_FIELDS, GraphPrior
from elekit.graphs.smiles import is_aromatic
from elekit.model.embedding import EMBEDDING_FIELDS, EmbeddingConfig, GraphEmbedding
from elekit.model.health import HEALTH_FIELDS, Health
from elekit.model.surrogate import SurrogateRegressor
from elekit.model.surrogate.config import BACKBONE_FIELDS, Backbone
from elekit.model.surrogate.reader import READER_SCHEMA, reader_from_json
from elekit.model.surrogate.registry import FIELDS, from_config, to_config, tokens_reader

FORMAT = "elekit learned loss"
VERSION = 1
JSON_NAME = "artefact.json"
WEIGHTS_NAME = re.compile(r"(psi|h-[\w.-]*)-[0-9a-f]{12}\.safetensors")  # names that _write_tensors gives
LOCK_NAME = ".lock"
LOCK_WAIT = 60.0  # seconds; a writer holds the lock for less than one
MAX_HEADER = 10_000_000  # bytes of a safetensors file beside its tensors
PRECISIONS = ("float32", "float16", "int8")  # of stored weights
SMALL = 1_024  # values; smaller matrices are not worth eight bits
SCALE = ".scale"  # after the name of a matrix in eight bits: one factor for each row
RETRIES = 20  # of a reader whose artifact is replaced meanwhile
MODELS = SHIPPED / "models"
REPEATS = "repeats"  # subfolder with the repeats of a training
Json = dict[str, Any]
Tensors = dict[str, Tensor]
Read = TypeVar("Read")

# -- what the JSON may hold; fields that are not named here are refused, except in `about` ---------------------------
NAME, _TEXT, _COUNT = schema.text(visible=True), schema.maybe(schema.text()), schema.whole(0, 2**63)
# of each h, beside the values of its kind of backbone (`Backbone.FIELDS`)
SURROGATE_FIELDS = {"dim": schema.whole(1, 65_536), "backbone": BACKBONE_FIELDS}
SURROGATE_OPTIONAL = {"class": NAME, "reader": schema.maybe(READER_SCHEMA)}  # class: of a module of the user
_OBJECT = schema.by_name(schema.anything, schema.text())
_FIGURES = dict.fromkeys(("seconds", "loss", "retrieval", "cosine"), schema.maybe(schema.number()))
_STAGE = {
    "input": schema.maybe(schema.items(schema.text(), 100_000)),
    "training": _OBJECT,
    "history": schema.items(schema.fields({}, {"step": _COUNT, **_FIGURES}, schema.anything), 1_000_000),
    "digest": _TEXT,
    "trained": schema.maybe(schema.fields({}, {"at": _TEXT, "by": _TEXT}, schema.anything)),
}
_DATA = {
    **dict.fromkeys(("rows", "train", "validation", "test", "max_nodes"), _COUNT),
    **dict.fromkeys(("node_labels", "edge_labels"), schema.items(schema.text(), 1_000)),
    "name": schema.text(),
    "prepare": _OBJECT,
    **dict.fromkeys(("skipped", "dropped"), schema.by_name(_COUNT, schema.text(100_000))),
    "digest": _TEXT,
}
_ABOUT = {
    "seed": schema.whole(-(2**63), 2**63),
    "data": schema.fields({}, _DATA, schema.anything),
    "psi": schema.fields({}, _STAGE, schema.anything),
    "surrogates": schema.by_name(schema.fields({}, _STAGE, schema.anything), NAME),
    "correction": _OBJECT,
    "repeat": _OBJECT,
    "health": HEALTH_FIELDS,
    "prior": PRIOR_FIELDS,
    "command": schema.maybe(schema.text(100_000)),
    "trained": _STAGE["trained"],
}
_FILE = {"file": schema.text(200, visible=True), "sha256": schema.text(64), "bytes": schema.whole(0, 2**37)}
_CONTENT = schema.fields(
    {
        "format": schema.one_of(FORMAT),
        "version": schema.one_of(VERSION),
        "name": NAME,
        "vocabulary": VOCABULARY_FIELDS,
        "embedding": EMBEDDING_FIELDS,
        "surrogates": schema.by_name(schema.fields(SURROGATE_FIELDS, {**SURROGATE_OPTIONAL, **FIELDS}), NAME),
        "files": schema.by_name(schema.fields(_FILE), schema.text(1_100)),
        "about": schema.fields({}, _ABOUT, schema.anything),
    },
    {"versions": schema.by_name(schema.text(), schema.text())},
)


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
    _source: tuple[Path, str] | None = field(
        default=None, init=False, repr=False
    )  # folder and digest that it was read from

    @property
    def vocabulary(self) -> GraphVocabulary:
        """Labels of the graphs that psi embeds."""
        return self.psi.vocabulary

    @property
    def digest(self) -> str:
        """Digest of the artifact as it was read or last written; "" if it was never saved."""
        return "" if self._source is None else self._source[1]

    @property
    def health(self) -> Health | None:
        """Health of psi as measured after its training; None if it was not measured."""
        return self.psi.health

    @property
    def data_name(self) -> str:
        """Name of its training data: a named data set or a file; the artifact's name if it is not recorded."""
        name: str = self.about.get("data", {}).get("name") or self.name
        return name

    @property
    def prepare(self) -> Prepare:
        """Options with which the rows of its training data became graphs."""
        stored = self.about.get("data", {}).get("prepare", {})
        return Prepare.from_json({**stored, "aromatic": is_aromatic(self.vocabulary)})

    def widened(self, max_nodes: int) -> "Artifact":
        """The learned loss for graphs that are larger than those of its training, see `GraphEmbedding.widened`.

        Args:
            max_nodes: Largest number of nodes.

        Returns:
            An artifact without surrogates, which answer with graphs of the sizes of their training.

        Raises:
            ValueError: If psi is global, or `max_nodes` is smaller than that of the vocabulary.
        """
        data = self.about.get("data", {})
        prepare = {**data.get("prepare", {}), "max_nodes": max_nodes}
        about = {**self.about, "data": {**data, "prepare": prepare}}
        return Artifact(self.name, self.psi.widened(max_nodes), about=about)

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


def save(
    artifact: Artifact, folder: str | Path, *, precision: str = "float32", psi_precision: str = "float32",
    keep_previous: bool = True, check: Callable[[Path], object] | None = None,
) -> Path:  # fmt: skip
    """Write an artifact; an older artifact in the folder stays valid until the new one is complete.

    Args:
        artifact: What to write.
        folder: Where to write it.
        precision: How the trained weights of surrogates are stored, one of `PRECISIONS`. "int8" stores matrices in
            eight bits with a factor for each row, and the rest as float16. All are computed with as float32.
        psi_precision: The same for psi. float16 changes learned losses by up to 0.002.
        keep_previous: Leave the weights of the artifact that is replaced, for processes that are reading it; the
            next call removes them.
        check: Called with the folder while no other process can write to it; what it raises leaves the folder alone.

    Returns:
        Path of the JSON file.

    Raises:
        OSError: If a file cannot be written, or other processes write to the folder all the time (TimeoutError).
        ValueError: If weights are not finite, a name cannot be stored, or `about` holds values that JSON cannot.
    """
    folder = Path(folder)
    with _locked(folder):
        if check is not None:
            check(folder)
        return _save(artifact, folder, precision, psi_precision, keep_previous)


def update(
    folder: str | Path, change: Callable[[Artifact], object], *, modules: Mapping[str, nn.Module] | None = None
) -> Artifact:
    """Change an artifact in its folder: read it, change it and write it, while no other process can write to it.

    Args:
        folder: Folder of the artifact.
        change: Called with the artifact that is there now, which it changes; what it raises leaves the folder alone.
        modules: As in `load`.

    Returns:
        The changed artifact.

    Raises:
        ArtifactError: If there is no artifact, as in `load`.
        OSError: As in `save`.
    """
    folder = Path(folder)
    _content(folder)  # no lock is made where there is no artifact
    with _locked(folder):
        artifact = load(folder, modules=modules)
        change(artifact)
        _save(artifact, folder)
    return artifact


def add_surrogate(
    folder: str | Path, name: str, h: SurrogateRegressor, about: Json, *, psi: GraphEmbedding
) -> Artifact:
    """Add an h to the artifact in a folder, beside those that other processes add meanwhile.

    Args:
        folder: Folder of the artifact.
        name: Name of the inputs of h; an older h of this name is replaced.
        h: What to add.
        about: Its provenance, for `about["surrogates"]`.
        psi: The embedding that h was fitted to.

    Returns:
        The artifact with h.

    Raises:
        ValueError: If the artifact holds another psi by now; also as in `update`.
    """

    def add(artifact: Artifact) -> None:
        now, then = artifact.psi.state_dict(), psi.state_dict()
        if now.keys() != then.keys() or not all(torch.equal(now[key], then[key]) for key in now):
            raise ValueError(f"psi in {folder} was replaced while {name!r} was fitted to the old one; train it again")
        artifact.surrogates[name] = h
        artifact.about.setdefault("surrogates", {})[name] = about

    return update(folder, add)


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    busy = f"another process has been writing to {folder} for {LOCK_WAIT:.0f} seconds; run this again when it is done"
    return locked(folder / LOCK_NAME, folder, busy, LOCK_WAIT)


def remove_dead_lock(folder: Path) -> None:
    """Remove the lock of a writer that was killed."""
    if (folder / LOCK_NAME).exists():
        with _locked(folder):
            pass


def _save(
    artifact: Artifact, folder: Path, precision: str = "float32", psi_precision: str = "float32",
    keep_previous: bool = True,
) -> Path:  # fmt: skip
    schema.one_of(*PRECISIONS)(precision, "precision")
    schema.one_of(*PRECISIONS)(psi_precision, "psi_precision")
    if (folder / JSON_NAME).is_symlink():
        raise ValueError(f"{folder / JSON_NAME} is a link to another file; copy the artifact to a folder of its own")
    source, now = artifact._source, (folder.resolve(), _digest_in(folder))
    if source is not None and source[0] == now[0] and source != now and now[1]:
        fix = "change it by elekit.model.artifact.update, or load it again"
        raise ValueError(f"the artifact in {folder} was changed by another process after it was loaded; {fix}")
    psi, surrogates = artifact.psi, {}
    tensors = {"psi": {f"psi.{k}": v for k, v in _weights("psi", psi, psi_precision).items()}}
    if psi.typical is not None:
        tensors["psi"] |= {"typical.nodes": psi.typical.nodes, "typical.edges": psi.typical.edges}
    for name, h in artifact.surrogates.items():
        tensors[f"h-{name}"] = _weights(f"surrogate {cut(name)}", h, precision)
        reader = None if h.reader is None else h.reader.to_json()
        surrogates[name] = {"dim": h.dim, **to_config(h.backbone), "reader": reader}
    about = {name: value for name, value in artifact.about.items() if name not in ("health", "prior")}
    about |= {name: own.to_json() for name in ("health", "prior") if (own := getattr(psi, name)) is not None}
    try:
        about = parse_json(json.dumps(about, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"artifact.about must hold plain values only, as JSON does: {error}") from None
    before, previous = set(folder.glob("*.safetensors")), _named(folder) if keep_previous else set()
    try:
        path = _write(folder, artifact, about, surrogates, tensors)
    except BaseException:  # a full disk, or Ctrl-C: the new files go, the old artifact stays
        _remove(folder, set(folder.glob("*.safetensors")) - before)
        raise
    _remove(folder, before, previous)
    artifact._source = folder.resolve(), _digest_in(folder)
    return path


def _digest_in(folder: Path) -> str:
    """The digest that the JSON in the folder states; "" if there is none."""
    try:
        return str(read_json(folder / JSON_NAME)["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _weights(name: str, module: nn.Module, precision: str) -> Tensors:
    check_finite(module, name, "lower the learning rate and train it again")
    state: Tensors = module.state_dict()
    if precision == "float32":
        return state
    trained = {key: value for key, value in module.named_parameters() if value.is_floating_point()}
    matrices = [key for key, value in trained.items() if value.dim() > 1 and value.numel() >= SMALL]
    state |= {key: value.detach().half() for key, value in trained.items()}
    for key in matrices if precision == "int8" else ():
        state[key], state[key + SCALE] = _quantized(trained[key].detach())
    return state


def _quantized(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix in eight bits, and the factor of each row."""
    scale = matrix.flatten(1).abs().amax(1).clamp_min(1e-12).float() / 127
    rounded = (matrix.float() / scale.view(-1, *[1] * (matrix.dim() - 1))).round()
    return rounded.to(torch.int8), scale


def _dequantized(tensors: Tensors) -> Tensors:
    """Tensors of a file, with matrices in eight bits as float32."""
    found = {}
    for key, value in tensors.items():
        scale = tensors.get(key + SCALE)
        if key.endswith(SCALE) and tensors.get(key.removesuffix(SCALE), value).dtype == torch.int8:
            continue
        if value.dtype == torch.int8 and scale is not None and scale.shape == value.shape[:1]:
            value = value.float() * scale.float().view(-1, *[1] * (value.dim() - 1))
        found[key] = value
    return found


def check_finite(module: nn.Module, name: str, fix: str) -> None:
    """Raise a ValueError that names the first weight of a module that is NaN or infinite.

    Buffers of a module of the user may be: masks often hold minus infinity.
    """
    own = isinstance(module, GraphEmbedding) or isinstance(getattr(module, "backbone", None), Backbone)
    for key, value in (module.state_dict() if own else dict(module.named_parameters())).items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinity in {key}; {fix}")


def _named(folder: Path) -> set[str]:
    """Names of the weights files that the artifact in the folder names; none if there is no artifact."""
    try:
        return {str(entry["file"]) for entry in read_json(folder / JSON_NAME)["files"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _remove(folder: Path, files: set[Path], previous: Set[str] = frozenset()) -> None:
    """Remove those of these weights files that neither the artifact in the folder names nor the previous one."""
    named = _named(folder)
    for file in files if named or not (folder / JSON_NAME).exists() else ():
        if file.name not in named | previous and WEIGHTS_NAME.fullmatch(file.name):
            with contextlib.suppress(OSError):  # a spare file does no harm
                file.unlink()


def _write(folder: Path, artifact: Artifact, about: Json, surrogates: Json, tensors: dict[str, Tensors]) -> Path:
    psi = artifact.psi
    data = {name: tensor_bytes(held) for name, held in tensors.items()}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": artifact.name,
        "vocabulary": psi.vocabulary.to_json(),
        "embedding": asdict(psi.config),
        "surrogates": surrogates,
        "files": {name: _entry(name, held) for name, held in data.items()},
        "versions": {"elekit": elekit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "about": about,
    }
    content = parse_json(json.dumps(content))
    _check(content, f"this artifact cannot be stored in {folder}")
    written = json.dumps({**content, "digest": digest(content)}, indent=1)
    # lists of numbers on one line; a line break after the bracket, since there is none within a text
    written = re.sub(r"\[\n[-\d.,\s]+\]", lambda numbers: " ".join(numbers[0].split()), written)
    for name, entry in content["files"].items():
        _write_file(folder / entry["file"], data[name])
    if len(written) > MAX_BYTES:
        raise ValueError(
            f"the provenance and tokens of this artifact take {len(written):,} bytes, at most {MAX_BYTES:,}"
        )
    write_atomically(folder / JSON_NAME, lambda partial: partial.write_text(written))
    return folder / JSON_NAME


def load(folder: str | Path, *, modules: Mapping[str, nn.Module] | None = None) -> Artifact:
    """Read an artifact and verify its digests.

    Args:
        folder: Folder of the artifact, or the name of a shipped one, such as "molecules7".
        modules: For surrogates that were trained with a module of the user, an instance of it, by name of the
            surrogate.

    Returns:
        The artifact, with psi and surrogates in evaluation mode.

    Raises:
        ArtifactError: If a file is missing, truncated, altered, of another format or of a newer version, or if what
            it holds is no learned loss.
    """
    folder = locate(folder)

    def read() -> Artifact:
        content = _content(folder)
        artifact = _build(content, folder, modules or {})
        artifact._source = folder.resolve(), digest(content)
        return artifact

    return _retried(folder, read)


def _retried(folder: Path, read: Callable[[], Read]) -> Read:
    """What `read` returns; it is called again if it fails and the artifact was replaced meanwhile."""
    for _ in range(RETRIES):
        before = _stamp(folder)
        try:
            return read()
        except ArtifactError:
            if _stamp(folder) == before:
                raise
    return read()


def _stamp(folder: Path) -> tuple[int, int, int] | None:
    try:
        found = (folder / JSON_NAME).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _build(content: Json, folder: Path, modules: Mapping[str, nn.Module]) -> Artifact:
    """The artifact that was described; on torch's meta device first, which allocates nothing."""
    try:
        with torch.device("meta"):
            psi = _psi(content)
            parts: dict[str, nn.Module] = {"psi": psi}
            parts |= {f"h-{name}": h for name, h in _surrogates(content, psi, modules).items()}
        tensors = {name: _read_tensors(folder, content["files"][name], part) for name, part in parts.items()}
        psi = _psi(content)
        if "typical.nodes" in tensors["psi"]:
            nodes, edges = (tensors["psi"].pop(f"typical.{part}") for part in ("nodes", "edges"))
            psi.typical = Graph(nodes, edges, psi.vocabulary).check()
        if "health" in content["about"]:
            psi.health = Health.from_json(content["about"]["health"])
        if "prior" in content["about"]:
            psi.prior = GraphPrior.from_json(content["about"]["prior"], psi.vocabulary)
        _fill(psi, "psi", tensors["psi"])
        dot = Graph.from_labels(torch.ones(1, 1), torch.zeros(1, 1, 1), psi.vocabulary)
        psi.embed(dot)  # finite weights may still overflow
        surrogates = _surrogates(content, psi, modules)
        for name, h in surrogates.items():
            _fill(h, f"h-{name}", tensors[f"h-{name}"])
    except ArtifactError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        why = " ".join(str(error).split()) if isinstance(error, ValueError | ArithmeticError) else repr(error)
        raise ArtifactError(f"{folder / JSON_NAME} does not describe a learned loss: {why[:500]}") from None
    return Artifact(content["name"], psi, surrogates, content["about"])


def _psi(content: Json) -> GraphEmbedding:
    return GraphEmbedding(
        GraphVocabulary.from_json(content["vocabulary"]), EmbeddingConfig.from_json(content["embedding"])
    )


def _surrogates(
    content: Json, psi: GraphEmbedding, modules: Mapping[str, nn.Module]
) -> dict[str, SurrogateRegressor]:
    found = {}
    for name, values in content["surrogates"].items():
        backbone, reader = _backbone(name, values, modules.get(name), psi), values.get("reader")
        known = reader_from_json(reader) if reader else None
        if "reader" not in values:  # made by an older elekit
            known = tokens_reader(backbone, psi.vocabulary)
        found[name] = SurrogateRegressor(backbone, values["dim"], known)
    return found


def locate(folder: str | Path) -> Path:
    """The folder itself if it exists, otherwise that of the shipped artifact with this name, if any."""
    shipped = MODELS / str(folder)
    return shipped if not Path(folder).exists() and shipped.is_dir() else Path(folder)


def verify(folder: str | Path) -> Json:
    """The JSON of an artifact, after checking its format, its digest and all files; raises ArtifactError."""
    folder = Path(folder)

    def read() -> Json:
        content = _content(folder)
        for entry in content["files"].values():
            _read_checked(folder, entry)
        return content

    return _retried(folder, read)


def _content(folder: Path) -> Json:
    """The JSON of an artifact, checked, but for its files."""
    path = folder / JSON_NAME
    if not path.is_file():
        raise ArtifactError(f"no artifact at {folder}: there is no {JSON_NAME}")
    try:
        content: Json = read_json(path)
        known = content["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f" ({error})" if type(error) is ValueError else ""
        raise ArtifactError(f"{path} is truncated or not an artifact of elekit{why}") from None
    if not known:
        raise ArtifactError(f"{path} is not an artifact of elekit (its format is {cut(content['format'])})")
    version = content.get("version")
    if version != VERSION:
        raise ArtifactError(f"{path} has version {cut(version)}, this elekit reads {VERSION}; upgrade elekit")
    if content.pop("digest", None) != digest(content):
        raise ArtifactError(f"{path} was altered after it was written: its digest does not fit")
    _check(content, str(path))
    return content


def _check(content: Json, where: str) -> None:
    try:
        _CONTENT(content, "the artifact")
        for name, values in content["surrogates"].items():
            if values["dim"] != EmbeddingConfig.from_json(content["embedding"]).dim:
                raise ValueError(f"surrogate {cut(name)} has another dim than the embedding: {values['dim']}")
        if content["files"].keys() != {"psi", *(f"h-{name}" for name in content["surrogates"])}:
            raise ValueError("its files are not those of psi and of each surrogate")
    except ValueError as error:
        raise ArtifactError(f"{where}: {error}") from None


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
            "shape of psi": EmbeddingConfig.from_json(content["embedding"]),  # with defaults
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


def digest(content: Json) -> str:
    """The digest of the JSON of an artifact, as `verify` returns it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors as a safetensors file; tensors that share memory (tied weights) are written separately."""
    plain = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    return bytes_of(plain, metadata)


def file_stem(name: str) -> str:
    """A name as part of a file name: a surrogate may have the name of any column."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:60]


def _write_file(path: Path, data: bytes) -> None:
    write_atomically(path, lambda partial: partial.write_bytes(data))


def _entry(name: str, data: bytes) -> Json:
    """A safetensors file as the JSON names it: by content, so that it never replaces one that an old JSON names."""
    sha256 = hashlib.sha256(data).hexdigest()
    return {"file": f"{file_stem(name)}-{sha256[:12]}.safetensors", "sha256": sha256, "bytes": len(data)}


def _read_checked(folder: Path, entry: Json) -> bytes:
    path = folder / Path(entry["file"]).name  # the name only: an artifact reads no file outside its folder
    if not path.is_file():
        raise ArtifactError(f"{path} is missing")
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size == entry["bytes"] else b""
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from None
    if size != entry["bytes"]:
        raise ArtifactError(f"{path} is truncated or altered: {size} bytes, {entry['bytes']} were written")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{path} was altered after it was written: its sha256 does not fit")
    return data


def _read_tensors(folder: Path, entry: Json, module: nn.Module) -> Tensors:
    """The weights of a module in this file; their names, shapes and types are held against the module."""
    path, expected = folder / Path(entry["file"]).name, module.state_dict()
    problem = f"the weights in {path} do not fit a {type(module).__name__} of this configuration"
    typical = {}
    if isinstance(module, GraphEmbedding):
        expected = {f"psi.{k}": v for k, v in expected.items()}
        N, K, R = module.vocabulary.max_nodes, module.vocabulary.K, module.vocabulary.R
        typical = {"typical.nodes": torch.empty(1, N, K, device="meta")}
        typical["typical.edges"] = torch.empty(1, N, N, R, device="meta")
    largest = MAX_HEADER + 8 * sum(value.numel() for value in [*expected.values(), *typical.values()])
    if entry["bytes"] > largest:
        raise ArtifactError(f"{problem}: {entry['bytes']:,} bytes, at most {largest:,}")
    try:
        tensors = _dequantized(tensors_of(_read_checked(folder, entry)))
    except (SafetensorError, RuntimeError) as error:
        raise ArtifactError(f"{path} is not a safetensors file: {cut(str(error))}") from None
    if typical.keys() & tensors.keys():
        slots = tensors["typical.nodes"].shape[1:2].numel() if "typical.nodes" in tensors else N
        expected |= {
            "typical.nodes": typical["typical.nodes"][:, :slots],
            "typical.edges": typical["typical.edges"][:, :slots, :slots],
        }
    if other := sorted(expected.keys() ^ tensors.keys()):
        kind = "missing" if other[0] in expected else "unexpected"
        raise ArtifactError(f"{problem}: {kind} {cut(other[0])} ({len(other)} such names)")
    for key, value in tensors.items():
        want = expected[key]
        if value.shape != want.shape:
            shapes = f"{cut(list(value.shape))}, expected {list(want.shape)}"
            raise ArtifactError(f"{problem}: size mismatch for {cut(key)}: {shapes}")
        cast = value.is_floating_point() and want.is_floating_point() and key not in typical  # float16 is cast
        if value.dtype != want.dtype and not cast:
            raise ArtifactError(f"{problem}: {cut(key)} is {value.dtype}, expected {want.dtype}")
    return {key.removeprefix("psi.") if typical else key: value for key, value in tensors.items()}


def _fill(module: nn.Module, name: str, tensors: Mapping[str, Tensor]) -> None:
    module.load_state_dict(tensors)
    check_finite(module, name, "it was damaged before it was saved")
    module.eval().requires_grad_(False)


def _backbone(name: str, values: Json, module: nn.Module | None, psi: GraphEmbedding) -> nn.Module:
    if values["backbone"]["kind"] != "module":
        return from_config(values, values["dim"], vocabulary=psi.vocabulary, psi=psi)
    if module is None:
        fix = f"give it: load(..., modules={{{name!r}: {values['class']}(...)}})"
        raise ArtifactError(f"surrogate {name!r} was trained with a module {values['class']} of the user; {fix}")
    return module

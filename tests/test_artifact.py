"""Artifacts: saved values load bit for bit; truncated, altered and foreign files are refused."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import networkx as nx
import pytest
import torch
from conftest import differences, random_relaxed, random_vertices
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import nn

import elekit.datasets.files
from elekit.graphs.graph import GraphVocabulary, from_networkx
from elekit.model import artifact as artifacts
from elekit.model.artifact import Artifact, ArtifactError, load, load_repeats, save, training_record, verify
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.model.surrogate.registry import make_backbone

DIM = 12
TEXTS = ["a thin ring", "a thick path, of 3", ""]
VECTORS = torch.tensor([[1e5, 2.0], [3e5, -1.0], [2e5, 0.5]])


class Tied(nn.Module):
    """A user's backbone whose two maps share their weights, in double precision."""

    def __init__(self, width=3):
        super().__init__()
        self.one = nn.Linear(width, width, bias=False, dtype=torch.float64)
        self.two = nn.Linear(width, width, bias=False, dtype=torch.float64)
        self.two.weight = self.one.weight
        self.leave = nn.Linear(width, DIM, dtype=torch.float64)

    def forward(self, texts):
        x = torch.tensor([[len(t), t.count("a"), t.count("t")] for t in texts], dtype=torch.float64)
        return self.leave(self.two(self.one(x)))


def make(vocabulary, seed=0, **more) -> Artifact:
    torch.manual_seed(seed)
    psi = GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=DIM, walks=4))
    psi.typical = random_vertices(vocabulary, 20, torch.Generator().manual_seed(seed)).average()
    word = SurrogateRegressor(make_backbone(BackboneConfig("word", width=8, embedding=6), TEXTS, DIM), DIM)
    vector = SurrogateRegressor(make_backbone(BackboneConfig("vector", width=8), VECTORS, DIM), DIM)
    about = {"seed": seed, "data": {"rows": 20}, "psi": {"history": [{"step": 1, "loss": 0.5}]}}
    for part in (psi, word, vector):  # as after loading: on some processors weights that require gradients
        part.eval().requires_grad_(False)  # use another GRU kernel, which rounds differently
    return Artifact("tiny", psi, {"word": word, "vector": vector, **more}, about)


@pytest.fixture
def artifact(vocabulary):
    return make(vocabulary)


@pytest.fixture
def folder(artifact, tmp_path) -> Path:
    save(artifact, tmp_path / "kept")
    return tmp_path / "kept"


def outputs(artifact, graphs):
    return [artifact.psi(graphs), artifact.surrogates["word"](TEXTS), artifact.surrogates["vector"](VECTORS)]


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rewrite(folder: Path, change, resign: bool = True):
    """Change the JSON; resign: update its digest, as a forger could."""
    path = folder / artifacts.JSON_NAME
    content = json.loads(path.read_text())
    change(content)
    if resign:
        content.pop("digest", None)
        content["digest"] = artifacts.digest(content)
    path.write_text(json.dumps(content))


# -- round trips ---------------------------------------------------------------------------------------------------
INPUTS = {"character": TEXTS, "word": TEXTS, "tfidf": TEXTS, "vector": VECTORS, "image": torch.rand(3, 2, 9, 9)}


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(sorted(INPUTS)), through=st.sampled_from(["point", "graph"]), dim=st.integers(2, 12),
    size=st.tuples(*[st.integers(1, 3)] * 3), rounds=st.integers(0, 2), walks=st.integers(0, 5),
    width=st.integers(2, 6), layers=st.integers(1, 2), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_any_artifact_survives_a_round_trip(kind, through, dim, size, rounds, walks, width, layers, seed):
    vocabulary = GraphVocabulary(tuple("abc"[: size[0]]), tuple("xyz"[: size[1]]), size[2])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        psi = GraphEmbedding(vocabulary, EmbeddingConfig(hidden=8, rounds=rounds, dim=dim, walks=walks))
        config = BackboneConfig(kind, width=width, layers=layers, embedding=4, through=through)
        backbone = make_backbone(config, INPUTS[kind], dim, vocabulary=vocabulary, psi=psi)
    h = SurrogateRegressor(backbone, dim)
    for part in (psi, h):
        part.eval().requires_grad_(False)
    graphs = random_relaxed(vocabulary, 3, torch.Generator().manual_seed(seed))
    with tempfile.TemporaryDirectory() as folder:
        save(Artifact("any", psi, {"x": h}, {"seed": seed}), folder)
        back = load(folder)
    assert torch.equal(back.psi(graphs), psi(graphs))
    assert torch.equal(back.surrogates["x"](INPUTS[kind]), h(INPUTS[kind]))
    assert back.vocabulary == vocabulary and back.about == {"seed": seed}


def test_texts_that_look_like_lists_of_numbers_stay_as_they_are(artifact, tmp_path):
    artifact.about["notes"] = ["[1,  2]", " [  3 ]", [1, 2, 3], "[4,\n 5]"]
    save(artifact, tmp_path / "kept")
    assert load(tmp_path / "kept").about["notes"] == artifact.about["notes"]
    assert "[ 1, 2, 3 ]" in (tmp_path / "kept" / artifacts.JSON_NAME).read_text()


def test_saved_values_load_bit_for_bit(artifact, folder, vertices, relaxed):
    back = load(folder)
    for graphs in (vertices, relaxed):
        for one, other in zip(outputs(artifact, graphs), outputs(back, graphs)):
            assert torch.equal(one, other)
    assert back.name == "tiny" and back.about == artifact.about and back.vocabulary == artifact.vocabulary
    assert torch.equal(back.psi.typical.nodes, artifact.psi.typical.nodes)
    assert torch.equal(back.psi.typical.edges, artifact.psi.typical.edges)
    assert list(back.surrogates) == ["word", "vector"]
    assert differences(artifact, back) == {}
    assert not back.psi.training and not any(p.requires_grad for p in back.surrogates["word"].parameters())


def test_half_precision_loads_close_and_psi_exact(artifact, vertices, tmp_path):
    save(artifact, tmp_path / "whole")
    save(artifact, tmp_path / "half", precision="float16")
    back = load(tmp_path / "half")
    (psi, word, vector), (psi_back, word_back, vector_back) = outputs(artifact, vertices), outputs(back, vertices)
    assert torch.equal(psi, psi_back)
    for one, other in ((word, word_back), (vector, vector_back)):
        assert not torch.equal(one, other)
        torch.testing.assert_close(one, other, atol=5e-3, rtol=0)
    mean = back.surrogates["vector"].backbone.mean  # 2e5 does not fit into float16
    assert torch.equal(mean, artifact.surrogates["vector"].backbone.mean)
    sizes = [sum(len(b) for n, b in listing(tmp_path / k).items() if n.startswith("h-")) for k in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    assert back.psi(vertices).dtype == back.surrogates["word"](TEXTS).dtype == torch.float32


def test_psi_can_be_stored_in_half_precision(artifact, vertices, tmp_path):
    save(artifact, tmp_path / "whole")
    save(artifact, tmp_path / "half", psi_precision="float16")
    back = load(tmp_path / "half")
    own, (psi, word, vector) = outputs(artifact, vertices), outputs(back, vertices)
    assert torch.equal(own[1], word) and torch.equal(own[2], vector)
    assert not torch.equal(own[0], psi) and psi.dtype == torch.float32
    loss, loss_back = (2 - 2 * points @ points.T for points in (own[0], psi))
    assert (loss - loss_back).abs().max() < 2e-3
    for key, weight in back.psi.state_dict().items():
        assert torch.equal(weight, artifact.psi.state_dict()[key].half().float())
    assert torch.equal(back.psi.typical.nodes, artifact.psi.typical.nodes)
    sizes = [next(p for p in (tmp_path / k).glob("psi-*")).stat().st_size for k in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    save(back, tmp_path / "half", psi_precision="float16")  # and once more: the same bytes
    assert next(p for p in (tmp_path / "half").glob("psi-*")).stat().st_size == sizes[0]
    assert differences(back, load(tmp_path / "half")) == {}


def test_an_artifact_may_hold_psi_alone(vocabulary, vertices, tmp_path):
    artifact = make(vocabulary)
    artifact.surrogates.clear()
    artifact.psi.typical = None
    save(artifact, tmp_path)
    back = load(str(tmp_path))
    assert torch.equal(back.psi(vertices), artifact.psi(vertices)) and back.psi.typical is None
    with pytest.raises(ArtifactError, match="'tiny' holds no surrogate; train one"):
        back.surrogate()


def test_surrogates_have_names(artifact):
    assert artifact.surrogate() == ("word", artifact.surrogates["word"])
    assert artifact.surrogate("vector")[1] is artifact.surrogates["vector"]
    with pytest.raises(ArtifactError, match="no surrogate 'smiles'; it has word, vector"):
        artifact.surrogate("smiles")


def test_the_weights_of_a_user_module_are_loaded(vocabulary, tmp_path):
    own = SurrogateRegressor(Tied(), DIM)
    save(make(vocabulary, mine=own), tmp_path)
    with pytest.raises(ArtifactError, match=r"'mine' was trained with a module Tied .*\{'mine': Tied\(...\)\}"):
        load(tmp_path)
    back = load(tmp_path, modules={"mine": Tied()}).surrogates["mine"]
    assert torch.equal(back(TEXTS), own(TEXTS))
    with pytest.raises(ArtifactError, match="do not fit a SurrogateRegressor .*size mismatch") as refused:
        load(tmp_path, modules={"mine": Tied(4)})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["../../out", "a/b", "/etc/x", "très long " * 30, "", ".."])
def test_any_name_of_a_surrogate_stays_in_the_folder(vocabulary, tmp_path, name):
    artifact = make(vocabulary)
    artifact.surrogates = {name: artifact.surrogates["word"]}
    save(artifact, tmp_path / "deep" / "er")
    assert len(listing(tmp_path)) == len(listing(tmp_path / "deep" / "er")) == 3
    assert torch.equal(load(tmp_path / "deep" / "er").surrogates[name](TEXTS), artifact.surrogates[name](TEXTS))


def test_a_shipped_artifact_is_found_by_its_name(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(artifacts, "MODELS", folder.parent)
    monkeypatch.chdir(tmp_path.parent)
    assert load("kept").name == "tiny"
    with pytest.raises(ArtifactError, match="no artifact at missing"):
        load("missing")


# -- saving --------------------------------------------------------------------------------------------------------
def named(folder):
    return {entry["file"] for entry in verify(folder)["files"].values()}


def test_saving_again_leaves_what_is_named_and_the_weights_before(artifact, vocabulary, folder):
    (folder / "mine.safetensors").write_bytes(b"not elekit's")
    (folder / "notes.txt").write_text("keep")
    kept, generations = {artifacts.JSON_NAME, "mine.safetensors", "notes.txt"}, [named(folder)]
    for seed in (1, 2):
        save(make(vocabulary, seed=seed), folder)
        generations.append(named(folder))
        assert set(listing(folder)) == generations[-1] | generations[-2] | kept and len(generations[-1]) == 3
        assert load(folder).about["seed"] == seed
    save(make(vocabulary, seed=1), folder, keep_previous=False)
    assert set(listing(folder)) == named(folder) | kept
    before = listing(folder)
    save(load(folder), folder)
    assert listing(folder) == before


@pytest.mark.parametrize("failing", range(4))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_loses_nothing(vocabulary, folder, monkeypatch, failing, code):
    """Writing fails at psi, at either h, or at the JSON; half of the file is already there."""
    before, written = listing(folder), iter(range(9))
    original = Path.write_bytes, Path.write_text

    def fail(path, data, write):
        if next(written) == failing:
            write(path, data[: len(data) // 2])
            raise OSError(code, "No space left on device" if code == errno.ENOSPC else "Read-only file system")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", lambda path, data: fail(path, data, original[0]))
    monkeypatch.setattr(Path, "write_text", lambda path, data: fail(path, data, original[1]))
    with pytest.raises(OSError, match=rf"cannot write {folder}/.*an older file there is unchanged") as refused:
        save(make(vocabulary, seed=1), folder)
    assert refused.value.errno == code
    monkeypatch.undo()
    assert listing(folder) == before
    assert load(folder).about["seed"] == 0


def test_a_folder_that_cannot_be_made_is_named(artifact, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/file"):
        save(artifact, tmp_path / "file")

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(elekit.datasets.files.os, "open", refuse)
    with pytest.raises(OSError, match="cannot write .*Permission denied"):
        save(artifact, tmp_path / "new")
    assert listing(tmp_path) == {"file": b"in the way"}


def test_ctrl_c_while_saving_loses_nothing(vocabulary, folder, monkeypatch):
    before, original = listing(folder), artifacts.write_atomically

    def interrupt(path, write):
        if path.name == artifacts.JSON_NAME:
            raise KeyboardInterrupt
        original(path, write)

    monkeypatch.setattr(artifacts, "write_atomically", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(make(vocabulary, seed=1), folder)
    assert listing(folder) == before

    def interrupt_late(path, write):
        original(path, write)
        if path.name == artifacts.JSON_NAME:
            raise KeyboardInterrupt

    monkeypatch.setattr(artifacts, "write_atomically", interrupt_late)  # the new one is already in place
    with pytest.raises(KeyboardInterrupt):
        save(make(vocabulary, seed=1), folder)
    assert load(folder).about["seed"] == 1


def test_a_link_in_place_of_the_json_is_not_followed(vocabulary, folder, tmp_path):
    (folder / artifacts.JSON_NAME).rename(tmp_path / "shared")
    (folder / artifacts.JSON_NAME).symlink_to(tmp_path / "shared")
    before = (tmp_path / "shared").read_bytes()
    with pytest.raises(ValueError, match="is a link to another file"):
        save(load(folder), folder)  # caches of downloads are made of such links
    assert (tmp_path / "shared").read_bytes() == before


def test_about_holds_plain_values_only(artifact, folder):
    before = listing(folder)
    artifact.about["weights"] = torch.zeros(2)
    with pytest.raises(ValueError, match="about must hold plain values only.*Tensor"):
        save(artifact, folder)
    assert listing(folder) == before


# -- several processes ---------------------------------------------------------------------------------------------
def test_an_artifact_loads_while_it_is_written(vocabulary, folder):
    def write():
        for turn in range(12):
            save(make(vocabulary, seed=turn), folder)

    with ThreadPoolExecutor() as pool:
        writing, seen = pool.submit(write), set()
        while not writing.done():
            seen.add(load(folder).about["seed"])
    assert writing.exception() is None and load(folder).about["seed"] == 11 and len(seen) > 1
    assert not list(folder.glob(".*"))


def test_each_of_two_surrogates_that_were_fitted_at_once_is_kept(vocabulary, artifact, folder):
    first, second = load(folder), load(folder)  # both trainings begin with the same artifact
    with ThreadPoolExecutor() as pool:
        adding = [
            pool.submit(artifacts.add_surrogate, folder, name, read.surrogates["word"], {"seed": name}, psi=read.psi)
            for name, read in (("first", first), ("second", second))
        ]
    assert sorted(len(one.result().surrogates) for one in adding) == [3, 4]  # one waited for the other
    held = load(folder)
    assert set(held.surrogates) == {"word", "vector", "first", "second"}
    assert {name: held.about["surrogates"][name]["seed"] for name in ("first", "second")} == {
        "first": "first",
        "second": "second",
    }
    with pytest.raises(ValueError, match="was changed by another process after it was loaded"):
        save(first, folder)  # which would lose both
    held.about["more"] = 1
    save(held, folder)
    save(held, folder)
    assert load(folder).about["more"] == 1
    save(make(vocabulary, seed=1), folder)
    before = listing(folder)
    with pytest.raises(ValueError, match="psi in .* was replaced while 'third' was fitted"):
        artifacts.add_surrogate(folder, "third", first.surrogates["word"], {}, psi=first.psi)
    assert listing(folder) == before


def test_a_lock_excludes_others_and_goes_with_its_process(folder, monkeypatch):
    monkeypatch.setattr(artifacts, "LOCK_WAIT", 0.2)
    path = folder / artifacts.LOCK_NAME
    code = "import filelock, os, signal, sys; filelock.FileLock(sys.argv[1]).acquire(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL and path.exists()
    save(load(folder), folder)
    assert not path.exists()
    before = listing(folder)
    with elekit.datasets.files.locked(path, folder, "busy"):
        assert load(folder).name == "tiny"  # readers take no lock
        with pytest.raises(TimeoutError, match=f"another process has been writing to {folder}"):
            save(load(folder), folder)
        path.rename(folder / "aside")
        path.symlink_to(folder / artifacts.JSON_NAME)
        with pytest.raises(OSError, match="cannot write"):  # a link is not followed
            save(load(folder), folder)
        path.unlink()
        (folder / "aside").rename(path)
    assert listing(folder) == before


# -- what is refused -----------------------------------------------------------------------------------------------
def refused(folder, match):
    for read in (load, verify):
        with pytest.raises(ArtifactError, match=match) as error:
            read(folder)
        assert "\n" not in str(error.value)


def test_a_missing_artifact_is_refused(tmp_path, folder):
    refused(tmp_path / "nowhere", "no artifact at .*nowhere: there is no artefact.json")
    refused(tmp_path, "no artifact at")
    refused(folder / artifacts.JSON_NAME, "no artifact at")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe\x00", b"PK\x03\x04", b"NaN"])
def test_other_json_is_refused(folder, text):
    (folder / artifacts.JSON_NAME).write_bytes(text)
    refused(folder, "truncated or not an artifact of elekit")


def test_a_truncated_json_is_refused(folder):
    whole = (folder / artifacts.JSON_NAME).read_bytes()
    for length in range(1, len(whole) - 1, len(whole) // 7):
        (folder / artifacts.JSON_NAME).write_bytes(whole[:length])
        refused(folder, "truncated or not an artifact")


def test_a_foreign_json_and_a_newer_version_are_refused(folder):
    rewrite(folder, lambda content: content.update(format="another tool's"))
    refused(folder, 'not an artifact of elekit .its format is "another tool\'s"')
    rewrite(folder, lambda content: content.update(format=artifacts.FORMAT, version=2))
    refused(folder, "has version 2, this elekit reads 1; upgrade elekit")
    rewrite(folder, lambda content: content.pop("version"))
    refused(folder, "has version None")


@pytest.mark.parametrize("key", ["name", "vocabulary", "embedding", "surrogates", "files", "versions", "about"])
def test_a_tampered_json_is_refused(folder, key):
    def change(content):
        content[key] = "changed"

    rewrite(folder, change, resign=False)
    refused(folder, "was altered after it was written: its digest does not fit")


def test_a_number_changed_in_the_history_is_noticed(folder):
    rewrite(folder, lambda content: content["about"]["psi"]["history"][0].update(loss=0.4), resign=False)
    refused(folder, "its digest does not fit")
    rewrite(folder, lambda content: content.pop("digest"), resign=False)
    refused(folder, "its digest does not fit")


@pytest.mark.parametrize("key", ["name", "vocabulary", "embedding", "surrogates", "files", "about"])
@pytest.mark.parametrize("value", [None, 3, "text", {"psi": 1}])
def test_a_signed_json_that_describes_nothing_is_refused(folder, key, value):
    if key in ("name", "about"):
        rewrite(folder, lambda content: content.pop(key))
    else:
        rewrite(folder, lambda content: content.update({key: value}))
    with pytest.raises(ArtifactError) as error:
        load(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["psi", "h-word"])
def test_truncated_altered_and_missing_weights_are_refused(folder, kind):
    (file,) = folder.glob(f"{kind}-*")
    whole = file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(folder, f"{file.name} is truncated or altered: {length} bytes, {len(whole)} were written")
    for place in (0, 9, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(folder, f"{file.name} was altered after it was written: its sha256 does not fit")
    file.unlink()
    refused(folder, f"{file.name} is missing")
    file.write_bytes(whole)
    assert load(folder).name == "tiny"


def test_weights_that_do_not_fit_their_description_are_refused(folder):
    rewrite(folder, lambda content: content["embedding"].update(hidden=32))
    with pytest.raises(ArtifactError, match="do not fit a GraphEmbedding") as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_no_file_outside_the_folder_is_read(folder, tmp_path):
    (file,) = folder.glob("psi-*")
    shutil.copy(file, tmp_path / file.name)
    file.unlink()
    for path in (f"../{file.name}", str(tmp_path / file.name), "..", "."):
        rewrite(folder, lambda content, path=path: content["files"]["psi"].update(file=path))
        refused(folder, "is missing")


def test_weights_that_are_no_safetensors_are_refused(folder):
    (file,) = folder.glob("psi-*")
    file.write_bytes(b"\x80\x04pickled")
    sha256 = artifacts.hashlib.sha256(file.read_bytes()).hexdigest()
    rewrite(folder, lambda content: content["files"]["psi"].update(sha256=sha256, bytes=file.stat().st_size))
    with pytest.raises(ArtifactError, match="is not a safetensors file"):
        load(folder)


def test_nothing_is_unpickled(folder, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("unpickled")

    for module, name in ((torch, "load"), (__import__("pickle"), "load"), (__import__("pickle"), "loads")):
        monkeypatch.setattr(module, name, forbidden)
    assert load(folder).name == "tiny"


def test_graphs_of_another_vocabulary_are_refused(folder):
    other = from_networkx([nx.path_graph(3)])
    with pytest.raises(ValueError, match=r"another vocabulary: nodes \['node'\].* has nodes \['a', 'b', 'c'\]"):
        load(folder).psi(other)


@pytest.mark.parametrize("module", ["psi", "word"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(vocabulary, folder, module, value):
    broken, before = make(vocabulary, seed=1), listing(folder)
    part = broken.psi if module == "psi" else broken.surrogates["word"]
    name, weight = list(part.named_parameters())[1]
    weight.data.flatten()[0] = value
    with pytest.raises(ValueError, match=f"{module}.* holds NaN or infinity in {re.escape(name)}"):
        save(broken, folder)
    assert listing(folder) == before
    stem = "psi" if module == "psi" else "h-word"
    reweigh(folder, stem, lambda tensors: tensors[f"psi.{name}" if module == "psi" else name].fill_(value))
    with pytest.raises(ArtifactError, match=f"holds NaN or infinity in {re.escape(name)}"):
        load(folder)


def test_masks_of_a_user_module_may_be_infinite(vocabulary, tmp_path):
    own = Tied()
    own.register_buffer("mask", torch.full((2,), -torch.inf))
    save(make(vocabulary, mine=SurrogateRegressor(own, DIM)), tmp_path)
    other = Tied()
    other.register_buffer("mask", torch.zeros(2))
    assert load(tmp_path, modules={"mine": other}).surrogates["mine"].backbone.mask.isinf().all()


def reweigh(folder, name, change):
    """Change the weights in a file and renew all digests, as a forger could."""
    content = json.loads((folder / artifacts.JSON_NAME).read_text())
    tensors = tensors_of((folder / content["files"][name]["file"]).read_bytes())
    change(tensors)
    data = bytes_of({k: v.contiguous() for k, v in tensors.items()})
    entry = artifacts._entry(name, data)
    (folder / entry["file"]).write_bytes(data)
    rewrite(folder, lambda content: content["files"].update({name: entry}))


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("psi", lambda t: t.pop("psi.enter.bias"), "missing 'psi.enter.bias'"),
        ("psi", lambda t: t.update(more=torch.zeros(1)), "unexpected 'more'"),
        ("psi", lambda t: t.update({"psi.enter.bias": torch.zeros(17)}), "size mismatch .*psi.enter.bias"),
        ("psi", lambda t: t.update({"psi.enter.bias": torch.zeros(16, dtype=torch.bool)}), "is torch.bool"),
        ("psi", lambda t: t.update({k: v * 3e38 for k, v in t.items() if "read" in k}), "psi of graph 0 is not fin"),
        ("psi", lambda t: t.update({"typical.nodes": t["typical.nodes"].half()}), "'typical.nodes' is torch.float16"),
        ("psi", lambda t: t.update({"typical.nodes": t["typical.nodes"] * 2}), "rows are not on the simplex"),
        ("psi", lambda t: t.update({"typical.edges": t["typical.edges"][:, :2]}), "size mismatch .*typical.edges"),
        ("psi", lambda t: t.pop("typical.edges"), "missing 'typical.edges'"),
        ("h-word", lambda t: t.update({"backbone.leave.bias": torch.zeros(0)}), "size mismatch"),
        ("h-vector", lambda t: t.update({"backbone.mean": torch.zeros(2, dtype=torch.int64)}), "is torch.int64"),
    ],
)  # fmt: skip
def test_forged_weights_are_refused(folder, name, change, problem):
    reweigh(folder, name, change)
    with pytest.raises(ArtifactError, match=problem) as error:
        load(folder)
    assert str(folder) in str(error.value) and len(str(error.value)) < 500


WRONG = [None, "x", [1], {"a": 1}, True, -3, 10**7, 1e300, "y" * 10_000, "a\x1b]0;x"]
FORGED = [
    "name", "vocabulary.node_labels", "vocabulary.max_nodes", "vocabulary.capacity.0", "embedding.hidden",
    "embedding.rounds", "embedding.dim", "embedding.walks", "surrogates.word.dim", "surrogates.word.backbone.kind",
    "surrogates.word.backbone.width", "surrogates.word.backbone.layers", "surrogates.word.backbone.dropout",
    "surrogates.word.backbone.through", "surrogates.word.backbone.symmetric", "surrogates.word.tokens",
    "surrogates.vector.features", "files.psi.file", "files.psi.sha256", "files.psi.bytes", "about.seed", "about.data",
    "about.psi.history", "about.psi.history.0.step", "about.psi.history.0.loss",
]  # fmt: skip
FITS = {
    "name": ["x"], "about.seed": [-3, 10**7], "about.data": [{"a": 1}], "about.psi.history.0.step": [10**7],
    "about.psi.history.0.loss": [None, -3, 10**7, 1e300],
}  # fmt: skip


@pytest.mark.parametrize("path", FORGED)
def test_values_of_another_kind_or_size_are_refused(folder, path):
    """Before anything is built: no value allocates much, and all messages are short."""
    text = (folder / artifacts.JSON_NAME).read_text()
    for value in WRONG:

        def change(content, value=value):
            *parents, last = (int(key) if key.isdecimal() else key for key in path.split("."))
            for key in parents:
                content = content[key]
            content[last] = value

        (folder / artifacts.JSON_NAME).write_text(text)
        rewrite(folder, change)
        if any(type(value) is type(fits) and value == fits for fits in FITS.get(path, ())):
            load(folder)
            continue
        with pytest.raises(ArtifactError) as error:
            load(folder)
        told = str(error.value)
        assert str(folder) in told and len(told) < 600 and told.isprintable(), told


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, '{"about": 1, "about": 2}', '{"seed": NaN}',
        '{"seed": 1e400}', '{"seed": ' + "9" * 5_000 + "}", '{"name": "\\ud800"}', "\ufeff{}",
    ],
)  # fmt: skip
def test_json_that_parsers_disagree_on_is_refused(folder, text):
    (folder / artifacts.JSON_NAME).write_text(text, encoding="utf-8")
    refused(folder, "truncated or not an artifact")


@pytest.mark.parametrize("file", [artifacts.JSON_NAME, "psi-*"])
def test_what_is_no_file_is_refused(folder, file):
    (path,) = folder.glob(file)
    path.unlink()
    os.mkfifo(path)  # reading it would never end
    refused(folder, "no artifact at|is missing")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(folder, "no artifact at|is missing")


# -- repeats -------------------------------------------------------------------------------------------------------
@pytest.fixture
def repeated(vocabulary, folder) -> Path:
    """An artifact with two repeats, the later seed first in the alphabet."""
    for name, seed in (("seed-9", 9), ("half-10", 10)):
        repeat = make(vocabulary, seed)
        repeat.surrogates.clear()
        save(repeat, folder / "repeats" / name)
    (folder / "repeats" / "seed-11").mkdir()  # not finished
    (folder / "repeats" / "seed-11.checkpoint").write_text("")
    return folder


def test_repeats_load_from_the_folder_of_the_artifact(
    artifact, repeated, vocabulary, vertices, tmp_path, monkeypatch
):
    found = load_repeats(repeated)
    assert list(found) == ["seed-9", "half-10"]
    for seed, repeat in zip((9, 10), found.values()):
        assert torch.equal(repeat.psi(vertices), make(vocabulary, seed).psi(vertices))
    save(load(repeated), repeated)  # saving the artifact leaves them alone
    assert list(load_repeats(repeated)) == list(found)
    monkeypatch.setattr(artifacts, "MODELS", repeated.parent)
    monkeypatch.chdir(tmp_path.parent)
    assert list(load_repeats(repeated.name)) == list(found)
    save(artifact, tmp_path / "alone")
    assert load_repeats(tmp_path / "alone") == {}
    with pytest.raises(ArtifactError, match="no artifact at"):
        load_repeats(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda content: content["vocabulary"]["node_labels"].__setitem__(0, "z"), "vocabulary"),
        (lambda content: content["embedding"].update(rounds=3), "shape of psi"),
        (lambda content: content["about"]["data"].update(digest="other"), "data"),
        (lambda content: content["about"]["psi"].update(training={"batch_size": 3}), "training"),
        (lambda content: content["about"].update(correction={}), "correction"),
    ],
)
def test_repeats_of_another_training_are_refused(repeated, change, what):
    rewrite(repeated / "repeats" / "seed-9", change)
    with pytest.raises(ArtifactError, match=f"seed-9 repeats another training than .*: {what} differ; delete it"):
        load_repeats(repeated)
    (weights,) = (repeated / "repeats" / "half-10").glob("psi-*")
    weights.unlink()
    with pytest.raises(ArtifactError, match="half-10/psi-.*is missing"):
        load_repeats(repeated)


def test_who_trained_when(tmp_path):
    checkpoint = tmp_path / "psi.checkpoint"
    checkpoint.write_text("")
    os.utime(checkpoint, (0, 86_400 + 60))  # a minute past midnight in UTC, in any time zone
    assert training_record(checkpoint, "A. Nalyst") == {"at": "1970-01-02", "by": "A. Nalyst"}
    assert training_record(checkpoint, "")["by"] is None
    days = {datetime.now(UTC).date().isoformat() for _ in range(2)}
    assert training_record(tmp_path / "none")["at"] in days | {datetime.now(UTC).date().isoformat()}


# -- comparing -----------------------------------------------------------------------------------------------------
def test_differences_are_named(vocabulary, artifact):
    assert differences(artifact, make(vocabulary)) == {}
    changed = make(vocabulary)
    with torch.no_grad():
        changed.surrogates["word"].backbone.leave.bias[0] += 1e-6
    changed.about["data"]["rows"] = 21
    found = differences(artifact, changed)
    assert list(found) == ["about.data.rows", "weights.h-word"]
    assert found["about.data.rows"] == (20, 21)
    del changed.surrogates["vector"]
    assert differences(artifact, changed)["weights.h-vector"][1] is None


def test_the_json_holds_the_provenance(artifact, folder):
    content = verify(folder)
    assert content["embedding"] == asdict(artifact.psi.config)
    assert set(content["versions"]) == {"elekit", "torch", "python"}
    assert content["vocabulary"]["node_labels"] == ["a", "b", "c"]
    for entry in content["files"].values():
        data = (folder / entry["file"]).read_bytes()
        assert artifacts.hashlib.sha256(data).hexdigest() == entry["sha256"] and len(data) == entry["bytes"]
